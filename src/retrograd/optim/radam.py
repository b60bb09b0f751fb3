"""RAdam: Adam that knows how little its first steps know."""

from __future__ import annotations

from typing import NamedTuple

from retrograd import ops
from retrograd.optim.adam import Betas, means, require_adam, seen_part
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
from retrograd.tensor.tensor import Tensor


class RAdamState(NamedTuple):
    """The number of updates done, and the means of gradients and of squared gradients."""

    step: Tensor
    m: dict[str, Tensor]
    v: dict[str, Tensor]


def radam(
    learning_rate: LearningRate = 0.001, betas: Betas = (0.9, 0.999), epsilon: float = 1e-8
) -> Optimizer:
    """Return RAdam: Adam that waits with dividing until enough squared gradients are seen.

    R = 2 / (1 - beta2) - 1,  r = R - 2 t beta2^t / (1 - beta2^t)
    if r > 5:  c = sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r))
               d = (sqrt(v) + epsilon) / sqrt(1 - beta2^t)
    else:      c = d = 1
    w <- w - learning_rate c (m / (1 - beta1^t)) / d

    m and v are Adam's. Raises InputError as `adam` does. Source: Liu et al. 2020, On the Variance
    of the Adaptive Learning Rate and Beyond, algorithm 2, which divides from r > 4 and has no
    epsilon: 5 and the place of epsilon are PyTorch's, 5 also that of the authors' code.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = radam(0.1), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([5.0])}, optimizer.init(params), params)[0]  # 1 - 0.1 5
    {'w': tensor([0.5], float32[1])}
    """
    require_adam("radam", betas, epsilon)
    rate = rate_of("radam", RAdamState, learning_rate)
    longest = 2 / (1 - betas[1]) - 1

    def init(params: Params) -> RAdamState:
        require_trainable("radam", params)
        return RAdamState(first_step(), zeros_like(params), zeros_like(params))

    def update(
        grads: Params, state: RAdamState, params: Params
    ) -> tuple[dict[str, Tensor], RAdamState]:
        require_agreement("radam", RAdamState, grads, state, params)
        step = state.step + 1
        size, divides = _rectified(betas[1], longest, step)
        size = rate(state) * size / seen_part(betas[0], step)

        def rule(p: Tensor, g: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, ...]:
            m, v = means(betas, g, m, v)
            divisor = ops.where(divides, ops.sqrt(v) + epsilon, 1.0)
            return p - times(size, m / divisor), m, v

        moved, m, v = for_each(rule, params, grads, state.m, state.v)
        return moved, RAdamState(step, m, v)

    return Optimizer(init, update, learning_rate=rate)


def _rectified(beta2: float, longest: float, step: Tensor) -> tuple[Tensor, Tensor]:
    """Return RAdam's factor on the rate, and whether to divide by the root of v yet."""
    seen = seen_part(beta2, step)
    length = longest - 2 * float64(step) * (1 - seen) / seen
    divides = length > 5.0
    # Where the length never passes 5 (a small beta2) the root would be of a negative number.
    safe, end = ops.maximum(length, 5.0), max(longest, 5.0)
    factor = ops.sqrt((safe - 4) * (safe - 2) * end / ((end - 4) * (end - 2) * safe))
    return ops.where(divides, factor * ops.sqrt(seen), 1.0), divides
