"""Estimates with their 95 % intervals: of shares and areas in closed form, else by the bootstrap.

The closed forms hold from the first row on; where they exist, the bootstrap would give a point for
a network without a mistake, however few rows it was asked about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.tensor.types import Array

_Z = 1.959963984540054  # the normal distribution's 97.5 % point
_WORK = 20_000_000  # rows drawn for one interval
_FEWEST_ROWS = 5  # below, no draw of the rows says what others would be like


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
        if math.isnan(self.low):
            return f"{self.value:.4g} (too few rows for an interval)"
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


def mean_share(shares: Sequence[tuple[int, int]]) -> Estimate:
    """Return the mean of shares, each (successes, trials), such as the balanced accuracy.

    The Wilson intervals of the shares are joined as the square root of the sum of their squares.
    Source: Zou & Donner 2008, Construction of Confidence Limits about Effect Measures.

    >>> print(mean_share([(18, 20), (7, 10)]))
    0.8 [0.6181, 0.9026]
    """
    parts = [wilson(*share) for share in shares]
    mean = sum(part.value for part in parts) / len(parts)
    below = math.hypot(*(part.value - part.low for part in parts)) / len(parts)
    above = math.hypot(*(part.high - part.value for part in parts)) / len(parts)
    return Estimate(mean, max(0.0, mean - below), min(1.0, mean + above))


def paired_difference(gained: int, lost: int, rows: int) -> Estimate:
    """Return the difference of two shares of the same rows: (gained - lost) / rows.

    ``gained`` are rows that only the first has right, ``lost`` those that only the second has.
    Source: Bonett & Price 2012, Adjusted Wald Confidence Interval for a Difference of Binomial
    Proportions Based on Paired Data.

    >>> print(paired_difference(3, 0, 3))
    1 [-0.1012, 1]
    """
    up, down = (gained + 1) / (rows + 2), (lost + 1) / (rows + 2)
    half = _Z * math.sqrt((up + down - (up - down) ** 2) / (rows + 2))
    low, high = max(-1.0, up - down - half), min(1.0, up - down + half)
    return Estimate((gained - lost) / rows, low, high)


def area(value: float, positives: int, negatives: int) -> Estimate:
    """Return an area under the ROC curve with the interval of areas that it does not contradict.

    Source: Newcombe 2006, Confidence Intervals for an Effect Size Measure Based on the Mann-Whitney
    Statistic, part 2, method 5.

    >>> print(area(1.0, 5, 5))
    1 [0.6427, 1]
    """
    if math.isnan(value):
        return Estimate(value, math.nan, math.nan)
    size = (positives + negatives) / 2 - 1

    def contradicts(other: float) -> bool:
        growth = 1 + size * ((1 - other) / (2 - other) + other / (1 + other))
        variance = other * (1 - other) * growth / (positives * negatives)
        return (other - value) ** 2 > _Z * _Z * variance

    return Estimate(value, _edge(contradicts, 0.0, value), _edge(contradicts, 1.0, value))


def _edge(contradicts: Callable[[float], bool], outside: float, inside: float) -> float:
    """Return where a condition begins to hold on the way from inside to outside, by halving."""
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if contradicts(middle) else (outside, middle)
    return inside


def bootstrap(
    measure: Callable[..., float], columns: Sequence[Array], *, seed: int = 0
) -> Estimate:
    """Return ``measure(*columns)`` with its expanded percentile bootstrap interval.

    Rows of all columns are drawn together, with replacement, 2,000 times (200 for large tables).
    Draws for which the measure is undefined (NaN) do not count. The seed fixes the draws. The
    percentiles lie farther out the fewer rows there are, as those of Student's distribution do; for
    fewer than 5 rows there is no interval (NaN).
    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, section 13.3; Hesterberg
    2015, What Teachers Should Know about the Bootstrap (expanded percentiles).
    """
    value, rows = float(measure(*columns)), len(columns[0])
    if rows < _FEWEST_ROWS:
        return Estimate(value, math.nan, math.nan)
    draws = _draws(rows, seed)
    values = np.array([measure(*(column[draw] for column in columns)) for draw in draws])
    values = values[~np.isnan(values)]
    if not len(values):
        return Estimate(value, math.nan, math.nan)
    tail = _tail(rows)
    low, high = np.quantile(values, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def _tail(rows: int) -> float:
    """Return the share of draws that is left out at either end."""
    from scipy.special import ndtr, stdtrit

    far = math.sqrt(rows / (rows - 1)) * stdtrit(rows - 1, 0.025)
    return float(ndtr(far))


def _draws(rows: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Give the rows of each draw; PCG64's raw bits never change between NumPy's versions."""
    bits = np.random.PCG64(seed)
    for _ in range(max(200, min(2000, _WORK // max(rows, 1)))):
        yield (bits.random_raw(rows) % np.uint64(rows)).astype(np.int64)
