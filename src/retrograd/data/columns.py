"""What a column of a table is once it is read: numbers, texts or dates, never Python objects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Levels = npt.NDArray[Any]  # of numpy.dtypes.StringDType: 16 bytes a text instead of a Python object

# One list for every kind of source, so that a table means the same as CSV, Parquet or DataFrame.
_MISSING_WORDS = "NA N/A n/a #N/A #NA <NA> NaN nan NAN -NaN -nan NULL Null null NaT ?"
MISSING_TEXTS = frozenset(_MISSING_WORDS.split()) | {""}
_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII
)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
INFINITY = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
EXACT_WHOLE = 2**53  # beyond it float64 skips whole numbers


@dataclass(frozen=True)
class Spelling:
    """How the cells of a column are written, where that is not the plain form.

    text: an example that names it, such as "1.234,5" or "DD/MM/YYYY".  why: what it was read off.
    doubt: what another reader may have understood, and how to say so; empty if nothing.
    """

    text: str
    why: str
    doubt: str = ""


@dataclass(frozen=True, eq=False)
class NumberColumn:
    """Numbers.  values (rows,) float64, NaN where the cell is missing; infinities are kept."""

    values: Floats
    spelling: Spelling | None = None


@dataclass(frozen=True, eq=False)
class TextColumn:
    """Texts, each distinct one stored once.

    codes (rows,) int32: the place of the cell's text in `levels`, -1 where it is missing.
    levels (distinct,): the texts, sorted, or in the order of the numbers they were.
    """

    codes: Codes
    levels: Levels


@dataclass(frozen=True, eq=False)
class DateColumn:
    """Moments.  values (rows,) datetime64[us] in UTC or without a zone, NaT where missing."""

    values: npt.NDArray[np.datetime64]
    spelling: Spelling | None = None


Column = NumberColumn | TextColumn | DateColumn


def length(column: Column) -> int:
    """Return the number of rows."""
    return len(column.codes if isinstance(column, TextColumn) else column.values)


def take(column: Column, rows: Rows) -> Column:
    """Return the column at these rows; the levels of a text column stay as they are."""
    match column:
        case NumberColumn(values, spelling):
            return NumberColumn(values[rows], spelling)
        case TextColumn(codes, levels):
            return TextColumn(codes[rows], levels)
        case DateColumn(values, spelling):
            return DateColumn(values[rows], spelling)


def is_missing(column: Column) -> npt.NDArray[np.bool_]:
    """Return (rows,) bool: True where the cell holds nothing.  Infinite cells are not missing."""
    match column:
        case NumberColumn(values):
            return np.isnan(values)
        case TextColumn(codes, _):
            return codes < 0
        case DateColumn(values):
            return np.isnat(values)


def number_of(text: str) -> float | None:
    """Return the number that a text spells in full, or None.

    Leading zeros, hexadecimal and digits with underscores are codes, not numbers; a whole number
    that float64 would change is none either.

    >>> number_of("1e3"), number_of("007"), number_of("1_000"), number_of("9007199254740993")
    (1000.0, None, None, None)
    """
    if _NUMBER.fullmatch(text):
        number = float(text)
        if abs(number) >= EXACT_WHOLE and _WHOLE.fullmatch(text) and int(text) != number:
            return None
        return number
    return float(text) if INFINITY.fullmatch(text) else None


def is_code(text: str) -> bool:
    """Return whether a text is made of digits but is no number: 007, 0x1F, 1_000, huge integers.

    >>> is_code("007"), is_code("12"), is_code("abc")
    (True, False, False)
    """
    return number_of(text) is None and bool(
        re.fullmatch(r"[+-]?(?:[0-9][0-9_]*(?:\.[0-9]*)?|0[xX][0-9a-fA-F]+)", text, re.ASCII)
    )


def as_levels(texts: Sequence[str]) -> Levels:
    """Return texts as one compact NumPy array."""
    kind = np.dtypes.StringDType()
    if len(texts) < 1 << 16:
        return np.array(texts, dtype=kind)
    levels = np.empty(len(texts), dtype=kind)
    for start in range(0, len(texts), 1 << 16):  # whole lists at once would double the memory
        levels[start : start + (1 << 16)] = texts[start : start + (1 << 16)]
    return levels


def recode(codes: Codes, texts: Sequence[str | None]) -> TextColumn:
    """Return the text column whose code c means `texts[c]`: sorted, merged, unused ones dropped.

    >>> column = recode(np.array([0, 1, 2, -1], np.int32), ["b", "a", "b"])
    >>> column.codes.tolist(), column.levels.tolist()
    ([1, 0, 1, -1], ['a', 'b'])
    """
    used = np.bincount(codes[codes >= 0], minlength=len(texts)) > 0
    kept = sorted({text for text, use in zip(texts, used, strict=True) if use and text is not None})
    place = {text: new for new, text in enumerate(kept)}
    table = np.full(len(texts) + 1, -1, dtype=np.int32)  # the last entry answers code -1
    table[:-1] = [place.get(text, -1) if text is not None else -1 for text in texts]
    return TextColumn(table[codes], as_levels(kept))
