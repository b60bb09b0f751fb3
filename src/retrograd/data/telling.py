"""Features that tell the target in other words: a copy, another unit, a code for each class.

Only what is plain to see without training is told here, with the rows that show it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import Column, DateColumn, Floats, NumberColumn, is_missing, take
from retrograd.data.conversions import as_numbers, as_text
from retrograd.data.schema import ColumnSchema, Task
from retrograd.data.table import Table

_SAMPLE = 2000  # rows that are looked at first: most columns show there that they tell nothing
_FEWEST = 3  # rows
_FEWEST_NEARLY = 200  # rows from which nearly the same is no chance
_NEARLY = 0.995  # of the rows
_FEWEST_VALUES = 20  # of a number, for its order to be no chance
Codes = npt.NDArray[np.int64]


def telling_notes(
    table: Table, target: str, columns: tuple[ColumnSchema, ...], task: Task
) -> tuple[str, ...]:
    """Return a warning for every feature that tells the target outright, or nearly."""
    notes = []
    for column in columns:
        if not column.kind.is_used:
            continue
        found = _evidence(table.columns[column.name], table.columns[target], task)
        if found:
            notes.append(
                f"column {column.name!r} tells {target!r} {found}: if it is not known before "
                f"{target!r} is, drop it with {{{column.name!r}: 'drop'}}"
            )
    return tuple(notes)


def _evidence(feature: Column, target: Column, task: Task) -> str:
    """Return how a feature tells the target, in words; nothing if it does not."""
    if isinstance(feature, DateColumn):
        return ""
    rows = np.flatnonzero(~(is_missing(feature) | is_missing(target)))
    if isinstance(feature, NumberColumn):
        rows = rows[np.isfinite(feature.values[rows])]
    if len(rows) < _FEWEST:
        return ""
    few = rows[:: max(1, len(rows) // _SAMPLE)]
    compare = _classes if task.is_classification else _amounts
    if few is not rows and not compare(take(feature, few), take(target, few)):
        return ""
    return compare(take(feature, rows), take(target, rows))


def _amounts(feature: Column, target: Column) -> str:
    if not isinstance(feature, NumberColumn):
        return ""
    a, b = feature.values, as_numbers(target)[0]
    alike = _correlation(a, b)
    if alike > 1 - 1e-12:
        return "outright"
    if len(a) >= _FEWEST_NEARLY and alike > 1 - 1e-7:
        return "nearly (it is the same amount, but for rounding)"
    order = np.argsort(a, kind="stable")
    steps, rises = np.diff(a[order]), np.diff(b[order])
    moves = steps > 0
    if moves.sum() < _FEWEST_VALUES or rises[~moves].any():
        return ""
    is_monotone = bool((rises[moves] > 0).all() or (rises[moves] < 0).all())
    return "outright (it puts all rows in the same order)" if is_monotone else ""


def _correlation(a: Floats, b: Floats) -> float:
    """Return how near one is to the other times a constant plus a constant: 1 if it is that."""
    if not a.any() or not b.any():
        return 0.0
    a, b = a / np.abs(a).max(), b / np.abs(b).max()  # products of 1e300 overflow
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    return abs(float(np.dot(a, b))) / size if size > 0 else 0.0


def _classes(feature: Column, target: Column) -> str:
    labels: Codes = np.unique(as_text(target).codes, return_inverse=True)[1]
    classes = int(labels.max()) + 1
    if classes < 2:
        return ""
    raw = feature.values if isinstance(feature, NumberColumn) else as_text(feature).codes
    codes = np.unique(raw, return_inverse=True)[1]
    values = int(codes.max()) + 1
    if values == classes:
        return _one_to_one(codes, labels, classes)
    if isinstance(feature, NumberColumn) and values >= _FEWEST_VALUES:
        order = np.lexsort((labels, codes))
        changes = int((np.diff(labels[order]) != 0).sum())
        shared = len(np.unique(codes * classes + labels)) - values
        if changes == classes - 1 and shared == 0:
            return "outright (its ranges do not overlap from class to class)"
    return ""


def _one_to_one(codes: Codes, labels: Codes, classes: int) -> str:
    """Return how a feature with as many values as there are classes tells which one it is."""
    counts = np.bincount(codes * classes + labels, minlength=classes * classes)
    best = counts.reshape(classes, classes).argmax(axis=1)
    if len(set(best.tolist())) < classes:
        return ""
    same = int(counts.reshape(classes, classes).max(axis=1).sum())
    if same == len(labels):
        return "outright"
    if len(labels) >= _FEWEST_NEARLY and same >= _NEARLY * len(labels):
        return f"nearly (in {same:,} of {len(labels):,} rows)"
    return ""
