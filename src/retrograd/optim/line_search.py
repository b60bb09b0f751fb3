"""How far to go along a direction: a step that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ENOUGH_DECREASE = 1e-4
"""c1: the loss falls by at least this part of what the first slope promises."""
ENOUGH_FLATTENING = 0.9
"""c2: the slope's size falls to at most this part of the first; Nocedal & Wright's for L-BFGS."""
MOST_LOOKS = 25


class Point(NamedTuple):
    """A place on the ray: how far, the loss there, its slope along the ray, and its gradient."""

    t: float
    loss: float
    slope: float
    gradient: npt.NDArray[np.float64]


def search(at: Callable[[float], Point], start: Point, first: float) -> tuple[Point, int]:
    """Return a point that satisfies the strong Wolfe conditions, and how many were looked at.

    loss(t) <= loss(0) + c1 t slope(0),  |slope(t)| <= c2 |slope(0)|

    If rounding, or 25 looks, leave none, it is the lowest point seen that decreases enough: at
    worst the start itself. A loss that is not finite counts as too high. Source: Nocedal & Wright
    2006, algorithm 3.5.
    """
    before, t = start, first
    for looks in range(1, MOST_LOOKS + 1):
        here = at(t)
        if not _falls_enough(here, start) or (looks > 1 and here.loss >= before.loss):
            return _zoom(at, start, before, here, looks)
        if abs(here.slope) <= -ENOUGH_FLATTENING * start.slope:
            return here, looks
        if here.slope >= 0:
            return _zoom(at, start, here, before, looks)
        before, t = here, 2 * t
    return before, MOST_LOOKS


def _zoom(
    at: Callable[[float], Point], start: Point, low: Point, high: Point, looks: int
) -> tuple[Point, int]:
    """Narrow the bracket; ``low`` is its better end.  Algorithm 3.6."""
    while looks < MOST_LOOKS:
        here = at(_between(low, high))
        looks += 1
        if not _falls_enough(here, start) or here.loss >= low.loss:
            high = here
        else:
            if abs(here.slope) <= -ENOUGH_FLATTENING * start.slope:
                return here, looks
            if here.slope * (high.t - low.t) >= 0:
                high = low
            low = here
    return low, looks


def _falls_enough(here: Point, start: Point) -> bool:
    return here.loss <= start.loss + ENOUGH_DECREASE * here.t * start.slope


def _between(low: Point, high: Point) -> float:
    """Return the minimum of the cubic through both ends, a tenth away from either at least.

    Equation 3.59; the middle where that has no minimum or numbers are not finite.
    """
    width = high.t - low.t
    middle = low.t + width / 2
    if not (math.isfinite(high.loss) and math.isfinite(high.slope)):
        return middle
    d1 = low.slope + high.slope - 3 * (low.loss - high.loss) / (low.t - high.t)
    square = d1 * d1 - low.slope * high.slope
    if not square >= 0:
        return middle
    d2 = math.copysign(math.sqrt(square), width)
    below = high.slope - low.slope + 2 * d2
    if below == 0:
        return middle
    t = high.t - width * (high.slope + d2 - d1) / below
    nearest, farthest = sorted((low.t + 0.1 * width, high.t - 0.1 * width))
    return min(max(t, nearest), farthest)
