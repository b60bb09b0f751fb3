"""NAdam: Adam with Nesterov's look ahead."""

from __future__ import annotations

from typing import NamedTuple

from retrograd import ops
from retrograd.optim.adam import Betas, means, ratio, require_adam, seen_part
from retrograd.optim.optimizer import (
    LearningRate,
    Optimizer,
    Params,
    first_step,
    float64,
    for_each,
    rate_of,
    require_agreement,
    require_trainable,
    times,
    zeros_like,
)
from retrograd.optim.settings import require_not_negative
from retrograd.tensor.tensor import Tensor


class NAdamState(NamedTuple):
    """As Adam's, and the product of all momenta so far, a float64 scalar."""

    step: Tensor
    product: Tensor
    m: dict[str, Tensor]
    v: dict[str, Tensor]


def nadam(
    learning_rate: LearningRate = 0.002,
    betas: Betas = (0.9, 0.999),
    epsilon: float = 1e-8,
    momentum_decay: float = 0.004,
) -> Optimizer:
    """Return NAdam: Adam with Nesterov's look ahead.

    mu_t = beta1 (1 - 0.5 0.96^(momentum_decay t)),  M_t = mu_1 ... mu_t
    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) g^2
    n = mu_{t+1} / (1 - M_{t+1}) m + (1 - mu_t) / (1 - M_t) g
    w <- w - learning_rate n / (sqrt(v / (1 - beta2^t)) + epsilon)

    Raises InputError as `adam` does, and for a negative momentum decay. Source: Dozat 2016,
    Incorporating Nesterov Momentum into Adam, algorithm 2, with the schedule of mu that it is tried
    with (there 1/250 for 0.004). As in PyTorch m is averaged by beta1; the paper does so by mu_t.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = nadam(0.1), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([5.0])}, optimizer.init(params), params)[0]
    {'w': tensor([0.8944], float32[1])}
    """
    require_adam("nadam", betas, epsilon)
    require_not_negative("nadam", 0.004, momentum_decay=momentum_decay)
    rate = rate_of("nadam", NAdamState, learning_rate)

    def momentum_at(step: Tensor) -> Tensor:
        cooling = ops.power(float64(0.96), float64(step) * momentum_decay)
        return betas[0] * (1 - 0.5 * cooling)

    def init(params: Params) -> NAdamState:
        require_trainable("nadam", params)
        return NAdamState(first_step(), float64(1.0), zeros_like(params), zeros_like(params))

    def update(
        grads: Params, state: NAdamState, params: Params
    ) -> tuple[dict[str, Tensor], NAdamState]:
        require_agreement("nadam", NAdamState, grads, state, params)
        step = state.step + 1
        now, ahead = momentum_at(step), momentum_at(step + 1)
        product = state.product * now
        root = ops.sqrt(seen_part(betas[1], step))
        size, floor = rate(state) * root, root * epsilon
        of_mean, of_gradient = (
            size * ahead / (1 - product * ahead),
            size * (1 - now) / (1 - product),
        )

        def rule(p: Tensor, g: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, ...]:
            m, v = means(betas, g, m, v)
            return p - ratio(times(of_mean, m) + times(of_gradient, g), v, floor), m, v

        moved, m, v = for_each(rule, params, grads, state.m, state.v)
        return moved, NAdamState(step, product, m, v)

    return Optimizer(init, update, learning_rate=rate)
