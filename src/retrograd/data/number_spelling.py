"""How people write numbers: decimal commas, marks between thousands, currencies, percent signs.

A way of writing is named by an example, such as "1.234,5" or "1,234.5 $", and is decided over all
texts of a column: one cell alone does not tell whether 1,234 is a thousand or a little more than 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from retrograd.data.columns import EXACT_WHOLE, Spelling, number_of

_CURRENCIES = (
    "US$", "$", "€", "£", "¥", "₹", "₽", "₩", "₺", "zł", "Kč", "kr", "CHF", "EUR", "USD", "GBP",
    "JPY", "CNY", "SEK", "NOK", "DKK", "PLN", "CZK", "AUD", "CAD", "INR", "BRL", "R$",
)  # fmt: skip
_UNIT = "|".join(re.escape(word) for word in sorted([*_CURRENCIES, "%"], key=len, reverse=True))
_SPACES = " \u00a0\u202f\u2009"
_QUOTES = "'\u2019"
_BLANK = f"[{_SPACES}]?"
_SIGN = "[+\\-\u2212]?"
_LOOSE = re.compile(
    rf"{_SIGN}{_BLANK}(?P<before>{_UNIT})?{_BLANK}{_SIGN}"
    rf"(?P<body>[0-9.,](?:[0-9.,{_QUOTES}{_SPACES}]*[0-9.,])?)(?:[eE][+-]?[0-9]+)?"
    rf"{_BLANK}(?P<after>{_UNIT})?"
)
_EXAMPLE = re.compile(
    rf"(?:(?P<before>{_UNIT}) ?)?1(?P<group>[., '])?234(?P<rest>[.,]5)?(?: ?(?P<after>{_UNIT}))?"
)
_ALIKE = str.maketrans(dict.fromkeys(_SPACES, " ") | dict.fromkeys(_QUOTES, "'"))
_WAYS = {
    "": (".",),
    ".": (".", ",."),
    ",": (".,", ","),
    ",.": (".,", ",."),
    " ": (". ",),
    " .": (". ",),
    " ,": (", ",),
    "'": (".'",),
    "'.": (".'",),
    "',": (",'",),
}  # the marks that occur, sorted -> decimal mark and mark between thousands of each way that fits


@dataclass(frozen=True)
class NumberSpelling:
    """A way to write numbers.  group: between thousands, or nothing.  unit: a currency, or %."""

    decimal: str = "."
    group: str = ""
    unit: str = ""

    @property
    def name(self) -> str:
        """Return the example that names it.

        >>> NumberSpelling(",", ".", "€").name
        '1.234,5 €'
        """
        return f"1{self.group}234{self.decimal}5" + f" {self.unit}" * bool(self.unit)

    def reader(self) -> Callable[[str], float | None]:
        """Return what reads a text written so; it gives None for any other.

        >>> NumberSpelling(",", ".").reader()("-1.234,5")
        -1234.5
        """
        pattern = re.compile(self._pattern())
        marks = dict.fromkeys(_marks_of(self.group), "")
        marks |= {self.decimal: ".", "\u2212": "-"}
        plain = str.maketrans(marks)

        def read(text: str) -> float | None:
            found = pattern.fullmatch(text)
            if found is None or (found["sign"] and found["inner"]):
                return None
            text = (found["sign"] + found["inner"] + found["body"]).translate(plain)
            value = float(text)
            return value if abs(value) < EXACT_WHOLE else number_of(text)

        return read

    def _pattern(self) -> str:
        """Return the regular expression of such numbers."""
        whole = "(?:0|[1-9][0-9]*)"
        if self.group:
            mark = f"[{re.escape(_marks_of(self.group))}]"
            whole = f"(?:[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+|{whole})"
        point = re.escape(self.decimal)
        body = f"(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
        unit = re.escape(self.unit)
        before = after = ""
        if self.unit == "%":
            after = f"{_BLANK}%"
        elif unit:  # on one side only
            before, after = f"(?P<unit>{unit}{_BLANK})?", f"(?(unit)|(?:{_BLANK}{unit})?)"
        return f"(?P<sign>{_SIGN}){_BLANK}{before}(?P<inner>{_SIGN})(?P<body>{body}){after}"


def _marks_of(group: str) -> str:
    return {" ": _SPACES, "'": _QUOTES}.get(group, group)


def named(text: str) -> NumberSpelling | None:
    """Return the way of writing that an example names, or None.

    >>> named("1 234,5"), named("1,234.5 %").unit, named("12")
    (NumberSpelling(decimal=',', group=' ', unit=''), '%', None)
    """
    found = _EXAMPLE.fullmatch(text.translate(_ALIKE))
    if found is None:
        return None
    group, rest = found["group"] or "", found["rest"]
    decimal = rest[0] if rest else "," if group == "." else "."
    if decimal == group:
        return None
    return NumberSpelling(decimal, group, found["before"] or found["after"] or "")


class Reading(NamedTuple):
    """A way of writing under which every text is a number, and these numbers."""

    way: NumberSpelling
    values: list[float]


def fitting(texts: Sequence[str]) -> list[Reading]:
    """Return the ways of writing under which every text is a number; nothing for other texts."""
    if not texts or _LOOSE.fullmatch(texts[0]) is None:
        return []
    joined = "\n".join(texts)
    unit = _unit_of(joined)
    if unit is None:
        return []
    around = f"{_SIGN[:-1]}[{_SPACES}]*"
    if unit:
        around += f"|[{_SPACES}]*{re.escape(unit)}[{_SPACES}]*"
    bodies = re.sub(around, "", joined).translate(_ALIKE)
    marks = "".join(sorted(set(bodies) & set(".,' ")))
    readings = [_read(NumberSpelling(way[0], way[1:], unit), texts) for way in _WAYS.get(marks, ())]
    return [reading for reading in readings if reading is not None]


def _unit_of(joined: str) -> str | None:
    """Return the currency or % that texts hold, nothing if none, or None for other letters.

    Two currencies have letters that no single one has.
    """
    letters = set(joined) - set(f"0123456789.,+-\u2212eE\n{_SPACES}{_QUOTES}")
    if not letters:
        return ""
    alike = [u for u in (*_CURRENCIES, "%") if set(u) - set("eE") == letters and u in joined]
    return max(alike, key=len, default=None)


def unlike_units(texts: Sequence[str]) -> tuple[str, str] | None:
    """Return two texts whose units are not the same, if all texts are numbers with a unit or none.

    A bare number may be of the column's currency, but nobody knows whether it is a percentage.

    >>> unlike_units(["5 €", "7", "$3"]), unlike_units(["5 €", "7"])
    (('5 €', '$3'), None)
    """
    first: dict[str, str] = {}
    for text in texts:
        found = _LOOSE.fullmatch(text)
        if found is None:
            return None
        first.setdefault(found["before"] or found["after"] or "", text)
    units = [unit for unit in first if unit or "%" in first]
    return (first[units[0]], first[units[1]]) if len(units) > 1 else None


def _read(way: NumberSpelling, texts: Sequence[str]) -> Reading | None:
    """Return all numbers, or None as soon as a text is none."""
    read, values = way.reader(), []
    for text in texts:
        value = read(text)
        if value is None:
            return None
        values.append(value)
    return Reading(way, values)


def likely(texts: Sequence[str]) -> list[NumberSpelling]:
    """Return the ways of writing of those texts that look like numbers, the others left out."""
    found = fitting([text for text in texts if _LOOSE.fullmatch(text)])
    return [reading.way for reading in found]


def decide(
    texts: Sequence[str], comma_is_decimal: bool = False
) -> tuple[Spelling, list[float]] | None:
    """Return how a column of texts writes its numbers, and these; None if they are none.

    comma_is_decimal: what is known of the rest of the file, for texts such as 1,234 that may be
    either; a doubt says how they are read.

    >>> decide(["1.234,5", "0,5"])[1], decide(["1,234", "5,678"])[0].doubt[:24]
    ([1234.5, 0.5], "'1,234' is read as 1234;")
    """
    found = fitting(texts)
    if not found:
        return None
    # A lone mark may stand before the fraction or between thousands, if three digits follow it.
    preferred = [reading for reading in found if (reading.way.decimal == ",") == comma_is_decimal]
    way, values = (preferred or found)[0]
    example = next((text for text in texts if number_of(text) is None), texts[0])
    doubt = ""
    for other, others in found:
        differing = (
            i for i, pair in enumerate(zip(values, others, strict=True)) if len({*pair}) > 1
        )
        place = next(differing, None)
        if place is not None:
            doubt = (
                f"{texts[place]!r} is read as {values[place]:.10g}; if that is wrong, say its "
                f"kind is 'number {other.name}'"
            )
    return Spelling(way.name, f"written as in {example!r}", doubt), values
