"""Rows parted along what they are: whole groups, earlier and later times, a column that says it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import (
    Column,
    DateColumn,
    NumberColumn,
    Rows,
    TextColumn,
    is_missing,
)
from retrograd.data.conversions import as_text
from retrograd.data.shuffling import permutation
from retrograd.tensor.errors import DataError

Labels = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Parts = npt.NDArray[np.int8]
"""(rows,): 0 to train, 1 to validate, 2 to test, -1 for rows in no part."""

_WORDS = {
    0: ("train", "training", "learn"),
    1: ("validation", "valid", "validate", "val", "dev"),
    2: ("test", "testing", "holdout", "hold-out"),
}
_STRATA = 10  # of groups, by their mean amount


def group_codes(column: Column) -> npt.NDArray[np.int64]:
    """Return (rows,) a number for each cell's group; a missing cell is a group of its own.

    >>> group_codes(NumberColumn(np.array([7.0, 3.0, 7.0, np.nan]))).tolist()
    [1, 0, 1, 2]
    """
    if isinstance(column, TextColumn):
        codes = column.codes.astype(np.int64)
        present, values = codes >= 0, codes.copy()
    else:
        codes = np.full(len(column.values), -1, dtype=np.int64)
        present = ~is_missing(column)
        _, values = np.unique(column.values, return_inverse=True)
    _, codes[present] = np.unique(values[present], return_inverse=True)
    alone = np.flatnonzero(codes < 0)
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(len(alone))
    return codes


def parts_by_group(
    rows: Rows,
    groups: npt.NDArray[np.int64],
    labels: Labels,
    shares: tuple[float, ...],
    *,
    seed: int,
    name: str,
) -> npt.NDArray[np.int8]:
    """Return the part (0, 1, ...) of each of these rows; no group is in two.

    groups, labels (table rows,).  shares: of the rows, adding to 1; a part with a share above 0
    gets a group at least, and every part about its share of each class, as far as whole groups
    allow: they are dealt out in the order of their labels, each to the part that lacks most.

    Raises DataError if there are fewer groups than parts.
    """
    present, own = np.unique(groups[rows], return_inverse=True)
    wanted = [part for part, share in enumerate(shares) if share]
    if len(present) < len(wanted):
        raise DataError(
            f"splitting by the groups of {name!r}",
            f"the labelled rows are of {len(present)} groups, for {len(wanted)} parts",
            "name a column with more groups, or ask for fewer parts",
        )
    sizes = np.bincount(own)
    # Many share a stratum, and the permutation decides among them.
    order = permutation(len(present), seed, 0x9109)
    order = order[np.argsort(_strata(own, labels[rows], sizes)[order], kind="stable")]
    part_of = np.zeros(len(present), dtype=np.int8)
    lacking = np.zeros(len(shares))
    for group in order.tolist():
        lacking += np.asarray(shares) * sizes[group]
        part = int(np.argmax(lacking))
        lacking[part] -= sizes[group]
        part_of[group] = part
    _fill_empty(part_of, sizes, wanted)
    return part_of[own]


def _strata(own: Rows, labels: Labels, sizes: Rows) -> npt.NDArray[np.int64]:
    """Return (groups,): what groups are ordered by, their commonest class or mean amount."""
    if labels.dtype.kind == "i":
        counts = np.zeros((len(sizes), int(labels.max()) + 1), dtype=np.int64)
        np.add.at(counts, (own, labels.astype(np.int64)), 1)
        commonest: Rows = counts.argmax(axis=1)
        return commonest
    rank = np.argsort(np.argsort(np.bincount(own, weights=labels) / sizes, kind="stable"))
    strata: Rows = rank * _STRATA // len(sizes)
    return strata


def _fill_empty(part_of: Parts, sizes: Rows, wanted: list[int]) -> None:
    """Give a part without a group the smallest of the part that has the most groups."""
    for part in wanted:
        if not (part_of == part).any():
            counts = np.bincount(part_of, minlength=3)
            rich = np.flatnonzero(part_of == counts.argmax())
            part_of[rich[np.argmin(sizes[rich])]] = part


def times_of(column: Column, name: str) -> npt.NDArray[np.float64]:
    """Return (rows,) what orders the rows in time, NaN where the cell is missing.

    Raises DataError for texts: they have no order in time.
    """
    if isinstance(column, NumberColumn):
        return np.where(np.isfinite(column.values), column.values, np.nan)
    if isinstance(column, DateColumn):
        times = column.values.astype("datetime64[us]").astype(np.int64).astype(np.float64)
        return np.where(np.isnat(column.values), np.nan, times)
    raise DataError(
        f"splitting by the time {name!r}",
        "the column holds texts",
        "name a column of dates or numbers, or correct the cells that are none",
    )


def parts_by_time(
    rows: Rows, times: npt.NDArray[np.float64], validation: float, test: float, *, name: str
) -> npt.NDArray[np.int8]:
    """Return the part of each of these rows: the earliest train, the latest test.

    times (table rows,); rows without one are in no part (-1).  Rows of one moment stay together:
    a border that would part them moves to the nearest moment where the time changes.

    Raises DataError if half of the rows have no time, or there are fewer moments than parts.
    """
    asked = f"splitting by the time {name!r}"
    own = times[rows]
    timed = np.flatnonzero(~np.isnan(own))
    if len(timed) * 2 <= len(rows):
        found = f"{len(rows) - len(timed):,} of {len(rows):,} labelled rows have no time"
        raise DataError(asked, found, "name a column that says when each row was")
    order = timed[np.argsort(own[timed], kind="stable")]
    ordered = own[order]
    changes = np.flatnonzero(ordered[1:] > ordered[:-1]) + 1
    shares = [share for share in (validation, test) if share]
    if len(changes) < len(shares):
        raise DataError(
            asked,
            f"the rows are of {len(changes) + 1} different times, for {len(shares) + 1} parts",
            "name a finer column, or split at random",
        )
    part = np.full(len(rows), -1, dtype=np.int8)
    part[order] = 0
    stop = len(order)
    for number, share in ((2, test), (1, validation)):
        if share:
            # As many changes must be left before the border as parts are still to come.
            usable = changes[(changes < stop)][(1 if number == 2 and validation else 0) :]
            ideal = stop - max(1.0, share * len(order))
            start = int(usable[np.argmin(np.abs(usable - ideal))])
            part[order[start:stop]] = number
            stop = start
    return part


def parts_said(column: Column, name: str) -> Parts:
    """Return the part of each row that a column names: train, validation or test, in any case.

    Rows whose cell is missing are in no part (-1).

    Raises DataError for another word, and where no row is said to train.
    """
    asked = f"splitting by what {name!r} says"
    known = {word: part for part, words in _WORDS.items() for word in words}
    text = as_text(column)
    found = [known.get(level.strip().casefold(), -2) for level in text.levels.tolist()]
    parts = np.array([*found, -1], dtype=np.int8)[text.codes]
    strange = np.flatnonzero(parts == -2)
    if len(strange):
        word = text.levels[text.codes[strange[0]]]
        raise DataError(
            asked, f"row {strange[0]} says {str(word)!r}", "write train, validation or test"
        )
    if not (parts == 0).any():
        raise DataError(asked, "no row is said to train", "write train into some cells")
    return parts
