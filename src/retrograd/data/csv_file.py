"""Tables from CSV and its kin: one pass for columns that look as they began, one for the rest.

The rule is `columns.settle`, which decides over all texts of a column. Columns whose first rows are
plain numbers take a fast path, straight to float64, and leave it for a second pass as soon as a
cell is anything else: the result is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import (
    EXACT_WHOLE,
    MISSING_TEXTS,
    Codes,
    Column,
    NumberColumn,
    Rows,
    number_of,
    settle,
)
from retrograd.data.csv_blocks import Block, Header, blocks, read_header
from retrograd.data.frames import check_memory
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

_SAMPLE_ROWS = 1000
_MISSING_BYTES = np.array([text.encode() for text in MISSING_TEXTS], dtype="S8")
_NO_CODE = 2**32 - 1  # becomes -1 as int32


@dataclass(eq=False)
class _Pass:
    """One pass over a file: which columns are read how, and their cells so far."""

    numbers: list[int]
    texts: list[int]
    categories: dict[int, Any]  # polars' table of distinct texts, one for each text column
    floats: npt.NDArray[np.float64]  # (numbers, rows at most)
    codes: Codes  # (texts, rows at most)
    lines: list[Rows] = field(default_factory=list)
    rows: int = 0  # so far
    odd: set[int] = field(default_factory=set)  # number columns that turned out to be none
    held: Any = None  # an empty frame: polars forgets texts that no living column refers to


def read_text(file: BinaryIO, path: Path, asked: str) -> Table:
    """Return the table of an open CSV, TSV or other separated text file.

    Raises DataError for whatever is no table, naming the line.
    """
    check_memory(file.seek(0, 2), asked)
    header = read_header(file, path.suffix.lower(), asked)
    most = _count_lines(file)
    first = _pass_over(file, header, None, most, asked)
    if not first.rows:
        raise DataError(asked, "the file has a header but no rows", "give rows")
    lines = _lines(first.lines)
    columns = _texts(first, header, lines, asked)
    columns |= _numbers(first, header)
    if first.odd:
        second = _pass_over(file, header, sorted(first.odd), most, asked)
        if second.rows != first.rows:
            raise DataError(asked, "the file changed while it was read", "read it again")
        columns |= _texts(second, header, lines, asked)
    ordered = {name: columns[name] for name in header.names}
    return Table(str(path), ordered, notes=header.notes, lines=lines)


def _count_lines(file: BinaryIO) -> int:
    """Return how many rows the file has at most.

    Cells are written where they stay, in memory for that many rows: joining blocks afterwards
    would need twice the memory, and what is never written takes none.
    """
    file.seek(0)
    count = 1
    while content := file.read(1 << 20):
        count += content.count(b"\n")
    return count


def _pass_over(
    file: BinaryIO, header: Header, texts: list[int] | None, most: int, asked: str
) -> _Pass:
    """Read all columns, or only some of them, these as texts."""
    plan = None if texts is None else _plan([], texts, most)
    for block in blocks(file, header, asked):
        if plan is None:
            numbers = _look_like_numbers(block)
            others = sorted(set(range(len(header.names))) - set(numbers))
            plan = _plan(numbers, others, most)
        _read_block(block, header, plan, asked)
    return plan or _plan([], [], 0)


def _plan(numbers: list[int], texts: list[int], most: int) -> _Pass:
    import polars as pl

    return _Pass(
        numbers,
        texts,
        {place: pl.Categories.random() for place in texts},
        floats=np.empty((len(numbers), most)),
        codes=np.empty((len(texts), most), dtype=np.int32),
    )


def _look_like_numbers(block: Block) -> list[int]:
    """Return the columns whose first cells are numbers, or missing but for at least one number."""
    found = []
    for column in range(block.starts.shape[1]):
        pairs = zip(
            block.starts[:_SAMPLE_ROWS, column].tolist(),
            block.ends[:_SAMPLE_ROWS, column].tolist(),
            strict=True,
        )
        seen = False
        for start, end in pairs:
            text = block.content[start:end].decode()
            if number_of(text) is not None:
                seen = True
            elif text not in MISSING_TEXTS:
                break
        else:
            if seen:
                found.append(column)
    return found


def _read_block(block: Block, header: Header, plan: _Pass, asked: str) -> None:
    """Append a block's cells to a pass."""
    import polars as pl

    wanted = sorted([*plan.numbers, *plan.texts])
    schema: dict[str, Any] = {str(i): pl.String() for i in range(len(header.names))}
    schema |= {str(i): pl.Float64() for i in plan.numbers}
    schema |= {str(i): pl.Categorical(plan.categories[i]) for i in plan.texts}
    frame = pl.read_csv(
        block.content,
        has_header=False,
        separator=header.separator,
        schema=schema,
        columns=wanted,
        ignore_errors=True,  # what is no number becomes null, and is looked at below
    )
    if frame.height != len(block.lines):
        found = f"rows cannot be told apart after line {int(block.lines[0])}"
        raise DataError(asked, found, "look for quotes and line ends inside cells there")
    plan.lines.append(block.lines)
    rows = slice(plan.rows, plan.rows + frame.height)
    if rows.stop > plan.codes.shape[1]:
        raise DataError(asked, "the file changed while it was read", "read it again")
    plan.rows = rows.stop
    plan.held = frame.clear() if plan.held is None else plan.held
    if plan.numbers:
        values = frame.select(str(i) for i in plan.numbers).to_numpy().T
        plan.odd |= _odd_columns(block, plan.numbers, values)
        plan.floats[:, rows] = values
    if plan.texts:
        physical = pl.col([str(i) for i in plan.texts]).to_physical().fill_null(_NO_CODE)
        codes = frame.select(physical).to_numpy().T.astype(np.uint32, copy=False)
        plan.codes[:, rows] = codes.view(np.int32)


def _odd_columns(block: Block, numbers: list[int], values: npt.NDArray[np.float64]) -> set[int]:
    """Return the columns with a cell that only `settle` may judge.

    values (columns, rows): as polars read them.  Judged by `settle` are leading zeros, quotes,
    infinities, whole numbers that float64 may change, and texts that are not among the missing.
    """
    content = np.frombuffer(block.content, dtype=np.uint8)
    starts, ends = block.starts[:, numbers].T, block.ends[:, numbers].T
    first = content[starts]
    last = len(content) - 1
    sign = (first == ord("-")) | (first == ord("+"))
    lead = content[np.minimum(starts + sign, last)]
    follow = content[np.minimum(starts + sign + 1, last)]
    odd = (first == ord('"')) & (ends > starts)
    odd |= (lead == ord("0")) & (follow >= ord("0")) & (follow <= ord("9"))
    odd |= np.abs(values) >= EXACT_WHOLE
    column, row = np.nonzero(np.isnan(values) & (ends > starts))
    if len(column):
        known = _are_missing_texts(content, starts[column, row], ends[column, row])
        odd[column[~known], row[~known]] = True
    return {numbers[i] for i in np.flatnonzero(odd.any(axis=1)).tolist()}


def _are_missing_texts(
    content: npt.NDArray[np.uint8], starts: Rows, ends: Rows
) -> npt.NDArray[np.bool_]:
    """Return for each cell whether it spells a missing value; no Python object per cell."""
    places = starts[:, None] + np.arange(8)
    letters = content[np.minimum(places, len(content) - 1)]
    letters = np.where(places < ends[:, None], letters, 0).astype(np.uint8)
    known = np.isin(letters.view("S8").ravel(), _MISSING_BYTES)
    return np.asarray(known & (ends - starts <= 8), dtype=np.bool_)


def _lines(parts: list[Rows]) -> range | Rows:
    """Return the line of each row; an unbroken run takes no memory."""
    lines = np.concatenate(parts)
    parts.clear()
    if int(lines[-1] - lines[0]) == len(lines) - 1:
        return range(int(lines[0]), int(lines[-1]) + 1)
    return lines


def _numbers(read: _Pass, header: Header) -> dict[str, Column]:
    """Return the number columns that stayed numbers."""
    return {
        header.names[place]: NumberColumn(values[: read.rows])
        for place, values in zip(read.numbers, read.floats, strict=True)
        if place not in read.odd
    }


def _texts(read: _Pass, header: Header, lines: Any, asked: str) -> dict[str, Column]:
    """Return the text columns, settled: numbers, dates, booleans or texts."""
    import polars as pl

    columns = {}
    for place, codes in zip(read.texts, read.codes[:, : read.rows], strict=True):
        size = int(codes.max()) + 1
        physical = pl.Series(np.arange(size, dtype=np.uint32))
        texts = physical.cat.to(pl.Categorical(read.categories[place])).cast(pl.String).to_list()
        columns[header.names[place]] = settle(
            codes,
            texts,
            f"{asked}, column {header.names[place]!r}",
            lambda row: f"line {int(lines[row])}",
        )
    return columns
