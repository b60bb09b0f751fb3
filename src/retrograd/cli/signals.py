"""Ctrl-C and SIGTERM as a question that training asks between steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

EXIT_CODES: Final = {"interrupted": 130, "terminated": 143}
_REASONS: Final = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class StopRequest:
    """Whether a signal asked to stop, and which: what `fit` takes as ``should_stop``.

    Until `wait_for_step` is called there is no work to save, and a signal acts at once.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._waits = False

    def wait_for_step(self) -> None:
        """Let the first signal from now on wait until the running step is done."""
        self._waits = True

    def __call__(self) -> str | None:
        """Return the reason of the first signal, or None."""
        return self._reason

    def note(self, number: int) -> None:
        """Take note of a signal; raises KeyboardInterrupt or SystemExit if none may wait."""
        reason = _REASONS[signal.Signals(number)]
        if self._waits:
            self._reason = reason
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(EXIT_CODES[reason])


@contextmanager
def graceful_stop() -> Iterator[StopRequest]:
    """Give what says whether a signal asked to stop.

    The first signal lets the running step end and its state be saved; the second acts at once, as
    it would have without us. The handlers that stood before are put back.
    """
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in _REASONS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        restore()
        request.note(number)

    for number in _REASONS:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
