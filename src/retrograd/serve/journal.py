"""The server's log: one JSON object a line, on standard error, that never makes a request wait."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import Any, TextIO

import msgspec

_SECONDS = 0.1  # between writes
_MOST = 20_000  # lines that wait; more are dropped, and counted
_encode = msgspec.json.Encoder().encode


class Journal:
    """Lines wait in memory for a thread that writes them: whoever reads the log may be slow.

    No line holds a token, a header, a body or a cell.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to this stream, which needs a file descriptor."""
        self._descriptor = stream.fileno()
        self._lines: list[bytes] = []
        self._dropped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="journal", daemon=True)
        self._thread.start()

    def tell(self, event: str, **fields: Any) -> None:
        """Write a line down: when, what happened, and its fields."""
        if len(self._lines) >= _MOST:
            self._dropped += 1
            return
        self._lines.append(_encode({"time": round(time.time(), 3), "event": event, **fields}))

    def close(self) -> None:
        """Write what is left, unless nobody reads it for a second."""
        self._closing.set()
        self._thread.join(1.0)

    def _write_on(self) -> None:
        while not self._closing.wait(_SECONDS):
            self._write()
        self._write()

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        if dropped := self._dropped:
            self._dropped -= dropped
            lines.append(_encode({"time": round(time.time(), 3), "event": "lines_dropped",
                                  "lines": dropped}))  # fmt: skip
        rest = memoryview(b"".join(line + b"\n" for line in lines))
        with contextlib.suppress(OSError):  # nobody reads any more: the work goes on
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


class JournalHandler(logging.Handler):
    """What libraries log at warning or above goes into the journal, as a line of its own."""

    def __init__(self, journal: Journal) -> None:
        """Write into this journal."""
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record down, with the kind of its exception and without its values."""
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        fields = {"exception": kind} if kind else {}
        message = record.getMessage().strip()[:500]
        self._journal.tell("note", source=record.name, message=message, **fields)
