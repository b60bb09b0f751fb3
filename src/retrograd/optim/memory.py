"""Optimizers around an optimizer that remember something: accumulation, averages, plateaus."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from retrograd import ops
from retrograd.optim.optimizer import (
    Optimizer,
    Params,
    first_step,
    float64,
    for_each,
    require_like,
    require_state,
    times,
    zeros_like,
)
from retrograd.optim.settings import require_count, require_fraction, require_not_negative
from retrograd.tensor.errors import InputError, NonFiniteError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tree import map_leaves

Moved = dict[str, Tensor]


class AccumulateState(NamedTuple):
    """The inner state, how many gradients are waiting, and their sum."""

    inner: Any
    waiting: Tensor
    total: dict[str, Tensor]


class EMAState(NamedTuple):
    """The inner state, and the average of the parameters."""

    inner: Any
    average: dict[str, Tensor]


class PlateauState(NamedTuple):
    """The inner state; the multiplier of its rate; what is known of the losses seen.

    ``best`` is the lowest loss, ``bad`` the number since it, ``resting`` the number yet to ignore.
    """

    inner: Any
    multiplier: Tensor
    best: Tensor
    bad: Tensor
    resting: Tensor


def accumulate(optimizer: Optimizer, steps: int) -> Optimizer:
    """Return the optimizer that steps once in ``steps`` updates, by the mean of their gradients.

    For losses that are means over batches of one size it equals one batch ``steps`` times as large.
    Schedules count the steps made. In between, parameters and inner state stay bit for bit. Raises
    InputError unless steps is a whole number above 0.

    >>> from retrograd.optim import sgd
    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = accumulate(sgd(1.0), 2), {"w": tensor([0.0])}
    >>> state = optimizer.init(params)
    >>> params, state = optimizer.update({"w": tensor([1.0])}, state, params)
    >>> optimizer.update({"w": tensor([3.0])}, state, params)[0]  # the mean is 2
    {'w': tensor([-2.], float32[1])}
    """
    require_count("accumulate", 2, steps=steps)

    def init(params: Params) -> AccumulateState:
        return AccumulateState(optimizer.init(params), first_step(), zeros_like(params))

    def update(
        grads: Params, state: AccumulateState, params: Params
    ) -> tuple[Moved, AccumulateState]:
        require_state("accumulate", AccumulateState, state)
        require_like("accumulate", "grads", grads, params)
        require_like("accumulate", "state.total", state.total, params)
        waiting = state.waiting + 1
        is_full = waiting >= steps
        (total,) = for_each(lambda t, g: (t + g,), state.total, grads)
        mean = {name: t * (1 / steps) for name, t in total.items()}
        moved, inner = optimizer.update(mean, state.inner, params)

        def choose(new: Tensor, old: Tensor) -> Tensor:
            return ops.where(is_full, new, old)

        (chosen,) = for_each(lambda new, old: (choose(new, old),), moved, params)
        left = {name: ops.where(is_full, 0.0, t) for name, t in total.items()}
        kept = map_leaves(choose, inner, state.inner)
        return chosen, AccumulateState(kept, ops.where(is_full, 0, waiting), left)

    return _around("accumulate", AccumulateState, optimizer, init, update)


def ema(optimizer: Optimizer, decay: float = 0.999) -> Optimizer:
    """Return the optimizer that keeps an exponential moving average of the parameters it makes.

    average <- decay average + (1 - decay) w,  from the parameters at init

    `ema_params` gives it, to validate with and to keep. Raises InputError for a decay outside
    [0, 1). Source: Polyak & Juditsky 1992 for averaging; this form and decay: Szegedy et al. 2016,
    Rethinking the Inception Architecture, and Tan & Le 2019. No bias correction, as it starts from
    the parameters, not from 0; PyTorch starts from those after the first step.

    >>> from retrograd.optim import sgd
    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = ema(sgd(1.0), 0.75), {"w": tensor([0.0])}
    >>> params, state = optimizer.update({"w": tensor([-4.0])}, optimizer.init(params), params)
    >>> params["w"], ema_params(state)["w"]
    (tensor([4.], float32[1]), tensor([1.], float32[1]))
    """
    require_fraction("ema", 0.999, decay=decay)

    def init(params: Params) -> EMAState:
        return EMAState(optimizer.init(params), dict(params))

    def update(grads: Params, state: EMAState, params: Params) -> tuple[Moved, EMAState]:
        require_state("ema", EMAState, state)
        require_like("ema", "state.average", state.average, params)
        moved, inner = optimizer.update(grads, state.inner, params)
        (average,) = for_each(lambda old, p: (old * decay + p * (1 - decay),), state.average, moved)
        return moved, EMAState(inner, average)

    return _around("ema", EMAState, optimizer, init, update)


def ema_params(state: Any) -> dict[str, Tensor]:
    """Return the averaged parameters from the state of an optimizer that `ema` is part of.

    Raises InputError if it is not.
    """
    inside = state
    while not isinstance(inside, EMAState):
        if not isinstance(inside, AccumulateState | PlateauState):
            raise InputError(
                f"ema_params of a {type(state).__name__}",
                "no average is kept in it",
                "wrap the optimizer: ema(optimizer, decay=0.999)",
            )
        inside = inside.inner
    return inside.average


def reduce_on_plateau(
    optimizer: Optimizer,
    *,
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    cooldown: int = 0,
    smallest: float = 0.0,
) -> Optimizer:
    """Return the optimizer whose learning rate falls when the validation loss stops falling.

    ``observe(state, loss)`` is called once an epoch: a loss counts as better below
    best - threshold |best|. After more than ``patience`` that are not, the rate is multiplied by
    ``factor`` (never below ``smallest`` times the first rate), and ``cooldown`` losses are ignored.
    A score that should rise is given as its negative. The multiplier scales the whole move, which
    for every optimizer here is the same as scaling its rate.

    Raises InputError for settings outside their ranges, and NonFiniteError for a loss that is NaN.
    Source: PyTorch's ReduceLROnPlateau, whose defaults these are; its threshold on a negative loss
    goes the wrong way, so |best| is taken here.

    >>> from retrograd.optim import sgd
    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = reduce_on_plateau(sgd(1.0), patience=0), {"w": tensor([1.0])}
    >>> state = optimizer.observe(optimizer.observe(optimizer.init(params), 5.0), 5.0)
    >>> optimizer.update({"w": tensor([1.0])}, state, params)[0]
    {'w': tensor([0.9], float32[1])}
    """
    require_fraction("reduce_on_plateau", 0.1, factor=factor)
    require_fraction("reduce_on_plateau", 0.0, threshold=threshold, smallest=smallest)
    require_not_negative("reduce_on_plateau", 0, patience=patience, cooldown=cooldown)

    def init(params: Params) -> PlateauState:
        zero = first_step()
        return PlateauState(optimizer.init(params), float64(1.0), float64(math.inf), zero, zero)

    def update(grads: Params, state: PlateauState, params: Params) -> tuple[Moved, PlateauState]:
        require_state("reduce_on_plateau", PlateauState, state)
        moved, inner = optimizer.update(grads, state.inner, params)
        scale = state.multiplier
        (scaled,) = for_each(lambda p, new: (p + times(scale, new - p),), params, moved)
        return scaled, state._replace(inner=inner)

    def observe(state: PlateauState, loss: float) -> PlateauState:
        require_state("reduce_on_plateau", PlateauState, state)
        if optimizer.observe is not None:
            state = state._replace(inner=optimizer.observe(state.inner, loss))
        return _judge(state, loss, factor, patience, threshold, cooldown, smallest)

    def learning_rate(state: PlateauState) -> Tensor:
        require_state("reduce_on_plateau", PlateauState, state)
        assert optimizer.learning_rate is not None
        return optimizer.learning_rate(state.inner) * state.multiplier

    told = learning_rate if optimizer.learning_rate is not None else None
    return Optimizer(init, update, observe, told)


def _judge(
    state: PlateauState,
    loss: float,
    factor: float,
    patience: int,
    threshold: float,
    cooldown: int,
    smallest: float,
) -> PlateauState:
    """Return the state after one more loss."""
    if math.isnan(loss):
        raise NonFiniteError(
            "reduce_on_plateau: observing a loss", "it is NaN", "stop, and lower the learning rate"
        )
    best, bad, resting = float(state.best), int(state.bad), int(state.resting)
    is_better = loss < best - threshold * abs(best) if math.isfinite(best) else loss < best
    best, bad = (loss, 0) if is_better else (best, bad + 1)
    if resting > 0:
        resting, bad = resting - 1, 0
    multiplier = float(state.multiplier)
    if bad > patience:
        multiplier, resting, bad = max(multiplier * factor, smallest), cooldown, 0
    counts = (from_array(np.asarray(count, np.int64)) for count in (bad, resting))
    return PlateauState(state.inner, float64(multiplier), float64(best), *counts)


def _around(
    asked: str,
    kind: type,
    optimizer: Optimizer,
    init: Callable[..., Any],
    update: Callable[..., Any],
) -> Optimizer:
    """Return an optimizer with the inner one's ``observe`` and rate, reached through ``inner``."""
    inner_observe, inner_rate = optimizer.observe, optimizer.learning_rate

    def observe(state: Any, loss: float) -> Any:
        require_state(asked, kind, state)
        assert inner_observe is not None
        return state._replace(inner=inner_observe(state.inner, loss))

    def learning_rate(state: Any) -> Tensor:
        require_state(asked, kind, state)
        assert inner_rate is not None
        return inner_rate(state.inner)

    return Optimizer(
        init,
        update,
        observe if inner_observe is not None else None,
        learning_rate if inner_rate is not None else None,
    )
