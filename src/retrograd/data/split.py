"""Rows set apart for training, validation and test, before any statistic is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import Rows
from retrograd.data.parting import (
    Labels,
    group_codes,
    parts_by_group,
    parts_by_time,
    parts_said,
    times_of,
)
from retrograd.data.schema import Schema
from retrograd.data.shuffling import permutation
from retrograd.data.suggesting import suggestion
from retrograd.data.table import Table
from retrograd.data.targets import target_values
from retrograd.tensor.errors import DataError

_QUANTILES = 20  # strata of amounts


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, each sorted, no row in two; rows without a label in none."""

    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How rows are parted, where it is not at random: at most one of these.

    group: a column; rows that share its value stay together.  time: a column of dates or numbers;
    the latest rows test, those before validate.  part: a column that says train, validation or
    test.  folds, fold: the rows are dealt into so many folds, of which this one (from 1) tests;
    with a group, whole groups are dealt.
    """

    group: str | None = None
    time: str | None = None
    part: str | None = None
    folds: int | None = None
    fold: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that are named."""
        return tuple(name for name in (self.group, self.time, self.part) if name is not None)


AT_RANDOM = Ways()


def split_table(
    table: Table,
    schema: Schema,
    *,
    seed: int,
    validation: float = 0.15,
    test: float = 0.15,
    stratify: bool = True,
    ways: Ways = AT_RANDOM,
) -> Split:
    """Split the labelled rows of a table: at random as `split_rows` does, or in another way.

    Raises DataError for ways that exclude each other, a column that is not there or does not serve
    (see `retrograd.data.parting`), and shares or rows that leave a part empty.
    """
    labels = target_values(table, schema)
    asked = f"splitting {table.name!r}"
    _check_shares(validation, test, asked)
    _check_ways(table, ways, asked)
    rows = np.flatnonzero(labels >= 0 if labels.dtype.kind == "i" else ~np.isnan(labels))
    if ways.folds is not None:
        return _one_fold(table, labels, rows, ways, seed, validation, stratify)
    if ways.part is not None:
        return _said(table, labels, rows, ways.part, seed, validation, stratify)
    if ways.time is not None:
        times = times_of(table.columns[ways.time], ways.time)
        part = parts_by_time(rows, times, validation, test, name=ways.time)
        return _split(rows, part, asked)
    if ways.group is not None:
        shares = (1 - validation - test, validation, test)
        codes = group_codes(table.columns[ways.group])
        part = parts_by_group(rows, codes, labels, shares, seed=seed, name=ways.group)
        return _split(rows, part, asked)
    return split_rows(
        labels, table.n_rows, seed=seed, validation=validation, test=test, stratify=stratify
    )


def _check_ways(table: Table, ways: Ways, asked: str) -> None:
    """Refuse columns that are not there, and ways that exclude each other."""
    for name in ways.columns:
        if name not in table.columns:
            raise DataError(asked, f"no column is called {name!r}", suggestion(name, table.columns))
    chosen = {"a column of times": ways.time, "a column of parts": ways.part, "folds": ways.folds}
    both = [words for words, value in chosen.items() if value is not None]
    if ways.group is not None and ways.time is not None:
        both = ["groups", *both]
    if len(both) > 1:
        raise DataError(asked, f"{both[0]} and {both[1]} part rows differently", "choose one")
    if ways.folds is not None and not 1 <= ways.fold <= ways.folds:
        found = f"there is no fold {ways.fold} of {ways.folds}"
        raise DataError(asked, found, f"give one from 1 to {ways.folds}")


def _split(rows: Rows, part: npt.NDArray[np.int8], asked: str) -> Split:
    """Return the split of sorted rows by their parts; at least two rows must train."""
    split = Split(*(rows[part == number] for number in range(3)))
    if len(split.train) < 2:
        found = f"{len(split.train)} rows are left to train on"
        raise DataError(asked, found, "give more rows, or smaller shares")
    return split


def _said(
    table: Table, labels: Labels, rows: Rows, name: str, seed: int, validation: float,
    stratify: bool,
) -> Split:  # fmt: skip
    """Return the split that a column says; rows to validate are taken from training if none are."""
    asked = f"splitting by what {name!r} says"
    split = _split(rows, parts_said(table.columns[name], name)[rows], asked)
    if len(split.validation) or not validation:
        return split
    rest = _within(labels, split.train, seed, validation, stratify)
    return Split(rest.train, rest.validation, split.test)


def _one_fold(
    table: Table, labels: Labels, rows: Rows, ways: Ways, seed: int, validation: float,
    stratify: bool,
) -> Split:  # fmt: skip
    """Return the split whose test part is one fold, and whose other folds train and validate."""
    assert ways.folds is not None
    fold = folds_of(table, labels, rows, ways, seed=seed, stratify=stratify)
    test, others = rows[fold == ways.fold - 1], rows[fold != ways.fold - 1]
    if ways.group is None:
        rest = _within(labels, others, seed, validation, stratify)
        return Split(rest.train, rest.validation, test)
    codes = group_codes(table.columns[ways.group])
    shares = (1 - validation, validation)
    part = parts_by_group(others, codes, labels, shares, seed=seed, name=ways.group)
    rest = _split(others, part, f"splitting {table.name!r}")
    return Split(rest.train, rest.validation, test)


def folds_of(
    table: Table, labels: Labels, rows: Rows, ways: Ways, *, seed: int, stratify: bool = True
) -> npt.NDArray[np.int64]:
    """Return the fold (0, 1, ...) of each of these rows; every row is in one, for all folds alike.

    Raises DataError if a fold would have no row.
    """
    folds = ways.folds or 1
    if len(rows) < 2 * folds:
        found = f"{len(rows)} labelled rows are too few for {folds} folds"
        raise DataError(f"splitting {table.name!r}", found, "ask for fewer folds")
    if ways.group is not None:
        codes, shares = group_codes(table.columns[ways.group]), (1 / folds,) * folds
        return parts_by_group(rows, codes, labels, shares, seed=seed, name=ways.group).astype(int)
    order = rows[permutation(len(rows), seed, 0xF01D)]
    if stratify:
        order = _by_stratum(order, labels)
    fold = np.empty(int(rows.max()) + 1, dtype=np.int64)
    fold[order] = np.arange(len(order)) % folds  # neighbours in a stratum go to different folds
    return fold[rows]


def _within(labels: Labels, rows: Rows, seed: int, validation: float, stratify: bool) -> Split:
    """Return a random split of these rows alone, without a test part."""
    own = split_rows(
        labels[rows], len(rows), seed=seed, validation=validation, test=0.0, stratify=stratify
    )
    return Split(rows[own.train], rows[own.validation], rows[own.test])


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
