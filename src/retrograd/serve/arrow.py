"""Rows as an Arrow stream: the frame of a message is checked before any column is read.

Lengths in a hostile stream may promise rows that no byte carries, and compressed columns may grow
without end; so rows are counted first, and compression is refused.
"""

from __future__ import annotations

import asyncio
import io
import struct
from typing import Any, Final

import numpy as np
import polars as pl

from retrograd.data import Preprocessor, Table, read_table
from retrograd.data.columns import is_missing
from retrograd.data.conversions import as_numbers, as_text
from retrograd.data.encodings import CategoryEncoding, NumberEncoding
from retrograd.recipe.predictions import Predictions
from retrograd.serve.batching import Batcher
from retrograd.serve.refusal import RefusedError
from retrograd.serve.rows import RowError
from retrograd.serve.served import Served
from retrograd.serve.settings import Limits
from retrograd.tensor.errors import DataError

_MARK: Final = b"\xff\xff\xff\xff"
_SCHEMA, _DICTIONARY, _RECORDS = 1, 2, 3


async def answer(batcher: Batcher, body: bytes, limits: Limits) -> bytes:
    """Return the predictions for an Arrow stream as an Arrow stream: a row for each row.

    The columns are the target and, for classes, `probability of CLASS`. Raises RefusedError for
    what is no such stream, or whose columns do not fit.
    """
    check_stream(body, limits.rows)
    try:
        found, drift, rows = await asyncio.to_thread(_predict, batcher.served, body)
    except DataError as error:
        raise RefusedError(422, f"{error.asked}: {error.found}") from None
    batcher.batches += 1
    batcher.rows += rows
    for column, counts in drift.items():
        tally = batcher.served.encoder.drift[column]
        tally[:] = [a + b for a, b in zip(tally, counts, strict=True)]
    return found


def check_stream(body: bytes, most_rows: int) -> int:
    """Return how many rows a stream has, by its messages alone; raises RefusedError."""
    start, rows, has_schema = 0, 0, False
    try:
        while start < len(body):
            if body[start : start + 4] != _MARK:
                raise ValueError("a message does not begin where the last one ends")
            (size,) = struct.unpack_from("<i", body, start + 4)
            if size == 0:
                break
            message = _Flat(body[start + 8 : start + 8 + size])
            kind, length = message.number(1, "<B"), message.number(3, "<q")
            start += 8 + size + length
            if size < 0 or length < 0 or start > len(body):
                raise ValueError("a message is longer than the stream")
            has_schema = has_schema or kind == _SCHEMA
            if kind == _RECORDS:
                rows += _rows(message.table(2), most_rows)
            elif kind == _DICTIONARY:
                _rows(message.table(2).table(1), len(body))
    except (struct.error, ValueError) as error:
        found = str(error) if type(error) is ValueError else "its metadata cannot be read"
        raise RefusedError(400, f"the body is no Arrow stream: {found}") from None
    if not has_schema:
        raise RefusedError(400, "the body is no Arrow stream: it has no schema")
    if rows > most_rows:
        found = f"{rows:,} rows are more than the {most_rows:,} that one request may send"
        raise RefusedError(422, found)
    if rows == 0:
        raise RefusedError(422, "the stream holds no rows; send at least one")
    return rows


def _rows(batch: _Flat, most: int) -> int:
    """Return the rows that a record batch promises."""
    if batch.has(3):
        found = "its columns are compressed; write it with compression=None"
        raise RefusedError(415, f"the Arrow stream cannot be read: {found}")
    rows = batch.number(0, "<q")
    lengths = [rows, *batch.pairs(1)]
    if min(lengths) < 0:
        raise ValueError("a column has a negative length")
    if max(lengths) > most:
        raise RefusedError(422, f"{max(lengths):,} rows are more than one request may send")
    return rows


class _Flat:
    """A table of a flatbuffer: fields are found by their number.

    Raises struct.error where the bytes lead out of the buffer.
    """

    def __init__(self, data: bytes, at: int | None = None) -> None:
        self._data = data
        self._at = struct.unpack_from("<I", data)[0] if at is None else at
        self._fields = self._at - struct.unpack_from("<i", data, self._at)[0]
        if self._fields < 0:
            raise ValueError("its metadata cannot be read")
        (self._size,) = struct.unpack_from("<H", data, self._fields)

    def has(self, field: int) -> bool:
        return self._place(field) > 0

    def number(self, field: int, form: str) -> int:
        place = self._place(field)
        return int(struct.unpack_from(form, self._data, place)[0]) if place else 0

    def table(self, field: int) -> _Flat:
        place = self._place(field)
        if not place:
            raise ValueError("its metadata cannot be read")
        return _Flat(self._data, place + struct.unpack_from("<I", self._data, place)[0])

    def pairs(self, field: int) -> list[int]:
        """Return the first of each pair of numbers in a vector."""
        place = self._place(field)
        if not place:
            return []
        place += struct.unpack_from("<I", self._data, place)[0]
        (count,) = struct.unpack_from("<I", self._data, place)
        numbers = struct.unpack_from(f"<{2 * count}q", self._data, place + 4) if count < 1e6 else ()
        return list(numbers[::2])

    def _place(self, field: int) -> int:
        if 4 + 2 * field >= self._size:
            return 0
        (offset,) = struct.unpack_from("<H", self._data, self._fields + 4 + 2 * field)
        return self._at + offset if offset else 0


def _predict(served: Served, body: bytes) -> tuple[bytes, dict[str, list[int]], int]:
    """Return the stream of predictions, the counts of odd cells, and the number of rows."""
    try:
        frame = pl.read_ipc_stream(io.BytesIO(body))
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # polars' own panics are no Exception
        if not isinstance(error, (Exception, pl.exceptions.PanicException)):
            raise
        raise RefusedError(400, "the body is no Arrow stream: its columns cannot be read") from None
    spellings = served.model.schema.spellings
    table = read_table(frame, name="the Arrow stream", spellings=spellings)
    outputs = served.programs.outputs(served.model.preprocessor.transform(table))
    columns = _predictions(served, outputs).to_columns()
    stream = io.BytesIO()
    pl.DataFrame(columns).write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    return stream.getvalue(), drift_of(served.model.preprocessor, table), table.n_rows


def _predictions(served: Served, outputs: Any) -> Predictions:
    """Return the answers as columns, in the form of `Model.predict`."""
    answers = served.answers_of(outputs)
    for row, answer in enumerate(answers):
        if isinstance(answer, RowError):
            raise RowError(answer.found, row)
    values = np.array([answer["value"] for answer in answers if isinstance(answer, dict)])
    table = None
    if served.classes:
        rows = [list(a["probabilities"].values()) for a in answers if isinstance(a, dict)]
        table = np.array(rows)
    return Predictions(served.target, values, table, served.classes)


def drift_of(preprocessor: Preprocessor, table: Table) -> dict[str, list[int]]:
    """Return for each column the cells by oddity: fine (not counted), missing, unseen, outside."""
    counts = {}
    for encoding in preprocessor.encodings:
        column = table.columns[encoding.column]
        missing, unseen, outside = int(is_missing(column).sum()), 0, 0
        if isinstance(encoding, CategoryEncoding):
            known = set(encoding.categories)
            text = as_text(column)
            strange = np.array([*(level not in known for level in text.levels.tolist()), False])
            unseen = int(strange[text.codes].sum())
        elif isinstance(encoding, NumberEncoding):
            values, _ = as_numbers(column)
            known_values = values[np.isfinite(values)]
            outside = int(((known_values < encoding.low) | (known_values > encoding.high)).sum())
        counts[encoding.column] = [0, missing, unseen, outside]
    return counts
