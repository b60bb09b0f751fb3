"""Estimates with their 95 % intervals: Wilson's for proportions, the bootstrap for the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.tensor.types import Array

_Z = 1.959963984540054  # the normal distribution's 97.5 % point
_WORK = 20_000_000  # rows drawn for one interval


class Estimate(NamedTuple):
    """A number and the interval that holds the true one in 95 of 100 repetitions."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as people read it.

        >>> print(Estimate(0.795, 0.734, 0.845))
        0.795 [0.734, 0.845]
        """
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def wilson(successes: int, trials: int) -> Estimate:
    """Return the share of successes with Wilson's score interval; NaN where there are no trials.

    Unlike the usual p +- 2 sqrt(p (1 - p) / n) it stays inside 0 and 1, and is not a point at both.
    Source: Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference.

    >>> print(wilson(159, 200))
    0.795 [0.7338, 0.8451]
    """
    if trials == 0:
        return Estimate(math.nan, math.nan, math.nan)
    share = successes / trials
    spread = _Z * _Z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half))


def bootstrap(
    measure: Callable[..., float], columns: Sequence[Array], *, seed: int = 0
) -> Estimate:
    """Return ``measure(*columns)`` with its percentile bootstrap interval.

    Rows of all columns are drawn together, with replacement, 2,000 times (200 for large tables).
    Draws for which the measure is undefined (NaN) do not count. The seed fixes the draws.
    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
    """
    value = measure(*columns)
    rows = len(columns[0])
    draws = _draws(rows, seed)
    values = np.array([measure(*(column[draw] for column in columns)) for draw in draws])
    values = values[~np.isnan(values)]
    if not len(values):
        return Estimate(value, math.nan, math.nan)
    low, high = np.percentile(values, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))


def _draws(rows: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Give the rows of each draw; PCG64's raw bits never change between NumPy's versions."""
    bits = np.random.PCG64(seed)
    for _ in range(max(200, min(2000, _WORK // max(rows, 1)))):
        yield (bits.random_raw(rows) % np.uint64(rows)).astype(np.int64)
