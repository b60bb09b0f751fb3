"""Rows of several requests that arrive together are predicted together."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from retrograd.serve.rows import RowError, view_of
from retrograd.serve.served import Answer, Served

_LONG = 0.002  # seconds: programs that take longer run beside the loop, which others wait for


class Batcher:
    """Gathers rows of one model until the window ends, or as many as the largest program takes.

    A window of 0 is no wait: it takes the requests that had arrived by the time the first was read.
    An answer is the same bits whoever else was asking.
    """

    def __init__(self, served: Served, window: float) -> None:
        """Gather rows for this model."""
        self.served, self._window = served, window
        self.batches = self.rows = 0
        self._width, self._most = served.encoder.width, max(served.programs.largest, 8)
        self._is_long = served.programs.seconds > _LONG
        self._features = np.zeros((self._most, self._width), np.float32)
        self._view = view_of(self._features)
        self._waiting: list[asyncio.Future[Answer]] = []
        self._timer: asyncio.Handle | None = None

    async def answer(self, row: Any) -> Answer:
        """Return the answer for a row; raises RowError."""
        loop, at = asyncio.get_running_loop(), len(self._waiting)
        try:
            odd = self.served.encoder.encode(row, self._view, at * self._width, None)
        except RowError:
            self._features[at] = 0
            raise
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append(future)
        if at + 1 == self._most:
            self._flush()
        elif not at:
            later = self._window
            self._timer = (
                loop.call_later(later, self._flush) if later else loop.call_soon(self._flush)
            )
        return self.served.row_answer(await future, odd, row)

    async def answers(self, rows: list[Any]) -> list[Answer]:
        """Return the answers for the rows of one request, giving way to others between parts."""
        found = []
        for start in range(0, len(rows), self._most):
            part = rows[start : start + self._most]
            features, odd = self.served.features(part, start)
            self._count(len(part))
            if self._is_long:
                answers = await asyncio.to_thread(self.served.answers, features)
            else:
                answers = self.served.answers(features)
            for i, (answer, what, row) in enumerate(zip(answers, odd, part, strict=True)):
                if isinstance(answer, RowError):
                    raise RowError(answer.found, start + i)
                found.append(self.served.row_answer(answer, what, row))
            await asyncio.sleep(0)
        return found

    def _flush(self) -> None:
        """Predict what has gathered."""
        waiting, self._waiting = self._waiting, []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not waiting:
            return
        features = self._features[: len(waiting)].copy()
        self._features[: len(waiting)] = 0
        self._count(len(waiting))
        if self._is_long:
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(None, self.served.answers, features)
            running.add_done_callback(lambda done: _settle_later(waiting, done))
            return
        try:
            _settle(waiting, self.served.answers(features))
        except Exception as error:
            _fail(waiting, error)

    def _count(self, rows: int) -> None:
        self.batches += 1
        self.rows += rows


def _settle_later(waiting: list[asyncio.Future[Answer]], done: asyncio.Future[Any]) -> None:
    error = None if done.cancelled() else done.exception()
    if error is not None:
        _fail(waiting, error)
    elif not done.cancelled():
        _settle(waiting, done.result())


def _settle(waiting: list[asyncio.Future[Answer]], answers: list[Answer | RowError]) -> None:
    for future, answer in zip(waiting, answers, strict=True):
        if future.done():  # nobody waits any more
            continue
        if isinstance(answer, RowError):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _fail(waiting: list[asyncio.Future[Answer]], error: BaseException) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(error)
