"""Tables made of arrays: mappings of columns, matrices, and pairs (X, y)."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import (
    EXACT_WHOLE,
    Codes,
    Column,
    DateColumn,
    NumberColumn,
    TextColumn,
    as_levels,
    length,
)
from retrograd.data.settling import settle
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

Array = npt.NDArray[Any]


def from_mapping(
    columns: Mapping[Any, Any], name: str = "the table", spellings: Mapping[str, str] | None = None
) -> Table:
    """Return the table of a mapping from column names to arrays or sequences."""
    asked = f"reading {name}"
    if not columns:
        raise DataError(asked, "it has no columns", "give at least two")
    read: dict[str, Column] = {}
    for key, values in columns.items():
        if str(key) in read:
            raise DataError(asked, f"two columns are called {str(key)!r}", "rename one of them")
        if _is_broken(str(key)):
            raise DataError(asked, f"the name {str(key)!r} is not valid Unicode", "rename it")
        spelling = (spellings or {}).get(str(key), "")
        read[str(key)] = column_of(values, f"{asked}, column {str(key)!r}", spelling)
    sizes = {key: length(column) for key, column in read.items()}
    check_lengths(sizes, asked)
    return Table(name, read)


def _is_broken(text: str) -> bool:
    """Return whether a text holds half of a surrogate pair, which no file can keep."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def check_lengths(sizes: Mapping[str, int], asked: str) -> None:
    """Refuse columns of different lengths, and a table without rows."""
    first, size = next(iter(sizes.items()))
    for name, other in sizes.items():
        if other != size:
            found = f"{first!r} has {size} rows and {name!r} has {other}"
            raise DataError(asked, found, "give columns of one length")
    if size == 0:
        raise DataError(asked, "it has a header but no rows", "give rows")


def from_array(values: Array) -> Table:
    """Return the table of an array (rows, columns): its columns are x0, x1, ..."""
    asked = f"reading an array {values.shape}"
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(
            asked,
            f"a table has rows and columns, not {values.ndim} axes of {values.shape}",
            "give a 2-D array that is not empty",
        )
    columns = {f"x{i}": values[:, i] for i in range(values.shape[1])}
    return replace(from_mapping(columns), name=f"the array {values.shape}")


def column_of(values: Any, asked: str, spelling: str = "") -> Column:
    """Return the column of a one-dimensional array or sequence; spelling is for `settle`.

    Raises DataError for complex numbers, several axes, and objects that are no cell.

    >>> column_of([3, None, 5], "reading a list").values.tolist()
    [3.0, nan, 5.0]
    """
    array = _as_array(values, asked)
    kind = array.dtype.kind
    if kind == "f":
        return NumberColumn(array.astype(np.float64))
    if kind in "iu":
        return _of_integers(array)
    if kind == "b":
        return TextColumn(array.astype(np.int32), as_levels(["false", "true"]))
    if kind == "M":
        return DateColumn(array.astype("datetime64[us]"))
    if kind == "m":
        seconds = array.astype("timedelta64[us]").astype(np.float64) / 1e6
        return NumberColumn(np.where(np.isnat(array), np.nan, seconds))
    if kind in "UST":
        return _of_cells([_decoded(text) for text in array.tolist()], asked, spelling)
    if kind == "O":
        return _of_cells(array.tolist(), asked, spelling)
    raise DataError(asked, f"cells of type {array.dtype} are no table cells", "give real numbers")


def _as_array(values: Any, asked: str) -> Array:
    """Return one axis of cells; sequences keep their cells' types (None, whole numbers)."""
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if not isinstance(values, np.ndarray):
        if not hasattr(values, "__iter__"):
            found = f"a {type(values).__name__} is no column of cells"
            raise DataError(asked, found, "give one value a row")
        cells = list(values) if not isinstance(values, str | bytes) else values
        array = np.empty(len(cells), dtype=object)
        for row, cell in enumerate(cells):  # np.array would turn [1, "a"] into texts
            array[row] = cell
        values = array
    if isinstance(values, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(values)
        values = values.data.astype(object)
        values[masked] = None
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        found = f"a column has one axis, not the shape {values.shape}"
        raise DataError(asked, found, "give one value a row")
    return np.asarray(values)


def _decoded(text: str | bytes) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _of_integers(array: Array) -> Column:
    """Return numbers, or texts where float64 would change a value."""
    numbers = array.astype(np.float64)
    if len(array) and (np.abs(numbers) >= EXACT_WHOLE).any():
        pairs = zip(numbers.tolist(), array.tolist(), strict=True)
        if any(int(number) != whole for number, whole in pairs):
            distinct, inverse = np.unique(array, return_inverse=True)
            return TextColumn(
                inverse.astype(np.int32), as_levels([str(value) for value in distinct.tolist()])
            )
    return NumberColumn(numbers)


def _of_cells(cells: list[Any], asked: str, spelling: str) -> Column:
    """Return the column of Python objects, each a text, number, truth value, date or nothing."""
    numbers = [row for row, cell in enumerate(cells) if _is_number(cell)] if spelling else []
    if numbers:  # they need no spelling: only the texts beside them do
        return _beside_texts(cells, numbers, asked, spelling)
    known: dict[Any, int] = {}
    codes: Codes = np.empty(len(cells), dtype=np.int32)
    for row, cell in enumerate(cells):
        text = cell if type(cell) is str else text_of_cell(cell, row, asked)
        codes[row] = -1 if text is None else known.setdefault(text, len(known))
    return settle(codes, list(known), asked, lambda row: f"row {row}", spelling=spelling)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float | np.number) and not isinstance(cell, bool)


def _beside_texts(cells: list[Any], numbers: list[int], asked: str, spelling: str) -> Column:
    """Return the column of cells of which some are numbers, and the others written in some way."""
    texts = list(cells)
    for row in numbers:
        texts[row] = None
    column = _of_cells(texts, asked, spelling)
    if not isinstance(column, NumberColumn):
        return _of_cells(cells, asked, "")
    given = _of_cells([cells[row] for row in numbers], asked, "")
    if not isinstance(given, NumberColumn):  # whole numbers that float64 would change
        return _of_cells(cells, asked, "")
    column.values[numbers] = given.values
    return column


def text_of_cell(cell: Any, row: int, asked: str) -> str | None:
    """Return a cell as a CSV file would spell it, or None where it is missing."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(cell, bool | np.bool_):
        return "true" if cell else "false"
    if isinstance(cell, float | np.floating):
        return None if np.isnan(cell) else _spelled(float(cell))
    if isinstance(cell, int | np.integer | str):
        return str(cell)
    if isinstance(cell, decimal.Decimal):
        return None if cell.is_nan() else str(cell)
    if isinstance(cell, datetime.datetime | datetime.date):
        return cell.isoformat()
    if isinstance(cell, np.datetime64):
        return None if np.isnat(cell) else str(cell.astype("datetime64[us]"))
    if isinstance(cell, bytes):
        return _decoded(cell)
    raise DataError(
        asked,
        f"row {row} holds a {type(cell).__name__}, which is no table cell",
        "give numbers, texts, truth values or dates",
    )


def _spelled(number: float) -> str:
    return repr(number) if abs(number) >= EXACT_WHOLE or number % 1 else str(int(number))
