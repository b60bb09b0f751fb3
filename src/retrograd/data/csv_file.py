"""Tables from CSV and its kin: one pass for columns that look as they began, one for the rest.

The rule is `settling.settle`, which decides over all texts of a column. Columns whose first rows
are plain numbers take a fast path, straight to float64, and leave it for a second pass as soon as a
cell is anything else: the result is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import (
    MISSING_TEXTS,
    Codes,
    Column,
    NumberColumn,
    Rows,
    Spelling,
    number_of,
)
from retrograd.data.csv_blocks import Block, Header, blocks, read_header
from retrograd.data.csv_cells import odd_columns
from retrograd.data.frames import check_memory
from retrograd.data.places import suffixes
from retrograd.data.settling import PLAIN, settle
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

_SAMPLE_ROWS = 1000
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


@dataclass(frozen=True, eq=False)
class _Source:
    """An open file, and what is known of it before its rows are read."""

    file: BinaryIO
    header: Header
    most: int  # rows
    asked: str
    spellings: Mapping[str, str]
    comma_is_decimal: bool

    def is_plain(self, place: int) -> bool:
        """Return whether a column may be read as plain numbers at once."""
        return self.spellings.get(self.header.names[place], "") in ("", PLAIN)


def read_text(
    file: BinaryIO, path: Path, asked: str, spellings: Mapping[str, str] | None = None
) -> Table:
    """Return the table of an open CSV, TSV or other separated text file, in UTF-8.

    spellings: of columns, where they are known.  Raises DataError for whatever is no table, naming
    the line.
    """
    check_memory(file.seek(0, 2), asked)
    header = read_header(file, suffixes(path)[0], asked)
    most = _count_lines(file)
    source = _Source(file, header, most, asked, spellings or {}, header.separator == ";")
    first = _pass_over(source, None)
    if not first.rows:
        raise DataError(asked, "the file has a header but no rows", "give rows")
    lines = _lines(first.lines)
    columns = _texts(first, source, lines) | _numbers(first, header)
    if first.odd:
        columns |= _again(source, first.odd, first.rows, lines)
    doubtful = _may_be_thousands(columns, header)
    if doubtful:
        columns |= _as_thousands(source, doubtful, first.rows, lines)
    ordered = {name: columns[name] for name in header.names}
    return Table(str(path), ordered, notes=header.notes, lines=lines)


def _again(source: _Source, places: set[int], rows: int, lines: Any) -> dict[str, Column]:
    """Return some columns, read again as texts and settled."""
    found = _pass_over(source, sorted(places))
    if found.rows != rows:
        raise DataError(source.asked, "the file changed while it was read", "read it again")
    return _texts(found, source, lines)


def _as_thousands(source: _Source, places: set[int], rows: int, lines: Any) -> dict[str, Column]:
    """Return the columns that write 1.234, beside others that write 1.234,5, as whole numbers."""
    way = "1.234,5"
    found: dict[str, Column] = {}
    for place in sorted(places):
        name = source.header.names[place]
        try:
            read = _again(replace(source, spellings={name: way}), {place}, rows, lines)[name]
        except DataError:  # a cell such as 1.5 that is written plainly
            continue
        doubt = (
            "points are taken for marks between thousands, as other columns have commas before "
            "the fraction; if that is wrong, say its kind is 'number 1234.5'"
        )
        if isinstance(read, NumberColumn):
            found[name] = replace(read, spelling=Spelling(way, f"written as {way!r}", doubt))
    return found


def _may_be_thousands(columns: Mapping[str, Column], header: Header) -> set[int]:
    """Return the columns of plain numbers such as 1.234, if others have commas as decimal marks."""
    spellings = [c.spelling for c in columns.values() if isinstance(c, NumberColumn) and c.spelling]
    if not any("5" in s.text.partition(",")[2][:1] and not s.doubt for s in spellings):
        return set()
    found = set()
    for place, name in enumerate(header.names):
        column = columns[name]
        if not isinstance(column, NumberColumn) or column.spelling:
            continue
        thousands = column.values[np.isfinite(column.values)] * 1000
        odd = thousands[thousands % 1000 != 0]
        # Three digits after the point, as a rule: two only where the third is 0.
        if len(odd) and (abs(odd) < 1e6).all() and (abs(odd - odd.round()) < 1e-6).all():
            found |= {place} if (odd.round() % 10 != 0).mean() >= 0.5 else set()
    return found


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


def _pass_over(source: _Source, texts: list[int] | None) -> _Pass:
    """Read all columns, or only some of them, these as texts."""
    plan = None if texts is None else _plan([], texts, source.most)
    for block in blocks(source.file, source.header, source.asked):
        if plan is None:
            numbers = [i for i in _look_like_numbers(block) if source.is_plain(i)]
            others = sorted(set(range(len(source.header.names))) - set(numbers))
            plan = _plan(numbers, others, source.most)
        _read_block(block, source.header, plan, source.asked)
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
        plan.odd |= odd_columns(block, plan.numbers, values)
        plan.floats[:, rows] = values
    if plan.texts:
        physical = pl.col([str(i) for i in plan.texts]).to_physical().fill_null(_NO_CODE)
        codes = frame.select(physical).to_numpy().T.astype(np.uint32, copy=False)
        plan.codes[:, rows] = codes.view(np.int32)


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


def _texts(read: _Pass, source: _Source, lines: Any) -> dict[str, Column]:
    """Return the text columns, settled: numbers, dates, booleans or texts."""
    import polars as pl

    columns = {}
    for place, codes in zip(read.texts, read.codes[:, : read.rows], strict=True):
        size = int(codes.max()) + 1
        physical = pl.Series(np.arange(size, dtype=np.uint32))
        texts = physical.cat.to(pl.Categorical(read.categories[place])).cast(pl.String).to_list()
        name = source.header.names[place]
        columns[name] = settle(
            codes,
            texts,
            f"{source.asked}, column {name!r}",
            lambda row: f"line {int(lines[row])}",
            spelling=source.spellings.get(name, ""),
            comma_is_decimal=source.comma_is_decimal,
        )
    return columns
