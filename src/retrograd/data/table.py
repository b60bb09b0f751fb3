"""A table: named columns of one length, read from wherever tables come from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from retrograd.data.columns import Column, DateColumn, Rows, TextColumn, length, take
from retrograd.tensor.errors import DataError


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

        >>> read_table({"a": [1.0, 2.0]}).place(1)
        'row 1'
        """
        return f"row {row}" if self.lines is None else f"line {int(self.lines[row])}"


def read_table(source: Any, *, name: str | None = None) -> Table:
    """Read a table from a file, a data set's name, a DataFrame or arrays.

    source: a path (.csv, .tsv, .txt, .parquet), the name of a data set (`digits`, `diamonds`, ...;
    a file of that name wins), a polars or pandas DataFrame or whatever streams Arrow, a mapping of
    column names to arrays, an array (rows, columns), or a pair (X, y).
    name: what messages call the table; by default the path, or what it is.

    Raises DataError, naming file, line and column where they are known, for whatever is no table.

    >>> table = read_table({"size": [1.5, 2.5], "colour": ["red", "NA"]})
    >>> table.columns["colour"].codes.tolist()
    [0, -1]
    """
    from retrograd.data import arrays, frames, named_sets, sources

    if isinstance(source, Table):
        return source if name is None else replace(source, name=name)
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        if isinstance(text, bytes):
            text = os.fsdecode(text)
        if not os.path.lexists(text) and text in named_sets.names():
            table = named_sets.load(text)
        else:
            table = sources.read_file(Path(text))
            if text in named_sets.names():
                note = f"{text!r} is a file here, so the file is read and not the data set"
                table = replace(table, notes=(note, *table.notes))
    elif isinstance(source, tuple) and len(source) == 2:
        table = arrays.from_pair(*source)
    elif isinstance(source, Mapping):
        table = arrays.from_mapping(source)
    elif isinstance(source, np.ndarray):
        table = arrays.from_array(source)
    elif frames.is_frame(source):
        table = frames.from_frame(source)
    else:
        raise DataError(
            "reading a table",
            f"a {type(source).__name__} is no table",
            "give a path, a data set's name, a DataFrame, a dict of arrays, a 2-D array or (X, y)",
        )
    return table if name is None else replace(table, name=name)


def _memory(column: Column) -> int:
    """Return the bytes of a column; long texts are counted by their UTF-8 length."""
    if isinstance(column, TextColumn):
        long = np.strings.str_len(column.levels)
        return column.codes.nbytes + column.levels.nbytes + int(long[long > 15].sum())
    if isinstance(column, DateColumn):
        return column.values.nbytes
    return column.values.nbytes
