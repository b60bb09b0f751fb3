"""What seldom happens: faults of our own, a log that nobody reads, a server that is stopping."""

import asyncio
import errno
import json
import logging
import os
import struct
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.serve.running import ROW
from tests.serve.test_arrow import stream

from retrograd.serve import server
from retrograd.serve.arrow_stream import read_stream
from retrograd.serve.asking import Asking
from retrograd.serve.batching import Batcher
from retrograd.serve.gate import Gate
from retrograd.serve.journal import Journal, JournalHandler
from retrograd.serve.metrics import Metrics
from retrograd.serve.refusal import RefusedError
from retrograd.serve.routes import Pages
from retrograd.serve.settings import Limits, Settings
from retrograd.serve.shelf import Shelf, parse_sources


class Room:
    """A gate with all behind it, and what it logs."""

    def __init__(self, models: Path, log: Path) -> None:
        self._stream = log.open("w")
        self.log, self.journal = log, Journal(self._stream)
        settings = Settings(limits=Limits(at_once=4))
        self.shelf = Shelf(parse_sources([str(models / "shop.retro")]), 0.0, self.journal.tell)
        self.metrics = Metrics()
        self.pages = Pages(self.shelf, settings, self.metrics)
        asking = Asking(self.shelf, settings.limits)
        self.gate = Gate(asking, self.pages, settings, self.metrics, self.journal)

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        """Return the status and the answer."""
        sent: list[Any] = []
        headers = [(b"content-length", b"%d" % len(body))] if body else []
        scope = {"type": "http", "method": method, "path": path, "headers": headers,
                 "query_string": b"", "root_path": ""}  # fmt: skip

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.gate(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged, which ends the log."""
        self.journal.close()
        self._stream.close()
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def room(models: Path, tmp_path: Path) -> Room:
    return Room(models, tmp_path / "log")


def test_a_fault_of_ours_is_told_to_the_log_alone(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise KeyError("/secret/place")

    monkeypatch.setattr(Batcher, "answer", fail)
    status, answer = room.ask("POST", "/predict", json.dumps(ROW).encode())
    assert (status, answer) == (500, {"error": "a fault of the server's own; its log says where"})
    fault = next(line for line in room.lines() if line["event"] == "fault")
    assert fault["exception"] == "KeyError"
    assert fault["where"].startswith("test_gate.py:")
    assert room.metrics.at_once == 0


def test_a_network_that_fails_fails_only_its_batch(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    batcher = room.shelf.find("shop")
    assert batcher is not None
    with monkeypatch.context() as patched:
        patched.setattr(type(batcher.served), "answers", lambda *_: 1 / 0)
        assert room.ask("POST", "/predict", json.dumps(ROW).encode())[0] == 500
    assert room.ask("POST", "/predict", json.dumps(ROW).encode())[0] == 200
    room.lines()


def test_a_stopping_server_is_not_ready_but_lives(room: Room) -> None:
    room.pages.is_ending = True
    for path in ("/readyz", "/v2/models/shop/ready"):
        assert room.ask("GET", path) == (503, {"error": "the server is stopping"})
    assert room.ask("GET", "/healthz") == (200, {"live": True})
    room.lines()


def test_too_many_at_once_are_shed_but_health_is_told(room: Room) -> None:
    room.metrics.at_once = 4
    status, answer = room.ask("GET", "/models")
    assert (status, answer["error"][:32]) == (503, "4 requests are being answered; c")
    assert room.ask("GET", "/healthz")[0] == 200
    room.lines()


def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as full:
        os.set_blocking(writing, False)
        journal = Journal(full)
        for _ in range(40_000):
            journal.tell("request", path="/" + "x" * 50)
        journal.close()
        os.close(reading)


def test_dropped_lines_are_counted(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        journal = Journal(log)
        for _ in range(60_000):
            journal.tell("request")
        journal.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    dropped = sum(line["lines"] for line in lines if line["event"] == "lines_dropped")
    assert sum(line["event"] == "request" for line in lines) + dropped == 60_000


def test_what_libraries_warn_of_is_a_line_without_values(tmp_path: Path) -> None:
    logger = logging.getLogger("retrograd.test_gate")
    with (tmp_path / "log").open("w") as log:
        journal = Journal(log)
        handler = JournalHandler(journal)
        logger.addHandler(handler)
        try:
            raise ValueError("secret")
        except ValueError:
            logger.exception("it failed")
        logger.removeHandler(handler)
        journal.close()
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert "secret" not in line
    found = json.loads(line)
    assert (found["event"], found["message"], found["exception"]) == (
        "note", "it failed", "ValueError",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "serving on x:80: ports below 1024 are for the system; try --port 8000"),
        (errno.EADDRNOTAVAIL, "serving on x:80: "),
    ],
)
def test_an_address_that_the_system_refuses(number: int, words: str) -> None:
    error = OSError(number, os.strerror(number))
    assert str(server._refused("serving on x:80", 80, error)).startswith(words)


def test_columns_of_one_name_and_strange_dictionaries_are_refused() -> None:
    body = stream(pl.DataFrame({"ab": [1], "aa": [2]}))
    with pytest.raises(RefusedError, match="two of its columns have the same name"):
        read_stream(body.replace(b"ab\0", b"aa\0"), 10)
    levels = pl.DataFrame({"a": pl.Series(["x", "y"], dtype=pl.Categorical)})
    body, words = stream(levels), set()
    for place in range(0, len(body) - 8, 4):
        broken = body[:place] + struct.pack("<i", 7) + body[place + 4 :]
        try:
            read_stream(broken, 10)
        except RefusedError as error:
            words.add(error.error.partition(": ")[2])
    assert words & {
        "a dictionary is of no column",
        "a column names what its dictionary does not have",
    }
