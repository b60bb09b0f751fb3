"""What the audit looks at: labels, the rows that may be seen, and every column as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import Column, DateColumn, NumberColumn, Rows
from retrograd.data.conversions import as_text
from retrograd.data.schema import Schema
from retrograd.data.split import Split, Ways
from retrograd.data.table import Table
from retrograd.data.targets import target_values

Floats = npt.NDArray[np.float64]
_MOST_ROWS = 16_000  # that predict each other in one column; more hardly change a score
_MOST_LEVELS = 256  # of numbers that are taken value by value


@dataclass(frozen=True, eq=False)
class View:
    """A table, its split and its labels, and two halves of the rows that are not sealed.

    labels (table rows,): class codes (negative: none) or amounts (NaN: none).
    halves: some rows of training and validation; each half is predicted from the other.
    """

    table: Table
    schema: Schema
    split: Split
    ways: Ways
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float64]
    halves: tuple[Rows, Rows]


class Score(NamedTuple):
    """How well one column alone predicts the target.

    skill: 1 for every row right, 0 for a guess.  right: of classes, the share of rows told right.
    """

    skill: float
    right: float
    rows: int


def view_of(table: Table, schema: Schema, split: Split, ways: Ways) -> View:
    """Return what the audit looks at."""
    labels = target_values(table, schema)
    rows = np.sort(np.concatenate([split.train, split.validation]))
    rows = rows[:: -(-len(rows) // _MOST_ROWS)]
    # Every other row would pair with a pattern of the table itself, such as pairs of rows.
    odd = np.random.PCG64(0).random_raw(len(rows)) % np.uint64(2) == 1
    return View(table, schema, split, ways, labels, (rows[~odd], rows[odd]))


def score(view: View, column: Column) -> Score:
    """Return how well a column predicts: each half from the other, by its neighbours in value."""
    one, other = view.halves
    if min(len(one), len(other)) < 10:
        return Score(0.0, 0.0, len(one) + len(other))
    is_amount = view.labels.dtype.kind == "f"
    labels = view.labels.astype(np.float64)
    targets = _ranks(labels) if is_amount else labels
    values, is_discrete = _values(column, np.concatenate([one, other]))
    found = np.concatenate([
        _predicted(values[known], targets[known], values[asked], is_discrete, is_amount)
        for known, asked in ((other, one), (one, other))
    ])  # fmt: skip
    true = np.concatenate([targets[one], targets[other]])
    if is_amount:
        spread = float(np.var(true))
        skill = 1 - float(np.mean((found - true) ** 2)) / spread if spread else 0.0
        return Score(skill, 0.0, len(true))
    right = float((found == true).mean())
    commonest = np.bincount(true.astype(np.int64)).max() / len(true)
    return Score((right - commonest) / (1 - commonest) if commonest < 1 else 0.0, right, len(true))


def _ranks(amounts: npt.NDArray[np.float64]) -> Floats:
    """Return (rows,) each amount's rank from 0 to 1: a few huge ones must not decide alone."""
    ranks = np.empty(len(amounts))
    order = np.argsort(amounts, kind="stable")
    _, inverse, counts = np.unique(amounts[order], return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    ranks[order] = middle[inverse] / max(len(amounts) - 1, 1)
    return ranks


def _values(column: Column, rows: Rows) -> tuple[Floats, bool]:
    """Return a column as numbers (NaN: missing), and whether each value stands for itself."""
    if isinstance(column, NumberColumn | DateColumn):
        values = numbers_of(column)
        seen = values[rows]
        return values, len(np.unique(seen[~np.isnan(seen)])) <= _MOST_LEVELS
    codes = as_text(column).codes.astype(np.float64)
    codes[codes < 0] = np.nan
    return codes, True


def numbers_of(column: NumberColumn | DateColumn) -> Floats:
    """Return the values as float64; infinite and missing ones are NaN, dates microseconds."""
    if isinstance(column, NumberColumn):
        return np.where(np.isfinite(column.values), column.values, np.nan)
    times = column.values.astype("datetime64[us]").astype(np.int64).astype(np.float64)
    return np.where(np.isnat(column.values), np.nan, times)


def _predicted(
    known: Floats, targets: Floats, asked: Floats, is_discrete: bool, is_amount: bool
) -> Floats:
    """Return what the known rows say of those asked; missing cells answer for each other."""
    found = np.full(len(asked), _answer(targets, is_amount))
    for missing in (True, False):
        knows, asks = np.isnan(known) == missing, np.isnan(asked) == missing
        if not knows.any() or not asks.any():
            continue
        if missing:
            found[asks] = _answer(targets[knows], is_amount)
        elif is_discrete:
            found[asks] = _by_value(known[knows], targets[knows], asked[asks], is_amount, found[0])
        else:
            found[asks] = _by_neighbours(known[knows], targets[knows], asked[asks], is_amount)
    return found


def _answer(targets: Floats, is_amount: bool) -> float:
    if is_amount:
        return float(targets.mean())
    return float(np.bincount(targets.astype(np.int64)).argmax())


def _by_value(
    known: Floats, targets: Floats, asked: Floats, is_amount: bool, otherwise: float
) -> Floats:
    """Return the mean amount, or the commonest class, of the known rows of the same value."""
    values, place = np.unique(known, return_inverse=True)
    if is_amount:
        says = np.bincount(place, weights=targets) / np.bincount(place)
    else:
        classes = int(targets.max()) + 1
        pairs = np.bincount(place * classes + targets.astype(np.int64), minlength=len(values))
        pairs = np.append(pairs, np.zeros(len(values) * classes - len(pairs), dtype=np.int64))
        says = pairs.reshape(len(values), classes).argmax(axis=1).astype(np.float64)
    at = np.minimum(np.searchsorted(values, asked), len(values) - 1)
    return np.where(values[at] == asked, says[at], otherwise)


def _by_neighbours(known: Floats, targets: Floats, asked: Floats, is_amount: bool) -> Floats:
    """Return the mean amount of four known neighbours in value, or the vote of three."""
    order = np.argsort(known, kind="stable")
    known, targets, last = known[order], targets[order], len(order) - 1
    at = np.searchsorted(known, asked)
    if is_amount:
        around = [targets[np.clip(at + step, 0, last)] for step in (-2, -1, 0, 1)]
        return np.asarray(np.mean(around, axis=0))
    below, above = np.maximum(at - 1, 0), np.minimum(at, last)
    nearest = np.where(asked - known[below] < known[above] - asked, below, above)
    left, middle, right = (targets[np.clip(nearest + step, 0, last)] for step in (-1, 0, 1))
    return np.asarray(np.where(left == right, left, middle))
