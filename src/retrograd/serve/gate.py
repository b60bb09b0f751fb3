"""The application: who may ask, how many at once, what is counted, how faults are told."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from retrograd.serve.asking import Asked, Asking
from retrograd.serve.body import GoneError, Headers, Receive, header
from retrograd.serve.journal import Journal
from retrograd.serve.metrics import Metrics
from retrograd.serve.plain import Plain
from retrograd.serve.refusal import Header, RefusedError, Reply
from retrograd.serve.routes import Pages
from retrograd.serve.rows import RowError
from retrograd.serve.settings import Settings

Send = Callable[[Any], Awaitable[None]]
OPEN: Final = frozenset(
    {"/", "/docs", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
)
"""Paths that need no token: pages without data, and whether the server lives."""
_ALWAYS: Final = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
_CLOSE = (b"connection", b"close")
_SECURITY: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_DRAIN_SECONDS = 2.0  # a refused body is read and dropped for so long, so that the refusal arrives
_DRAIN_BYTES = 64 * 2**20
_SHORT, _SHORT_SECONDS = 65_536, 0.25  # what is read of a refused body before the refusal


class Gate:
    """An ASGI application; it never raises and answers every request that is whole."""

    def __init__(
        self, asking: Asking, pages: Pages, settings: Settings, metrics: Metrics, journal: Journal
    ) -> None:
        """Stand before these rooms."""
        self._asking, self._pages = asking, pages
        self._settings, self._metrics, self._journal = settings, metrics, journal
        self._bearer = f"Bearer {settings.token}".encode() if settings.token else None
        self._at_once = settings.limits.at_once

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        start = time.perf_counter()
        self._metrics.at_once += 1
        watched = _Watched(receive, scope["headers"])
        reply: Reply | None
        try:
            reply = await self._answer(scope, watched)
        except GoneError:
            reply = None
        except RefusedError as refusal:
            reply = refusal.reply()
        except Exception as error:
            reply = self._fault(error)
        unread = False
        try:
            if reply is not None:
                unread = await self._send(reply, watched, send)
        finally:
            self._metrics.at_once -= 1
            status, seconds = reply.status if reply else 499, time.perf_counter() - start
            self._note(scope["method"], scope["path"], watched.route, status, seconds)
        if unread:
            await watched.drain()
            with contextlib.suppress(Exception):  # whoever sent too much may be gone
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    def takes(self, request: Plain) -> Asked | None:
        """Return what a plain request asks, if it may go the short way: rows for a known model."""
        asked = self._asking.find(request.path)
        if asked is None or asked.route != "predict" or asked.batcher is None:
            return None
        if self._bearer is not None and not hmac.compare_digest(
            request.authorization, self._bearer
        ):
            return None
        return asked

    async def answer_plain(self, asked: Asked, request: Plain) -> Reply:
        """Return the answer to a plain request: the one that the long way gives."""
        start = time.perf_counter()
        self._metrics.at_once += 1
        reply: Reply | None = None
        try:
            reply = await self._asking.predict(asked, request.body)
        except RefusedError as refusal:
            reply = refusal.reply()
        except RowError as error:
            reply = _unfit(error).reply()
        except Exception as error:
            reply = self._fault(error)
        finally:
            self._metrics.at_once -= 1
            status, seconds = reply.status if reply else 499, time.perf_counter() - start
            self._note("POST", request.path, asked.route, status, seconds)
        return reply

    def shed(self, request: Plain) -> Reply:
        """Return the answer to one request too many."""
        self._note("POST", request.path, "predict", 503, 0.0)
        return self._too_many().reply()

    def _too_many(self) -> RefusedError:
        self._metrics.shed += 1
        found = f"{self._at_once} requests are being answered; come back in a second"
        return RefusedError(503, found, headers=[(b"retry-after", b"1")])

    async def _answer(self, scope: Any, received: _Watched) -> Reply:
        path = scope["path"]
        if self._metrics.at_once > self._at_once and path not in _ALWAYS:
            raise self._too_many()
        if self._bearer is not None and path not in OPEN:
            self._check_token(scope)
        asked = self._asking.find(path)
        if asked is None:
            received.route, reply = await self._pages.answer(scope)
            return reply
        received.route = asked.route
        if scope["method"] != "POST":
            raise RefusedError(405, "rows are sent with POST", headers=[(b"allow", b"POST")])
        try:
            return await self._asking.answer(asked, scope, received)
        except RowError as error:
            raise _unfit(error) from None

    def _check_token(self, scope: Any) -> None:
        """Refuse a request without the token; the time it takes tells nothing of it."""
        given = header(scope["headers"], b"authorization") or b""
        if not hmac.compare_digest(given, self._bearer or b""):
            asked = [(b"www-authenticate", b"Bearer")]
            found = "the token is missing or wrong; send the header Authorization: Bearer TOKEN"
            raise RefusedError(401, found, headers=asked)

    def _fault(self, error: Exception) -> Reply:
        """Log a fault of ours, and return an answer that tells nothing of our insides."""
        place = sys.exc_info()[2]
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
        self._journal.tell("fault", exception=type(error).__name__, where=where)
        return RefusedError(500, "a fault of the server's own; its log says where").reply()

    def headers(self, reply: Reply) -> list[Header]:
        """Return the headers of an answer; the connection ends with it while the server does."""
        headers = [
            (b"content-type", reply.kind),
            (b"content-length", b"%d" % len(reply.body)),
            *_SECURITY,
            *reply.headers,
        ]
        if self._pages.is_ending:
            headers.append(_CLOSE)
        return headers

    async def _send(self, reply: Reply, received: _Watched, send: Send) -> bool:
        """Send an answer; return whether a body is still to be read, and the connection closed."""
        unread = not received.is_whole and not await received.is_short(reply.status)
        headers = self.headers(reply)
        if unread:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body, "more_body": unread})
        return unread

    def _note(self, method: str, path: str, route: str, status: int, seconds: float) -> None:
        self._metrics.count(route, status, seconds)
        if self._settings.logs_requests:
            self._journal.tell(
                "request",
                method=method,
                path=path[:200],
                status=status,
                milliseconds=round(seconds * 1e3, 2),
            )


def _unfit(error: RowError) -> RefusedError:
    return RefusedError(422, str(error), row=error.row, field=error.field)


class _Watched:
    """A request's `receive` that knows whether the body has been read to its end.

    route: what was asked for, as it is counted.
    """

    route = "none"

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive, self._headers, self.is_whole = receive, headers, False

    async def __call__(self) -> Any:
        message = await self._receive()
        if not message.get("more_body"):
            self.is_whole = True
        return message

    async def is_short(self, status: int) -> bool:
        """Return whether there is no body, or a short one that has now been read.

        The connection can then be used again, though the body was not asked for.
        """
        length = header(self._headers, b"content-length")
        is_chunked = header(self._headers, b"transfer-encoding") is not None
        if length is None or is_chunked:
            return not is_chunked
        if status not in (408, 413) and length.isdigit() and int(length) <= _SHORT:
            await self.drain(_SHORT_SECONDS)
        return self.is_whole

    async def drain(self, seconds: float = _DRAIN_SECONDS) -> None:
        """Read and drop what is still sent, for a while."""
        dropped = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.is_whole and dropped < _DRAIN_BYTES:
                    dropped += len((await self()).get("body", b""))
