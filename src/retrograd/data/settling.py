"""Decide what a column of texts is: numbers, dates, booleans or texts, over all of its cells."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from retrograd.data import date_spelling, number_spelling
from retrograd.data.columns import (
    INFINITY,
    MISSING_TEXTS,
    Codes,
    Column,
    DateColumn,
    Floats,
    NumberColumn,
    Spelling,
    number_of,
    recode,
)
from retrograd.tensor.errors import DataError

PLAIN, TEXT = "plain", "text"
"""Spellings that name no example: numbers and dates in their plain form only, and texts alone."""

_DATE = re.compile(
    r"[0-9]{4}([-/])[0-9]{2}\1[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.ASCII,
)
Place = Callable[[int], str] | None
Reader = Callable[[str], Any]


def settle(
    codes: Codes,
    texts: Sequence[str],
    asked: str,
    place: Place = None,
    *,
    spelling: str = "",
    comma_is_decimal: bool = False,
) -> Column:
    """Decide what a column of texts is: numbers, dates, booleans (`false`, `true`) or texts.

    codes (rows,): the place of each cell's text in `texts`, -1 where missing.  Blanks around a
    text do not count, and `MISSING_TEXTS` are missing.  A column is numbers only if every text
    is one, exactly; plain ones first, then those that people write, such as 1.234,5 or $5.
    `asked` and `place` (row -> "line 7") are for messages.
    spelling: how the texts are known to be written ("1.234,5", "DD/MM/YYYY", `PLAIN`, `TEXT`); by
    default it is decided, with `comma_is_decimal` as what the rest of the source says.

    Raises DataError for a number that float64 cannot hold (1e999), and for a broken text; and,
    where a spelling is given, for an unknown one, and a cell that would mean another number.
    """
    texts = [text.strip() for text in texts]
    present = [text for text in texts if text not in MISSING_TEXTS]
    if not present:
        return NumberColumn(np.full(len(codes), np.nan))
    if spelling not in ("", PLAIN, TEXT):
        return _as_known(codes, texts, spelling, asked, place)
    if spelling != TEXT:
        found = _as_plain(codes, texts, present, asked, place)
        if found is None and not spelling:
            found = _as_spelled(codes, texts, present, comma_is_decimal)
        if found is not None:
            return found
        if {text.casefold() for text in present} <= {"true", "false"}:
            texts = [text if text in MISSING_TEXTS else text.casefold() for text in texts]
    return _as_texts(codes, texts, asked)


def _as_plain(
    codes: Codes, texts: Sequence[str], present: list[str], asked: str, place: Place
) -> Column | None:
    """Return numbers and dates in the form that programs write, or None."""
    if _each(present, number_of) is not None:
        table = _table([np.nan if text in MISSING_TEXTS else float(text) for text in texts])
        _refuse_overflow(codes, texts, table, asked, place)
        return NumberColumn(table[codes])
    moments = _each(present, moment_of)
    if moments is None or len({moment.tzinfo is None for moment in moments}) != 1:
        return None
    return _dates(codes, texts, dict(zip(present, map(_utc, moments), strict=True)), None)


def _as_spelled(
    codes: Codes, texts: Sequence[str], present: list[str], comma_is_decimal: bool
) -> Column | None:
    """Return numbers and dates as people write them, or None."""
    numbers = number_spelling.decide(present, comma_is_decimal)
    if numbers is not None:
        known = dict(zip(present, numbers[1], strict=True))
        return NumberColumn(_table([known.get(text, np.nan) for text in texts])[codes], numbers[0])
    dates = date_spelling.decide(present)
    if dates is not None:
        return _dates(codes, texts, dict(zip(present, dates[1], strict=True)), dates[0])
    return None


def _as_known(codes: Codes, texts: Sequence[str], name: str, asked: str, place: Place) -> Column:
    """Return a column read by a given spelling; texts if a cell is nothing of the kind."""
    is_date = name in date_spelling.names()
    read: Reader = _date_reader(name) if is_date else _number_reader(name, asked)
    values = {text: read(text) for text in texts if text not in MISSING_TEXTS}
    bad = [text for text, value in values.items() if value is None]
    for text in bad:
        if number_of(text) is not None or (is_date and date_spelling.fitting([text])):
            where = _where(codes, texts.index(text), place)
            raise DataError(
                asked,
                f"{text!r}{where} is not written as {name!r}, and may mean something else",
                "write it as the other cells are, or leave it empty",
            )
    if bad:
        canonical = [_canonical(text, values.get(text)) for text in texts]
        return _as_texts(codes, canonical, asked)
    spelling = Spelling(name, f"written as {name!r}")
    if is_date:
        return _dates(codes, texts, values, spelling)
    return NumberColumn(_table([_or_nan(values.get(text)) for text in texts])[codes], spelling)


def _date_reader(name: str) -> Reader:
    """Return what reads dates of one spelling, and plain ones, which nobody can mistake."""
    read = date_spelling.reader(name)
    return lambda text: read(text) or _utc_or_none(moment_of(text))


def _utc_or_none(moment: datetime.datetime | None) -> datetime.datetime | None:
    return None if moment is None else _utc(moment)


def _canonical(text: str, value: Any) -> str:
    """Return a cell in the plain form, so that it means the same to everyone who reads it."""
    if value is None:
        return text
    return value.isoformat(" ") if isinstance(value, datetime.datetime) else repr(value)


def _as_texts(codes: Codes, texts: Sequence[str], asked: str) -> Column:
    try:
        return recode(codes, [None if text in MISSING_TEXTS else text for text in texts])
    except UnicodeEncodeError as error:
        raise DataError(
            asked, f"the text {error.object!r:.40} is not valid Unicode", "correct or empty it"
        ) from None


def require_spelling(name: str, asked: str) -> None:
    """Raise DataError unless a name is `PLAIN`, `TEXT`, or an example of numbers or dates."""
    if name not in (PLAIN, TEXT) and name not in date_spelling.names():
        _number_reader(name, asked)


def _number_reader(name: str, asked: str = "") -> Callable[[str], float | None]:
    way = number_spelling.named(name)
    if way is None:
        raise DataError(
            asked,
            f"no way to write numbers or dates is called {name!r}",
            "write it as an example: 1.234,5 or 1,234.5 or DD/MM/YYYY",
        )
    return way.reader()


def _table(values: list[float]) -> Floats:
    """Return the values of texts as an array whose last entry answers code -1: missing."""
    return np.array([*values, np.nan], dtype=np.float64)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _dates(
    codes: Codes, texts: Sequence[str], known: dict[str, Any], spelling: Spelling | None
) -> DateColumn:
    stamps = np.full(len(texts) + 1, "NaT", dtype="datetime64[us]")
    stamps[:-1] = [known.get(text, np.datetime64("NaT")) for text in texts]
    return DateColumn(stamps[codes], spelling)


def _each(texts: Sequence[str], read: Reader) -> list[Any] | None:
    """Return what `read` makes of every text, or None as soon as it makes nothing of one."""
    found = []
    for text in texts:
        value = read(text)
        if value is None:
            return None
        found.append(value)
    return found


def moment_of(text: str) -> datetime.datetime | None:
    """Return the moment that an ISO date (or year/month/day) spells, or None.

    >>> moment_of("2020-01-31"), moment_of("31.1.2020")
    (datetime.datetime(2020, 1, 31, 0, 0), None)
    """
    if not _DATE.fullmatch(text):
        return None
    try:
        return datetime.datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return None


def _utc(moment: datetime.datetime) -> datetime.datetime:
    """Return the moment in UTC, without its zone."""
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)


def _refuse_overflow(
    codes: Codes, texts: Sequence[str], table: Floats, asked: str, place: Place
) -> None:
    """Refuse a finite literal that became infinite: its value would change in silence."""
    for code in np.flatnonzero(np.isinf(table)).tolist():
        if not INFINITY.fullmatch(texts[code]):
            raise DataError(
                asked,
                f"{texts[code]!r}{_where(codes, code, place)} is too large for a 64-bit number",
                "correct the cell, leave it empty, or write inf",
            )


def _where(codes: Codes, code: int, place: Place) -> str:
    rows = np.flatnonzero(codes == code)
    return f" at {place(int(rows[0]))}" if place and len(rows) else ""
