"""The way of one call: begin or open a study, search with all processes, end it once."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from retrograd.data import Table
from retrograd.recipe.config import Config, configure
from retrograd.recipe.prepare import run_name
from retrograd.recipe.toml import to_toml
from retrograd.tensor.errors import DataError, InputError
from retrograd.train.lock import acquire
from retrograd.tune.finish import Result, cut_short, finish
from retrograd.tune.material import Material, make_material
from retrograd.tune.search import search
from retrograd.tune.space import Space, make_space, shown_options, values_of
from retrograd.tune.start import largest_step, rate_range
from retrograd.tune.study import (
    Settings,
    StudyHome,
    clock_left,
    create_home,
    open_home,
    write_settings,
)
from retrograd.tune.worker import start_workers

DEFAULT_SECONDS = 600.0
_POLL = 0.1
ShouldStop = Callable[[], str | None]
Listen = Callable[[Any], None]


class Opened(NamedTuple):
    """A study that this process works on, told before its search."""

    home: StudyHome
    material: Material
    is_joined: bool


def begin(
    options: Mapping[str, Any], table: Table | None, *, studies: str, trials: int | None,
    seconds: float | None, repeats: int = 5, config: Config | None = None,
) -> tuple[Path, Material]:  # fmt: skip
    """Make a study: prepare the data, look where to start, write what it is.

    Nothing is written before all that is refused is refused. Raises InputError and DataError.
    """
    base = configure(config, **options)
    _require_counts(trials, repeats)
    if trials is None and seconds is None:
        seconds = DEFAULT_SECONDS
    material = make_material(base, table)
    prepared = material.prepared
    tested, bound = rate_range(prepared.job), largest_step(prepared.job)
    space = make_space(options, prepared.config, prepared.job.size, tested.highest, bound)
    starts = {"suggested_rate": tested.suggested, "highest_rate": tested.highest}
    starts |= {"largest_stable_step": bound} if math.isfinite(bound) else {}
    name = base.name or run_name(base.data.source)
    data = prepared.config.data
    settled = configure(base, **({"source": data.source} if data.source else {}))
    settings = Settings(
        config=to_toml(settled), name=name, digest=prepared.data_digest, space=space,
        starts=starts, trials=trials, seconds=seconds, repeats=repeats,
        first=_first_trials(space, prepared.config, tested.suggested, bound),
    )  # fmt: skip
    root = create_home(studies, settings)
    write_settings(root, settings)
    return root, material


def _require_counts(trials: int | None, repeats: int) -> None:
    for name, value in (("trials", trials), ("repeats", repeats)):
        if value is not None and value < 1:
            raise InputError(f"{name}={value}", "it is out of range", "give a number from 1")


def require_processes(processes: int, *, is_in_memory: bool) -> None:
    """Raise InputError for no process, or for several on a table that only this one holds."""
    if processes < 1 or (processes > 1 and is_in_memory):
        raise InputError(
            f"processes={processes}",
            "the table is in memory, which other processes cannot read"
            if processes > 1
            else "it is out of range",
            "give a file, or processes=1",
        )


def _first_trials(
    space: Space, chosen: Config, suggested: float, bound: float
) -> tuple[dict[str, Any], ...]:
    """Return the default, then what the range test and the curvature suggest."""
    names = {dial.name for dial in space.dials}
    default = values_of(space, chosen)
    shown = {"start": "default", "shown": shown_options(space, chosen)}
    found: list[dict[str, Any]] = [{"values": default, "attrs": shown}]
    if "rate" in names:
        values = default | {"rate": values_of(space, chosen, suggested)["rate"]}
        found.append({"values": values, "attrs": {"start": "range test"}})
        if "optimizer" in names and math.isfinite(bound):
            values = default | {"rate": 1.0, "optimizer": "nesterov"}
            found.append({"values": values, "attrs": {"start": "curvature"}})
    return tuple(found)


def go_on(
    root: Path, table: Table | None = None, *, material: Material | None = None,
    trials: int | None = None, seconds: float | None = None, processes: int = 1,
    directory: str = "runs", listen: Listen | None = None, should_stop: ShouldStop | None = None,
) -> Result:  # fmt: skip
    """Work on a study until its time or trials are spent, and end it.

    Where several processes work on it, one ends it and all come to its result. Raises InputError
    for a directory without a study, DataError if the data changed since it began.
    """
    tell, asks = listen or (lambda event: None), should_stop or (lambda: None)
    _require_counts(trials, 1)
    home = open_home(root)
    try:
        require_processes(processes, is_in_memory=home.settings.base.data.source is None)
        if trials is not None or seconds is not None:
            home.with_limits(trials, seconds)
        material = material or make_material(home.settings.base, table)
        if material.prepared.data_digest != home.settings.digest:
            found = "the data is not what it was when the study began"
            raise DataError(f"going on with {str(root)!r}", found, "begin a new study")
        return _work(home, material, table, processes, directory, tell, asks)
    finally:
        home.close()


def _work(
    home: StudyHome, material: Material, table: Table | None, processes: int, directory: str,
    tell: Listen, asks: ShouldStop,
) -> Result:  # fmt: skip
    began, spent = time.monotonic(), home.spent()
    tell(Opened(home, material, home.is_working()))
    workers = start_workers(home.root, processes - 1) if processes > 1 else []
    try:
        word = search(home, material, tell, asks)
        if word is None:
            word = _wait(home, asks)
    finally:
        _end(workers)
    if word is not None:
        return cut_short(home, word)
    ending = _wait_to_end(home, tell, asks)
    if isinstance(ending, str):
        return cut_short(home, ending)

    def left() -> float:
        return clock_left(home, began, spent)

    try:
        return finish(home, material, table, left, tell, asks, directory)
    finally:
        os.close(ending)


def _wait_to_end(home: StudyHome, tell: Listen, asks: ShouldStop) -> int | str:
    """Return the lock of who ends the study, or a signal's word.

    Who gets it second finds everything done, and comes to the same result in a moment.
    """
    is_told = False
    while (word := asks()) is None:
        try:
            return acquire(home.root / "ending.lock")
        except InputError:
            if not is_told:
                tell("another process ends the study")
            is_told = True
            time.sleep(_POLL)
    return word


def _wait(home: StudyHome, asks: ShouldStop) -> str | None:
    """Wait until no other process runs a trial; return a signal's word."""
    while home.is_working():
        if (word := asks()) is not None:
            return word
        time.sleep(_POLL)
    return asks()


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    """Ask the workers to stop in order, and wait for them."""
    for worker in workers:
        if worker.poll() is None:
            worker.terminate()
    for worker in workers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(timeout=60)
