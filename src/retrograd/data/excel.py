"""Tables made of Excel workbooks: one sheet, whose first row that holds something names columns."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrograd.data.excel_corner import Corner
from retrograd.data.frames import first_line, memory_of_machine, table_of
from retrograd.data.suggesting import suggestion
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError, InputError

_EXPANSION = 200  # times its size
_SMALL = 64 << 20
_CELL = 64  # bytes of memory for a cell, however empty
_MIDNIGHT = " 00:00:00"  # such cells are days


def read_workbook(path: Path, sheet: str, asked: str, spellings: Mapping[str, str]) -> Table:
    """Return the table of a sheet: the one of that name, or the first.

    Cells mean what they show as values: formulas count by their stored results, and those of
    error are missing.

    Raises DataError for a damaged or encrypted workbook, one that expands beyond a bound, an
    unknown sheet (the nearest is suggested), and a sheet without rows.
    """
    try:
        import fastexcel
    except ImportError:
        raise InputError(
            asked, "the package fastexcel is not installed", "pip install fastexcel"
        ) from None
    _check_expansion(path, asked)
    try:
        book = fastexcel.read_excel(path)
        names = list(book.sheet_names)
        chosen = _chosen(sheet, names, asked)
        cells = book.load_sheet(chosen, header_row=None, dtypes="string").to_polars()
    except DataError:
        raise
    except BaseException as error:
        is_theirs = isinstance(error, fastexcel.FastExcelError | ValueError | OSError)
        if not is_theirs and type(error).__name__ != "PanicException":
            raise
        raise _damaged(error, asked) from None
    frame = _below_header(cells, f"{asked}, sheet {chosen!r}")
    if not frame.height:
        found = f"sheet {chosen!r} has no rows below its header"
        raise DataError(asked, found, f"choose another sheet: {path.name}#NAME")
    notes: tuple[str, ...] = ()
    if not sheet and len(names) > 1:
        notes = (
            f"the workbook has {len(names)} sheets, and {chosen!r} is read; for another one write "
            f"{path.name}#{names[1]}",
        )
    table = table_of(frame, f"{path}#{chosen}", asked, spellings)
    return Table(table.name, table.columns, notes=notes)


def _damaged(error: BaseException, asked: str) -> DataError:
    found = f"the workbook is damaged, encrypted or no .xlsx ({first_line(error)})"
    return DataError(asked, found, "save it again as .xlsx, without a password")


def _chosen(sheet: str, names: list[str], asked: str) -> str:
    if not names:
        raise DataError(asked, "the workbook has no sheets", "save it again with one")
    if sheet and sheet not in names:
        raise DataError(asked, f"no sheet is called {sheet!r}", suggestion(sheet, names))
    return sheet or names[0]


def _check_expansion(path: Path, asked: str) -> None:
    """Refuse a workbook whose parts, which are packed, expand to more than it may.

    They are expanded once for counting: what an archive says of its own sizes may be a lie.  So
    may one cell: at the far corner of a sheet it makes all cells before it take memory.
    """
    limit = min(max(_SMALL, _EXPANSION * path.stat().st_size), memory_of_machine())
    try:
        with zipfile.ZipFile(path) as archive:
            total = 0
            for part in archive.infolist():
                corner = Corner()
                with archive.open(part) as content:
                    while piece := content.read(1 << 20):
                        total += len(piece)
                        if total > limit:
                            found = f"its parts expand to more than {limit:,} bytes"
                            raise DataError(asked, found, "save the sheet as CSV")
                        corner = corner.after(piece)
                corner = corner.after(b" " * 65)
                if "worksheets/" in part.filename and corner.cells * _CELL > memory_of_machine():
                    found = f"a sheet of {corner.rows:,} rows and {corner.columns:,} columns is too"
                    raise DataError(asked, f"{found} large", "delete what stands far outside")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise _damaged(error, asked) from None
    except Exception as error:  # zlib.error, and what else damaged archives bring forth
        if isinstance(error, DataError):
            raise
        raise _damaged(error, asked) from None


def _below_header(cells: Any, asked: str) -> Any:
    """Return the rows below the first that holds something, which names the columns.

    Rows and nameless columns without any cell are left out, and midnights become days.
    """
    import polars as pl

    if cells.width:
        cells = cells.filter(~pl.all_horizontal(pl.all().is_null()))
    if cells.height < 2:
        return pl.DataFrame()
    header = [text.strip() if text else "" for text in cells.row(0)]
    cells = cells[1:]
    columns: dict[str, Any] = {}
    for place, (name, column) in enumerate(zip(header, cells.iter_columns(), strict=True), 1):
        if not name and column.is_null().all():
            continue
        name = name or f"column_{place}"
        if name in columns:
            raise DataError(asked, f"two columns are called {name!r}", "rename one of them")
        columns[name] = column.str.strip_suffix(_MIDNIGHT)
    return pl.DataFrame(columns)
