"""One process's part in a study: ask for a trial, train, tell, until time or trials are spent."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrograd.tune.material import Material
from retrograd.tune.study import StudyHome, clock_left
from retrograd.tune.trial import Trained, train_once

if TYPE_CHECKING:
    from optuna.trial import Trial

ShouldStop = Callable[[], str | None]
_LARGEST_RESERVE = 0.4  # of the study's time, for the reruns and the winner


@dataclass(frozen=True)
class TrialDone:
    """One trial is done.  best: the lowest score of all so far, and the trial that has it."""

    number: int
    options: dict[str, Any]
    trained: Trained
    done: int
    best: float | None
    best_number: int | None
    seconds_left: float


Listen = Callable[[Any], None]


def search(
    home: StudyHome, material: Material, listen: Listen, should_stop: ShouldStop
) -> str | None:
    """Run trials until the study's trials or time are spent; return a word if a signal ended it.

    A share of the time is kept for what comes after: the reruns on other seeds, and the winner.
    """
    began, spent = time.monotonic(), home.spent()

    def left() -> float:
        return clock_left(home, began, spent) - _reserve(home)

    while (word := should_stop()) is None and (left() > 0 or not _has_complete(home)):
        asked = home.ask()
        if asked is None:
            return None
        trial, options = asked
        trained = _run(home, material, trial, options, left, should_stop)
        if trained.ending == "stopped":
            home.leave(trial)
            continue
        _tell(home, trial, trained)
        listen(_done(home, trial.number, options, trained, left()))
    return word


def _run(
    home: StudyHome, material: Material, trial: Trial, options: dict[str, Any],
    left: Callable[[], float], should_stop: ShouldStop,
) -> Trained:  # fmt: skip
    """Train one trial; one that time cuts is put back, but the first result is kept as it is."""
    is_first = not _has_complete(home)

    def look(unit: int, value: float) -> bool:
        trial.report(value, unit)
        others = [
            t.intermediate_values[unit]
            for t in home.trials()
            if t.number != trial.number and t.state.name != "FAIL" and unit in t.intermediate_values
        ]
        return not is_first and not is_promoted(value, others)

    def stop() -> str | None:
        return should_stop() or ("time" if left() <= 0 else None)

    trained = train_once(material, options, home.settings.base.seed, look=look, should_stop=stop)
    is_kept = trained.ending == "stopped" and is_first and should_stop() is None
    return trained._replace(ending="complete", why="time was over") if is_kept else trained


def _tell(home: StudyHome, trial: Trial, trained: Trained) -> None:
    from optuna.trial import TrialState

    facts = {"ending": trained.ending, "epochs": trained.epochs, "seconds": trained.seconds}
    trial.set_user_attr("facts", facts | ({"why": trained.why} if trained.why else {}))
    if trained.ending == "complete":
        home.study.tell(trial, trained.score)
    else:  # pruned without a value counts as worst, which a training that broke down is
        home.study.tell(trial, state=TrialState.PRUNED)


def _done(
    home: StudyHome, number: int, options: dict[str, Any], trained: Trained, left: float
) -> TrialDone:
    best = best_trial(home)
    done = sum(t.state.name in ("COMPLETE", "PRUNED") for t in home.trials())
    value, at = (None, None) if best is None else (best.value, best.number)
    return TrialDone(number, options, trained, done, value, at, left)


def best_trial(home: StudyHome) -> Any:
    """Return the complete trial with the lowest score, the earliest of equals; None without one."""
    complete = [t for t in home.trials() if t.state.name == "COMPLETE"]
    return min(complete, key=lambda t: (t.value, t.number), default=None)


def _has_complete(home: StudyHome) -> bool:
    return best_trial(home) is not None


def _reserve(home: StudyHome) -> float:
    """Return the seconds to keep for two sets of reruns and the winner: as long as whole trials."""
    if home.settings.seconds is None:
        return 0.0
    took = [t.user_attrs["facts"]["seconds"] for t in home.trials() if t.state.name == "COMPLETE"]
    mean = sum(took) / len(took) if took else 0.0
    wanted = mean * (2 * home.settings.repeats + 1)
    return min(wanted, _LARGEST_RESERVE * home.settings.seconds)


def is_promoted(value: float, others: list[float]) -> bool:
    """Return whether a trial goes on: among the best third of all that came as far, or the best.

    Source: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (ASHA), algorithm
    2, with reduction factor 3. Trials that a kill cut short do not count: they are run again.

    >>> is_promoted(0.4, [0.5, 0.6]), is_promoted(0.55, [0.5, 0.6])
    (True, False)
    """
    all_of_them = sorted([*others, value])
    return value <= all_of_them[max(len(all_of_them) // 3 - 1, 0)]
