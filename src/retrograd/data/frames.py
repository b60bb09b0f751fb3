"""Tables made of DataFrames, column by column, and what guards against damaged files."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from retrograd.data.arrays import check_lengths, column_of, from_mapping
from retrograd.data.columns import Column, DateColumn, NumberColumn, TextColumn, as_levels
from retrograd.data.settling import settle
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError


def is_frame(source: Any) -> bool:
    """Return whether a source is a DataFrame, or streams columns as Arrow does."""
    kind = type(source)  # asking a LazyFrame itself for its columns would run its query
    if kind.__name__ == "Series":  # one column, or one row: it streams too, and nobody knows which
        return False
    return hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "columns")


def from_frame(source: Any, spellings: Mapping[str, str]) -> Table:
    """Return the table of a polars or pandas DataFrame, or of whatever streams Arrow columns."""
    asked = "reading a DataFrame"
    if type(source).__module__.split(".")[0] == "pandas":
        return _from_pandas(source, spellings)
    import polars as pl

    try:
        frame = source.collect() if isinstance(source, pl.LazyFrame) else pl.DataFrame(source)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(asked, first_line(error), "give a table of plain columns") from None
    return table_of(frame, "the DataFrame", asked, spellings)


def table_of(frame: Any, name: str, asked: str, spellings: Mapping[str, str]) -> Table:
    """Return the table of a polars DataFrame that was read from somewhere.

    Raises DataError for nested or binary columns, and a table without rows or columns.
    """
    check_lengths(dict.fromkeys(frame.columns or ["it"], frame.height), asked)
    check_types(dict(frame.schema), asked)
    columns = {
        column: column_of_series(
            frame.get_column(column), f"{asked}, column {column!r}", spellings.get(column, "")
        )
        for column in frame.columns
    }
    return Table(name, columns)


def _from_pandas(source: Any, spellings: Mapping[str, str]) -> Table:
    """Return the table of a pandas DataFrame; its index is no column."""
    names = [str(name) for name in source.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            "reading a DataFrame", f"two columns are called {twice!r}", "rename one of them"
        )
    cells: dict[str, Any] = {}
    for place, name in enumerate(names):
        series = source.iloc[:, place]
        kind = series.dtype
        if getattr(kind, "tz", None) is not None:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        plain = isinstance(series.dtype, np.dtype)
        cells[name] = series.to_numpy() if plain else series.astype(object).to_numpy()
    return from_mapping(cells, "the DataFrame", spellings)


def check_memory(needed: int, asked: str) -> None:
    """Refuse a table that cannot fit, before any of it is read."""
    memory = memory_of_machine()
    if needed > memory:
        raise DataError(
            asked,
            f"it needs {needed / 1e9:,.1f} GB and the machine has {memory / 1e9:,.1f} GB",
            "take fewer rows or columns",
        )


def memory_of_machine() -> int:
    """Return the bytes of memory that the machine has, or more than any has where it says none."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    if "SC_PHYS_PAGES" not in names:
        return 1 << 62
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def guarded(read: Callable[[], Any], asked: str, what: str = "Parquet") -> Any:
    """Return what `read` returns; a damaged file ends in a sentence."""
    import polars as pl

    try:
        with _without_panic_reports():
            return read()
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # polars' own panics are no Exception
        if not isinstance(error, (Exception, pl.exceptions.PanicException)):
            raise
        found = f"the {what} file is damaged or not {what} ({first_line(error)})"
        raise DataError(asked, found, "write or copy it again") from None


@contextlib.contextmanager
def _without_panic_reports() -> Iterator[None]:
    """Keep what Rust prints of a panic off standard error: the exception says it in a sentence.

    Rust prints from threads of its own, straight to descriptor 2, so that is what is redirected;
    whatever else was written there meanwhile is passed on afterwards, unless there was a panic.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # no standard error at all: nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            kept.seek(0)
            written = kept.read()
            if written and b"panicked at" not in written:
                os.write(2, written)


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, at most 120 letters of it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def check_types(schema: dict[str, Any], asked: str) -> None:
    """Refuse columns whose cells are no single values."""
    nested = [f"{name!r} ({kind})" for name, kind in schema.items() if not _is_plain(kind)]
    if nested:
        raise DataError(
            asked,
            f"column {nested[0]}{f' and {len(nested) - 1} more' if len(nested) > 1 else ''} "
            "does not hold single values",
            "unnest it, or leave it out",
        )


def _is_plain(kind: Any) -> bool:
    return not (kind.is_nested() or str(kind).split("(")[0] in ("Binary", "Object", "Unknown"))


def column_of_series(series: Any, asked: str, spelling: str = "") -> Column:
    """Return the column of a polars Series."""
    import polars as pl

    kind = series.dtype
    if kind.is_temporal():
        try:
            with _without_panic_reports():
                return _of_moments(series)
        except (pl.exceptions.PanicException, pl.exceptions.PolarsError) as error:
            found = f"a date lies outside of what calendars hold ({first_line(error)})"
            raise DataError(asked, found, "correct or empty the cell") from None
    if kind == pl.Boolean:
        codes = series.cast(pl.Int32).fill_null(-1).to_numpy().astype(np.int32)
        return TextColumn(codes, as_levels(["false", "true"]))
    if kind.is_float() or kind == pl.Null:
        return NumberColumn(_writable(series.cast(pl.Float64).to_numpy()))
    if kind.is_decimal() and kind.scale == 0:  # whole numbers, of any length
        return column_of_series(series.cast(pl.Int128), asked)
    if kind.is_integer() or kind.is_decimal():
        numbers = series.cast(pl.Float64)
        if kind.is_decimal() or bool((numbers.cast(kind, strict=False) == series).all()):
            largest = numbers.abs().max()
            if kind.is_decimal() or largest is None or float(largest) < 2**63:
                return NumberColumn(_writable(numbers.to_numpy()))
        return column_of(series.to_list(), asked)
    return of_texts(series.cast(pl.String), asked, spelling)


def _of_moments(series: Any) -> Column:
    """Return dates and moments as they are, durations and times of day in seconds."""
    import polars as pl

    if series.dtype in (pl.Duration, pl.Time):
        unit = 1e6
        whole = series.cast(pl.Duration("us")) if series.dtype == pl.Time else series
        return NumberColumn(_writable((whole.dt.total_microseconds() / unit).to_numpy()))
    if series.dtype != pl.Date and getattr(series.dtype, "time_zone", None):
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    stamps = series.cast(pl.Datetime("us")).to_numpy()
    return DateColumn(stamps.astype("datetime64[us]"))


def _writable(values: Any) -> Any:
    """Return a float64 copy that owns its memory, so that the frame behind it can go."""
    return np.array(values, dtype=np.float64)


def of_texts(series: Any, asked: str, spelling: str = "") -> Column:
    """Return the column of a polars Series of texts, each distinct one stored once."""
    import polars as pl

    if not series.len():
        return NumberColumn(np.full(0, math.nan))
    distinct = series.drop_nulls().unique(maintain_order=True)
    place_of = pl.DataFrame({"text": distinct, "code": np.arange(distinct.len(), dtype=np.int32)})
    joined = pl.DataFrame({"text": series}).join(
        place_of, on="text", how="left", maintain_order="left"
    )
    codes = joined.get_column("code").fill_null(-1).to_numpy().astype(np.int32)
    return settle(codes, distinct.to_list(), asked, spelling=spelling)
