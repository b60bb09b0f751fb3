"""One sentence on whether a network is worth having: it says plainly when it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from retrograd.recipe.intervals import Estimate

Result = Literal["better", "unclear", "worse"]


@dataclass(frozen=True)
class Comparison:
    """A network against a baseline, on the same test rows.

    estimate: the baseline's own.  difference: how much better the network is (below 0: worse), with
    the interval of the paired difference, which is narrower than the two intervals suggest.
    """

    name: str
    description: str
    estimate: Estimate
    difference: Estimate

    @property
    def result(self) -> Result:
        """Better or worse if the interval of the difference leaves out 0, else unclear."""
        if self.difference.low > 0:
            return "better"
        return "worse" if self.difference.high < 0 else "unclear"


def judge(measure: str, estimate: Estimate, comparisons: Sequence[Comparison]) -> str:
    """Return the verdict in a sentence.

    >>> narrow = Estimate(0.02, 0.01, 0.03)
    >>> judge("accuracy", Estimate(0.9, 0.8, 1.0), [Comparison("trivial", "", narrow, narrow)])
    'The network beats the trivial baseline: its accuracy is 0.9, theirs 0.02.'
    """
    word = measure.replace("_", " ")
    if not comparisons:
        return f"The network's {word} is {estimate}; there are no baselines to compare it with."
    failed = [c for c in comparisons if c.result != "better"]
    if not failed:
        names = " and ".join(c.name for c in comparisons)
        plural = "s" if len(comparisons) > 1 else ""
        theirs = " and ".join(f"{c.estimate.value:.4g}" for c in comparisons)
        return (
            f"The network beats the {names} baseline{plural}: its {word} is "
            f"{estimate.value:.4g}, theirs {theirs}."
        )
    return " ".join(_sentence(word, estimate, c) for c in failed)


def _sentence(word: str, estimate: Estimate, c: Comparison) -> str:
    numbers = f"{word} {estimate.value:.4g} against {c.estimate.value:.4g}"
    if c.result == "worse":
        return (
            f"The network does not beat the {c.name} baseline ({c.description}): {numbers}. "
            "Use that instead, or give more rows or better columns."
        )
    return (
        f"The network is not clearly better than the {c.name} baseline ({c.description}): "
        f"{numbers}, and a difference of {c.difference} may be chance."
    )
