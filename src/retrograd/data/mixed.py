"""Columns of texts that are nearly numbers or dates: refused, since a guess changes a meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from retrograd.data import date_spelling, number_spelling
from retrograd.data.columns import TextColumn, is_code, number_of
from retrograd.data.conversions import text_at
from retrograd.data.settling import moment_of
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

_MOSTLY = 0.9  # share of numbers from which a column of texts is a damaged column of numbers
_FEWEST = 10  # different ones


class _Way(NamedTuple):
    """How most of a column's texts are written.  kind: what to say it is."""

    kind: str
    words: str
    read: Callable[[str], Any]


def refuse_mixed(table: Table, name: str, column: TextColumn) -> None:
    """Refuse a column that is numbers or dates but for a few cells, or dates of unknown order."""
    texts = sample(column)
    _refuse_unknown_order(table, name, column)
    _refuse_unlike_units(table, name, texts)
    way = _way_of_most(texts)
    if way is None:
        return
    levels = column.levels.tolist()
    is_bad = np.array([*(way.read(text) is None for text in levels), False])
    bad = np.flatnonzero(is_bad[column.codes])
    present = int((column.codes >= 0).sum())
    if not 0 < len(bad) <= (1 - _MOSTLY) * present:
        return
    first = text_at(column, int(bad[0]))
    is_number = way.kind.startswith("number")
    as_missing = f"{{{name!r}: {way.kind!r}}} reads it as missing, " if is_number else ""
    raise DataError(
        f"reading column {name!r} of {table.name!r}",
        f"{present - len(bad):,} cells are {way.words}, but {table.place(int(bad[0]))} holds "
        f"{first!r}" + (f" (and {len(bad) - 1:,} more are none)" if len(bad) > 1 else ""),
        f"correct it, or choose the column's kind: {as_missing}"
        f"{{{name!r}: 'category'}} keeps texts",
    )


def sample(column: TextColumn) -> list[str]:
    """Return at most 1,000 of the texts, evenly spaced."""
    step = max(1, len(column.levels) // 1000)
    return [str(text) for text in column.levels[::step]]


def _refuse_unknown_order(table: Table, name: str, column: TextColumn) -> None:
    ways = date_spelling.fitting([str(text) for text in column.levels.tolist()])
    if len(ways) < 2:
        return
    raise DataError(
        f"reading column {name!r} of {table.name!r}",
        f"every cell is a date both as {ways[0]} and as {ways[1]}, such as "
        f"{text_at(column, int(np.flatnonzero(column.codes >= 0)[0]))!r}",
        f"choose the column's kind: {{{name!r}: 'date {ways[0]}'}}, the same with {ways[1]}, or "
        "'drop'",
    )


def _refuse_unlike_units(table: Table, name: str, texts: list[str]) -> None:
    unlike = number_spelling.unlike_units(texts) if len(texts) >= _FEWEST else None
    if unlike is not None:
        raise DataError(
            f"reading column {name!r} of {table.name!r}",
            f"its numbers are not in one unit: {unlike[0]!r} and {unlike[1]!r}",
            f"convert them, or choose the column's kind: {{{name!r}: 'category'}} keeps texts",
        )


def _way_of_most(texts: list[str]) -> _Way | None:
    """Return how most texts are written, if they are numbers or dates, and not codes."""
    least = max(_FEWEST, _MOSTLY * len(texts))
    plain = [text for text in texts if number_of(text) is not None]
    if len(plain) >= least:
        # Digits with leading zeros and the like: codes among which some look like numbers.
        codes = any(map(is_code, texts))
        return None if codes else _Way("number", "numbers", number_of)
    if sum(moment_of(text) is not None for text in texts) >= least:
        return _Way("date", "dates", moment_of)
    for name in date_spelling.names():
        read = date_spelling.reader(name)
        if name != "YYYYMMDD" and sum(read(text) is not None for text in texts) >= least:
            return _Way(f"date {name}", f"dates written {name}", read)
    for way in number_spelling.likely(texts):
        reader = way.reader()
        if sum(reader(text) is not None for text in texts) >= least:
            return _Way(f"number {way.name}", f"numbers written as {way.name!r}", reader)
    return None
