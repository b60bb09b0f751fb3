"""An Arrow stream becomes columns, with every length and place checked before it is used.

Readers made for speed trust what they read, and end with the process where a hostile stream lies;
a server cannot. What is read here: numbers, truth values, texts (also as dictionaries and views),
dates and moments, and columns of nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from retrograd.serve.flatbuffer import BROKEN, Flat
from retrograd.serve.refusal import RefusedError

_MARK: Final = b"\xff\xff\xff\xff"
_SCHEMA, _DICTIONARY, _RECORDS = 1, 2, 3
_NULL, _INT, _REAL, _TEXT, _BOOL, _DATE, _MOMENT, _LARGE, _VIEW = 1, 2, 3, 5, 6, 8, 10, 20, 24
_WIDTHS: Final = (8, 16, 32, 64)
_UNITS: Final = ("s", "ms", "us", "ns")
Raw = npt.NDArray[Any]


@dataclass(frozen=True)
class _Field:
    """A column: its name, the kind of its values, how they lie, and its dictionary, if any."""

    name: str
    kind: int
    layout: str
    dictionary: int | None = None
    index: str = ""


def read_stream(body: bytes, most_rows: int) -> pl.DataFrame:
    """Return the table of a stream.

    Raises RefusedError for what is no such stream, is compressed, has columns of other kinds, no
    rows, or more than may be sent.
    """
    try:
        return _Stream(body, most_rows).frame()
    except (struct.error, ValueError, OverflowError, IndexError) as error:
        known = type(error) is ValueError and len(error.args) == 1 and "buffer" not in str(error)
        found = str(error) if known else BROKEN
        raise RefusedError(400, f"the body is no Arrow stream: {found}") from None


class _Stream:
    """One reading: the fields, the dictionaries so far, and the parts of every column."""

    def __init__(self, body: bytes, most_rows: int) -> None:
        self._body, self._most = body, most_rows
        self._fields: list[_Field] = []
        self._dictionaries: dict[int, list[str | None]] = {}
        self._parts: list[list[pl.Series]] = []
        self._rows = self._letters = 0

    def frame(self) -> pl.DataFrame:
        for kind, header, data in self._messages():
            if kind == _SCHEMA and not self._fields:
                self._fields = [_field(each) for each in header.tables(1)]
                if len({field.name for field in self._fields}) < len(self._fields):
                    raise ValueError("two of its columns have the same name")
                self._parts = [[] for _ in self._fields]
            elif kind == _DICTIONARY:
                self._add_dictionary(header, data)
            elif kind == _RECORDS:
                self._add_rows(header, data)
        if not self._fields:
            raise ValueError("it has no schema")
        if not self._rows:
            raise RefusedError(422, "the stream holds no rows; send at least one")
        columns = zip(self._fields, self._parts, strict=True)
        return pl.DataFrame({field.name: pl.concat(parts) for field, parts in columns})

    def _messages(self) -> Iterator[tuple[int, Flat, memoryview]]:
        """Give each message: its kind, its header, and the bytes of its columns."""
        start, body = 0, self._body
        while start < len(body):
            if body[start : start + 4] != _MARK:
                raise ValueError("a message does not begin where the last one ends")
            (size,) = struct.unpack_from("<i", body, start + 4)
            if size == 0:
                return
            message = Flat(body[start + 8 : start + 8 + max(size, 0)])
            kind, length = message.number(1, "<B"), message.number(3, "<q")
            middle = start + 8 + size
            start = middle + length
            if size < 0 or length < 0 or start > len(body):
                raise ValueError("a message is longer than the stream")
            yield kind, message.table(2), memoryview(body)[middle:start]

    def _add_dictionary(self, header: Flat, data: memoryview) -> None:
        number, batch = header.number(0, "<q"), _Batch(header.table(1), data)
        fields = [field for field in self._fields if field.dictionary == number]
        if not fields:
            raise ValueError("a dictionary is of no column")
        batch.require_rows(len(self._body))
        found = self._texts(batch, fields[0].kind)
        before = self._dictionaries.get(number, []) if header.number(2, "<B") else []
        self._dictionaries[number] = before + found

    def _add_rows(self, header: Flat, data: memoryview) -> None:
        batch = _Batch(header, data)
        batch.require_rows(self._most)
        self._rows += batch.rows
        if self._rows > self._most:
            found = f"{self._rows:,} rows are more than the {self._most:,}"
            raise RefusedError(422, f"{found} that one request may send")
        for field, parts in zip(self._fields, self._parts, strict=True):
            parts.append(self._column(field, batch))

    def _column(self, field: _Field, batch: _Batch) -> pl.Series:
        """Return the next column of a batch."""
        if field.dictionary is not None:
            missing, codes = batch.missing(), batch.array(field.index)
            known = self._dictionaries.get(field.dictionary, [])
            places = np.where(missing, 0, codes.astype(np.int64))
            if (
                batch.rows
                and not missing.all()
                and not ((places >= 0) & (places < len(known))).all()
            ):
                raise ValueError("a column names what its dictionary does not have")
            lengths = np.array([len(text or "") for text in known] or [0])
            self._count(int(lengths[places].sum()))
            cells = zip(places.tolist(), missing.tolist(), strict=True)
            texts = [None if absent else known[place] for place, absent in cells]
            return pl.Series(field.name, texts, pl.String)
        if field.kind in (_TEXT, _LARGE, _VIEW):
            return pl.Series(field.name, self._texts(batch, field.kind), pl.String)
        if field.kind == _NULL:
            batch.missing(has_bits=False)
            return pl.Series(field.name, [None] * batch.rows, pl.Float64)
        missing = batch.missing()
        if field.kind == _BOOL:
            values: Raw = batch.bits()
        elif field.layout == "date":  # whole days in 32 bits, which NumPy has no type for
            values = batch.array("<i4").astype("datetime64[D]")
        else:
            values = batch.array(field.layout)
        if values.dtype.kind == "M":
            values = values.astype("datetime64[us]")
        elif values.dtype == np.float16:
            values = values.astype(np.float32)
        series = pl.Series(field.name, values)
        return series.scatter(np.flatnonzero(missing), None) if missing.any() else series

    def _texts(self, batch: _Batch, kind: int) -> list[str | None]:
        missing = batch.missing()
        if kind == _VIEW:
            return batch.views(missing, self._count)
        offsets = batch.array(
            "<i8" if kind == _LARGE else "<i4", batch.rows + 1 if batch.rows else 0
        )
        data = bytes(batch.take())
        if not batch.rows:
            return []
        if offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) < 0).any():
            raise ValueError("a column's texts lie outside of it")
        ends = offsets.tolist()
        return [
            None if absent else data[ends[i] : ends[i + 1]].decode()
            for i, absent in enumerate(missing.tolist())
        ]

    def _count(self, letters: int) -> None:
        """Refuse texts that are small in the stream and large outside of it."""
        self._letters += letters
        if self._letters > max(4 * len(self._body), 2**20):
            raise RefusedError(422, "its texts repeat too much; send fewer rows in one request")


class _Batch:
    """The buffers of a batch of rows, taken one after the other."""

    def __init__(self, header: Flat, data: memoryview) -> None:
        if header.has(3):
            found = "its columns are compressed; write it with compression=None"
            raise RefusedError(415, f"the Arrow stream cannot be read: {found}")
        self.rows = header.number(0, "<q")
        self._nodes, self._buffers = header.pairs(1)[::-1], header.pairs(2)[::-1]
        self._more = header.numbers(4)[::-1]
        self._data = data

    def require_rows(self, most: int) -> None:
        """Refuse a promise of more rows than may be, or fewer than none."""
        if self.rows < 0:
            raise ValueError("a column has a negative length")
        if self.rows > most:
            found = f"{self.rows:,} rows are more than the {most:,} that one request may send"
            raise RefusedError(422, found)

    def take(self) -> memoryview:
        """Return the bytes of the next buffer."""
        start, size = self._buffers.pop()
        if start < 0 or size < 0 or start + size > len(self._data):
            raise ValueError("a column lies outside of its message")
        return self._data[start : start + size]

    def array(self, layout: str, count: int | None = None) -> Raw:
        """Return the next buffer as numbers, one a row."""
        return np.frombuffer(self.take(), layout, self.rows if count is None else count)

    def bits(self) -> npt.NDArray[np.bool_]:
        """Return the next buffer as truth values, one a row."""
        found = np.frombuffer(self.take(), np.uint8, -(-self.rows // 8))
        return np.unpackbits(found, bitorder="little")[: self.rows].astype(np.bool_)

    def missing(self, *, has_bits: bool = True) -> npt.NDArray[np.bool_]:
        """Return where the next column holds nothing."""
        length, absent = self._nodes.pop()
        if length != self.rows:
            raise ValueError("its columns are not of one length")
        if not has_bits:
            return np.ones(self.rows, np.bool_)
        if absent == 0:
            self.take()
            return np.zeros(self.rows, np.bool_)
        return ~self.bits()

    def views(self, missing: npt.NDArray[np.bool_], count: Any) -> list[str | None]:
        """Return texts of which short ones lie in place, and long ones in buffers of their own."""
        views, buffers = bytes(self.take()), []
        for _ in range(self._more.pop() if self._more else 0):
            buffers.append(bytes(self.take()))
        if len(views) < 16 * self.rows:
            raise ValueError("a column's texts lie outside of it")
        found: list[str | None] = []
        for row, absent in enumerate(missing.tolist()):
            size, _, buffer, start = struct.unpack_from("<iiii", views, 16 * row)
            if absent:
                found.append(None)
                continue
            if size < 0 or start < 0 < size - 12:
                raise ValueError("a column's texts lie outside of it")
            count(size)
            data = views[16 * row + 4 : 16 * row + 16] if size <= 12 else buffers[buffer][start:]
            text = data[:size]
            if len(text) < size:
                raise ValueError("a column's texts lie outside of it")
            found.append(text.decode())
        return found


def _field(given: Flat) -> _Field:
    """Return one column of the schema; raises RefusedError for a kind that no table has."""
    name, kind = given.text(0), given.number(2, "<B")
    layout = _layout(kind, given.table(3), name) if kind != _NULL else ""
    if not given.has(4):
        return _Field(name, kind, layout)
    dictionary = given.table(4)
    index = _layout(_INT, dictionary.table(1), name) if dictionary.has(1) else "<i4"
    if kind not in (_TEXT, _LARGE, _VIEW):
        raise _unknown(name)
    return _Field(name, kind, layout, dictionary.number(0, "<q"), index)


def _layout(kind: int, told: Flat, name: str) -> str:
    """Return how the values of a column lie, in NumPy's words; nothing for texts and bits."""
    if kind in (_TEXT, _LARGE, _VIEW, _BOOL):
        return ""
    if kind == _INT and told.number(0, "<i") in _WIDTHS:
        return f"<{'i' if told.number(1, '<B') else 'u'}{told.number(0, '<i') // 8}"
    if kind == _REAL and told.number(0, "<h") in (0, 1, 2):
        return ("<f2", "<f4", "<f8")[told.number(0, "<h")]
    if kind == _DATE and told.number(0, "<h", 1) == 1:
        return "<M8[ms]"
    if kind == _DATE:
        return "date"
    if kind == _MOMENT and 0 <= told.number(0, "<h") < len(_UNITS):
        return f"<M8[{_UNITS[told.number(0, '<h')]}]"
    raise _unknown(name)


def _unknown(name: str) -> RefusedError:
    found = f"column {name!r} does not hold single values of a kind that tables have"
    return RefusedError(422, f"{found}; send numbers, truth values, texts or dates", field=name)
