"""Conformal prediction: intervals and sets that hold the truth as often as was asked.

Validation rows say how far off the network is: of the n scores there, the one with the rank
ceil((n + 1) coverage) is exceeded by a new row with probability at most 1 - coverage, whatever the
network and the data, if the new row is like them (drawn alike, in any order). Two things weaken
that. The same rows chose the best epoch and the temperature, so their scores are a little too
small: `test` measures the coverage on rows that chose nothing. And rows that are later, or of new
groups, are not drawn alike; part the rows by time or by group to calibrate on such rows.
Source: Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World, chapter 2; Lei et al.
2018, Distribution-Free Predictive Inference for Regression, algorithm 2.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.recipe.predictions import Floats, Predictions
from retrograd.tensor.errors import InputError

_MOST_SCORES = 1000  # kept; what lies between two of them counts as the larger


@dataclass(frozen=True)
class Conformal:
    """Ordered scores of validation rows: |amount - prediction|, or 1 - probability of the class.

    rows: how many there were.  ranks: those kept, from 1, the last is ``rows``.  scores: theirs.
    """

    rows: int
    ranks: tuple[int, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that ranks and scores rise together; raises ValueError if not."""
        rises = all(a < b for a, b in zip(self.ranks, self.ranks[1:], strict=False))
        ordered = all(a <= b for a, b in zip(self.scores, self.scores[1:], strict=False))
        whole = self.ranks[-1:] == (self.rows,) and len(self.ranks) == len(self.scores)
        finite = all(map(math.isfinite, self.scores))
        if not (rises and ordered and whole and finite and self.ranks[0] >= 1):
            raise ValueError("no ordered scores")

    def score(self, coverage: float) -> float:
        """Return the score that a new row exceeds with probability at most 1 - coverage.

        Raises InputError for a coverage outside (0, 1), or one that takes more rows.

        >>> conformal_of(np.arange(1.0, 100.0)).score(0.9)
        90.0
        """
        asked = f"predicting with coverage={coverage:g}"
        if not 0.0 < coverage < 1.0:
            raise InputError(asked, "it is no share between 0 and 1", "give 0.9, for example")
        rank = math.ceil((self.rows + 1) * coverage - 1e-9)
        if rank > self.rows:
            few = math.ceil(coverage / (1 - coverage) - 1e-9)
            found = f"it takes {few:,} validation rows, and there were {self.rows:,}"
            raise InputError(asked, found, "ask for less, or train with more rows")
        return self.scores[bisect.bisect_left(self.ranks, rank)]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"rows": self.rows, "ranks": list(self.ranks), "scores": list(self.scores)}

    @staticmethod
    def from_json(value: Any) -> Conformal:
        """Return what `to_json` wrote; raises ValueError, KeyError or TypeError else."""
        scores = tuple(float(score) for score in value["scores"])
        return Conformal(int(value["rows"]), tuple(map(int, value["ranks"])), scores)


def conformal_of(scores: Floats) -> Conformal | None:
    """Return the order of scores (rows,), or None if there are none, or some are not finite.

    >>> conformal_of(np.array([3.0, 1.0, 2.0]))
    Conformal(rows=3, ranks=(1, 2, 3), scores=(1.0, 2.0, 3.0))
    """
    if not len(scores) or not np.isfinite(scores).all():
        return None
    ordered, n = np.sort(scores), len(scores)
    ranks = np.unique(np.ceil(np.linspace(1, n, min(n, _MOST_SCORES))).astype(np.int64))
    return Conformal(n, tuple(ranks.tolist()), tuple(ordered[ranks - 1].tolist()))


def class_scores(probabilities: Floats, labels: Any) -> Floats:
    """Return 1 - the probability of the true class.  (rows, classes), (rows,) -> (rows,)

    >>> class_scores(np.array([[0.25, 0.75]]), np.array([1])).tolist()
    [0.25]
    """
    return np.asarray(1 - probabilities[np.arange(len(labels)), labels])


def class_sets(probabilities: Floats, score: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return (rows, classes) whether a class is in a row's set: its score is not above this one.

    The likeliest class is always in it, so that no set is empty.
    Source: Sadinle, Lei & Wasserman 2019, Least Ambiguous Set-Valued Classifiers.

    >>> class_sets(np.array([[0.5, 0.3, 0.2]]), 0.75).tolist()
    [[True, True, False]]
    """
    inside = probabilities >= 1 - score
    inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
    return np.asarray(inside)


def with_coverage(found: Predictions, conformal: Conformal | None, coverage: float) -> Predictions:
    """Return predictions with an interval for each amount, or a set of classes for each row.

    Raises InputError for a network without validation rows, and as `Conformal.score` does.
    """
    if conformal is None:
        asked = f"predicting with coverage={coverage:g}"
        why = "no validation rows told how far off the network is"
        raise InputError(asked, why, "train with --validation 0.15")
    score = conformal.score(coverage)
    if found.probabilities is not None:
        return dataclasses.replace(found, sets=class_sets(found.probabilities, score))
    return dataclasses.replace(found, lower=found.values - score, upper=found.values + score)
