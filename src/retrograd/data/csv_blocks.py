"""A CSV file as blocks of whole rows, each cell's place known, each malformed line refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import Rows, number_of
from retrograd.tensor.errors import DataError

BLOCK_BYTES = 4 << 20  # read at once: larger ones cost memory, smaller ones time
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'
Places = npt.NDArray[np.int64]


class Header(NamedTuple):
    """The columns' names, the separator, and where the rows begin (bytes, and line from 1)."""

    names: tuple[str, ...]
    separator: str
    start: int
    line: int
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Block:
    """Whole rows.  content: their bytes, without empty lines, every line ended.

    starts, ends (rows, columns): where each cell begins and stops in `content`, quotes included.
    lines (rows,): the line of the file on which each row begins, from 1.
    """

    content: bytes
    starts: Places
    ends: Places
    lines: Rows


def read_header(file: BinaryIO, suffix: str, asked: str) -> Header:
    """Return the header of a text file, its separator sniffed from the first lines.

    Raises DataError for names that occur twice, an unclosed quote, and a file without lines.
    """
    file.seek(0)
    content = file.read(1 << 16)
    while (stop := _last_row_end(content)) < 0 and (more := file.read(len(content))):
        content += more
    whole = not file.read(1)
    mark = 3 if content.startswith(b"\xef\xbb\xbf") else 0
    content = content[mark:] if whole or stop < 0 else content[mark : stop + 1]
    check_bytes(content, 1, asked)
    blank = len(content) - len(content.lstrip(b"\r\n"))
    text = content[blank:]
    if not text.strip():
        raise DataError(asked, "the file holds no text", "give a file with a header and rows")
    first = text[: _first_row_end(text) + 1]
    if b"\r" in first.rstrip(b"\r\n"):
        found = "lines end in bare carriage returns"
        raise DataError(asked, found, "save the file with ordinary line ends")
    separator = _sniff(text, first, suffix)
    names = _names(first, separator, asked)
    line = 1 + content[:blank].count(b"\n")
    if all(number_of(name.strip()) is not None for name in names) and not _is_count(names):
        note = (
            "the first line holds numbers only: it is read as data, the columns are column_1, ..."
        )
        unnamed = tuple(f"column_{i + 1}" for i in range(len(names)))
        return Header(unnamed, separator, mark + blank, line, (note,))
    start = mark + blank + len(first)
    notes = _notes_on_names(names)
    return Header(_unique(names, asked), separator, start, line + first.count(b"\n"), notes)


def _notes_on_names(names: list[str]) -> tuple[str, ...]:
    """Return a note if a name is a number with a fraction, as no column but many a cell is."""
    odd = [name for name in names if number_of(name) is not None and not name.isdigit()]
    if not odd:
        return ()
    return (
        f"the first line is read as names, but {odd[0]!r} looks like data: if it is a row, write a "
        "line of names above it",
    )


def _names(first: bytes, separator: str, asked: str) -> list[str]:
    """Return the cells of the first row."""
    text = first.decode("utf-8")
    if first.count(b'"') % 2:
        raise DataError(asked, "a quote in the header is never closed", "close it")
    row = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    return [cell.strip() for cell in row]


def _unique(names: list[str], asked: str) -> tuple[str, ...]:
    """Return the names, nameless columns numbered; refuse a name that occurs twice."""
    named = tuple(name or f"column_{i + 1}" for i, name in enumerate(names))
    places: dict[str, int] = {}
    for place, name in enumerate(named):
        if places.setdefault(name, place) != place:
            found = f"columns {places[name] + 1} and {place + 1} are both called {name!r}"
            raise DataError(asked, found, "rename one of them")
    return named


def _is_count(names: list[str]) -> bool:
    """Return whether the names are 0, 1, 2, ...: what pandas calls columns without names."""
    return len(names) > 1 and names == [str(i) for i in range(len(names))]


def _sniff(text: bytes, first: bytes, suffix: str) -> str:
    """Return the separator: by suffix, or what cuts the first lines into the most equal cells."""
    if suffix == ".tsv":
        return "\t"
    candidates = b",;\t|" if suffix == ".csv" else b",;\t| "
    lines = text.split(b"\n")[1:21]

    def quality(separator: int) -> tuple[bool, int]:
        mark = bytes([separator])
        counts = [_outside_quotes(line).count(mark) for line in lines if line.strip()]
        wanted = _outside_quotes(first).count(mark)
        return bool(wanted) and all(count == wanted for count in counts), wanted

    best = max(candidates, key=lambda mark: (*quality(mark), -candidates.index(mark)))
    return chr(best) if quality(best)[1] else ","


def _outside_quotes(line: bytes) -> bytes:
    return b"".join(line.split(b'"')[::2])


def blocks(file: BinaryIO, header: Header, asked: str) -> Iterator[Block]:
    """Yield all rows of a file, in blocks of about `BLOCK_BYTES`.

    Raises DataError naming the line for NUL bytes, text that is not UTF-8, rows with more or
    fewer cells than the header, and quotes that are not closed or stand inside a cell.
    """
    file.seek(header.start)
    line, kept, size = header.line, b"", BLOCK_BYTES
    while True:
        more = file.read(size)
        content = kept + more
        if not more and content and not content.endswith(b"\n"):
            content += b"\n"
        stop = _last_row_end(content)
        if stop < 0 and more:
            kept, size = content, 2 * max(size, len(content))  # doubling: linear in the end
            continue
        check_bytes(content[: stop + 1] if stop >= 0 else content, line, asked)
        if not more and stop + 1 < len(content):
            line += content.count(b"\n", 0, stop + 1)
            found = f"a quote opens in the row that begins on line {line} and is never closed"
            raise DataError(asked, found, "close it, or double quotes inside a cell")
        if stop >= 0:
            yield from _framed(content[: stop + 1], header, line, asked)
            line += content.count(b"\n", 0, stop + 1)
        if not more:
            return
        kept, size = content[stop + 1 :], BLOCK_BYTES


def check_bytes(content: bytes, line: int, asked: str) -> None:
    """Refuse bytes that are no UTF-8 text; `line` is that of the first byte."""
    nul = content.find(b"\x00")
    if nul >= 0:
        line += content.count(b"\n", 0, nul)
        found = f"line {line} holds a NUL byte: the file is binary, or UTF-16 text"
        raise DataError(asked, found, "give UTF-8 text")
    if content.isascii():
        return
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and len(content) - error.start < 4:
            return  # a character cut by the end of a block; the next block shows the rest
        line += content.count(b"\n", 0, error.start)
        found = f"line {line} holds byte 0x{content[error.start]:02x}, which is not UTF-8"
        raise DataError(asked, found, "save the file as UTF-8") from None


def _last_row_end(content: bytes) -> int:
    """Return where the last whole row ends: its newline, outside quotes; -1 if there is none."""
    stop = content.rfind(b"\n")
    while stop >= 0 and content.count(b'"', 0, stop) % 2:
        stop = content.rfind(b"\n", 0, content.rfind(b'"', 0, stop))
    return stop


def _first_row_end(content: bytes) -> int:
    """Return where the first row ends, or the last byte."""
    stop = content.find(b"\n")
    while stop >= 0 and content.count(b'"', 0, stop) % 2:
        stop = content.find(b"\n", stop + 1)
    return stop if stop >= 0 else len(content) - 1


def _framed(
    content: bytes, header: Header, line: int, asked: str, known: Rows | None = None
) -> Iterator[Block]:
    """Yield the block of these rows, or nothing if all lines are empty.

    known: the line of each row, where empty lines have already been taken out.
    """
    width = len(header.names)
    numbers = np.frombuffer(content, dtype=np.uint8)
    newlines = np.flatnonzero(numbers == _NEWLINE)
    marks = np.flatnonzero((numbers == _NEWLINE) | (numbers == ord(header.separator)))
    if b'"' in content:
        quotes = np.flatnonzero(numbers == _QUOTE)
        _check_quotes(numbers, quotes, header, newlines, line, asked)
        marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    is_end = numbers[marks] == _NEWLINE
    begins = np.concatenate([[0], marks[is_end][:-1] + 1]).astype(np.int64)
    lines = line + np.searchsorted(newlines, begins) if known is None else known
    cells = np.diff(np.flatnonzero(is_end), prepend=-1)
    if (cells != width).any():
        full, rows = _without_empty_lines(content, numbers, begins, marks[is_end])
        if len(rows) < len(lines):
            yield from _framed(full, header, line, asked, lines[rows]) if full else ()
            return
        _check_width(cells, lines, header, asked)
    ends = marks.reshape(-1, width)
    starts = np.concatenate([[0], marks[:-1] + 1]).reshape(-1, width)
    ends[:, -1] -= (numbers[ends[:, -1] - 1] == _RETURN) & (ends[:, -1] > starts[:, -1])
    yield Block(content, starts, ends, lines)


def _without_empty_lines(
    content: bytes, numbers: npt.NDArray[np.uint8], begins: Places, stops: Places
) -> tuple[bytes, Places]:
    """Return the content without empty lines, and which rows are left.

    Not asked for files of one column: there an empty line is a missing cell.
    """
    size = stops - begins
    empty = (size == 0) | ((size == 1) & (numbers[begins] == _RETURN))
    return numbers[np.repeat(~empty, size + 1)].tobytes(), np.flatnonzero(~empty)


def _check_width(cells: Places, lines: Rows, header: Header, asked: str) -> None:
    """Refuse the first row with more or fewer cells than the header has names."""
    wrong = np.flatnonzero(cells != len(header.names))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            asked,
            f"line {int(lines[row])} has {int(cells[row])} cells, and the header has "
            f"{len(header.names)} columns, separated by {header.separator!r}",
            "correct the line; quote cells that hold the separator",
        )


def _check_quotes(
    numbers: npt.NDArray[np.uint8],
    quotes: Places,
    header: Header,
    newlines: Places,
    line: int,
    asked: str,
) -> None:
    """Refuse a quote in the middle of a cell: it would swallow what follows."""
    limits: Any = [_NEWLINE, ord(header.separator), _QUOTE]
    opening, closing = quotes[::2], quotes[1::2]
    before = numbers[np.maximum(opening - 1, 0)]
    after = numbers[closing + 1]  # content ends in a newline, so there is one
    bad_open = opening[~(np.isin(before, limits) | (opening == 0))]
    bad_close = closing[~np.isin(after, [*limits, _RETURN])]
    if len(bad_open) or len(bad_close):
        at = min([*bad_open[:1].tolist(), *bad_close[:1].tolist()])
        found = f"line {line + int(np.searchsorted(newlines, at))} has a quote inside a cell"
        raise DataError(asked, found, "quote the whole cell, and double the quotes inside it")
