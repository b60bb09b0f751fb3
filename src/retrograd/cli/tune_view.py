"""A study as it happens, and what it came to."""

from __future__ import annotations

import shlex
import textwrap
from types import TracebackType
from typing import TYPE_CHECKING, Any

from retrograd.cli.output import Output, number, table, width

if TYPE_CHECKING:
    from rich.live import Live

    from retrograd.cli.signals import StopRequest
    from retrograd.tune.finish import Result
    from retrograd.tune.noise import Verdict
    from retrograd.tune.search import TrialDone
    from retrograd.tune.tuning import Opened

_SHOWN = 8  # trials in the table
_OPTIONS = ("optimizer", "learning_rate", "batch_size", "hidden", "activation", "dropout")
_HEADS = ("trial", "score", "optimiser", "rate", "batch", "hidden", "activation", "dropout")


class TuningView:
    """Hears a study: the best trials redrawn at a terminal, a line a trial where nobody redraws."""

    def __init__(self, output: Output, stop: StopRequest) -> None:
        self._output, self._stop = output, stop
        self._live: Live | None = None
        self._done: list[TrialDone] = []
        self._measure = "score"

    def __enter__(self) -> TuningView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_live()

    def hear(self, event: Any) -> None:
        """Take note of what happens, and show it."""
        from retrograd.tune.search import TrialDone
        from retrograd.tune.tuning import Opened

        match event:
            case Opened():
                self._open(event)
            case TrialDone():
                self._done.append(event)
                self._draw() if self._live is not None else self._say(event)
            case str():
                self._end_live()
                self._output.talk(event)

    def _open(self, opened: Opened) -> None:
        self._stop.wait_for_step()
        home, prepared = opened.home, opened.material.prepared
        self._measure = opened.material.measure
        settings, output, split = home.settings, self._output, prepared.split
        output.wrap(
            f"{prepared.table.name}: {prepared.schema.rows:,} rows. Predicting "
            f"{prepared.schema.target}: {prepared.schema.task.value}."
        )
        choosing, judging = (
            len(opened.material.choosing.inputs),
            len(opened.material.judging.inputs),
        )
        output.wrap(
            f"split     {len(split.train):,} rows to train, {choosing:,} to choose by, {judging:,} "
            f"to judge the winner, {len(split.test):,} sealed for `retrograd test`",
            indent=10,
        )
        limits = [f"{settings.trials} trials"] if settings.trials else []
        limits += [f"{settings.seconds:g} s"] if settings.seconds else []
        output.wrap(f"search    {len(settings.space.dials)} dials, {' or '.join(limits)}", 10)
        starts = settings.starts
        words = f"rate {number(starts['suggested_rate'])} by the range test"
        if "largest_stable_step" in starts:
            words += f"; largest stable step {number(starts['largest_stable_step'])} by curvature"
        output.wrap(f"start     {words}", indent=10)
        for note in prepared.notes:
            output.wrap(f"note      {note}", indent=10)
        joined = "joined: other processes work on it too" if opened.is_joined else ""
        output.talk(f"study     {home.root}{f' ({joined})' if joined else ''}")
        self._begin_live()

    def _begin_live(self) -> None:
        if not self._output.is_live:
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, width=width(), highlight=False)
        self._live = Live(
            console=console, auto_refresh=False, transient=True,
            redirect_stderr=False, redirect_stdout=False,
        )  # fmt: skip
        self._live.start()
        self._draw()

    def _end_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _say(self, event: TrialDone) -> None:
        trained = event.trained
        score = "" if trained.score is None else f" {self._measure} {number(trained.score)}"
        star = " *" if event.best_number == event.number else ""
        what = "the default" if not event.options else _in_words(event.options)
        line = f"trial {event.number + 1}  {trained.ending}{score}{star}  {what}"
        self._output.talk(textwrap.shorten(line, width(), placeholder=" ..."))

    def _draw(self) -> None:
        from rich.text import Text

        assert self._live is not None
        lines = [f"{len(self._done)} trials of this process; Ctrl-C stops in order"]
        if self._done:
            last = self._done[-1]
            best = "none yet" if last.best is None else number(last.best)
            left = "" if last.seconds_left == float("inf") else f", {last.seconds_left:.0f} s left"
            lines = [f"{last.done} trials, lowest {self._measure} {best}{left}; Ctrl-C stops"]
        scored = [d for d in self._done if d.trained.score is not None]
        scored.sort(key=lambda d: d.trained.score or 0.0)
        for done in scored[:5]:
            what = "the default" if not done.options else _in_words(done.options)
            lines.append(f"  {number(done.trained.score or 0.0):>9}  {what}")
        text = "\n".join(self._output.plain(line)[: width()] for line in lines)
        self._live.update(Text(text), refresh=True)


def _in_words(options: dict[str, Any]) -> str:
    return " ".join(_cell(options.get(name)) for name in _OPTIONS if name in options)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return number(value) if isinstance(value, float) else str(value)


def result_lines(result: Result) -> list[str]:
    """Return what a study came to, at most 80 columns wide."""
    lines = _trial_table(result)
    if result.importances:
        parts = [f"{name} {value:.0%}" for name, value in list(result.importances.items())[:6]]
        lines += ["", *_wrap(f"what mattered: {', '.join(parts)}")]
    if result.verdict is not None:
        lines += ["", *_verdict_lines(result.verdict)]
    study = shlex.quote(str(result.study))
    lines += ["", f"study {study}: {_files(result)}"]
    if result.winner is None:
        return [*lines, f"go on with: retrograd tune --resume {study}"]
    run = shlex.quote(str(result.winner))
    return [*lines, f"saved {run}/model.retro, the winner trained again",
            f"next: retrograd test {run}"]  # fmt: skip


def _files(result: Result) -> str:
    return ", ".join(name for name in result.files if not name.endswith(".png")) or "no results yet"


def _trial_table(result: Result) -> list[str]:
    done = [row for row in result.trials if row["score"] is not None]
    done.sort(key=lambda row: (row["score"], row["trial"]))
    pruned = sum(row["ending"] == "pruned" for row in result.trials)
    broken = len(result.trials) - len(done) - pruned
    rows = [
        [str(row["trial"] + 1), number(row["score"]), *(_cell(row.get(name)) for name in _OPTIONS)]
        for row in done[:_SHOWN]
    ]
    words = f"{len(result.trials)} trials: {len(done)} complete, {pruned} pruned"
    words += f", {broken} broke down" if broken else ""
    return [words, *(table(rows, _HEADS, widest=14) if rows else [])]


def _verdict_lines(verdict: Verdict) -> list[str]:
    measure = verdict.measure.replace("_", " ")
    lines = _wrap(
        f"the winner's {measure} on rows that no choice saw: {verdict.honest}, the mean of "
        f"{verdict.seeds} seeds (spread {number(verdict.spread)}); the score that it was chosen "
        f"for, {number(verdict.chosen)}, flatters it"
    )
    if verdict.default is not None and verdict.lead is not None:
        lines += _wrap(f"the default's: {verdict.default}; the lead, over seeds: {verdict.lead}")
    return [*lines, *_wrap(verdict.sentence)]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, width(), subsequent_indent="  ")
