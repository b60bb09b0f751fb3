"""Rows set apart for training, validation and test, before any statistic is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import Rows
from retrograd.data.schema import Schema
from retrograd.data.shuffling import permutation
from retrograd.data.table import Table
from retrograd.data.targets import target_values
from retrograd.tensor.errors import DataError

Labels = npt.NDArray[np.int64] | npt.NDArray[np.float64]
_QUANTILES = 20  # strata of amounts


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, each sorted, no row in two; rows without a label in none."""

    train: Rows
    validation: Rows
    test: Rows


def split_table(
    table: Table,
    schema: Schema,
    *,
    seed: int,
    validation: float = 0.15,
    test: float = 0.15,
    stratify: bool = True,
) -> Split:
    """Split the labelled rows of a table; see `split_rows`."""
    labels = target_values(table, schema)
    return split_rows(
        labels, table.n_rows, seed=seed, validation=validation, test=test, stratify=stratify
    )


def split_rows(
    labels: Labels | None,
    n_rows: int,
    *,
    seed: int,
    validation: float = 0.15,
    test: float = 0.15,
    stratify: bool = True,
) -> Split:
    """Split rows at random into training, validation and test parts.

    labels: (n_rows,) int64 classes (negative: no label) or float64 amounts (NaN: no label), or
    None.  Rows without a label are in no part.  With `stratify`, every class, or every twentieth
    of the amounts, has its share in every part, to within a row.
    validation, test: shares of the labelled rows; each part that is asked for has at least one.
    The result depends on the arguments alone, on every machine.

    Raises DataError for shares that leave nothing to train on, or too few rows.

    >>> split = split_rows(np.array([0, 1] * 10), 20, seed=0)
    >>> len(split.train), len(split.validation), len(split.test)
    (14, 3, 3)
    """
    asked = f"splitting {n_rows:,} rows"
    _check_shares(validation, test, asked)
    rows = np.arange(n_rows, dtype=np.int64)
    if labels is not None:
        if labels.shape != (n_rows,):
            found = f"labels have the shape {labels.shape}"
            raise DataError(asked, found, f"give one label a row: ({n_rows},)")
        rows = rows[labels >= 0] if labels.dtype.kind == "i" else rows[~np.isnan(labels)]
    counts = _part_sizes(len(rows), validation, test, asked)
    order = rows[permutation(len(rows), seed, 0x5711)]
    if stratify and labels is not None:
        order = _by_stratum(order, labels)
    part = _spread(counts)
    if stratify and labels is not None and labels.dtype.kind == "i":
        part = _every_class_trains(part, labels[order])
    return Split(*(np.sort(order[part == number]) for number in range(3)))


def _check_shares(validation: float, test: float, asked: str) -> None:
    """Refuse shares that are no shares, and those that leave no training part."""
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise DataError(asked, f"{name}={share} is no share", "give a number from 0 to below 1")
    if validation + test >= 1:
        raise DataError(
            asked,
            f"validation={validation} and test={test} leave nothing to train on",
            "give shares that sum to less than 1",
        )


def _part_sizes(n: int, validation: float, test: float, asked: str) -> tuple[int, int, int]:
    """Return how many rows each part has."""
    of_validation = max(1, round(n * validation)) if validation else 0
    of_test = max(1, round(n * test)) if test else 0
    train = n - of_validation - of_test
    if train < 2:
        raise DataError(
            asked,
            f"{n} labelled rows give {max(train, 0)} for training, {of_validation} for validation "
            f"and {of_test} for test",
            "give more rows, or smaller shares (at least 2 rows must train)",
        )
    return train, of_validation, of_test


def _by_stratum(order: Rows, labels: Labels) -> Rows:
    """Return shuffled rows sorted by class or by quantile of the amount, shuffled within each."""
    if labels.dtype.kind == "i":
        return order[np.argsort(labels[order], kind="stable")]
    by_amount = order[np.argsort(labels[order], kind="stable")]
    rank = np.empty(int(order.max()) + 1, dtype=np.int64)
    rank[by_amount] = np.arange(len(order)) * _QUANTILES // len(order)
    return order[np.argsort(rank[order], kind="stable")]


def _spread(counts: tuple[int, int, int]) -> npt.NDArray[np.int8]:
    """Return the part of each place in the order, so that every stretch of it holds every part.

    Row i of a part ideally stands at (i + 1/2) / count of the way; sorting all ideals interleaves
    the parts as evenly as whole rows allow, and keeps the sizes exact.
    """
    ideals = np.concatenate([(np.arange(count) + 0.5) / count for count in counts if count])
    parts = np.repeat(np.arange(3, dtype=np.int8), counts)
    return parts[np.lexsort((parts, ideals))]


def _every_class_trains(part: npt.NDArray[np.int8], labels: Labels) -> npt.NDArray[np.int8]:
    """Give every class a training row, by trading with a class that has several.

    labels (rows,): in the order of `part`, equal ones together.
    """
    part = part.copy()
    trained = np.bincount(labels[part == 0].astype(np.int64), minlength=int(labels.max()) + 1)
    for label in np.unique(labels):
        rich = np.flatnonzero((part == 0) & (trained[labels.astype(np.int64)] > 1))
        if trained[int(label)] or not len(rich):
            continue
        own = int(np.flatnonzero(labels == label)[0])
        other = int(rich[np.argmin(np.abs(rich - own))])
        part[own], part[other] = 0, part[own]
        trained[int(label)] += 1
        trained[int(labels[other])] -= 1
    return part
