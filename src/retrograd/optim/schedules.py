"""Schedules: the learning rate as a function of the number of updates done.

Each returns ``schedule(step) -> float64 scalar``. The first update has step 0. A schedule is made
of ops, so it becomes part of a compiled step; for printing, ``float(schedule(10))``. The unit is
the update, not the epoch: ten epochs of 100 batches are 1,000.
"""

from __future__ import annotations

import math

from retrograd import ops
from retrograd.optim.optimizer import LearningRate, Schedule, float64
from retrograd.optim.settings import require_count, require_not_negative, require_positive
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor, as_tensor


def constant(rate: float) -> Schedule:
    """Return the schedule that stays.

    >>> float(constant(0.1)(1000))
    0.1
    """
    require_not_negative("constant", 1e-3, rate=rate)
    return lambda step: float64(rate)


def step_decay(initial: float, *, every: int, factor: float = 0.1) -> Schedule:
    """Return the schedule that is multiplied by ``factor`` every so many steps.

    initial factor^floor(step / every)

    Raises InputError for negative settings or ``every`` below 1. Source: He et al. 2016, Deep
    Residual Learning, section 3.4, for the factor. PyTorch: StepLR.

    >>> [round(float(step_decay(1.0, every=10)(step)), 6) for step in (0, 9, 10, 20)]
    [1.0, 1.0, 0.1, 0.01]
    """
    require_not_negative("step_decay", 0.1, initial=initial, factor=factor)
    require_count("step_decay", 30, every=every)
    return lambda step: initial * ops.power(float64(factor), ops.floor(float64(step) / every))


def exponential(initial: float, *, factor: float) -> Schedule:
    """Return the schedule that is multiplied by ``factor`` every step.

    initial factor^step

    Raises InputError for negative settings. PyTorch: ExponentialLR.

    >>> float(exponential(1.0, factor=0.5)(3))
    0.125
    """
    require_not_negative("exponential", 0.99, initial=initial, factor=factor)
    return lambda step: initial * ops.power(float64(factor), float64(step))


def _half_wave(start: float, end: float, part: Tensor) -> Tensor:
    """Return from ``start`` to ``end`` along half a cosine, as ``part`` goes from 0 to 1."""
    return end + (start - end) / 2 * (1 + ops.cos(part * math.pi))


def cosine(initial: float, *, steps: int, final: float = 0.0) -> Schedule:
    """Return the schedule that falls along half a cosine, and stays at its end.

    final + (initial - final) (1 + cos(pi step / steps)) / 2

    Raises InputError for negative rates or steps below 1. Source: Loshchilov & Hutter 2017, SGDR,
    equation 5, with one cycle. PyTorch: CosineAnnealingLR, which rises again after its end.

    >>> [round(float(cosine(1.0, steps=10)(step)), 6) for step in (0, 5, 10, 11)]
    [1.0, 0.5, 0.0, 0.0]
    """
    require_not_negative("cosine", 0.0, initial=initial, final=final)
    require_count("cosine", 1000, steps=steps)
    return lambda step: _half_wave(initial, final, ops.minimum(float64(step) / steps, 1.0))


def warm_restarts(initial: float, *, steps: int, growth: int = 1, final: float = 0.0) -> Schedule:
    """Return the schedule that falls along half a cosine, again and again.

    The first cycle has ``steps`` steps, and each further one ``growth`` times as many. Raises
    InputError for negative rates, or steps or growth below 1. Source: Loshchilov & Hutter 2017,
    SGDR, equation 5. PyTorch: CosineAnnealingWarmRestarts.

    >>> [round(float(warm_restarts(1.0, steps=2, growth=2)(step)), 6) for step in (0, 1, 2, 4, 6)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """
    require_not_negative("warm_restarts", 0.0, initial=initial, final=final)
    require_count("warm_restarts", 1, steps=steps, growth=growth)

    def schedule(step: Tensor | int) -> Tensor:
        now = float64(step)
        if growth == 1:
            return _half_wave(initial, final, ops.remainder(now, float(steps)) / steps)
        # Half a step further, so that rounding of the logarithm never meets a cycle's border.
        cycles = ops.log1p((now + 0.5) * ((growth - 1) / steps)) / math.log(growth)
        times = ops.power(float64(growth), ops.floor(cycles))
        done = (times - 1) * (steps / (growth - 1))
        return _half_wave(initial, final, (now - done) / (times * steps))

    return schedule


def one_cycle(
    maximum: float,
    *,
    steps: int,
    warm_fraction: float = 0.3,
    division: float = 25.0,
    final_division: float = 1e4,
) -> Schedule:
    """Return the schedule that rises to ``maximum`` and falls far below where it started.

    From maximum / division, along half a cosine, to maximum after ``warm_fraction`` of the steps;
    then to maximum / division / final_division at the last, where it stays. Raises InputError for
    divisions not above 0, or a warm part that is less than a step or leaves none. Source: Smith &
    Topin 2018, Super-Convergence, which rises and falls in straight lines; cosines and defaults
    are fastai's and PyTorch's (OneCycleLR). The momentum is not cycled.

    >>> [round(float(one_cycle(1.0, steps=11)(step)), 6) for step in (0, 10)]
    [0.04, 4e-06]
    """
    require_not_negative("one_cycle", 0.1, maximum=maximum)
    require_positive("one_cycle", 25.0, division=division)
    require_positive("one_cycle", 1e4, final_division=final_division)
    require_count("one_cycle", 1000, steps=steps)
    top, end = warm_fraction * steps - 1, steps - 1
    if not 0 < top < end:
        raise InputError(
            f"one_cycle(steps={steps}, warm_fraction={warm_fraction})",
            "the rise or the fall has no step",
            "give more steps, and a fraction such as 0.3",
        )
    start = maximum / division

    def schedule(step: Tensor | int) -> Tensor:
        now = float64(step)
        rise = _half_wave(start, maximum, now / top)
        fall = _half_wave(
            maximum, start / final_division, ops.minimum((now - top) / (end - top), 1.0)
        )
        return ops.where(now <= top, rise, fall)

    return schedule


def polynomial(initial: float, *, steps: int, power: float = 1.0, final: float = 0.0) -> Schedule:
    """Return the schedule that falls as a power of the part that is left, and stays at its end.

    final + (initial - final) (1 - step / steps)^power

    Raises InputError for negative rates, a power not above 0, or steps below 1. PyTorch:
    PolynomialLR, whose end is 0.

    >>> float(polynomial(1.0, steps=10, power=2.0)(5))
    0.25
    """
    require_not_negative("polynomial", 0.0, initial=initial, final=final)
    require_positive("polynomial", 1.0, power=power)
    require_count("polynomial", 1000, steps=steps)

    def schedule(step: Tensor | int) -> Tensor:
        left = 1 - ops.minimum(float64(step) / steps, 1.0)
        return final + (initial - final) * ops.power(left, float64(power))

    return schedule


def warm_up(schedule: LearningRate, steps: int) -> Schedule:
    """Return the schedule (or constant rate) that first rises in a straight line, then begins.

    schedule(0) (step + 1) / (steps + 1) before ``steps``, then schedule(step - steps)

    Raises InputError for a negative rate or steps below 1. Source: Goyal et al. 2017, Accurate,
    Large Minibatch SGD, section 2.2. PyTorch: LinearLR with start_factor 1 / (steps + 1), then the
    other, by SequentialLR.

    >>> [float(warm_up(1.0, 3)(step)) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    require_count("warm_up", 100, steps=steps)
    then = schedule if callable(schedule) else constant(schedule)

    def warmed(step: Tensor | int) -> Tensor:
        now = as_tensor(step)
        risen = ops.minimum((float64(now) + 1) / (steps + 1), 1.0)
        return risen * float64(then(ops.maximum(now - steps, 0)))

    return warmed
