"""What a command says, and where: results on standard output, talk on standard error.

``--json`` makes the result one JSON object; ``--quiet`` leaves the result and drops the talk.
Text fits 80 columns, and has no escape codes where nobody looks at a terminal.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Group, Parameter

GROUP = Group.create_ordered("Output")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """How a command speaks; every verb has these flags."""

    as_json: Annotated[
        bool,
        Parameter(
            name="--json",
            negative="",
            group=GROUP,
            show_default=False,
            help="Print one JSON object.",
        ),
    ] = False
    quiet: Annotated[
        bool,
        Parameter(
            name="--quiet",
            negative="",
            group=GROUP,
            show_default=False,
            help="Print the result only.",
        ),
    ] = False
    ascii: Annotated[
        bool,
        Parameter(
            name="--ascii",
            negative="",
            group=GROUP,
            show_default=False,
            help="Use plain ASCII marks.",
        ),
    ] = False

    def talk(self, text: str = "") -> None:
        """Say something on the way, unless asked to be quiet."""
        if self.quiet:
            return
        try:
            print(self.plain(text), file=sys.stderr, flush=True)
        except OSError:
            # Whoever listened is gone, or has no room; the work is not for them alone: it goes on.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    def wrap(self, text: str, indent: int = 0) -> None:
        """Say a sentence of any length, folded to the width of the terminal."""
        for line in textwrap.wrap(text, width(), subsequent_indent=" " * indent):
            self.talk(line)

    def result(self, record: Any, lines: Iterable[str]) -> None:
        """Print the result: the record as JSON, or its lines for people."""
        is_bare = not _shows_unicode()
        if self.as_json:
            print(json.dumps(record, ensure_ascii=is_bare, allow_nan=False, default=str))
        else:
            for line in lines:
                shown = self.plain(line)
                print(shown.encode("ascii", "backslashreplace").decode() if is_bare else shown)

    def plain(self, text: str) -> str:
        """Return the text in what the reader can show; what steers terminals is spelled out."""
        text = text.translate(_CONTROLS)
        return text.translate(_ASCII) if self.uses_ascii else text

    @property
    def uses_ascii(self) -> bool:
        """Whether only ASCII may be printed: asked for, or all that the reader can show."""
        return self.ascii or not _shows_unicode()

    @property
    def is_live(self) -> bool:
        """Whether standard error is a terminal that can be redrawn."""
        return sys.stderr.isatty() and not self.quiet and os.environ.get("TERM") != "dumb"


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Say warnings as sentences, without the place in the code that they come from."""

    def say(message: Warning | str, *place: Any, **more: Any) -> None:
        Output().wrap(f"note: {message}", indent=6)

    with warnings.catch_warnings():
        warnings.showwarning = say
        yield


_MARKS = {
    "█": "#", "▇": "#", "▆": "#", "▅": "+", "▄": "+", "▃": "-", "▂": "-", "▁": "_", "░": ".",
    "▒": ":", "·": ".", "–": "-", "−": "-", "→": "->", "±": "+/-", "×": "x", "…": "...",
    "✓": "ok", "✗": "WRONG", "Σ": "sum", "δ": "delta", "∂": "d", "≤": "<=", "Δ": "D",
}  # fmt: skip
_ASCII = str.maketrans(_MARKS)


# Cells and column names come from files, and could hold codes that move the cursor or worse.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(10), *range(11, 32), *range(127, 160))}


def _shows_unicode() -> bool:
    return (sys.stderr.encoding or "").lower().replace("-", "") == "utf8"


def width() -> int:
    """Return the columns to write in: the terminal's, but never more than 80 nor less than 40."""
    # Standard output is asked first; where it is piped, the talk may still have a terminal.
    try:
        beside = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        beside = 80
    return max(min(shutil.get_terminal_size((beside, 24)).columns, 80), 40)


def sparkline(values: Sequence[float], length: int = 12) -> str:
    """Return the course of some numbers as a row of blocks, the lowest and the highest as ends.

    >>> sparkline([3.0, 2.0, 1.0])
    '█▅▁'
    """
    finite = [v for v in values[-length:] if abs(v) < float("inf")]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    steps = "▁▂▃▄▅▆▇█"
    scale = (len(steps) - 1) / (high - low) if high > low else 0.0
    return "".join(steps[round((v - low) * scale)] for v in finite)


def number(value: float) -> str:
    """Return a number in four significant digits.

    >>> number(0.123456), number(1234567.0), number(3.0)
    ('0.1235', '1.235e+06', '3')
    """
    return f"{value:.4g}"


def table(rows: Sequence[Sequence[str]], headings: Sequence[str], widest: int = 24) -> list[str]:
    """Return lines of a table whose last column takes what is left of the width, folded.

    The others take what they need, up to ``widest``; what is longer is cut.

    >>> table([["a", "number"]], ["column", "kind"])
    ['column  kind', 'a       number']
    """
    cells = [list(headings), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings) - 1)]
    widths = [min(w, widest) for w in widths]
    left = sum(widths) + 2 * len(widths)
    lines = []
    for row in cells:
        start = "".join(f"{_fit(cell, w):<{w}}  " for cell, w in zip(row, widths, strict=False))
        last = textwrap.wrap(row[-1], max(width() - left, 15)) or [""]
        lines.append((start + last[0]).rstrip())
        lines += [" " * left + more for more in last[1:]]
    return lines


def _fit(cell: str, length: int) -> str:
    return cell if len(cell) <= length else cell[: length - 1] + "…"
