"""RunDirectory: everything that one run made, in one place, with one writer."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retrograd.tensor.errors import InputError, RunError
from retrograd.train.checkpoint import Checkpoint, SavedCheckpoint, load_newest, save_checkpoint
from retrograd.train.events import EpochDone, Event, Started, StepDone, plain, to_record
from retrograd.train.lines import LineLog
from retrograd.train.lock import acquire
from retrograd.train.norms import NORMS, NormsLog

_LONGEST_WAIT = 1.0  # seconds that a step's metrics may stay in memory
_MOST_WAITING = 256  # steps


class RunPaths:
    """Where the files of a run are, whether or not they exist.

    >>> RunPaths(Path("runs") / "digits-1").config.as_posix()
    'runs/digits-1/config.toml'
    """

    def __init__(self, root: Path | str) -> None:
        """Take the run's own directory."""
        self.root = Path(root)
        self.config = self.root / "config.toml"
        self.schema = self.root / "schema.json"
        self.metrics = self.root / "metrics.jsonl"
        self.events = self.root / "events.jsonl"
        self.recording = self.root / "recording"
        self.checkpoints = self.root / "checkpoints"
        self.report = self.root / "report.html"
        self.model = self.root / "model.retro"
        self.lock = self.root / "lock"


class RunDirectory:
    """A run's directory, held open by its one writer: it records events and saves checkpoints.

    `create_run` and `open_run` make one. metrics.jsonl has a line a step and a line an epoch, and
    no times, so that a resumed run writes the same bytes as an undisturbed one; so do the norms of
    layers in recording/. events.jsonl has everything else that happened, with times.
    """

    def __init__(self, paths: RunPaths) -> None:
        """Open the logs of a directory whose lock the caller holds."""
        self.paths = paths
        self._metrics = LineLog(paths.metrics)
        try:
            self._events = LineLog(paths.events)
        except RunError:
            self._metrics.close()
            raise
        self._norms = NormsLog(paths.recording)
        self._leaves: tuple[str, ...] = ()
        self._waiting: list[StepDone] = []
        self._flushed = time.monotonic()

    @property
    def root(self) -> Path:
        """The directory itself."""
        return self.paths.root

    def record(self, event: Event) -> None:
        """Write an event to its log. Steps wait in memory for up to a second or 256 of them.

        Raises RunError, naming the file and why, if it cannot be written.
        """
        if isinstance(event, StepDone):
            self._waiting.append(event)
            is_late = time.monotonic() - self._flushed > _LONGEST_WAIT
            if is_late or len(self._waiting) >= _MOST_WAITING:
                self.flush()
            return
        self.flush()
        if isinstance(event, Started):
            self._leaves = tuple(event.state.params)
        if isinstance(event, EpochDone):
            place = {"epoch": event.epoch, "step": event.step, "end_of_epoch": True}
            self._metrics.append([place | plain(event.metrics)])
        self._events.append([to_record(event) | {"time": round(time.time(), 3)}])

    def flush(self) -> None:
        """Write the steps that wait."""
        waiting, self._waiting = self._waiting, []
        self._flushed = time.monotonic()
        self._metrics.append(_step_line(event) for event in waiting)
        rows = [(e.step, e.metrics[NORMS].numpy()) for e in waiting if NORMS in e.metrics]
        if rows:
            self._norms.append(self._leaves, rows)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint: what `fit` takes as ``save``. Returns its path.

        The metrics up to it are made safe first, and their length is part of the checkpoint.
        Raises RunError, naming the file and why; checkpoints from before are intact.
        """
        self.flush()
        sizes = {"metrics.jsonl": self._metrics.sync(), "norms.bin": self._norms.size()}
        return save_checkpoint(self.paths.checkpoints, checkpoint, sizes)

    def resume(self) -> SavedCheckpoint | None:
        """Return the newest whole checkpoint, or None if the run has none yet.

        Metrics written after it are cut off, since the steps they are of will be done again.
        Raises FileFormatError if there are checkpoints and none can be read.
        """
        saved = load_newest(self.paths.checkpoints)
        self._waiting.clear()
        logs = saved.logs if saved else {}
        self._metrics.cut(logs.get("metrics.jsonl", 0))
        self._norms.cut(logs.get("norms.bin", 0))
        return saved

    def close(self) -> None:
        """Write what waits and close the logs."""
        try:
            self.flush()
        finally:
            self._metrics.close()
            self._events.close()


def _step_line(event: StepDone) -> dict[str, Any]:
    return {"epoch": event.epoch, "step": event.step, **plain(event.numbers())}


@contextmanager
def create_run(runs: Path | str, name: str) -> Iterator[RunDirectory]:
    """Make the directory ``runs/<name>-<n>`` with the first free number, and hold it open.

    Nothing that exists is ever overwritten, and two processes never get the same number. Raises
    InputError for a name that is no file name, RunError if the directory cannot be made.
    """
    if not re.fullmatch(r"[^\W_][\w. +-]{0,99}", name):
        raise InputError(
            f"making a run named {name!r}",
            "it is not a plain file name",
            "use letters, digits, and . _ - + inside, at most 100 characters",
        )
    with _opened(RunPaths(_first_free(Path(runs), name))) as run:
        yield run


def _first_free(runs: Path, name: str) -> Path:
    try:
        runs.mkdir(parents=True, exist_ok=True)
        taken = [_number(path.name, name) for path in runs.iterdir()]
        for number in itertools.count(max(taken, default=0) + 1):
            path = runs / f"{name}-{number}"
            try:
                path.mkdir()
            except FileExistsError:
                continue
            (path / "checkpoints").mkdir()
            return path
    except OSError as error:
        raise RunError(
            f"making a run directory in {str(runs)!r}",
            error.strerror or str(error),
            "choose a directory that you may write in",
        ) from None
    raise AssertionError("counting has no end")


def _number(found: str, name: str) -> int:
    """Return the number of a run of this name, 0 for anything else."""
    match = re.fullmatch(re.escape(name) + r"-([1-9]\d{0,8})", found, re.ASCII)
    return int(match[1]) if match else 0


@contextmanager
def open_run(root: Path | str) -> Iterator[RunDirectory]:
    """Hold an existing run's directory open, to go on with it.

    Raises InputError if it is no run's directory, or if another process is writing to it, naming
    process and host.
    """
    paths = RunPaths(root)
    if not paths.checkpoints.is_dir():
        raise InputError(
            f"opening the run {str(root)!r}",
            "there is no such run",
            "give the directory of a run, such as runs/digits-1",
        )
    with _opened(paths) as run:
        yield run


@contextmanager
def _opened(paths: RunPaths) -> Iterator[RunDirectory]:
    lock = acquire(paths.lock)
    try:
        run = RunDirectory(paths)
        try:
            yield run
        finally:
            run.close()
    finally:
        os.close(lock)
