"""What a network listens to: by how much it errs when a column is shuffled, and how it answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.data import DateColumn, NumberColumn, Table, TextColumn
from retrograd.data.columns import as_levels
from retrograd.data.encodings import (
    BooleanEncoding,
    CategoryEncoding,
    DateEncoding,
    Encoding,
    NumberEncoding,
)
from retrograd.recipe.model import Model
from retrograd.recipe.predictions import class_probabilities, outputs_of
from retrograd.report.judged import Judged
from retrograd.tensor.types import Array
from retrograd.train.metrics import log_loss

Floats = npt.NDArray[np.float64]
_WORK = 100_000_000  # multiplications of a network for all shuffles together
_REPEATS = 5
_MOST_ROWS = 2000
_FEWEST_ROWS = 50
_GRID = 24
_MOST_LEVELS = 12
_CURVE_ROWS = 300


class Importance(NamedTuple):
    """A column: how much the error rises when its cells change places between rows.

    low, high: the least and the most of all shuffles.
    """

    column: str
    rise: float
    low: float
    high: float


class Dependence(NamedTuple):
    """How the mean answer depends on a column, everything else left as it is.

    labels: of the grid's places.  values: the same as numbers, None for texts.
    means, low, high (places, outputs): mean over rows, and the tenths of rows below and above.
    are_dates: values are microseconds since 1970.
    """

    column: str
    labels: tuple[str, ...]
    values: Floats | None
    means: Floats
    low: Floats
    high: Floats
    are_dates: bool = False


def importances(model: Model, judged: Judged, seed: int = 0) -> list[Importance]:
    """Return a record for each column, the most important first: the rise of the error.

    The error is the log loss, or the root mean squared error. Features made of one column move
    together. At most 2,000 rows, five shuffles; fewer for large networks with many columns.
    Source: Fisher, Rudin & Dominici 2019, All Models are Wrong, but Many are Useful.
    """
    sources = np.array(model.preprocessor.feature_sources)
    columns = list(dict.fromkeys(sources.tolist()))
    rows = _WORK // max(1, model.parameters * len(columns))
    count = int(np.clip(rows // _REPEATS, _FEWEST_ROWS, min(_MOST_ROWS, len(judged.targets))))
    repeats = int(np.clip(rows // max(count, 1), 1, _REPEATS))
    draw = np.random.default_rng(seed)
    chosen = draw.permutation(len(judged.targets))[:count]
    inputs, targets = judged.inputs[chosen], judged.targets[chosen]
    usual = _error(model, inputs, targets)
    found = []
    for column in columns:
        own = np.flatnonzero(sources == column)
        rises = []
        for _ in range(repeats):
            shuffled = inputs.copy()
            shuffled[:, own] = inputs[draw.permutation(len(inputs))][:, own]
            rises.append(_error(model, shuffled, targets) - usual)
        found.append(Importance(column, float(np.mean(rises)), min(rises), max(rises)))
    return sorted(found, key=lambda each: -each.rise)


def _error(model: Model, inputs: Array, targets: Array) -> float:
    answers = _answers(model, inputs)
    if model.schema.classes:
        return log_loss(answers, targets)
    return float(np.sqrt(np.mean(np.square(answers[:, 0] - targets))))


def _answers(model: Model, inputs: Array) -> Floats:
    """Return probabilities (rows, classes), or amounts (rows, 1) in the target's unit."""
    outputs = outputs_of(model.net, inputs)
    if model.schema.classes:
        return class_probabilities(outputs)
    amounts: Floats = model.preprocessor.inverse_target(outputs)
    return amounts


def dependence(model: Model, judged: Judged, column: str) -> Dependence | None:
    """Return how the mean answer depends on a column; None for one that never varies.

    At most 300 rows are asked, evenly spread, each with every value of the grid: 24 quantiles of
    the validation rows, or the most frequent categories.
    Source: Friedman 2001, Greedy Function Approximation, section 8.2.
    """
    encoding = next(e for e in model.preprocessor.encodings if e.column == column)
    grid, labels, values = _grid(encoding, judged.table)
    if len(labels) < 2:
        return None
    alone = replace(model.preprocessor, encodings=(encoding,))
    block = alone.transform(Table("the grid", {column: grid}))
    own = [i for i, name in enumerate(model.preprocessor.feature_sources) if name == column]
    asked = judged.inputs[:: -(-len(judged.inputs) // _CURVE_ROWS)]
    inputs = np.tile(asked, (len(labels), 1))
    inputs[:, own] = np.repeat(block, len(asked), axis=0)
    answers = _answers(model, inputs).reshape(len(labels), len(asked), -1)
    low, high = np.quantile(answers, [0.1, 0.9], axis=1)
    are_dates = isinstance(encoding, DateEncoding)
    return Dependence(column, tuple(labels), values, answers.mean(axis=1), low, high, are_dates)


def _grid(encoding: Encoding, table: Table) -> tuple[Any, list[str], Floats | None]:
    """Return a column with the values to try, their labels, and themselves if they are numbers."""
    places = np.linspace(0.02, 0.98, _GRID)
    match encoding:
        case NumberEncoding(name, _, _, _, low, high):
            column = table.columns[name]
            if not isinstance(column, NumberColumn):
                return None, [], None
            known = np.clip(column.values[np.isfinite(column.values)], low, high)
            values = np.unique(np.quantile(known, places)) if len(known) else known
            return NumberColumn(values), [f"{v:.4g}" for v in values], values
        case DateEncoding(name):
            column = table.columns[name]
            if not isinstance(column, DateColumn) or np.isnat(column.values).all():
                return None, [], None
            moments = np.sort(column.values[~np.isnat(column.values)]).astype(np.int64)
            picked = np.unique(moments[(places * (len(moments) - 1)).astype(int)])
            dates = picked.astype("datetime64[us]")
            labels = np.datetime_as_string(dates, unit="D").tolist()
            return DateColumn(dates), labels, picked.astype(np.float64)
        case BooleanEncoding(name):
            return _boolean_grid(table.columns[name])
        case CategoryEncoding(_, categories):
            texts = list(categories[:_MOST_LEVELS])
            codes = np.arange(len(texts), dtype=np.int32)
            return TextColumn(codes, as_levels(texts)), texts, None


def _boolean_grid(column: Any) -> tuple[Any, list[str], None]:
    """Return the two values of a column of truths, as it writes them."""
    if isinstance(column, TextColumn):
        texts = [str(column.levels[i]) for i in np.unique(column.codes[column.codes >= 0])]
        codes = np.arange(len(texts), dtype=np.int32)
        return TextColumn(codes, as_levels(texts)), texts, None
    if isinstance(column, NumberColumn):
        values = np.unique(column.values[np.isfinite(column.values)])
        return NumberColumn(values), [f"{v:g}" for v in values], None
    return None, [], None
