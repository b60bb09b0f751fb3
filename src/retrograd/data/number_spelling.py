"""How people write numbers: decimal commas, marks between thousands, currencies, percent signs.

A way of writing is named by an example, such as "1.234,5" or "1,234.5 $", and is decided over all
texts of a column: one cell alone does not tell whether 1,234 is a thousand or a little more than 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retrograd.data.columns import Spelling, number_of

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
            return number_of((found["sign"] + found["inner"] + found["body"]).translate(plain))

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
        before = f"(?:{unit}{_BLANK})?" if unit and self.unit != "%" else ""
        after = f"{_BLANK}%" if self.unit == "%" else f"(?:{_BLANK}{unit})?" if unit else ""
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


def fitting(texts: Sequence[str]) -> list[NumberSpelling]:
    """Return the ways of writing under which every text is a number; nothing for other texts."""
    units: set[str] = set()
    marks: set[str] = set()
    for text in texts:
        found = _LOOSE.fullmatch(text)
        if found is None or (found["before"] and found["after"]):
            return []
        units.add(found["before"] or found["after"] or "")
        marks.update(re.sub(r"[0-9]", "", found["body"].translate(_ALIKE)))
    unit = max(units, default="")
    if units - {"", unit} or ("%" in units and len(units) > 1):
        return []  # two currencies, or percent beside shares: which is which nobody knows
    ways = [NumberSpelling(way[0], way[1:], unit) for way in _WAYS.get("".join(sorted(marks)), ())]
    return [way for way in ways if _fits(way, texts)]


def likely(texts: Sequence[str]) -> list[NumberSpelling]:
    """Return the ways of writing of those texts that look like numbers, the others left out."""
    return fitting([text for text in texts if _LOOSE.fullmatch(text)] or ["?"])


def _fits(way: NumberSpelling, texts: Sequence[str]) -> bool:
    read = way.reader()
    return all(read(text) is not None for text in texts)


def decide(texts: Sequence[str], comma_is_decimal: bool = False) -> Spelling | None:
    """Return how a column of texts writes its numbers, or None if they are none.

    comma_is_decimal: what is known of the rest of the file, for texts such as 1,234 that may be
    either; a doubt says how they are read.

    >>> decide(["1.234,5", "0,5"]).text, decide(["1,234", "5,678"]).doubt[:24]
    ('1.234,5', "'1,234' is read as 1234;")
    """
    ways = fitting(texts)
    if not ways:
        return None
    # A lone mark may stand before the fraction or between thousands, if three digits follow it.
    prefers_decimal = [way for way in ways if (way.decimal == ",") == comma_is_decimal]
    chosen = (prefers_decimal or ways)[0]
    example = next((text for text in texts if number_of(text) is None), texts[0])
    others = [way for way in ways if way is not chosen and _differ(way, chosen, texts)]
    doubt = ""
    if others:
        shown = next(text for text in texts if _differ(others[0], chosen, [text]))
        value = chosen.reader()(shown)
        doubt = (
            f"{shown!r} is read as {value:.10g}; if that is wrong, say its kind is "
            f"'number {others[0].name}'"
        )
    return Spelling(chosen.name, f"written as in {example!r}", doubt)


def _differ(one: NumberSpelling, other: NumberSpelling, texts: Sequence[str]) -> bool:
    read, other_read = one.reader(), other.reader()
    return any(read(text) != other_read(text) for text in texts)
