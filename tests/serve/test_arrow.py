"""Arrow streams that lie, grow, or are none are refused before a column is read."""

import io
import struct
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.serve.running import ROW, Running

from retrograd.serve.arrow import check_stream
from retrograd.serve.refusal import RefusedError

ARROW = {"content-type": "application/vnd.apache.arrow.stream"}


def stream(frame: pl.DataFrame, **options: Any) -> bytes:
    written = io.BytesIO()
    frame.write_ipc_stream(written, **options)
    return written.getvalue()


ROWS = pl.DataFrame([ROW, {**ROW, "age": None, "city": "Zug"}, {**ROW, "income": 1e9}])


@pytest.mark.parametrize(
    ("frame", "rows"),
    [
        (ROWS, 3),
        (pl.DataFrame({"a": ["x", "y"] * 50}, schema={"a": pl.Categorical}), 100),
        (pl.DataFrame({"a": [None] * 7}), 7),
        (pl.DataFrame({"a": [[1], [2]], "b": [{"c": 1}, {"c": 2}]}), 2),
    ],
)
def test_rows_are_counted_by_the_messages(frame: pl.DataFrame, rows: int) -> None:
    assert check_stream(stream(frame), 100) == rows


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
        (stream(pl.DataFrame({"a": [None] * 200})), 422, "200 rows are more than one request may"),
        (stream(pl.concat([ROWS] * 34, rechunk=False)), 422, "102 rows are more than"),
    ],
)
def test_wrong_streams_are_refused(body: bytes, status: int, words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_stream(body, 100)
    assert (refused.value.status, words in refused.value.error) == (status, True), refused.value


def test_a_promise_of_rows_that_no_byte_carries_is_refused() -> None:
    body = stream(pl.DataFrame({"a": [None] * 77}))
    assert body.count(struct.pack("<q", 77)) >= 2
    for lie in (2**40, -5):
        with pytest.raises(RefusedError, match=r"rows are more than|negative length"):
            check_stream(body.replace(struct.pack("<q", 77), struct.pack("<q", lie)), 100)


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
