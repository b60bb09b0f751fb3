"""A column seen as another kind: texts as numbers, numbers as categories, yes and no as 1 and 0."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import (
    Column,
    DateColumn,
    Floats,
    NumberColumn,
    TextColumn,
    as_levels,
    is_missing,
    number_of,
    take,
)
from retrograd.data.settling import moment_of

BOOLEAN_PAIRS = (
    ("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"), ("off", "on"),
    ("falsch", "wahr"), ("nein", "ja"), ("n", "j"), ("aus", "an"),
    ("faux", "vrai"), ("non", "oui"), ("n", "o"), ("falso", "verdadero"), ("no", "si"),
    ("no", "sí"), ("falso", "vero"), ("no", "sì"), ("nee", "ja"), ("nej", "ja"), ("nei", "ja"),
    ("não", "sim"), ("nao", "sim"), ("nie", "tak"), ("ne", "ano"),
)  # fmt: skip
_FALSE = frozenset(pair[0] for pair in BOOLEAN_PAIRS) | {"0"}
_TRUE = frozenset(pair[1] for pair in BOOLEAN_PAIRS) | {"1"}


def text_of(number: float) -> str:
    """Return a number as people write it: whole ones without a point.

    >>> text_of(3.0), text_of(0.1), text_of(1e300)
    ('3', '0.1', '1e+300')
    """
    if abs(number) <= 2**53 and number == int(number):
        return str(int(number))
    return repr(float(number))


def as_text(column: Column) -> TextColumn:
    """Return any column as texts: numbers as `text_of` writes them, dates in ISO form.

    Levels keep the order of what they were: 2 stands before 10.
    """
    if isinstance(column, TextColumn):
        return column
    present = ~is_missing(column)
    distinct, inverse = np.unique(column.values[present], return_inverse=True)
    codes = np.full(len(present), -1, dtype=np.int32)
    codes[present] = inverse
    if isinstance(column, DateColumn):
        texts = [str(value) for value in distinct]
    else:
        texts = [text_of(value) for value in distinct.tolist()]
    return TextColumn(codes, as_levels(texts))


def text_at(column: Column, row: int) -> str:
    """Return a cell that holds something, as text.

    >>> text_at(NumberColumn(np.array([0.5, 3.0])), 1)
    '3'
    """
    if not isinstance(column, TextColumn):
        column, row = as_text(take(column, np.array([row]))), 0
    return str(column.levels[column.codes[row]])


def as_numbers(column: Column) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return a column as numbers (rows,), NaN where missing, and the rows that are no number.

    Infinite cells are kept.  Dates are no numbers.
    """
    if isinstance(column, NumberColumn):
        return column.values, np.empty(0, dtype=np.int64)
    if isinstance(column, DateColumn):
        return np.full(len(column.values), np.nan), np.flatnonzero(~np.isnat(column.values))
    numbers = [number_of(text) for text in column.levels.tolist()]
    table = np.array([*(np.nan if n is None else n for n in numbers), np.nan], dtype=np.float64)
    bad = np.array([*(n is None for n in numbers), False], dtype=np.bool_)
    return table[column.codes], np.flatnonzero(bad[column.codes])


def as_booleans(column: Column) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return a column as 1 and 0 (rows,), NaN where missing, and the rows that are neither.

    >>> as_booleans(NumberColumn(np.array([1.0, 0.0, np.nan])))[0].tolist()
    [1.0, 0.0, nan]
    """
    column = as_text(column)
    texts = [text.casefold() for text in column.levels.tolist()]
    values = [1.0 if text in _TRUE else 0.0 if text in _FALSE else np.nan for text in texts]
    table = np.array([*values, np.nan], dtype=np.float64)
    found = table[column.codes]
    return found, np.flatnonzero(np.isnan(found) & (column.codes >= 0))


def as_dates(column: Column) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.int64]]:
    """Return a column as moments (rows,), NaT where missing, and the rows that are no date."""
    if isinstance(column, DateColumn):
        return column.values, np.empty(0, dtype=np.int64)
    present = ~np.isnan(column.values) if isinstance(column, NumberColumn) else column.codes >= 0
    found = np.full(len(present), "NaT", dtype="datetime64[us]")
    if isinstance(column, TextColumn) and len(column.levels):
        moments = [moment_of(text) for text in column.levels.tolist()]
        known = [m if m is not None and m.tzinfo is None else None for m in moments]
        found = np.array([*known, None], dtype="datetime64[us]")[column.codes]
    return found, np.flatnonzero(present & np.isnat(found))
