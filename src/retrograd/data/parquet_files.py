"""Tables made of Parquet files and folders of them, and of Arrow files, column by column."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from retrograd.data.arrays import check_lengths
from retrograd.data.columns import Column, length
from retrograd.data.frames import check_memory, check_types, column_of_series, guarded
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

_COLUMNS_AT_ONCE = 64  # bounds the memory beside the table itself
_MOST_FILES = 100_000


def read_parquet(path: Path, asked: str, spellings: Mapping[str, str] | None = None) -> Table:
    """Return the table of a Parquet file.

    Raises DataError for a damaged file, nested or binary columns, no rows, or a table that is
    larger than the machine's memory.
    """
    import polars as pl

    schema = guarded(lambda: dict(pl.read_parquet_schema(path)), asked)
    rows = int(guarded(lambda: pl.scan_parquet(path).select(pl.len()).collect().item(), asked))
    read = partial(pl.read_parquet, path)
    return Table(str(path), _columns(schema, rows, read, asked, spellings or {}, "Parquet"))


def read_folder(path: Path, asked: str, spellings: Mapping[str, str]) -> Table:
    """Return the table of all Parquet files in a folder and its folders, in the order of names.

    Folders called ``year=2020`` add a column.  Raises DataError as `read_parquet` does, and for a
    folder without such files, or whose files have different columns.
    """
    import polars as pl

    files = _files_in(path, asked)
    wanted = guarded(lambda: dict(pl.read_parquet_schema(files[0])), _named(asked, files[0]))
    for file in files[1:]:
        found = guarded(partial(_schema_of, file), _named(asked, file))
        if found != wanted:
            raise DataError(asked, _difference(files[0], wanted, file, found), "make them alike")
    scan = pl.scan_parquet(files, hive_partitioning=True, glob=False)
    schema = guarded(lambda: dict(scan.collect_schema()), asked)
    rows = int(guarded(lambda: scan.select(pl.len()).collect().item(), asked))

    def read(columns: Sequence[str]) -> Any:
        return scan.select(columns).collect()

    return Table(str(path), _columns(schema, rows, read, asked, spellings, "Parquet"))


def read_arrow(path: Path, asked: str, spellings: Mapping[str, str]) -> Table:
    """Return the table of an Arrow file: .arrow, .ipc, or Feather of version 2.

    Raises DataError as `read_parquet` does.
    """
    import polars as pl

    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"FEA1"):
        found = "it is Feather of version 1, which no one writes any more"
        raise DataError(asked, found, "write it again, as version 2 or Parquet")
    if start != b"ARROW1":  # a stream, which has no footer to look up columns in
        frame = guarded(lambda: pl.read_ipc_stream(path), asked, "Arrow")
        schema, rows = dict(frame.schema), frame.height
        read: Callable[..., Any] = lambda columns: frame.select(columns)  # noqa: E731
    else:
        scan = pl.scan_ipc(path)
        schema = guarded(lambda: dict(scan.collect_schema()), asked, "Arrow")
        rows = int(guarded(lambda: scan.select(pl.len()).collect().item(), asked, "Arrow"))
        check_memory(8 * rows * len(schema), asked)
        read = lambda columns: scan.select(columns).collect()  # noqa: E731
    return Table(str(path), _columns(schema, rows, read, asked, spellings, "Arrow"))


def _schema_of(path: Path) -> dict[str, Any]:
    import polars as pl

    return dict(pl.read_parquet_schema(path))


def _columns(
    schema: dict[str, Any],
    rows: int,
    read: Callable[..., Any],
    asked: str,
    spellings: Mapping[str, str],
    what: str,
) -> dict[str, Column]:
    """Return the columns of a file that is read some columns at a time."""
    check_types(schema, asked)
    check_lengths(dict.fromkeys(schema or ["it"], rows), asked)
    check_memory(8 * rows * len(schema), asked)
    names, columns = list(schema), {}
    for start in range(0, len(names), _COLUMNS_AT_ONCE):
        part = names[start : start + _COLUMNS_AT_ONCE]
        frame = guarded(partial(read, columns=part), asked, what)
        for name in part:
            place = f"{asked}, column {name!r}"
            columns[name] = column_of_series(frame.get_column(name), place, spellings.get(name, ""))
    check_lengths({name: length(column) for name, column in columns.items()}, asked)
    return columns


def _files_in(folder: Path, asked: str) -> list[Path]:
    """Return the Parquet files of a folder; hidden ones and those that begin with _ are no data."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        found += [Path(root) / n for n in sorted(names) if n[0] not in "._" and _is_parquet(n)]
        if len(found) > _MOST_FILES:
            raise DataError(asked, f"it holds more than {_MOST_FILES:,} files", "join some of them")
    if not found:
        raise DataError(
            asked, "it is a folder without .parquet files", "give one file, or another folder"
        )
    for file in found:
        if not file.is_file():
            raise DataError(_named(asked, file), "it is no regular file", "take it away")
    return found


def _is_parquet(name: str) -> bool:
    return name.lower().endswith((".parquet", ".pq"))


def _named(asked: str, file: Path) -> str:
    return f"{asked}, file {file.name!r}"


def _difference(first: Path, wanted: dict[str, Any], file: Path, found: dict[str, Any]) -> str:
    """Return in words how the columns of two files differ."""
    for name in [*wanted, *found]:
        if name not in found:
            return f"{file.name!r} lacks column {name!r} of {first.name!r}"
        if name not in wanted:
            return f"{file.name!r} has a column {name!r} that {first.name!r} lacks"
        if wanted[name] != found[name]:
            return (
                f"column {name!r} is {found[name]} in {file.name!r} and {wanted[name]} in "
                f"{first.name!r}"
            )
    return f"{file.name!r} has its columns in another order than {first.name!r}"
