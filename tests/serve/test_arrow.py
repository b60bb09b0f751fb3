"""Arrow streams that lie, grow, or are none are refused before a column is read."""

import io
import struct
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.serve.running import ROW, Running

from retrograd.data import TextColumn, read_table
from retrograd.serve.arrow_stream import read_stream
from retrograd.serve.refusal import RefusedError

ARROW = {"content-type": "application/vnd.apache.arrow.stream"}


def stream(frame: pl.DataFrame, **options: Any) -> bytes:
    written = io.BytesIO()
    frame.write_ipc_stream(written, **options)
    return written.getvalue()


ROWS = pl.DataFrame([ROW, {**ROW, "age": None, "city": "Zug"}, {**ROW, "income": 1e9}])


EVERY = pl.DataFrame(
    {
        "whole": pl.Series([1, None, -3], dtype=pl.Int8),
        "large": pl.Series([2**63, None, 0], dtype=pl.UInt64),
        "real": [1.5, float("nan"), None],
        "single": pl.Series([0.1, None, -0.0], dtype=pl.Float32),
        "truth": [True, None, False],
        "text": ["é", None, "a text of more than twelve bytes"],
        "empty": ["", "", ""],
        "level": pl.Series(["b", None, "a"], dtype=pl.Categorical),
        "nothing": [None, None, None],
        "day": pl.Series([0, None, 19_000], dtype=pl.Int32).cast(pl.Date),
        "second": pl.Series([0, None, 10**12], dtype=pl.Int64).cast(pl.Datetime("ms")),
        "moment": pl.Series([0, None, 1], dtype=pl.Int64).cast(pl.Datetime("ns", "Europe/Zurich")),
    }
)


@pytest.mark.parametrize("level", [pl.CompatLevel.oldest(), pl.CompatLevel.newest()])
@pytest.mark.parametrize("frame", [ROWS, EVERY, pl.concat([EVERY] * 9, rechunk=False)])
def test_streams_are_read_as_polars_reads_them(frame: pl.DataFrame, level: Any) -> None:
    body = stream(frame, compat_level=level)
    found, expected = (read_table(each) for each in (read_stream(body, 100), frame))
    assert list(found.columns) == list(expected.columns)
    for name, column in expected.columns.items():
        ours, theirs = found.columns[name], column
        if isinstance(ours, TextColumn) and isinstance(theirs, TextColumn):
            assert ours.levels[ours.codes].tolist() == theirs.levels[theirs.codes].tolist()
            assert (ours.codes < 0).tolist() == (theirs.codes < 0).tolist()
        else:
            assert np.array_equal(ours.values, theirs.values, equal_nan=True), name  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "no Arrow stream: it has no schema"),
        (b"PAR1" + b"\0" * 100, 400, "a message does not begin where the last one ends"),
        (b"\xff\xff\xff\xff", 400, "its metadata cannot be read"),
        (b"\xff\xff\xff\xff\x10\0\0\0" + b"\xff" * 16, 400, "its metadata cannot be read"),
        (stream(ROWS)[:300], 400, "no Arrow stream: "),
        (stream(ROWS, compression="zstd"), 415, "its columns are compressed"),
        (stream(ROWS, compression="lz4"), 415, "write it with compression=None"),
        (stream(ROWS.clear()), 422, "the stream holds no rows; send at least one"),
        (stream(pl.DataFrame({"a": [None] * 200})), 422, "200 rows are more than the 100 that one"),
        (stream(pl.concat([ROWS] * 34, rechunk=False)), 422, "102 rows are more than"),
    ],
)
def test_wrong_streams_are_refused(body: bytes, status: int, words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read_stream(body, 100)
    assert (refused.value.status, words in refused.value.error) == (status, True), refused.value


def test_a_promise_of_rows_that_no_byte_carries_is_refused() -> None:
    body = stream(pl.DataFrame({"a": [None] * 77}))
    assert body.count(struct.pack("<q", 77)) >= 2
    for lie in (2**40, -5):
        with pytest.raises(RefusedError, match=r"rows are more than|negative length"):
            read_stream(body.replace(struct.pack("<q", 77), struct.pack("<q", lie)), 100)


def test_texts_that_grow_are_refused() -> None:
    long = pl.Series(["x" * 50_000] * 90, dtype=pl.Categorical)
    with pytest.raises(RefusedError, match="its texts repeat too much; send fewer rows"):
        read_stream(stream(pl.DataFrame({"a": long})), 100)


def test_lies_about_places_are_refused() -> None:
    """Every number in the metadata that tells a place or a length may be any other."""
    words, body = set(), stream(EVERY.drop("single", "second", "moment", "truth"))
    for place in range(0, len(body) - 8, 4):
        for lie in (-1, 10_000):
            broken = body[:place] + struct.pack("<i", lie) + body[place + 4 :]
            try:
                read_stream(broken, 100)
            except RefusedError as error:
                words.add(error.error.partition(": ")[2] or error.error)
    assert {
        "a column lies outside of its message",
        "a message does not begin where the last one ends",
        "a message is longer than the stream",
        "a column's texts lie outside of it",
        "a column names what its dictionary does not have",
        "its columns are not of one length",
        "a column has a negative length",
        "its metadata cannot be read",
    } <= words


def test_cells_that_do_not_fit_are_named(server: Running) -> None:
    wrong = {
        "expected columns": (ROWS.drop("city"), "column 'city' is missing"),
        "kinds": (ROWS.with_columns(age=pl.Series(["x", "y", "z"])), "'x' at row 0 is no number"),
        "nested": (
            ROWS.with_columns(age=pl.Series([[1], [2], [3]])),
            "does not hold single values",
        ),
    }
    for frame, words in wrong.values():
        reply = server.client.post("/predict", content=stream(frame), headers=ARROW)
        assert (reply.status_code, words in reply.json()["error"]) == (422, True), reply.text


def test_odd_cells_are_counted(server: Running) -> None:
    before = counts(server)
    assert server.client.post("/predict", content=stream(ROWS), headers=ARROW).status_code == 200
    after = counts(server)
    grown = {name for name, value in after.items() if value == before.get(name, 0) + 1}
    assert {("age", "missing"), ("city", "unseen"), ("income", "out_of_range")} <= grown


def counts(server: Running) -> dict[tuple[str, str], float]:
    """Return the drift counters of the model shop by column and kind."""
    found = {}
    for line in server.client.get("/metrics").text.splitlines():
        if line.startswith("retrograd_drift_cells_total{") and 'model="shop"' in line:
            labels = dict(
                each.split("=") for each in line[line.index("{") + 1 : line.index("}")].split(",")
            )
            found[labels["column"].strip('"'), labels["kind"].strip('"')] = float(line.split()[-1])
    return found


def test_bytes_that_flip_end_no_server(server: Running) -> None:
    body, draw = stream(ROWS), np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(body)
        for place in draw.integers(0, len(body), draw.integers(1, 6)):
            broken[place] = draw.integers(256)
        reply = server.client.post("/predict", content=bytes(broken), headers=ARROW)
        assert reply.status_code in (200, 400, 413, 415, 422), reply.text
    assert server.process.poll() is None
