"""Reading a table from wherever tables come from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retrograd.data import arrays, frames, named_sets, sources
from retrograd.data.columns import length
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError


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
        table = _from_pair(*source)
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


def _from_pair(inputs: Any, targets: Any) -> Table:
    """Return the table of inputs X and the column to predict, which is called target."""
    table = read_table(inputs if frames.is_frame(inputs) else np.asarray(inputs))
    column = arrays.column_of(targets, "reading the targets y")
    arrays.check_lengths({"X": table.n_rows, "y": length(column)}, "reading (X, y)")
    if "target" in table.columns:
        raise DataError("reading (X, y)", "X has a column called 'target' of its own", "rename it")
    columns = {**table.columns, "target": column}
    return replace(table, name="(X, y)", columns=columns, target="target")
