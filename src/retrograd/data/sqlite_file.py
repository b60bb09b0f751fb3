"""Tables made of SQLite files, with Python's own module; nothing in the file can be written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from retrograd.data.arrays import check_lengths, column_of, text_of_cell
from retrograd.data.columns import EXACT_WHOLE, Column, NumberColumn
from retrograd.data.frames import first_line, memory_of_machine, of_texts
from retrograd.data.places import Place
from retrograd.data.queries import query_of, refused
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

_ROWS_AT_ONCE = 20_000
_READING = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
)


def read_sqlite(place: Place, asked: str, spellings: Mapping[str, str]) -> Table:
    """Return the table that an SQLite file answers.

    Raises DataError for a damaged or locked file, an unknown table, a query that is wrong or that
    writes, columns of one name, cells of bytes, and an answer without rows.
    """
    address = f"file:{quote(os.path.abspath(place.path))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
            connection.execute("pragma trusted_schema = off")
            rows = connection.execute("select name from sqlite_master where type in (?, ?)",
                                      ("table", "view"))  # fmt: skip
            names = [name for (name,) in rows if not name.startswith("sqlite_")]
            query = query_of(place.part, names, asked)
            connection.set_authorizer(_allow_reading)
            cursor = connection.execute(query)
            columns = _columns(cursor, asked, spellings)
    except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
        raise refused(first_line(error), asked) from None
    except sqlite3.Error as error:
        if "not authorized" in str(error) or "prohibited" in str(error):
            raise refused("it does more than to read", asked) from None
        found = f"the database is damaged or no SQLite ({first_line(error)})"
        raise DataError(asked, found, "copy it again") from None
    except sqlite3.Warning as error:  # two statements
        raise refused(first_line(error), asked) from None
    return Table(place.safe, columns)


def _allow_reading(action: int, *_: Any) -> int:
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


def _columns(cursor: sqlite3.Cursor, asked: str, spellings: Mapping[str, str]) -> dict[str, Column]:
    """Return the columns of an answer, fetched some thousand rows at a time."""
    names = [str(entry[0]) for entry in cursor.description]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(asked, f"two columns are called {twice!r}", "name them apart with AS")
    parts: list[list[Any]] = [[] for _ in names]
    rows = 0
    while fetched := cursor.fetchmany(_ROWS_AT_ONCE):
        rows += len(fetched)
        if 8 * rows * len(names) > memory_of_machine():
            raise DataError(asked, "the answer is larger than the memory", "select fewer rows")
        for kept, cells in zip(parts, zip(*fetched, strict=True), strict=True):
            kept.append(_compact(cells))
    check_lengths(dict.fromkeys(names, rows), asked)
    return {
        name: _joined(kept, f"{asked}, column {name!r}", spellings.get(name, ""))
        for name, kept in zip(names, parts, strict=True)
    }


def _compact(cells: Sequence[Any]) -> Any:
    """Return cells as numbers (rows,) float64 if they are, as texts, or as they were."""
    import polars as pl

    kinds = set(map(type, cells)) - {type(None)}
    if kinds <= {int, float}:
        numbers = np.array(cells, dtype=np.float64)
        if int not in kinds or not (np.abs(numbers) >= EXACT_WHOLE).any():
            return numbers
    return pl.Series(cells, dtype=pl.String) if kinds == {str} else list(cells)


def _joined(parts: list[Any], asked: str, spelling: str) -> Column:
    """Return the column of its parts; SQLite lets every cell have a type of its own."""
    import polars as pl

    if all(isinstance(part, np.ndarray) for part in parts):
        return NumberColumn(np.concatenate(parts))
    if any(isinstance(part, list) for part in parts) or spelling:
        cells = [cell for part in parts for cell in _cells(part)]
        return column_of(cells, asked, spelling)
    texts = [
        pl.Series([text_of_cell(cell, 0, asked) for cell in _cells(part)], dtype=pl.String)
        if isinstance(part, np.ndarray)
        else part
        for part in parts
    ]
    return of_texts(pl.concat(texts), asked, spelling)


def _cells(part: Any) -> list[Any]:
    found = part if isinstance(part, list) else part.to_list() if hasattr(part, "to_list") else None
    return part.tolist() if found is None else found
