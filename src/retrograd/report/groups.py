"""Results by group: whether the network serves some kinds of rows worse than others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.data import NumberColumn, Schema, TextColumn
from retrograd.data.schema import ColumnKind
from retrograd.recipe.intervals import Estimate, bootstrap, wilson
from retrograd.report.judged import Judged
from retrograd.train.metrics import root_mean_squared_error

_FEWEST = 8  # rows of a group that says something
_MOST = 8  # groups of one column


class Group(NamedTuple):
    """Validation rows that are alike in a column, and how the network does on them."""

    column: str
    label: str
    rows: int
    estimate: Estimate


def groups(judged: Judged, schema: Schema, columns: list[str], most: int) -> list[Group]:
    """Return groups of ``most`` of some columns: those with the largest differences, in order.

    Categories and truths part by value, numbers at their quartiles. Groups of fewer than 8 rows are
    left out, columns with one group too.
    """
    kinds = {column.name: column.kind for column in schema.features}
    found = []
    for name in columns:
        parts = [(label, inside) for label, inside in _parts(judged, name, kinds[name])]
        own = [
            Group(name, label, int(inside.sum()), _estimate(judged, inside))
            for label, inside in parts
            if int(inside.sum()) >= _FEWEST
        ][:_MOST]
        if len(own) > 1:
            values = [group.estimate.value for group in own]
            found.append((max(values) - min(values), own))
    found.sort(key=lambda each: -each[0])
    return [group for _, own in found[:most] for group in own]


def _parts(
    judged: Judged, name: str, kind: ColumnKind
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Give the groups of a column: a label, and which rows are in it."""
    column = judged.table.columns[name]
    if isinstance(column, TextColumn):
        counts = np.bincount(column.codes + 1, minlength=len(column.levels) + 1)
        for code in np.argsort(-counts, kind="stable")[: _MOST + 1].tolist():
            label = "missing" if code == 0 else str(column.levels[code - 1])
            yield label, column.codes == code - 1
    elif isinstance(column, NumberColumn):
        values = column.values
        known = values[np.isfinite(values)]
        distinct = np.unique(known)
        if kind is ColumnKind.boolean or len(distinct) <= 4:
            for value in distinct:
                yield f"{value:g}", values == value
        else:
            edges = np.unique(np.quantile(known, [0.25, 0.5, 0.75]))
            place = np.searchsorted(edges, values, side="right")
            for i in range(len(edges) + 1):
                yield _range(edges, i), (place == i) & np.isfinite(values)
        if not np.isfinite(values).all():
            yield "missing", ~np.isfinite(values)


def _range(edges: npt.NDArray[np.float64], i: int) -> str:
    if i == 0:
        return f"below {edges[0]:.4g}"
    if i == len(edges):
        return f"from {edges[-1]:.4g}"
    return f"{edges[i - 1]:.4g} to {edges[i]:.4g}"


def _estimate(judged: Judged, inside: npt.NDArray[np.bool_]) -> Estimate:
    values, targets = judged.values[inside], judged.targets[inside]
    if not len(values):
        return Estimate(math.nan, math.nan, math.nan)
    if judged.probabilities is not None:
        return wilson(int((values == targets).sum()), len(values))
    return bootstrap(root_mean_squared_error, [values, targets])
