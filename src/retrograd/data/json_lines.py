"""Tables made of JSON lines: one object a line, whose names are the columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from retrograd.data.arrays import column_of
from retrograd.data.columns import EXACT_WHOLE
from retrograd.data.frames import check_memory, first_line, table_of
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

_LONGEST = 64 << 20  # bytes of a line


def read_json_lines(
    file: BinaryIO, path: Path, asked: str, spellings: Mapping[str, str], notes: tuple[str, ...]
) -> Table:
    """Return the table of an open file of JSON lines; a name that a line lacks is a missing cell.

    Raises DataError naming the line for what is no JSON object, or holds more than single values.
    """
    check_memory(file.seek(0, 2), asked)
    _check_lines(file, asked)
    frame = _frame(file)
    if frame is None:  # whatever polars does not read, or not exactly, is read line by line
        table = _line_by_line(file, asked, spellings)
    else:
        table = table_of(frame, str(path), asked, spellings)
    return Table(str(path), table.columns, notes=notes, lines=_places(file))


def _check_lines(file: BinaryIO, asked: str) -> None:
    """Refuse a file whose lines are no objects at first sight, before any is understood."""
    found = 0
    for number, line in _lines(file):
        found += 1
        if len(line) > _LONGEST:
            raise DataError(asked, f"line {number} is longer than 64 MB", "write one row a line")
        if not line.startswith(b"{"):
            shown = line[:30].decode(errors="replace")
            raise DataError(
                asked,
                f"line {number} is no JSON object: {shown!r}",
                'write one object a line, such as {"size": 3, "sold": "yes"}',
            )
    if not found:
        raise DataError(asked, "the file holds no rows", 'write one object a line: {"size": 3}')


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Give every line that holds something, with its number."""
    file.seek(0)
    for number, line in enumerate(file, 1):
        content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if content.strip():
            yield number, content.strip()


def _places(file: BinaryIO) -> Any:
    """Return the line of each row; an unbroken run takes no memory."""
    import numpy as np

    numbers = np.fromiter((number for number, _ in _lines(file)), dtype=np.int64)
    if int(numbers[-1]) == len(numbers):
        return range(1, len(numbers) + 1)
    return numbers


def _frame(file: BinaryIO) -> Any:
    """Return the file as polars reads it, or None where that fails or may change a number."""
    import polars as pl

    file.seek(0)
    if file.read(3) == b"\xef\xbb\xbf":
        return None
    file.seek(0)
    try:
        frame = pl.read_ndjson(file, infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if not frame.width:
        return None
    for column in frame.iter_columns():
        if column.dtype.is_nested():
            return None
        largest = column.abs().max() if column.dtype.is_float() else None
        if isinstance(largest, float) and largest >= EXACT_WHOLE:
            return None
    return frame


def _line_by_line(file: BinaryIO, asked: str, spellings: Mapping[str, str]) -> Table:
    """Return the table as Python reads it: slower, and with the line of whatever is wrong."""
    columns: dict[str, list[Any]] = {}
    for rows, (number, line) in enumerate(_lines(file)):
        for name, cell in _object(line, number, asked).items():
            if isinstance(cell, dict | list):
                found = f"line {number} holds a {type(cell).__name__} as {name!r}, no single value"
                raise DataError(asked, found, "unnest it, or leave it out")
            if name not in columns:
                columns[name] = [None] * rows
            columns[name].append(cell)
        for cells in columns.values():
            if len(cells) <= rows:
                cells.append(None)
    if not columns:
        raise DataError(asked, "no object has a name in it", 'write such as {"size": 3}')
    return Table(
        "",
        {
            name: column_of(cells, f"{asked}, column {name!r}", spellings.get(name, ""))
            for name, cells in columns.items()
        },
    )


def _object(line: bytes, number: int, asked: str) -> dict[str, Any]:
    """Return the object of a line; NaN, which Python and R write, is a missing cell."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the name {twice!r} stands there twice")
        return dict(pairs)

    def finite(text: str) -> float:
        if abs(value := float(text)) == float("inf"):
            raise ValueError(f"{text!r:.40} is too large for a 64-bit number")
        return value

    try:
        found = json.loads(line, object_pairs_hook=once, parse_float=finite)
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        why = "it is nested too deeply" if deep else first_line(error)
        raise DataError(
            asked, f"line {number} is no JSON object ({why})", "write one object a line"
        ) from None
    assert isinstance(found, dict)  # it begins with a brace
    return found
