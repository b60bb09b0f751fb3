"""The end of a study: reruns on other seeds, the winner trained again, tables and plots."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrograd.data import Table
from retrograd.recipe import run as runs
from retrograd.recipe.config import Config, configure
from retrograd.recipe.prepare import Prepared
from retrograd.recipe.toml import to_toml
from retrograd.tensor.errors import RunError
from retrograd.train.files import replace_file
from retrograd.tune.material import Material
from retrograd.tune.noise import DEFAULT, Verdict, judge, rerun
from retrograd.tune.results import importances, trial_rows, write_results
from retrograd.tune.search import best_trial
from retrograd.tune.study import StudyHome

ShouldStop = Callable[[], str | None]


@dataclass(frozen=True)
class Result:
    """What a study came to.

    winner: the run directory of the network trained again; None if a signal ended the study first.
    options: the winner's, {} for the default.  trials: a record each.  stopped: the signal's word.
    """

    study: Path
    winner: Path | None
    options: dict[str, Any]
    trials: list[dict[str, Any]]
    importances: dict[str, float]
    verdict: Verdict | None
    files: list[str]
    stopped: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON; what is not a number is None."""
        plain = dataclasses.asdict(self)
        if self.verdict is not None:
            for name in ("honest", "default", "lead"):
                estimate = getattr(self.verdict, name)
                plain["verdict"][name] = None if estimate is None else estimate._asdict()
        record: dict[str, Any] = _finite(
            {**plain, "study": str(self.study), "winner": str(self.winner or "")}
        )
        return record


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def finish(
    home: StudyHome, material: Material, table: Table | None, seconds_left: Callable[[], float],
    listen: Callable[[str], None], should_stop: ShouldStop, directory: str,
) -> Result:  # fmt: skip
    """Judge and train the winner, and write everything; ``directory`` holds the runs.

    Raises RunError if no trial came to its end.
    """
    best = best_trial(home)
    if best is None:
        raise RunError(
            f"ending the study {str(home.root)!r}",
            "no trial came to its end",
            "look at why in trials.parquet, or go on with more time: retrograd tune --resume",
        )
    options = best.user_attrs["options"]
    sets = {"winner": options} | ({DEFAULT: {}} if options else {})
    done = rerun(home, material, sets, lambda: seconds_left() <= 0, should_stop, listen)
    if (word := should_stop()) is not None:
        return cut_short(home, word)
    verdict = judge(material, best.value, done["winner"], done.get(DEFAULT))
    listen("the winner, as a run of its own")
    base = material.prepared.config
    name = f"{home.settings.name}-tuned"
    config = configure(base, **options, directory=directory, name=name)
    winner = _train_winner(home, table, config, should_stop)
    if (word := should_stop()) is not None:
        return cut_short(home, word)
    result = _written(home, winner, options, verdict, None)
    replace_file(home.root / "result.json", json.dumps(result.to_dict(), indent=1).encode())
    return result


def cut_short(home: StudyHome, word: str) -> Result:
    """Return what a study has when a signal ended it: its table and plots, no winner yet."""
    best = best_trial(home)
    if best is None:
        return Result(home.root, None, {}, trial_rows(home), {}, None, [], word)
    return _written(home, None, best.user_attrs["options"], None, word)


def _written(
    home: StudyHome, winner: Path | None, options: dict[str, Any], verdict: Verdict | None,
    word: str | None,
) -> Result:  # fmt: skip
    matter = importances(home)
    files = write_results(home, matter)
    return Result(home.root, winner, options, trial_rows(home), matter, verdict, files, word)


def _train_winner(
    home: StudyHome, table: Table | None, config: Config, should_stop: ShouldStop
) -> Path:
    """Train the winner as a run, once: a run that a kill cut short is gone on with."""
    note, key = home.root / "winner.json", to_toml(config)
    known = _known(note, key)
    if known is not None and (home.root / "winner.done").exists():
        return known
    if known is not None:
        return _marked(home, runs.resume(known, table, should_stop=should_stop))

    def hear(event: Any) -> None:
        if isinstance(event, Prepared) and event.directory is not None:
            record = {"run": str(event.directory.resolve()), "config": key, "time": time.time()}
            replace_file(note, json.dumps(record).encode())

    (home.root / "winner.done").unlink(missing_ok=True)
    return _marked(home, runs.run(config, table, listen=hear, should_stop=should_stop))


def _marked(home: StudyHome, outcome: runs.Outcome) -> Path:
    """Note that the winner's run came to its end, unless a signal ended it."""
    if outcome.stopped.reason not in ("interrupted", "terminated"):
        replace_file(home.root / "winner.done", b"")
    return outcome.directory


def _known(note: Path, key: str) -> Path | None:
    """Return the run that was begun for this config, if there is one and it still lies there."""
    try:
        record = json.loads(note.read_bytes())
        place = Path(record["run"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return place if record.get("config") == key and place.is_dir() else None
