"""Ctrl-C and SIGTERM as a question that training asks between steps."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

EXIT_CODES: Final = {"interrupted": 130, "terminated": 143}
_REASONS: Final = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@contextmanager
def graceful_stop() -> Iterator[Callable[[], str | None]]:
    """Give a function that says whether a signal asked to stop, and which.

    The first signal lets the running step end and its state be saved; the second acts at once, as
    it would have without us. The handlers that stood before are put back.
    """
    asked: list[str] = []
    before = {number: signal.getsignal(number) for number in _REASONS}

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(_REASONS[signal.Signals(number)])
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in _REASONS:
        signal.signal(number, note)
    try:
        yield lambda: asked[0] if asked else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
