"""Training as it happens: two redrawn lines at a terminal, plain lines where nobody redraws."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from retrograd.cli.output import Output, number, sparkline, width
from retrograd.train.events import EpochDone, Event, Started, StepDone, Stopped

if TYPE_CHECKING:
    from rich.live import Live

REDRAW_SECONDS = 0.25
PLAIN_SECONDS = 2.0
"""Shortest time between two plain lines, so that a log of a thousand short epochs stays short."""


class TrainingView:
    """Hears the events of a run and shows them on standard error.

    At a terminal: progress, losses with their course, and the metric, redrawn four times a second.
    Piped: one line an epoch, at most every two seconds, and always the last.
    """

    def __init__(
        self, output: Output, epochs: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._output, self._epochs, self._clock = output, epochs, clock
        self._live: Live | None = None
        self._drawn = -PLAIN_SECONDS
        self._losses: list[float] = []
        self._validations: list[float] = []
        self._last: EpochDone | None = None
        self._unsaid: EpochDone | None = None
        self._rows, self._since = 0, clock()

    def __enter__(self) -> TrainingView:
        if self._output.is_live:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, width=width(), highlight=False)
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
        if self._unsaid is not None:
            self._say(self._unsaid)

    def hear(self, event: Event) -> None:
        """Take note of an event, and draw if it is time."""
        match event:
            case Started(is_resumed=True):
                self._output.talk(f"going on at epoch {event.epoch}, step {event.step}")
            case StepDone():
                self._rows += event.rows
                if self._live is not None and self._is_due(REDRAW_SECONDS):
                    self._draw(event)
            case EpochDone():
                self._last = self._unsaid = event
                self._losses.append(event.metrics["loss"])
                if "validation_loss" in event.metrics:
                    self._validations.append(event.metrics["validation_loss"])
                if self._live is None and self._is_due(PLAIN_SECONDS):
                    self._say(event)
            case Stopped():
                pass  # the verb says why, after the view is gone
            case _:
                pass

    def _is_due(self, seconds: float) -> bool:
        now = self._clock()
        if now - self._drawn < seconds:
            return False
        self._drawn = now
        return True

    def _say(self, done: EpochDone) -> None:
        self._unsaid = None
        best = " *" if done.is_best else ""
        line = f"epoch {done.epoch}{self._of()}  {in_words(done)}"
        self._output.talk(line[: width() - 2] + best)

    def _of(self) -> str:
        return f"/{self._epochs}" if self._epochs else ""

    def _draw(self, event: StepDone) -> None:
        from rich.text import Text

        assert self._live is not None
        seconds = max(self._clock() - self._since, 1e-9)
        first = f"epoch {event.epoch}{self._of()}  step {event.step:,}  "
        done = event.epoch / self._epochs if self._epochs else 0.0
        bar = "█" * round(14 * min(done, 1.0))
        first += f"{bar:░<14}  {number(self._rows / seconds)} rows/s"
        loss = f"loss {number(event.numbers()['loss'])} {sparkline(self._losses)}"
        lines = [first, f"{loss}   {self._course()}" if self._last else loss]
        self._live.update(
            Text(self._output.plain("\n".join(x[: width()] for x in lines))), refresh=True
        )

    def _course(self) -> str:
        assert self._last is not None
        others = [name for name in self._last.metrics if not name.endswith("loss")]
        words = [f"{name} {number(self._last.metrics[name])}" for name in others[:1]]
        if self._validations:
            course = f"{number(self._validations[-1])} {sparkline(self._validations)}"
            words.insert(0, f"validation {course}")
        return "  ".join(words)


def in_words(done: EpochDone) -> str:
    """Return the losses and the first metric of an epoch in one phrase; logs hold the others."""
    shown = list(done.metrics.items())[:3]
    return "  ".join(f"{name} {number(value)}" for name, value in shown)
