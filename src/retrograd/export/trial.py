"""Rows on which an export is tried: the run's validation rows, and odd ones made of the schema."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from retrograd.data import Table
from retrograd.data.columns import Column, DateColumn, NumberColumn, TextColumn, as_levels, take
from retrograd.data.conversions import as_dates, as_numbers, as_text
from retrograd.data.encodings import (
    BooleanEncoding,
    CategoryEncoding,
    DateEncoding,
    Encoding,
    NumberEncoding,
)
from retrograd.recipe.model import Model
from retrograd.recipe.predictions import outputs_of
from retrograd.recipe.prepare import read_source
from retrograd.recipe.run import read_split, require_same_data
from retrograd.recipe.toml import read_config
from retrograd.tensor.errors import RetrogradError
from retrograd.train.directory import RunPaths

_MOST: Final = 256
_GENERATED: Final = 64
_LARGEST_SOURCE: Final = 50_000_000
"""Bytes of a file that is read again for the sake of a few hundred rows of it."""
_DAY: Final = 86_400_000_000  # microseconds


class Trial(NamedTuple):
    """Rows with what the model needs, and where they come from, in words."""

    rows: Table
    origin: str


def trial_of(model: Model, directory: Path | None) -> Trial:
    """Return rows to try an export on.

    Some are the validation rows of the run in ``directory``, where they can be reached; the others
    are made of the columns' encodings, with cells that are missing, unseen and out of range. The
    sealed test rows are never among them.
    """
    made = _generated(model)
    held_out = None if directory is None else _held_out(model, directory)
    if held_out is None:
        return Trial(_usable(model, made), "rows made from the schema")
    columns = {}
    for encoding in model.preprocessor.encodings:
        name = encoding.column
        columns[name] = _joined(encoding, held_out.columns[name], made.columns[name])
    words = f"{held_out.n_rows} validation rows and {made.n_rows} odd ones made from the schema"
    return Trial(_usable(model, Table("the rows of the trial", columns)), words)


def _usable(model: Model, rows: Table) -> Table:
    """Leave out rows for which the model itself has no finite answer."""
    outputs = outputs_of(model.net, model.preprocessor.transform(rows))
    return rows.take(np.flatnonzero(np.isfinite(outputs).all(axis=1)))


def _held_out(model: Model, directory: Path) -> Table | None:
    """Return some validation rows of a run, or None where its data cannot be reached."""
    try:
        split, record = read_split(directory)
        config = read_config(RunPaths(directory).config)
        source = config.data.source
        if source is None or _size(source) > _LARGEST_SOURCE or not len(split.validation):
            return None
        table = read_source(config.data)
        require_same_data(table, record, "trying an export")
        rows = table.take(split.validation[:_MOST])
        model.preprocessor.transform(rows)
    except RetrogradError:
        return None
    return rows


def _size(source: str) -> int:
    try:
        return os.stat(source).st_size
    except OSError:
        return 0


def _joined(encoding: Encoding, first: Column, second: Column) -> Column:
    """Return the cells of both as one column of the encoding's own kind."""
    if isinstance(encoding, NumberEncoding):
        return NumberColumn(np.concatenate([as_numbers(first)[0], as_numbers(second)[0]]))
    if isinstance(encoding, DateEncoding):
        return DateColumn(np.concatenate([as_dates(first)[0], as_dates(second)[0]]))
    one, other = as_text(first), as_text(second)
    moved = np.where(other.codes < 0, -1, other.codes + len(one.levels)).astype(np.int32)
    levels = as_levels([*one.levels.tolist(), *other.levels.tolist()])
    return TextColumn(np.concatenate([one.codes, moved]), levels)


def _generated(model: Model) -> Table:
    """Return rows with every kind of cell in every column, in an order of its own for each."""
    draw = np.random.default_rng(0)
    columns: dict[str, Column] = {}
    for encoding in model.preprocessor.encodings:
        cells = _cells(encoding, draw)
        rows = draw.permutation(_GENERATED) % _length(cells)
        columns[encoding.column] = take(cells, rows)
    return Table("rows made from the schema", columns)


def _length(column: Column) -> int:
    return len(column.codes if isinstance(column, TextColumn) else column.values)


def _cells(encoding: Encoding, draw: np.random.Generator) -> Column:
    """Return the usual and the odd cells of a column."""
    match encoding:
        case NumberEncoding(_, shift, scale, fill, low, high):
            spread = np.clip(shift + scale * draw.normal(size=24), low, high)
            wide = [low, high, fill, 0.0, -1e300, 1e300, np.nan, np.inf, -np.inf]
            return NumberColumn(np.array([*spread, *wide]))
        case BooleanEncoding():
            return _texts(["yes", "no", "TRUE", "False", "1", "0", None, "perhaps"])
        case CategoryEncoding(_, categories):
            return _texts([*categories[: _GENERATED - 4], None, "never seen before", "Ünseen ✓"])
        case DateEncoding(_, origin):
            days = draw.integers(-4000, 4000, 40) * _DAY + draw.integers(0, _DAY, 40)
            moments = np.array([*(origin + days), origin, -1, 0]).astype("datetime64[us]")
            return DateColumn(np.append(moments, np.datetime64("NaT")))


def _texts(cells: list[Any]) -> TextColumn:
    known = [cell for cell in dict.fromkeys(cells) if cell is not None]
    codes = [-1 if cell is None else known.index(cell) for cell in cells]
    return TextColumn(np.array(codes, np.int32), as_levels(known))
