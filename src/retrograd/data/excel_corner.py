"""How far a sheet of a workbook reaches, read off its XML without making its cells."""

from __future__ import annotations

import re
from typing import NamedTuple

_REFERENCE = re.compile(rb"\sr\s*=\s*[\"']([A-Za-z]{0,3})([0-9]{1,7})[\"']")
_ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
_CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
_LONGEST = 64  # bytes of what may be cut between two pieces


class Corner(NamedTuple):
    """The farthest row and column so far, by references such as C7 and by counting.

    counted: rows.  open: cells of the last of them.  rest: the end of the last piece, which may be
    the beginning of a cell.
    """

    rows: int = 1
    columns: int = 1
    counted: int = 0
    open: int = 0
    rest: bytes = b""

    @property
    def cells(self) -> int:
        """Return how many cells the sheet has, empty ones included."""
        return self.rows * self.columns

    def after(self, piece: bytes) -> Corner:
        """Return the corner after one more piece of the sheet's XML; blanks end it.

        >>> sheet = b'<row r="2"><c r="A2"/><c r="AB2"/></row><row><c/>'
        >>> Corner().after(sheet).after(b" " * 65)[:4]
        (2, 28, 2, 1)
        """
        content = self.rest + piece
        stop = max(content.rfind(b"<"), len(content) - _LONGEST, 0)
        whole = content[:stop]
        references = set(_REFERENCE.findall(whole))
        first, *later = _ROW.split(whole)
        open_ = self.open + len(_CELL.findall(first))
        counts = [open_, *(len(_CELL.findall(row)) for row in later)]
        counted = self.counted + len(later)
        rows = max((int(row) for _, row in references), default=1)
        columns = max((_column(letters) for letters, _ in references), default=1)
        return Corner(
            max(rows, counted, self.rows),
            max(columns, *counts, self.columns),
            counted,
            counts[-1],
            content[stop:],
        )


def _column(letters: bytes) -> int:
    """Return the number of a column, from 1; nothing is 1.

    >>> _column(b"A"), _column(b"XFD")
    (1, 16384)
    """
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - 64
    return max(number, 1)
