"""A table: named columns of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from retrograd.data.columns import Column, DateColumn, Rows, TextColumn, length, take


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of one length, as NumPy arrays.

    name: what messages call it (a path, a data set's name).
    columns: each a NumberColumn, TextColumn or DateColumn of `n_rows` rows, in the source's order.
    target: the column to predict, if the source itself knows it (data sets that packages ship).
    notes: sentences about how it was read that its owner should see.
    lines: the line of each row in its text file, or None.
    """

    name: str
    columns: Mapping[str, Column]
    target: str | None = None
    notes: tuple[str, ...] = ()
    lines: Sequence[int] | Rows | None = None

    @property
    def n_rows(self) -> int:
        """Return the number of rows."""
        return next((length(column) for column in self.columns.values()), 0)

    @property
    def memory(self) -> int:
        """Return the size of all columns in bytes."""
        return sum(_memory(column) for column in self.columns.values())

    def take(self, rows: Rows) -> Table:
        """Return the table of these rows, in this order."""
        rows = np.asarray(rows, dtype=np.int64)
        lines = None if self.lines is None else np.asarray(self.lines, dtype=np.int64)[rows]
        columns = {name: take(column, rows) for name, column in self.columns.items()}
        return replace(self, columns=columns, lines=lines)

    def place(self, row: int) -> str:
        """Return where a row stands, as its owner counts: a line of the file, or a row from 0.

        >>> Table("t", {}).place(1)
        'row 1'
        """
        return f"row {row}" if self.lines is None else f"line {int(self.lines[row])}"


def _memory(column: Column) -> int:
    """Return the bytes of a column; long texts are counted by their UTF-8 length."""
    if isinstance(column, TextColumn):
        long = np.strings.str_len(column.levels)
        return column.codes.nbytes + column.levels.nbytes + int(long[long > 15].sum())
    if isinstance(column, DateColumn):
        return column.values.nbytes
    return column.values.nbytes
