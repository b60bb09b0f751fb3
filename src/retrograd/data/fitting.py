"""What is learnt from training rows: shifts and scales, medians, the frequent categories."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import Column, Floats, TextColumn
from retrograd.data.conversions import as_booleans, as_dates, as_numbers, as_text
from retrograd.data.encodings import (
    DATE_PARTS,
    BooleanEncoding,
    CategoryEncoding,
    DateEncoding,
    DatePart,
    Encoding,
    NumberEncoding,
)
from retrograd.data.kinds import MOST_CATEGORIES
from retrograd.data.schema import ColumnKind

_DAY = 86_400_000_000  # microseconds


def shift_and_scale(values: Floats) -> tuple[float, float]:
    """Return mean and standard deviation (n, not n - 1) of finite numbers; scale 1 if all equal.

    values (n,).  The two-pass algorithm with its correction term, on numbers divided by a power of
    two so that squares of 1e300 do not overflow (Chan, Golub and LeVeque, The American
    Statistician 37, 1983, equation 1.7).

    >>> shift_and_scale(np.array([1e300, 3e300]))
    (2e+300, 1e+300)
    """
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low, 1.0
    exponent = math.frexp(max(-low, high))[1]
    small = np.ldexp(values, -exponent)
    mean = float(small.mean())
    off = small - mean
    variance = (float(np.dot(off, off)) - float(off.sum()) ** 2 / len(off)) / len(off)
    scale = math.ldexp(math.sqrt(max(variance, 0.0)), exponent)
    return math.ldexp(mean, exponent), scale or 1.0


def fit_encoding(name: str, kind: ColumnKind, column: Column) -> Encoding:
    """Return the encoding of a column that holds training rows only."""
    if kind is ColumnKind.number:
        return _fit_number(name, column)
    if kind is ColumnKind.boolean:
        values, _ = as_booleans(column)
        known = values[~np.isnan(values)]
        fill = float(known.mean() > 0.5) if len(known) else 0.0
        return BooleanEncoding(name, fill, len(known) < len(values))
    if kind is ColumnKind.date:
        return _fit_date(name, column)
    return _fit_category(name, as_text(column))


def _fit_number(name: str, column: Column) -> NumberEncoding:
    values, bad = as_numbers(column)
    known = np.sort(values[np.isfinite(values)])
    shift, scale = shift_and_scale(known)
    # The lower median: a value that occurs, and no sum of two huge ones.
    fill = float(known[(len(known) - 1) // 2]) if len(known) else shift
    low, high = (float(known[0]), float(known[-1])) if len(known) else (shift, shift)
    has_missing = len(known) < len(values)
    return NumberEncoding(name, shift, scale, fill, low, high, has_missing, len(bad) > 0)


def _fit_category(name: str, column: TextColumn) -> CategoryEncoding:
    """Keep the most frequent texts; those that stand in one row only teach nothing of their own."""
    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels))
    frequent = np.lexsort((np.arange(len(counts)), -counts))[:MOST_CATEGORIES]
    kept = np.sort(frequent[counts[frequent] > 1])
    other = int((counts > 0).sum()) > len(kept)
    categories = tuple(str(text) for text in column.levels[kept])
    return CategoryEncoding(name, categories, other, bool((column.codes < 0).any()))


def _fit_date(name: str, column: Column) -> DateEncoding:
    moments, _ = as_dates(column)
    known = moments[~np.isnat(moments)]
    if not len(known):
        return DateEncoding(name, 0, (), indicator=True)
    origin = int(known.min().astype(np.int64))
    parts = []
    for part in DATE_PARTS:
        values = date_part(known, part, origin)
        if values.min() < values.max():
            is_angle = part.endswith(("sin", "cos"))
            shift, scale = (0.0, 1.0) if is_angle else shift_and_scale(values)
            parts.append(DatePart(part, shift, scale))
    return DateEncoding(name, origin, tuple(parts), len(known) < len(moments))


def date_part(moments: npt.NDArray[np.datetime64], part: str, origin: int) -> Floats:
    """Return one of `DATE_PARTS` of moments (rows,) datetime64[us], none of them missing."""
    stamps = moments.astype("datetime64[us]").astype(np.int64)
    if part == "days":
        return (stamps.astype(np.float64) - origin) / _DAY
    if part == "year":
        return moments.astype("datetime64[Y]").astype(np.int64).astype(np.float64) + 1970
    unit, wave = part.split()
    if unit == "month":
        turn = moments.astype("datetime64[M]").astype(np.int64) % 12 / 12
    elif unit == "weekday":
        turn = (stamps // _DAY + 3) % 7 / 7  # day 0, 1970-01-01, was a Thursday; Monday is 0
    else:
        turn = stamps % _DAY / _DAY
    angle = 2 * np.pi * turn
    return np.asarray(np.sin(angle) if wave == "sin" else np.cos(angle), dtype=np.float64)
