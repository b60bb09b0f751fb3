"""How much of the winner's lead is chance: of the seed, of being chosen, of the rows that judge.

The winner and the default are trained again on other seeds, and judged on rows that no choice saw.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.recipe.intervals import Estimate, bootstrap
from retrograd.train.files import replace_file
from retrograd.tune.material import Material
from retrograd.tune.study import StudyHome
from retrograd.tune.trial import train_once

FEWEST = 2  # seeds below which nothing can be said of their noise
DEFAULT = "default"


@dataclass(frozen=True)
class Rerun:
    """One training on another seed: its score where it was stopped, and each judging row's loss."""

    score: float
    judged: tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """What the reruns say.

    honest: the winner's measure on rows that no choice saw, the mean of its seeds, with the
    interval of these rows.  chosen: its score in the search, which flatters it for having been the
    lowest.  lead: how much lower it is than the default, the mean over seeds, with the interval of
    the seeds (NaN for fewer than two).  spread: the standard deviation of the winner over seeds.
    """

    measure: str
    honest: Estimate
    chosen: float
    default: Estimate | None
    lead: Estimate | None
    spread: float
    seeds: int
    sentence: str


def rerun(
    home: StudyHome,
    material: Material,
    sets: Mapping[str, Mapping[str, Any]],
    is_over: Callable[[], bool],
    should_stop: Callable[[], str | None],
    listen: Callable[[str], None],
) -> dict[str, list[Rerun]]:
    """Train every set of options on the study's seeds, in turn; two each even if time is over.

    A signal's word ends it early. What was done before a kill is read back from `reruns.json`.
    """
    path = home.root / "reruns.json"
    kept = _read(path)
    found: dict[str, list[Rerun]] = {name: [] for name in sets}
    for i in range(home.settings.repeats):
        if i >= FEWEST and is_over():
            break
        for name, options in sets.items():
            key = f"{json.dumps(options, sort_keys=True)} {i}"
            if key not in kept:
                listen(f"seed {i + 1} of {home.settings.repeats}: {name}")
                seed = home.settings.base.seed + 1 + i
                trained = train_once(material, options, seed, should_stop=should_stop)
                if should_stop() is not None:
                    return found
                judged = [] if trained.judged is None else trained.judged.tolist()
                score = trained.score if trained.score is not None else math.nan
                kept[key] = {"score": score, "judged": judged}
                replace_file(path, json.dumps(kept).encode())
            one = kept[key]
            if one["judged"]:  # not one that broke down
                found[name].append(Rerun(one["score"], tuple(one["judged"])))
    return found


def _read(path: Any) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return plain if isinstance(plain, dict) else {}


def judge(
    material: Material, chosen: float, winner: list[Rerun], default: list[Rerun] | None
) -> Verdict:
    """Return the honest estimate of the winner, and how its lead over the default stands.

    ``default`` is None where the winner is the default.
    """
    honest = _estimate(material, winner)
    scores = _scores(material, winner)
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else math.nan
    lead = None if default is None else lead_of(_scores(material, default), scores)
    rival = None if default is None else _estimate(material, default)
    return Verdict(
        material.measure, honest, chosen, rival, lead, spread, len(winner), _sentence(lead)
    )


def _scores(material: Material, reruns: list[Rerun]) -> list[float]:
    return [material.score(np.array(each.judged)) for each in reruns]


def _estimate(material: Material, reruns: list[Rerun]) -> Estimate:
    if not reruns:
        return Estimate(math.nan, math.nan, math.nan)
    mean = np.mean([each.judged for each in reruns], axis=0)
    return bootstrap(material.score, [mean])


def lead_of(default: list[float], winner: list[float]) -> Estimate:
    """Return how much lower the winner's scores are, with Welch's 95 % interval over seeds.

    Source: Welch 1947, The Generalization of Student's Problem when Several Different Population
    Variances are Involved.

    >>> print(lead_of([0.30, 0.31, 0.32], [0.20, 0.21, 0.22]))
    0.1 [0.07733, 0.1227]
    """
    from scipy.special import stdtrit

    if not default or not winner:
        return Estimate(math.nan, math.nan, math.nan)
    lead = float(np.mean(default) - np.mean(winner))
    if min(len(default), len(winner)) < FEWEST:
        return Estimate(lead, math.nan, math.nan)
    parts = [float(np.var(x, ddof=1)) / len(x) for x in (default, winner)]
    if sum(parts) == 0:
        return Estimate(lead, lead, lead)
    freedom = sum(parts) ** 2 / sum(
        p * p / (len(x) - 1) for p, x in zip(parts, (default, winner), strict=True)
    )
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(sum(parts))
    return Estimate(lead, lead - half, lead + half)


def _sentence(lead: Estimate | None) -> str:
    """Say plainly whether the winner leads.

    >>> _sentence(Estimate(0.01, -0.01, 0.03))
    'The lead over the default is within the noise of the seed: it may be chance.'
    """
    if lead is None:
        return "Nothing tried was better than the default: the winner is the default."
    if math.isnan(lead.low):
        return "There were too few reruns to tell the lead over the default from chance."
    if lead.low > 0:
        return "The lead over the default is larger than the noise of the seed."
    if lead.high < 0:
        return "On rows that no choice saw, the winner is worse than the default: keep the default."
    return "The lead over the default is within the noise of the seed: it may be chance."
