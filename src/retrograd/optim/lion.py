"""Lion: the sign of a mean of gradients."""

from __future__ import annotations

from typing import NamedTuple

from retrograd import ops
from retrograd.optim.optimizer import (
    LearningRate,
    Optimizer,
    Params,
    first_step,
    for_each,
    rate_of,
    require_agreement,
    require_trainable,
    times,
    zeros_like,
)
from retrograd.optim.settings import require_betas, require_not_negative
from retrograd.optim.transforms import decoupled_weight_decay
from retrograd.tensor.tensor import Tensor


class LionState(NamedTuple):
    """The number of updates done, and the mean of gradients."""

    step: Tensor
    m: dict[str, Tensor]


def lion(
    learning_rate: LearningRate = 1e-4,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> Optimizer:
    """Return Lion: every weight moves by exactly the learning rate, whichever way.

    w <- w - learning_rate (sign(beta1 m + (1 - beta1) g) + weight_decay w)
    m <- beta2 m + (1 - beta2) g

    sign(0) is 0. It keeps half of Adam's memory, and wants a rate 3 to 10 times smaller and a
    decay as much larger. Raises InputError for a negative rate or decay, or betas outside [0, 1).
    Source: Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, algorithm 2, without
    defaults for rate and decay: these are the authors' code's.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = lion(0.1), {"w": tensor([1.0, 1.0])}
    >>> optimizer.update({"w": tensor([5.0, -0.01])}, optimizer.init(params), params)[0]
    {'w': tensor([0.9, 1.1], float32[2])}
    """
    require_betas("lion", betas)
    require_not_negative("lion", 0.0, weight_decay=weight_decay)
    rate = rate_of("lion", LionState, learning_rate)
    beta1, beta2 = betas

    def init(params: Params) -> LionState:
        require_trainable("lion", params)
        return LionState(first_step(), zeros_like(params))

    def update(
        grads: Params, state: LionState, params: Params
    ) -> tuple[dict[str, Tensor], LionState]:
        require_agreement("lion", LionState, grads, state, params)
        size = rate(state)

        def rule(p: Tensor, g: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
            direction = ops.sign(m * beta1 + g * (1 - beta1))
            return p - times(size, direction), m * beta2 + g * (1 - beta2)

        moved, m = for_each(rule, params, grads, state.m)
        return moved, LionState(state.step + 1, m)

    return decoupled_weight_decay(Optimizer(init, update, learning_rate=rate), weight_decay)
