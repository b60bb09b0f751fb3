"""The bytes of a connection: uvicorn's protocol, watched, with a shorter way for plain requests."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from retrograd.serve.asking import Asked
from retrograd.serve.connections import BUSY, Doorkeeper
from retrograd.serve.gate import Gate
from retrograd.serve.plain import Plain, read
from retrograd.serve.refusal import Header, Reply

_STATUS: Final = {
    each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus
}
_HOLD_SECONDS: Final = 0.02  # a body often comes right after its head
_SHED_SECONDS: Final = 0.1  # who is sent away waits so long: else they ask again at once
_MOST_AHEAD: Final = 2**18  # bytes that are kept of what is asked before the last answer


class Wire(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's protocol, watched by a doorkeeper, with the gate's short way."""

    _is_in = False  # let in, and not refused at the door
    _is_plain = True  # whether every byte so far went the short way
    _is_busy = False  # a plain request is being answered
    _is_last = False  # close after that answer
    _held = b""  # the beginning of a plain request
    _ahead = b""  # what was sent before the last answer
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, doorkeeper: Doorkeeper, gate: Gate, **given: Any) -> None:
        """Make the protocol of one connection; ``given`` is what uvicorn gives."""
        super().__init__(**given)
        self._doorkeeper, self._gate = doorkeeper, gate

    def connection_made(self, transport: Any) -> None:
        """Let the connection in, or refuse it."""
        if not self._doorkeeper.has_room():
            self._doorkeeper.metrics.refused_connections += 1
            transport.write(BUSY)
            transport.close()
            return
        self._is_in = True
        super().connection_made(transport)
        self._doorkeeper.enter(self, self.loop.time())

    def data_received(self, data: bytes) -> None:
        """Take the short way or the long one."""
        if not self._is_in:
            return
        if not self._is_plain:
            self._go_on(data)
        elif self._is_busy:
            self._ahead += data
            if len(self._ahead) > _MOST_AHEAD:
                self.transport.abort()
        else:
            self._begin(self._held + data)

    def _begin(self, data: bytes) -> None:
        """Answer a plain request, wait a moment for its rest, or take the long way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        request, is_rest, self._held = read(data), bool(self._held), b""
        asked = self._gate.takes(request) if request is not None else None
        if request is None or asked is None or (request.lacking and is_rest):
            self._leave_plain(data)
        elif request.lacking:
            self._held = data
            self._doorkeeper.begins(self, self.loop.time())
            self._timer = self.loop.call_later(_HOLD_SECONDS, self._leave_plain, b"")
        elif len(self.tasks) >= self._doorkeeper.limits.at_once:
            self._is_busy = True
            self._doorkeeper.works(self)
            self.loop.call_later(_SHED_SECONDS, self._finish, self._gate.shed(request))
        else:
            self._is_busy = True
            self._doorkeeper.works(self)
            task = self.loop.create_task(self._answer(asked, request))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    async def _answer(self, asked: Asked, request: Plain) -> None:
        self._finish(await self._gate.answer_plain(asked, request))

    def _finish(self, reply: Reply) -> None:
        """Send an answer, and begin what was asked ahead of it."""
        self._is_busy = False
        self._write(reply)
        if self._ahead and not self.transport.is_closing():
            ahead, self._ahead = self._ahead, b""
            self.data_received(ahead)

    def _write(self, reply: Reply) -> None:
        if self.transport.is_closing():
            return
        headers = self._gate.headers(reply)
        ends = self._is_last or (b"connection", b"close") in headers
        self.transport.write(head(reply, [*self.server_state.default_headers, *headers]))
        self.server_state.total_requests += 1
        if ends:
            self.transport.close()
        else:
            self._doorkeeper.rests(self, self.loop.time())

    def _leave_plain(self, data: bytes) -> None:
        """Take the long way, from here on for good: two parsers never share a connection."""
        self._is_plain, data, self._held = False, data or self._held, b""
        self._go_on(data)

    def _go_on(self, data: bytes) -> None:
        rested = self._doorkeeper.is_resting(self)
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._doorkeeper.works(self)
        elif rested:
            self._doorkeeper.begins(self, self.loop.time())

    def on_response_complete(self) -> None:
        """Take note that the connection rests."""
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self._doorkeeper.rests(self, self.loop.time())

    def shutdown(self) -> None:
        """Close, after the answer that is being made."""
        if self._is_busy:
            self._is_last = True
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._doorkeeper.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._is_in:
            super().connection_lost(exc)


def head(reply: Reply, headers: list[Header]) -> bytes:
    r"""Return an answer as it is sent.

    >>> head(Reply(b"{}"), [(b"content-length", b"2")])
    b'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'
    """
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join([_STATUS[reply.status], *lines, b"\r\n", reply.body])
