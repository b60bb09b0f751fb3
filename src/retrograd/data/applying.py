"""Encodings applied to columns: features as numbers, and sentences about what was odd."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import Column, Floats
from retrograd.data.conversions import as_booleans, as_dates, as_numbers, as_text, text_at
from retrograd.data.encodings import (
    BooleanEncoding,
    CategoryEncoding,
    DateEncoding,
    Encoding,
    NumberEncoding,
    feature_names,
)
from retrograd.data.fitting import date_part
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

LARGEST = 1e6  # standard deviations: farther cells are moved here, and counted
Features = npt.NDArray[np.float32]


def apply(encoding: Encoding, table: Table, out: Features) -> None:
    """Write the features of one column of a table into out (rows, width)."""
    column = table.columns[encoding.column]
    match encoding:
        case NumberEncoding(_, shift, scale, fill, low, high, indicator):
            values, missing = _numbers(encoding, table)
            values = np.clip(np.where(missing, fill, values), low, high)
            out[:, 0] = np.clip(standardise(values, shift, scale), -LARGEST, LARGEST)
        case BooleanEncoding(_, fill, indicator):
            values, _ = as_booleans(column)
            missing = np.isnan(values)
            out[:, 0] = np.where(missing, fill, values)
        case DateEncoding(_, _, _, indicator):
            missing = _apply_date(encoding, table, out)
        case CategoryEncoding():
            places = category_places(encoding, column)
            out[...] = 0
            rows = np.flatnonzero(places >= 0)
            out[rows, places[rows]] = 1
            return
    if indicator:
        out[:, -1] = missing


def standardise(values: Floats, shift: float, scale: float) -> Floats:
    """Return (values - shift) / scale; halves keep the difference of two huge numbers finite."""
    with np.errstate(over="ignore"):
        return np.asarray((values * 0.5 - shift * 0.5) / scale * 2.0, dtype=np.float64)


def category_places(encoding: CategoryEncoding, column: Column) -> npt.NDArray[np.int64]:
    """Return the feature (from 0) that is 1 in each row, -1 where none is."""
    text = as_text(column)
    place = {category: i for i, category in enumerate(encoding.categories)}
    size = len(encoding.categories)
    other = size if encoding.other else -1
    missing = size + encoding.other if encoding.missing else -1
    # The last entry answers code -1: missing.
    table = [*(place.get(level, other) for level in text.levels.tolist()), missing]
    return np.array(table, dtype=np.int64)[text.codes]


def _numbers(encoding: NumberEncoding, table: Table) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return a column's numbers, and where they are missing or infinite."""
    column = table.columns[encoding.column]
    values, bad = as_numbers(column)
    if len(bad) and not encoding.lenient:
        _refuse_cell(encoding.column, table, int(bad[0]), "number")
    return values, ~np.isfinite(values)


def _apply_date(encoding: DateEncoding, table: Table, out: Features) -> npt.NDArray[np.bool_]:
    """Write the parts of dates, and return where they are missing."""
    moments, bad = as_dates(table.columns[encoding.column])
    if len(bad):
        _refuse_cell(encoding.column, table, int(bad[0]), "date")
    missing = np.isnat(moments)
    for place, part in enumerate(encoding.parts):
        values = date_part(moments[~missing], part.name, encoding.origin)
        scaled = standardise(values, part.shift, part.scale)
        out[missing, place] = 0
        out[~missing, place] = np.clip(scaled, -LARGEST, LARGEST)
    return missing


def _refuse_cell(name: str, table: Table, row: int, kind: str) -> None:
    """Refuse a cell that is not what the column held in training."""
    raise DataError(
        f"reading column {name!r} of {table.name!r}",
        f"{text_at(table.columns[name], row)!r} at {table.place(row)} is no {kind}, "
        f"and the network was trained with {kind}s",
        "correct the cell, or leave it empty",
    )


def notes_on(encoding: Encoding, column: Column) -> list[str]:
    """Return what is odd about a column: unseen, missing, infinite and far-off cells, counted."""
    name, notes = encoding.column, []
    missing = 0
    match encoding:
        case CategoryEncoding(_, _, _, seen):
            notes += _unseen_categories(encoding, column)
            missing = 0 if seen else int((as_text(column).codes < 0).sum())
            filled = "no category"
        case NumberEncoding(_, _, _, fill, low, high, seen):
            values, bad = as_numbers(column)
            infinite = int(np.isinf(values).sum())
            if infinite:
                notes.append(f"{name!r}: {_cells(infinite)} infinite, taken as missing")
            if len(bad):
                notes.append(f"{name!r}: {_cells(len(bad))} no number, taken as missing")
            known = values[np.isfinite(values)]
            # A little outside is usual in new rows; a whole range outside is worth a word.
            reach = np.abs(np.clip(known, low, high) * 0.5 - known * 0.5)
            far = int((reach > high * 0.5 - low * 0.5).sum())
            if far:
                notes.append(
                    f"{name!r}: {_cells(far)} far outside the training range, taken for the "
                    f"nearest it had, {low:g} or {high:g}"
                )
            missing = 0 if seen else len(values) - len(known)
            filled = f"the training median {fill:g}"
        case BooleanEncoding(_, fill, seen):
            values, bad = as_booleans(column)
            if len(bad):
                notes.append(f"{name!r}: {_cells(len(bad))} neither yes nor no, taken as missing")
            missing = 0 if seen else int(np.isnan(values).sum())
            filled = "yes" if fill else "no"
        case DateEncoding(_, _, _, seen):
            missing = 0 if seen else int(np.isnat(as_dates(column)[0]).sum())
            filled = "the training mean"
    if missing:
        notes.append(f"{name!r}: {_cells(missing)} missing, none was in training: {filled}")
    return notes


def _unseen_categories(encoding: CategoryEncoding, column: Column) -> list[str]:
    """Return a note on texts that are no category of their own."""
    text = as_text(column)
    known = set(encoding.categories)
    own = np.array([*(level in known for level in text.levels.tolist()), True])
    rows = np.flatnonzero(~own[text.codes])
    if not len(rows):
        return []
    first = text_at(text, int(rows[0]))
    taken = "counted as (other)" if encoding.other else "no category"
    return [f"{encoding.column!r}: {_cells(len(rows))} rare or unseen, such as {first!r}: {taken}"]


def _cells(count: int) -> str:
    return "1 cell is" if count == 1 else f"{count:,} cells are"


def width(encoding: Encoding) -> int:
    """Return how many features an encoding makes."""
    return len(feature_names(encoding))
