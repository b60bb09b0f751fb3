"""Sockets: how many may be open, and how long a request may take to be sent.

uvicorn's protocols keep a connection that never sends a whole head open for ever; here a sweep,
once a second, closes what has waited too long, and a full house closes the longest idle ones.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NamedTuple

from retrograd.serve.metrics import Metrics
from retrograd.serve.settings import Limits

BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: 57\r\n\r\n"
    b'{"error":"too many connections; come back in a second"}\r\n'
)
_SHARE = 8  # of the idle connections, the part that is closed when there is no room


class _Wait(NamedTuple):
    """A connection without a request: since when, until when it may be, if it had one before."""

    since: float
    until: float
    rests: bool


class Doorkeeper:
    """Counts connections and closes those that only wait."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        """Keep to these limits."""
        self.limits, self.metrics = limits, metrics
        self._open: set[Any] = set()
        self._waiting: dict[Any, _Wait] = {}

    def enter(self, connection: Any, now: float) -> None:
        """Count a new connection, which has sent nothing yet."""
        self._open.add(connection)
        self.begins(connection, now)
        self.metrics.connections = len(self._open)

    def leave(self, connection: Any) -> None:
        """Count a connection no longer."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)
        self.metrics.connections = len(self._open)

    def begins(self, connection: Any, now: float) -> None:
        """Take note that a connection has begun to send a request."""
        self._waiting[connection] = _Wait(now, now + self.limits.header_seconds, False)

    def works(self, connection: Any) -> None:
        """Take note that a connection has sent a request."""
        self._waiting.pop(connection, None)

    def rests(self, connection: Any, now: float) -> None:
        """Take note that a connection has its answer, and may ask again."""
        self._waiting[connection] = _Wait(now, now + self.limits.idle_seconds, True)

    def is_resting(self, connection: Any) -> bool:
        """Return whether a connection has had an answer, and has not begun to ask again."""
        wait = self._waiting.get(connection)
        return wait is not None and wait.rests

    def sweep(self, now: float) -> None:
        """Close connections whose request has not been sent in time."""
        for connection, wait in list(self._waiting.items()):
            if wait.until < now:
                self._close(connection)

    async def sweep_on(self) -> None:
        """Sweep once a second, for ever."""
        while True:
            await asyncio.sleep(1.0)
            self.sweep(asyncio.get_running_loop().time())

    def has_room(self) -> bool:
        """Return whether there is room for one more, after closing some that have idled longest."""
        if len(self._open) < self.limits.connections:
            return True
        idle = sorted(self._waiting.items(), key=lambda each: each[1].since)
        for connection, _ in idle[: max(1, len(idle) // _SHARE)]:
            self._close(connection)
        return bool(idle)

    def _close(self, connection: Any) -> None:
        self.leave(connection)
        connection.transport.abort()
