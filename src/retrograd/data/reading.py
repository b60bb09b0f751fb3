"""Reading a table from wherever tables come from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from retrograd.data import arrays, frames, named_sets, sources
from retrograd.data.columns import NumberColumn, TextColumn, length
from retrograd.data.settling import PLAIN, TEXT, require_spelling
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError


def read_table(
    source: Any, *, name: str | None = None, spellings: Mapping[str, str] | None = None
) -> Table:
    """Read a table from a file, a folder, a database, a data set's name, a DataFrame or arrays.

    source: a path (.csv, .tsv, .txt or .jsonl, which may be compressed; .parquet or a folder of
    them, .arrow, .feather, .xlsx), a database with a table or query ("shop.db#orders",
    "postgresql://user@host/shop#select ..."), the name of a data set (`digits`, `diamonds`, ...; a
    file of that name wins), a polars or pandas DataFrame or whatever streams Arrow, a mapping of
    column names to arrays, an array (rows, columns), or a pair (X, y).
    name: what messages call the table; by default the path, or what it is.
    spellings: how texts of columns are written, such as {"price": "1.234,5", "day": "DD/MM/YYYY"};
    by default it is read off all rows of each column.  A network's `schema.spellings` makes cells
    mean what they meant in training.

    Raises DataError, naming file, line and column where they are known, for whatever is no table.

    >>> table = read_table({"size": [1.5, 2.5], "colour": ["red", "NA"]})
    >>> table.columns["colour"].codes.tolist()
    [0, -1]
    >>> read_table({"price": ["1.234,5", "7,25"]}).columns["price"].values.tolist()
    [1234.5, 7.25]
    """
    wanted = dict(spellings or {})
    for column, spelling in wanted.items():
        if spelling:
            require_spelling(spelling, f"reading column {column!r}")
    if isinstance(source, Table):
        _check_read_alike(source, wanted)
        return source if name is None else replace(source, name=name)
    if isinstance(source, str | os.PathLike):
        table = _from_text(os.fspath(source), wanted)
    elif isinstance(source, tuple) and len(source) == 2:
        table = _from_pair(*source, wanted)
    elif isinstance(source, Mapping):
        table = arrays.from_mapping(source, spellings=wanted)
    elif isinstance(source, np.ndarray):
        table = arrays.from_array(source)
    elif frames.is_frame(source):
        table = frames.from_frame(source, wanted)
    else:
        raise DataError(
            "reading a table",
            f"a {type(source).__name__} is no table",
            "give a path, a data set's name, a DataFrame, a dict of arrays, a 2-D array or (X, y)",
        )
    table = _with_doubts(table)
    return table if name is None else replace(table, name=name)


def _from_text(text: str | bytes, spellings: Mapping[str, str]) -> Table:
    """Return the table of a path, of a database, or of a data set's name."""
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if not os.path.lexists(text) and text in named_sets.names():
        return named_sets.load(text)
    table = sources.read_source(text, spellings)
    if text in named_sets.names():
        note = f"{text!r} is a file here, so the file is read and not the data set"
        return replace(table, notes=(note, *table.notes))
    return table


def _with_doubts(table: Table) -> Table:
    """Return the table with a note on every column whose cells another reader may take otherwise.

    Only what was decided here is doubtful: a spelling that was asked for is not.
    """
    doubts = tuple(
        f"column {name!r}: {column.spelling.doubt}"
        for name, column in table.columns.items()
        if not isinstance(column, TextColumn) and column.spelling and column.spelling.doubt
    )
    return replace(table, notes=(*table.notes, *doubts)) if doubts else table


def _check_read_alike(table: Table, spellings: Mapping[str, str]) -> None:
    """Refuse a table whose texts were understood before anyone knew how they are written."""
    for name, spelling in spellings.items():
        column = table.columns.get(name)
        if table.lines is None or not isinstance(column, NumberColumn):
            continue
        own = column.spelling.text if column.spelling else ""
        is_small = np.isnan(column.values) | (column.values == np.floor(column.values))
        if spelling not in ("", PLAIN, TEXT, own) and not is_small.all():
            raise DataError(
                f"reading column {name!r} of {table.name!r}",
                f"its cells were read as {own or 'plain numbers'}, and training's were {spelling}",
                "give the file itself, which is then read as in training",
            )


def _from_pair(inputs: Any, targets: Any, spellings: Mapping[str, str]) -> Table:
    """Return the table of inputs X and the column to predict, which is called target."""
    table = read_table(
        inputs if frames.is_frame(inputs) else np.asarray(inputs), spellings=spellings
    )
    column = arrays.column_of(targets, "reading the targets y", spellings.get("target", ""))
    arrays.check_lengths({"X": table.n_rows, "y": length(column)}, "reading (X, y)")
    if "target" in table.columns:
        raise DataError("reading (X, y)", "X has a column called 'target' of its own", "rename it")
    columns = {**table.columns, "target": column}
    return replace(table, name="(X, y)", columns=columns, target="target")
