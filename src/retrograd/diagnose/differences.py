"""Central differences in float64 that know their own error, and the kinks that they may cross."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.ops.choice import Absolute, Maximum, Minimum, Sign
from retrograd.ops.division import Floor, FloorDivide
from retrograd.ops.flow import Alias
from retrograd.ops.reduction import Max, Min
from retrograd.tensor.history import differentiating, history
from retrograd.tensor.op import Op
from retrograd.tensor.tensor import Tensor, from_array

STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
STRAIGHT = 1e-5
"""Where halving the step moves a difference by less than this part, its extrapolation is exact."""
EPSILON = float(np.finfo(np.float64).eps)

Params = Mapping[str, Tensor]
Loss = Callable[[Params], Tensor]
Direction = Mapping[str, np.ndarray[Any, Any]]
Side = bytes


@dataclass(frozen=True)
class Point:
    """The loss somewhere, and on which side of each kink every number of the pass lies."""

    value: float
    side: Side


@dataclass(frozen=True)
class Slope:
    """A derivative along a direction by differences: its value and how far it may be off.

    ``error`` adds truncation (how much the estimate still moves when h shrinks) and rounding (the
    loss has 16 digits, divided by h). ``kinks`` counts the steps h that crossed a kink and were
    not used; when all did, the value is NaN.
    """

    value: float
    error: float
    kinks: int


def evaluate(loss: Loss, params: Params) -> Point:
    """Return the loss there and the side of each kink."""
    with differentiating():
        out = loss({name: Tensor(x.type, x.array, Alias(), (x,)) for name, x in params.items()})
    return Point(float(out.item()), _side([out]))


def _side(outputs: Sequence[Tensor]) -> Side:
    """Return, packed, every choice that the pass made: what a kink is the border of.

    A choice is a bool or integer made from parameters (comparisons, argmax, floor by way of them),
    or which input an op of the table below took.
    """
    parts = []
    for x in history(outputs):
        if x.op is None:
            continue
        if not x.dtype.is_float:
            parts.append(x.numpy().tobytes())
            continue
        choice = CHOICES.get(type(x.op))
        if choice is not None:
            parts.append(np.packbits(choice(x)).tobytes())
    return b"".join(parts)


def _took_first(x: Tensor) -> Any:
    return x.inputs[0].numpy() == x.numpy()


def _is_negative(x: Tensor) -> Any:
    return x.inputs[0].numpy() < 0


def _moved(x: Tensor) -> Any:
    """Return the integer values of a step function, bit by bit."""
    return np.unpackbits(x.numpy().astype(np.int64).view(np.uint8))


def _reaches(x: Tensor) -> Any:
    """Return where the input equals its extreme over the reduced axes."""
    given = x.inputs[0].numpy()
    return given == np.broadcast_to(_as_kept(x, given), given.shape)


def _as_kept(x: Tensor, given: Any) -> Any:
    axes = getattr(x.op, "axes", tuple(range(given.ndim)))
    shape = [1 if axis in axes else length for axis, length in enumerate(given.shape)]
    return x.numpy().reshape(shape)


CHOICES: Mapping[type[Op], Callable[[Tensor], Any]] = {
    Maximum: _took_first,
    Minimum: _took_first,
    Absolute: _is_negative,
    Sign: _moved,
    Floor: _moved,
    FloorDivide: _moved,
    Max: _reaches,
    Min: _reaches,
}
"""Ops that have kinks or jumps, and on which side of them each number is."""


def slope(
    loss: Loss, params: Params, direction: Direction, scale: float = 1.0, side: Side | None = None
) -> Slope:
    """Return the derivative of the loss along ``direction`` by central differences.

    Each estimate is Richardson's (4 D(h/2) - D(h)) / 3, whose truncation error is of order h^4; of
    the steps ``scale * STEPS`` the one is taken whose estimate moves least. ``side`` is that of the
    parameters, if it is known.
    """
    here = evaluate(loss, params).side if side is None else side
    estimates: list[_Estimate] = []
    kinks = 0
    for h in (scale * step for step in STEPS):
        found = _estimate(loss, params, direction, h, here)
        if found is None:
            kinks += 1
            continue
        estimates.append(found)
        if found.bend <= STRAIGHT * abs(found.value):
            return Slope(found.value, 1e-3 * found.bend + found.rounding, kinks)
    return Slope(*_steadiest(estimates), kinks) if estimates else Slope(math.nan, math.inf, kinks)


@dataclass(frozen=True)
class _Estimate:
    """An extrapolated difference, its rounding error, and what halving the step changed."""

    value: float
    rounding: float
    bend: float


def _estimate(
    loss: Loss, params: Params, direction: Direction, h: float, here: Side
) -> _Estimate | None:
    """Return Richardson's estimate, or None where a kink was crossed."""
    ends = [evaluate(loss, moved(params, direction, h * k)) for k in (1, -1, 0.5, -0.5)]
    if any(end.side != here for end in ends):
        return None
    whole = (ends[0].value - ends[1].value) / (2 * h)
    half = (ends[2].value - ends[3].value) / h
    largest = max(abs(end.value) for end in ends)
    return _Estimate((4 * half - whole) / 3, 16 * EPSILON * largest / h, abs(half - whole))


def _steadiest(estimates: Sequence[_Estimate]) -> tuple[float, float]:
    """Return the estimate that differs least from the next, and that difference as its error."""
    if len(estimates) == 1:
        return estimates[0].value, estimates[0].rounding + estimates[0].bend
    return min(
        (
            (wide.value, abs(wide.value - narrow.value) + wide.rounding)
            for wide, narrow in itertools.pairwise(estimates)
        ),
        key=lambda pair: pair[1] if math.isfinite(pair[1]) else math.inf,
    )


def moved(params: Params, direction: Direction, h: float) -> dict[str, Tensor]:
    """Return the parameters moved by h times the direction."""
    return {
        name: from_array(np.asarray(x.numpy() + h * direction[name])) if name in direction else x
        for name, x in params.items()
    }


def widened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with every float in float64."""
    return {
        name: from_array(np.asarray(x.numpy().astype(np.float64))) if x.dtype.is_float else x
        for name, x in tensors.items()
    }
