"""The engine's derivatives beside differences of the loss: in directions and weight by weight."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.diagnose.differences import (
    EPSILON,
    Loss,
    Params,
    Side,
    Slope,
    evaluate,
    moved,
    slope,
)
from retrograd.diagnose.gradient_report import TOLERANCE, DirectionCheck, Verdict

Generator = np.random.Generator
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Place:
    """Parameters in float64; the loss, its side of each kink, and the engine's gradient there."""

    params: Params
    value: float
    side: Side
    grads: Mapping[str, Numbers]


Places = tuple[Place, Place]
"""Where the network stands, and a point a hair beside it, off every kink that it stands on."""


@dataclass(frozen=True)
class Sample:
    """One weight: the engine's derivative and the difference's, or the worst of several."""

    index: tuple[int, ...]
    derivative: float
    difference: float
    relative_error: float
    on_kink: bool
    verdict: Verdict


def compare_direction(loss: Loss, places: Places, generator: Generator) -> DirectionCheck:
    """Compare along one random direction through all parameters, and measure the order."""
    drawn = {name: generator.standard_normal(x.shape) for name, x in places[0].params.items()}
    length = math.sqrt(sum(float(np.sum(v * v)) for v in drawn.values())) or 1.0
    direction = {name: v / length for name, v in drawn.items()}
    place, found = _slope(loss, places, direction, 1.0)
    derivative = sum(float(np.sum(g * direction[name])) for name, g in place.grads.items())
    scale = max(abs(derivative), typical(*place.grads.values()))
    relative = _relative(derivative - found.value, found, scale)
    steps, errors = _halvings(loss, place, direction, derivative)
    return DirectionCheck(
        derivative=derivative,
        difference=found.value,
        steps=steps,
        errors=errors,
        order=_order(errors, steps, abs(place.value)),
        relative_error=relative,
        kinks=found.kinks,
        verdict=_verdict(relative, found, scale),
    )


def compare_weights(
    loss: Loss, places: Places, name: str, count: int, generator: Generator
) -> list[Sample]:
    """Compare sampled weights of one leaf, those with the largest gradient first."""
    here = places[0]
    own, everywhere = typical(here.grads[name]), typical(*here.grads.values())
    samples = []
    for index in _chosen(here.grads[name], count, generator):
        unit = np.zeros(here.grads[name].shape)
        unit[index] = 1.0
        size = max(1.0, abs(float(here.params[name].numpy()[index])))
        place, found = _slope(loss, places, {name: unit}, size)
        derivative = float(place.grads[name][index])
        scale = max(abs(derivative), own)
        relative = _relative(derivative - found.value, found, scale)
        verdict = _verdict(relative, found, max(scale, 1e-3 * everywhere))
        on_kink = place is not here
        samples.append(Sample(index, derivative, found.value, relative, on_kink, verdict))
    return samples


def worst_of(samples: Sequence[Sample]) -> Sample:
    """Return the sample with the largest relative error; its verdict is that of all of them."""
    worst = max(samples, key=lambda s: -1.0 if math.isnan(s.relative_error) else s.relative_error)
    verdicts = [s.verdict for s in samples]
    joined: Verdict = "ok" if "ok" in verdicts else worst.verdict
    return dataclasses.replace(worst, verdict="wrong" if "wrong" in verdicts else joined)


def typical(*arrays: Numbers) -> float:
    """Return the root mean square of all the numbers, 0 of none."""
    count = sum(x.size for x in arrays)
    return math.sqrt(sum(float(np.sum(x * x)) for x in arrays) / count) if count else 0.0


def _slope(
    loss: Loss, places: Places, direction: Mapping[str, Numbers], size: float
) -> tuple[Place, Slope]:
    """Return the slope where the network stands, or a hair beside it if that is on a kink."""
    here = slope(loss, places[0].params, direction, size, places[0].side)
    if not math.isnan(here.value):
        return places[0], here
    beside = slope(loss, places[1].params, direction, size, places[1].side)
    return places[1], dataclasses.replace(beside, kinks=here.kinks + beside.kinks)


def _relative(gap: float, found: Slope, scale: float) -> float:
    """Return the error in parts of the gradient's scale, or of what the difference can resolve."""
    resolved = 3 * found.error / TOLERANCE
    return abs(gap) / max(scale, resolved, np.finfo(np.float64).tiny)


def _verdict(relative: float, found: Slope, scale: float) -> Verdict:
    """Say what a comparison shows: a difference that knows nothing cannot accuse."""
    if math.isnan(found.value):
        return "kink"
    if not relative <= TOLERANCE:
        return "wrong"
    return "inconclusive" if 3 * found.error > 1e-3 * scale else "ok"


def _halvings(
    loss: Loss, place: Place, direction: Mapping[str, Numbers], derivative: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return steps, each half of the one before, and the errors of plain central differences.

    The first step is the largest of a few from which no kink is crossed.
    """
    first = 1.0
    while first > 1e-5:
        ends = [evaluate(loss, moved(place.params, direction, h)).side for h in (first, -first)]
        if all(end == place.side for end in ends):
            break
        first /= 4
    steps = tuple(first / 2**k for k in range(6))
    errors = []
    for h in steps:
        ahead, behind = (evaluate(loss, moved(place.params, direction, s)) for s in (h, -h))
        errors.append(abs((ahead.value - behind.value) / (2 * h) - derivative))
    return steps, tuple(errors)


def _order(errors: Sequence[float], steps: Sequence[float], value: float) -> float:
    """Return the power of the step by which the errors fall; NaN where they are rounding alone.

    Taken from the two smallest steps whose errors still stand out of the rounding.
    """
    orders = [
        math.log2(wide / narrow)
        for wide, narrow, h in zip(errors, errors[1:], steps[1:], strict=False)
        if narrow > 100 * EPSILON * max(value, 1e-3) / h
    ]
    return orders[-1] if orders else math.nan


def _chosen(grads: Numbers, count: int, generator: Generator) -> list[tuple[int, ...]]:
    """Return distinct places: half those of the largest gradient, half drawn at random."""
    largest = np.argsort(-np.abs(grads).ravel(), kind="stable")[: (count + 1) // 2]
    others = np.setdiff1d(np.arange(grads.size), largest)
    drawn = generator.permutation(others)[: count - len(largest)]
    flat = [*largest.tolist(), *drawn.tolist()]
    return [tuple(int(i) for i in np.unravel_index(place, grads.shape)) for place in flat]
