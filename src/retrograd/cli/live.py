"""Training as it happens: a redrawn table at a terminal, plain lines where nobody redraws."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from retrograd.cli.output import Output, number, sparkline, width
from retrograd.train.events import EpochDone, Event, Started, StepDone

if TYPE_CHECKING:
    from rich.live import Live

REDRAW_SECONDS = 0.25
PLAIN_SECONDS = 2.0
"""Shortest time between two plain lines, so that a log of a thousand short epochs stays short."""

PACE_SECONDS = 0.25
"""Seconds of steps after which the run's length is foretold; in the first epoch, which compiles
what all of them need, the seconds between two plain lines."""

_BAR = 14
_COURSE = 24
_MOST_METRICS = 4


@dataclass(frozen=True)
class Limits:
    """What ends a run at the latest: ``steps`` of all epochs; None where there is no such limit."""

    epochs: int | None = None
    steps: int | None = None
    seconds: float | None = None


class TrainingView:
    """Hears the events of a run and shows them on standard error.

    At a terminal: progress and time left, and a table of the metrics with their course, redrawn
    four times a second. Piped: one line an epoch, at most every two seconds, and always the last.
    """

    def __init__(
        self, output: Output, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._output, self._limits, self._clock = output, limits, clock
        self._live: Live | None = None
        self._drawn = -PLAIN_SECONDS
        self._history: list[EpochDone] = []
        self._best: EpochDone | None = None
        self._unsaid: EpochDone | None = None
        self._rows, self._steps = 0, 0
        self._begun = self._since = clock()
        self._has_foretold = False

    def __enter__(self) -> TrainingView:
        if self._output.is_live:
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, width=width(), highlight=False)
            # Redirected streams have no encoding, and all would look as if only ASCII were shown.
            self._live = Live(
                console=console, auto_refresh=False, transient=True,
                redirect_stderr=False, redirect_stdout=False,
            )  # fmt: skip
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
            case Started():
                self._begun = self._since = self._clock()
                if event.is_resumed:
                    self._output.talk(f"going on at epoch {event.epoch}, step {event.step:,}")
            case StepDone():
                self._rows += event.rows
                self._steps += 1
                if self._live is None and not self._has_foretold:
                    self._foretell(event)
                if self._live is not None and self._is_due(REDRAW_SECONDS):
                    self._draw(event)
            case EpochDone():
                if not self._history:
                    self._measure_anew()
                self._unsaid = event
                self._history = [*self._history[1 - _COURSE :], event]
                self._best = event if event.is_best else self._best
                if self._live is None and self._is_due(PLAIN_SECONDS):
                    self._say(event)
            case _:
                pass  # the verb says why training stopped, after the view is gone

    def _foretell(self, event: StepDone) -> None:
        """Say how long the run will take at most, once the first steps have shown their pace."""
        seconds, limits = self._clock() - self._since, self._limits
        if seconds < (PACE_SECONDS if self._history else PLAIN_SECONDS):
            return
        self._has_foretold = True
        pace = seconds / self._steps
        seconds = self._clock() - self._begun
        ends = self._ends(event, seconds, pace)
        left = min((left for _, left in ends), default=0.0)
        if left > PLAIN_SECONDS:
            steps = f"{limits.steps:,} steps of " if limits.steps else ""
            self._output.talk(
                f"time      at most {_clock_words(seconds + left)}: {steps}{number(1000 * pace)} ms"
            )

    def _measure_anew(self) -> None:
        """Count rows and steps from here on: the first epoch had to compile what it ran."""
        self._rows, self._steps, self._since = 0, 0, self._clock()
        if self._live is not None:
            self._drawn = self._since  # a first step alone has no pace yet

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
        return f"/{self._limits.epochs}" if self._limits.epochs else ""

    def _draw(self, event: StepDone) -> None:
        from rich.text import Text

        assert self._live is not None
        lines = [self._progress(event), *self._table(event)]
        text = "\n".join(self._output.plain(line)[: width()] for line in lines)
        self._live.update(Text(text), refresh=True)

    def _progress(self, event: StepDone) -> str:
        """Return how far the run is, how fast it goes, and how long it takes at most."""
        seconds = max(self._clock() - self._since, 1e-9)
        pace = seconds / max(self._steps, 1)
        ends = self._ends(event, self._clock() - self._begun, pace)
        line = f"epoch {event.epoch}{self._of()}  step {event.step:,}"
        if ends:
            done = min(max(part for part, _ in ends), 1.0)
            bar = "█" * round(_BAR * done)
            line += f"  {bar:░<{_BAR}} {done:.0%}"
        line += f"  {number(1000 * pace)} ms/step  {_short(self._rows / seconds)} rows/s"
        left = max(min((left for _, left in ends), default=0.0), 0.0)
        return f"{line}  {_clock_words(left)} left" if ends else line

    def _ends(self, event: StepDone, seconds: float, pace: float) -> list[tuple[float, float]]:
        """Return for each limit which part of it is used, and in how many seconds it is reached."""
        ends, limits = [], self._limits
        if limits.steps is not None:
            ends.append((event.step / limits.steps, (limits.steps - event.step) * pace))
        if limits.seconds is not None:
            ends.append((seconds / limits.seconds, limits.seconds - seconds))
        return ends

    def _table(self, event: StepDone) -> list[str]:
        """Return what was measured: after the last epoch, after the best one, and the course."""
        if not self._history:
            return [f"loss {number(event.numbers()['loss'])}; the first epoch is not done yet"]
        at = f"epoch {self._best.epoch}*" if self._best else ""
        lines = [f"{'':<18}{'now':>11}{at:>14}   course of the last {_COURSE} epochs"]
        for name in list(self._history[-1].metrics)[:_MOST_METRICS]:
            values = [done.metrics.get(name, float("nan")) for done in self._history]
            kept = number(self._best.metrics[name]) if self._best else ""
            label, now = name.replace("_", " ")[:18], number(values[-1])
            lines.append(f"{label:<18}{now:>11}{kept:>14}   {sparkline(values, _COURSE)}")
        star = "* the best epoch, whose weights are kept; " if self._best else ""
        return [*lines, f"{star}Ctrl-C saves and stops"]


def _short(value: float) -> str:
    """Return a number in few letters.

    >>> _short(25_450.0), _short(1_200_000.0), _short(7.0)
    ('25k', '1.2M', '7')
    """
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{1 if value < 10 * size else 0}f}{unit}"
    return f"{value:.0f}"


def _clock_words(seconds: float) -> str:
    """Return a length of time as a clock shows it.

    >>> _clock_words(75.0), _clock_words(7265.0)
    ('1:15', '2:01:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def in_words(done: EpochDone) -> str:
    """Return the losses and the first metric of an epoch in one phrase; logs hold the others."""
    shown = list(done.metrics.items())[:3]
    return "  ".join(f"{name} {number(value)}" for name, value in shown)
