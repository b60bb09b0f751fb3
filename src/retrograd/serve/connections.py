"""Sockets: how many may be open, and how long a request may take to be sent.

uvicorn's protocols keep a connection that never sends a whole head open for ever; here a sweep,
once a second, closes what has waited too long, and a full house closes the longest idle ones.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from retrograd.serve.metrics import Metrics
from retrograd.serve.settings import Limits

_BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: 57\r\n\r\n"
    b'{"error":"too many connections; come back in a second"}\r\n'
)
_SHARE = 8  # of the idle connections, the part that is closed when there is no room


class Doorkeeper:
    """Counts connections and closes those that only wait."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        """Keep to these limits."""
        self.limits, self.metrics = limits, metrics
        self._open: set[Any] = set()
        self._waiting: dict[Any, float] = {}  # connections without a request, and since when

    def enter(self, connection: Any, now: float) -> None:
        """Count a new connection, which has sent nothing yet."""
        self._open.add(connection)
        self._waiting[connection] = now
        self.metrics.connections = len(self._open)

    def leave(self, connection: Any) -> None:
        """Count a connection no longer."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)
        self.metrics.connections = len(self._open)

    def note(self, connection: Any, now: float | None, *, is_new: bool = False) -> None:
        """Take note that a connection waits for a request, or (None) that it has one."""
        if now is None:
            self._waiting.pop(connection, None)
        elif is_new or connection not in self._waiting:
            self._waiting[connection] = now

    def sweep(self, now: float) -> None:
        """Close connections whose request has not been sent in time."""
        late = now - self.limits.header_seconds
        for connection, since in list(self._waiting.items()):
            # Between requests uvicorn's own timer runs; it stops at the first byte of the next one.
            if since < late and connection.timeout_keep_alive_task is None:
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
        idle = sorted(self._waiting.items(), key=lambda each: each[1])
        for connection, _ in idle[: max(1, len(idle) // _SHARE)]:
            self._close(connection)
        return bool(idle)

    def _close(self, connection: Any) -> None:
        self.leave(connection)
        connection.transport.abort()


def protocol_class(doorkeeper: Doorkeeper) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, watched by a doorkeeper."""

    class Watched(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _is_in = False

        def connection_made(self, transport: Any) -> None:
            if not doorkeeper.has_room():
                doorkeeper.metrics.refused_connections += 1
                transport.write(_BUSY)
                transport.close()
                return
            self._is_in = True
            super().connection_made(transport)
            doorkeeper.enter(self, self.loop.time())

        def data_received(self, data: bytes) -> None:
            if not self._is_in:
                return
            was_idle = self.timeout_keep_alive_task is not None
            super().data_received(data)
            cycle = self.cycle
            has_request = cycle is not None and not cycle.response_complete
            doorkeeper.note(self, None if has_request else self.loop.time(), is_new=was_idle)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self.transport.is_closing():
                doorkeeper.note(self, self.loop.time(), is_new=True)

        def connection_lost(self, exc: Exception | None) -> None:
            doorkeeper.leave(self)
            if self._is_in:
                super().connection_lost(exc)

    return Watched
