"""Numbers and texts as people read them."""

from __future__ import annotations

import math

from retrograd.recipe.intervals import Estimate


def number(value: float) -> str:
    """Return a number in four significant digits, whole ones in full.

    >>> number(0.123456), number(12345.0), number(float("nan")), number(1.5e-7)
    ('0.1235', '12,345', '–', '1.5e-07')
    """
    if math.isnan(value):
        return "–"
    if value == round(value) and abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def share(value: float) -> str:
    """Return a part of the whole as a percentage.

    >>> share(0.12345), share(1.0)
    ('12.3 %', '100 %')
    """
    return f"{100 * value:.3g} %"


def interval(estimate: Estimate) -> str:
    """Return an interval, or why there is none."""
    if math.isnan(estimate.low):
        return "too few rows"
    return f"{number(estimate.low)} – {number(estimate.high)}"


def duration(seconds: float) -> str:
    """Return a time.

    >>> duration(0.0123), duration(12.3), duration(200), duration(7500)
    ('12.3 ms', '12.3 s', '3 min 20 s', '2 h 5 min')
    """
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def clean(text: str) -> str:
    """Return a text in which what cannot be printed is spelled out.

    >>> clean("a" + chr(0) + "b") == "a" + chr(92) + "x00b"
    True
    """
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def shortened(text: str, length: int = 24) -> str:
    """Return a text on one line, of at most this many letters.

    >>> shortened("a long name of a column", 10)
    'a long na…'
    """
    line = clean(" ".join(text.split()))
    return line if len(line) <= length else line[: length - 1] + "…"


def words(name: str) -> str:
    """Return a name of code in words.

    >>> words("root_mean_squared_error")
    'root mean squared error'
    """
    return name.replace("_", " ")
