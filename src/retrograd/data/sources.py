"""Files, folders and databases that hold tables, told apart by the end of their names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from retrograd.data import csv_file, parquet_files
from retrograd.data.opening import SUFFIXES, open_regular
from retrograd.data.places import Place, parse, suffixes
from retrograd.data.suggesting import suggestion
from retrograd.data.table import Table
from retrograd.data.text_files import as_utf8
from retrograd.tensor.errors import DataError

__all__ = ["read_source", "suggestion"]

_TEXTS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")
_JSON = (".jsonl", ".ndjson")
_ARROW = (".arrow", ".feather", ".ipc")
_OF_OTHERS = {
    ".xls": "save it as .xlsx",
    ".xlsb": "save it as .xlsx",
    ".ods": "save it as .xlsx or .csv",
    ".json": "write one object a line, and name it .jsonl",
    ".bz2": "unpack it with bunzip2 first",
    ".xz": "unpack it with unxz first",
    ".zip": "unpack it first",
}


def read_source(text: str, spellings: Mapping[str, str]) -> Table:
    """Read a table from a file, a folder of Parquet files, or a database.

    text: a path, with ``#SHEET`` after that of a workbook and ``#TABLE`` or ``#select ...`` after
    that of a database; or the URL of a PostgreSQL server.

    Raises DataError naming the source for what is missing, no regular file, unreadable, or empty.
    """
    place = parse(text)
    asked = f"reading {_shown(place)!r}"
    if place.database is not None:
        from retrograd.data.database import read_database

        if place.database != "postgresql":
            open_regular(Path(place.path), asked).close()
        table = read_database(place, asked, spellings)
    elif os.path.isdir(place.path):
        table = parquet_files.read_folder(Path(place.path), asked, spellings)
    else:
        table = _read_file(place, asked, spellings)
    return replace(table, name=_shown(place))


def _shown(place: Place) -> str:
    """Return a source as messages call it: no password, and no query of many lines."""
    text = " ".join(place.safe.split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def _read_file(place: Place, asked: str, spellings: Mapping[str, str]) -> Table:
    path = Path(place.path)
    suffix, compression = suffixes(path)
    with open_regular(path, asked) as file:
        if suffix not in SUFFIXES or (compression and suffix not in _TEXTS):
            raise _unknown(suffix, compression, asked)
        if not file.read(1):
            raise DataError(asked, "the file is empty", "give a file with a header and rows")
        file.seek(0)
        if suffix in (".parquet", ".pq"):
            return parquet_files.read_parquet(path, asked, spellings)
        if suffix in _ARROW:
            return parquet_files.read_arrow(path, asked, spellings)
        if suffix == ".xlsx":
            from retrograd.data.excel import read_workbook

            return read_workbook(path, place.part, asked, spellings)
        text = as_utf8(file, path, compression, asked)
        with text.file:
            if suffix in _JSON:
                from retrograd.data.json_lines import read_json_lines

                return read_json_lines(text.file, path, asked, spellings, text.notes)
            table = csv_file.read_text(text.file, path, asked, spellings)
            return replace(table, notes=(*text.notes, *table.notes))


def _unknown(suffix: str, compression: str, asked: str) -> DataError:
    known = ", ".join(SUFFIXES)
    if compression:
        found = f"only {', '.join(_TEXTS)} may be compressed, not {suffix or 'a nameless format'}"
        return DataError(asked, found, f"unpack it, or name it such as .csv{compression}")
    remedy = _OF_OTHERS.get(suffix, "rename or convert the file")
    return DataError(asked, f"tables come in {known}, not {suffix or 'without a suffix'}", remedy)
