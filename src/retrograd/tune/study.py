"""A study: a directory that holds everything about one search, shared by the processes on it."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrograd.recipe.config import Config
from retrograd.recipe.toml import parse_config
from retrograd.tensor.errors import FileFormatError, InputError, RunError
from retrograd.train.files import read_file, replace_file
from retrograd.train.lock import acquire
from retrograd.tune.journal import is_held, locked, open_journal
from retrograd.tune.space import Dial, Space, options_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a study was begun with; `trials` and `seconds` may be set anew when it goes on.

    config: the user's options, as TOML.  starts: what the range test and the curvature said.
    digest: of the data's rows.  repeats: seeds on which the winner and the default are rerun.
    first: the trials to begin with, each its "values" of the dials and its "attrs".
    """

    config: str
    name: str
    digest: str
    space: Space
    starts: Mapping[str, float]
    trials: int | None = None
    seconds: float | None = None
    repeats: int = 5
    first: tuple[Mapping[str, Any], ...] = ()

    @property
    def base(self) -> Config:
        """The config that the user gave."""
        return parse_config(self.config, "reading the study's config")


class StudyHome:
    """A study's directory, with its journal open; one object a process."""

    def __init__(self, root: Path, settings: Settings) -> None:
        """Take a directory and what it was begun with; the journal opens."""
        self.root, self.settings = root, settings
        self.study = open_journal(root / "journal.jsonl")
        self.worker = f"{os.getpid()}-{secrets.token_hex(3)}"
        (root / "workers").mkdir(exist_ok=True)
        self._alive = acquire(self._lock_of(self.worker))

    def close(self) -> None:
        """Say that this process no longer works on the study."""
        os.close(self._alive)
        self._lock_of(self.worker).unlink(missing_ok=True)

    def _lock_of(self, worker: str) -> Path:
        return self.root / "workers" / f"{worker}.lock"

    def trials(self) -> list[FrozenTrial]:
        """Return all trials as they are now, those that wait or were taken up again included."""
        return list(self.study.get_trials(deepcopy=False))

    def ask(self) -> tuple[Trial, dict[str, Any]] | None:
        """Return a trial to run and its options; None if there are as many as were asked for.

        The sampler's seed is the place of the trial, so that a study that was killed goes on with
        the trials that it would have had.
        """
        with locked(self.root / "asking.lock"):
            self.take_up()
            found = self.trials()
            waiting = [t for t in found if t.state.name == "WAITING"]
            distinct = sum("retry_of" not in t.user_attrs for t in found)
            limit = self.settings.trials
            if not waiting and limit is not None and distinct >= limit:
                return None
            place = waiting[0].user_attrs["place"] if waiting else distinct
            self.study.sampler = _sampler(self.settings.base.seed, place)
            first = self.settings.first
            if not waiting and place < len(first):
                attrs = {**first[place]["attrs"], "place": place}
                self.study.enqueue_trial(first[place]["values"], user_attrs=attrs)
            trial = self.study.ask()
            trial.set_user_attr("place", place)
            values = {dial.name: _suggest(trial, dial) for dial in self.settings.space.dials}
            is_default = trial.user_attrs.get("start") == "default"
            options = {} if is_default else options_of(self.settings.space, values)
            trial.set_user_attr("options", options)
            trial.set_user_attr("worker", self.worker)
        return trial, options

    def take_up(self) -> None:
        """Let trials whose process died wait to be run again, once; the caller holds the lock."""
        from optuna.trial import TrialState

        found = self.trials()
        again = {t.user_attrs.get("retry_of") for t in found}
        for trial in found:
            if trial.state != TrialState.RUNNING:
                continue
            worker = trial.user_attrs.get("worker")
            # One without a worker was being asked for, under the lock that we hold: it is dead.
            if worker is not None and (worker == self.worker or is_held(self._lock_of(worker))):
                continue
            self._enqueue_again(trial, again)

    def _enqueue_again(self, trial: FrozenTrial, again: set[Any]) -> None:
        """Enqueue first and end after: killed in between, the next scan sees that it waits."""
        from optuna.trial import TrialState

        if trial.number not in again:
            values = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            attrs = {"retry_of": trial.number, "place": trial.user_attrs.get("place", trial.number)}
            attrs |= {k: v for k, v in trial.user_attrs.items() if k in ("start", "shown")}
            self.study.enqueue_trial(values, user_attrs=attrs)
        self.study.tell(trial.number, state=TrialState.FAIL)

    def leave(self, trial: Trial) -> None:
        """Put back a trial that did not come to its end, to be run again when the study goes on."""
        with locked(self.root / "asking.lock"):
            found = self.trials()
            again = {t.user_attrs.get("retry_of") for t in found}
            self._enqueue_again(found[trial.number], again)

    def is_working(self) -> bool:
        """Return whether another living process runs a trial."""
        running = [t for t in self.trials() if t.state.name == "RUNNING"]
        others = {str(t.user_attrs.get("worker", self.worker)) for t in running} - {self.worker}
        return any(is_held(self._lock_of(worker)) for worker in others)

    def spent(self) -> float:
        """Return the seconds in which trials ran: pauses of the study do not count."""
        now, total, last = datetime.datetime.now(), 0.0, datetime.datetime.min
        for trial in sorted(self.trials(), key=lambda t: t.datetime_start or now):
            begun = trial.datetime_start or now
            end = trial.datetime_complete or (now if trial.state.name == "RUNNING" else begun)
            total += max(0.0, (end - max(begun, last)).total_seconds())
            last = max(last, end)
        return total

    def with_limits(self, trials: int | None, seconds: float | None) -> None:
        """Set new limits for the whole study; None leaves one as it is."""
        settings = dataclasses.replace(
            self.settings,
            trials=trials or self.settings.trials,
            seconds=seconds or self.settings.seconds,
        )
        write_settings(self.root, settings)
        self.settings = settings


def _sampler(seed: int, place: int) -> Any:
    from optuna.samplers import TPESampler

    mixed = (seed * 1_000_003 + place * 7919 + 1) % 2**31
    return TPESampler(seed=mixed, multivariate=True, constant_liar=True, n_startup_trials=8)


def _suggest(trial: Trial, dial: Dial) -> Any:
    if dial.choices:
        return trial.suggest_categorical(dial.name, dial.choices)
    if dial.is_whole:
        return trial.suggest_int(dial.name, int(dial.low), int(dial.high))
    return trial.suggest_float(dial.name, dial.low, dial.high, log=dial.is_log)


def create_home(studies: Path | str, settings: Settings) -> Path:
    """Make ``studies``/<name>-<n> with the first free number; raises RunError if it cannot be."""
    try:
        Path(studies).mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            root = Path(studies) / f"{settings.name}-{number}"
            try:
                root.mkdir()
                return root
            except FileExistsError:
                continue
    except OSError as error:
        found = error.strerror or str(error)
        asked = f"making a study in {str(studies)!r}"
        raise RunError(asked, found, "choose a directory that you may write in") from None
    raise AssertionError("counting has no end")


def write_settings(root: Path, settings: Settings) -> None:
    """Write what a study is; with this file it has begun."""
    record = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    dials = [dial._asdict() for dial in settings.space.dials]
    record["space"] = {**settings.space._asdict(), "dials": dials}
    replace_file(root / "study.json", json.dumps(record, indent=1).encode())


def open_home(root: Path | str) -> StudyHome:
    """Open the study in a directory.

    Raises InputError if there is none that has begun, FileFormatError if it is damaged.
    """
    path = Path(root) / "study.json"
    if not path.is_file():
        raise InputError(
            f"opening the study {str(root)!r}",
            "it has no study.json",
            "give the directory that tune printed, or begin a new study",
        )
    asked = f"reading {str(path)!r}"
    try:
        plain = json.loads(read_file(path, asked))
        space = plain.pop("space")
        dials = tuple(Dial(**dial | {"choices": tuple(dial["choices"])}) for dial in space["dials"])
        made = Space(dials, dict(space["rates"]), str(space["optimizer"]))
        settings = Settings(**plain | {"first": tuple(plain["first"])}, space=made)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise FileFormatError(asked, "it is no study of ours", "begin a new study") from None
    return StudyHome(Path(root), settings)


def clock_left(home: StudyHome, began: float, spent: float) -> float:
    """Return the seconds that are left of the study's time, of which ``spent`` were used before."""
    if home.settings.seconds is None:
        return float("inf")
    return home.settings.seconds - spent - (time.monotonic() - began)
