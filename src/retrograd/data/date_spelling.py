"""How people write dates: 31.12.2020, 12/31/20 4:05 PM, 3 January 2020, Jan 3, 2020.

A way of writing is named by its order, such as "DD/MM/YYYY". Which of day and month stands first
is decided over all texts of a column; where both orders fit every text, nobody can know.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable, Mapping, Sequence

from retrograd.data.columns import Spelling

_DAY = r"(?P<day>0?[1-9]|[12][0-9]|3[01])"
_MONTH = r"(?P<month>0?[1-9]|1[0-2])"
_YEAR = {"YYYY": r"(?P<year>[0-9]{4})", "YY": r"(?P<year>[0-9]{2})"}
_WORD = r"(?P<word>[^\W\d_]{3,10})\.?"
_TIME = (
    r"(?:,?[ T]+(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
    r"(?::(?P<second>[0-5][0-9])(?:[.,](?P<fraction>[0-9]{1,6}))?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?"
)
# English, German, French, Spanish, Italian, Dutch; abbreviations are found by their beginning.
_MONTHS = (
    "january januar janvier enero gennaio januari",
    "february februar février fevrier febrero febbraio februari",
    "march märz maerz mars marzo maart mrz",
    "april avril abril aprile apr",
    "may mai mayo maggio mei",
    "june juni juin junio giugno",
    "july juli juillet julio luglio",
    "august août aout agosto augustus",
    "september septembre septiembre settembre",
    "october oktober octobre octubre ottobre",
    "november novembre noviembre",
    "december dezember décembre decembre diciembre dicembre",
)
Reader = Callable[[str], datetime.datetime | None]


@functools.cache
def _ways() -> Mapping[str, re.Pattern[str]]:
    """Return the regular expression of every way to write dates, by its name."""
    ways = {}
    for mark in "/.-":
        dot = re.escape(mark)
        for year, digits in _YEAR.items():
            ways[f"DD{mark}MM{mark}{year}"] = _DAY + dot + _MONTH + dot + digits
            ways[f"MM{mark}DD{mark}{year}"] = _MONTH + dot + _DAY + dot + digits
        ways[f"YYYY{mark}MM{mark}DD"] = _YEAR["YYYY"] + dot + _MONTH + dot + _DAY
    for year, digits in _YEAR.items():
        ways[f"DD Month {year}"] = (
            rf"{_DAY}(?:\.|st|nd|rd|th)?[ -]*(?:de )?{_WORD}(?: de)?[ ,-]*{digits}"
        )
        ways[f"Month DD, {year}"] = rf"{_WORD}[ -]+{_DAY}(?:st|nd|rd|th)?[ ,-]+{digits}"
    ways["YYYYMMDD"] = r"(?P<year>[0-9]{4})(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12][0-9]|3[01])"
    return {name: re.compile(f"(?P<date>{way})(?P<time>{_TIME})") for name, way in ways.items()}


def names() -> tuple[str, ...]:
    """Return the names of all ways to write dates.

    >>> "DD.MM.YYYY" in names()
    True
    """
    return tuple(_ways())


def reader(name: str) -> Reader:
    """Return what reads a text written in the way of that name (one of `names()`).

    A year of two digits is one of 1969 to 2068, as POSIX has it.

    >>> reader("DD/MM/YY")("31/12/20 4:05 PM")
    datetime.datetime(2020, 12, 31, 16, 5)
    """
    pattern = _ways()[name]
    days: dict[str, datetime.datetime | None] = {}  # the same ones come again and again
    times: dict[str, datetime.timedelta | None] = {}

    def read(text: str) -> datetime.datetime | None:
        found = pattern.fullmatch(text)
        if found is None:
            return None
        day, time = found["date"], found["time"]
        if day not in days:
            days[day] = _day(found.groupdict())
        if time not in times:
            times[time] = _time(found.groupdict())
        whole, since = days[day], times[time]
        return None if whole is None or since is None else whole + since

    return read


def _day(parts: Mapping[str, str | None]) -> datetime.datetime | None:
    """Return the day of a match's parts; None for one that no calendar has."""
    word, written = parts.get("word"), parts["year"] or ""
    month = int(parts.get("month") or 0) if word is None else _month(word.casefold())
    year = int(written)
    if len(written) == 2:
        year += 2000 if year < 69 else 1900
    try:
        return datetime.datetime(year, month, int(parts["day"] or 0))
    except ValueError:
        return None


def _time(parts: Mapping[str, str | None]) -> datetime.timedelta | None:
    """Return the time since midnight of a match's parts; None for hours that no clock has."""
    hour = int(parts["hour"] or 0)
    if parts["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if parts["half"] in "pP" else 0)
    return datetime.timedelta(
        hours=hour,
        minutes=int(parts["minute"] or 0),
        seconds=int(parts["second"] or 0),
        microseconds=int((parts["fraction"] or "0").ljust(6, "0")),
    )


def _month(word: str) -> int:
    """Return the month of a word or its abbreviation, 0 for any other word."""
    for number, line in enumerate(_MONTHS, 1):
        for whole in line.split():
            if word == whole or (len(word) in (3, 4) and whole.startswith(word)):
                return number
    return 0


def fitting(texts: Sequence[str]) -> list[str]:
    """Return the ways of writing under which every text is a date, those alike left out.

    >>> fitting(["01/02/2020", "03/04/2020"]), fitting(["01/02/2020", "13/02/2020"])
    (['DD/MM/YYYY', 'MM/DD/YYYY'], ['DD/MM/YYYY'])
    """
    return [name for name, _ in readings(texts)]


def readings(texts: Sequence[str]) -> list[tuple[str, list[datetime.datetime]]]:
    """Return the ways of `fitting` with the moments that the texts are then."""
    found: list[tuple[str, list[datetime.datetime]]] = []
    if not texts or not texts[0][:1].isalnum():
        return []
    for name in _ways():
        if name == "YYYYMMDD" or name.startswith("MM.") or len(found) > 1:
            continue  # whole numbers are numbers; with points, the day stands first everywhere
        read = reader(name)
        moments = []
        for text in texts:
            moment = read(text)
            if moment is None:
                break
            moments.append(moment)
        else:
            if all(moments != other for _, other in found):
                found.append((name, moments))
    return found


def decide(texts: Sequence[str]) -> tuple[Spelling, list[datetime.datetime]] | None:
    """Return how a column of texts writes its dates, and these.

    None if they are no dates, or may be read in two orders.
    """
    found = readings(texts)
    if len(found) != 1:
        return None
    ((name, moments),) = found
    return Spelling(name, f"written {name}, as in {max(texts, key=len)!r}"), moments
