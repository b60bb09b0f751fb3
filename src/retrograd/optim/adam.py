"""Adam and its kin: a mean of gradients over the root of a mean of squared gradients."""

from __future__ import annotations

from typing import NamedTuple

from retrograd import ops
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
from retrograd.optim.settings import require_betas, require_not_negative, require_positive
from retrograd.optim.transforms import decoupled_weight_decay
from retrograd.tensor.tensor import Tensor

Betas = tuple[float, float]


class AdamState(NamedTuple):
    """The number of updates done, and the means of gradients and of squared gradients."""

    step: Tensor
    m: dict[str, Tensor]
    v: dict[str, Tensor]


class AMSGradState(NamedTuple):
    """As Adam's, and the largest v so far."""

    step: Tensor
    m: dict[str, Tensor]
    v: dict[str, Tensor]
    largest: dict[str, Tensor]


def require_adam(asked: str, betas: Betas, epsilon: float) -> None:
    """Raise InputError for betas outside [0, 1) or an epsilon not above 0."""
    require_betas(asked, betas)
    require_positive(asked, 1e-8, epsilon=epsilon)


def seen_part(beta: float, step: Tensor) -> Tensor:
    """Return 1 - beta^step in float64: the weight that the steps so far have in a mean."""
    return 1 - ops.power(float64(beta), float64(step))


def means(betas: Betas, g: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the running means of g and g^2 with one gradient more."""
    beta1, beta2 = betas
    return m * beta1 + g * (1 - beta1), v * beta2 + ops.square(g) * (1 - beta2)


def ratio(m: Tensor, v: Tensor, floor: Tensor) -> Tensor:
    """Return m / (sqrt(v) + floor), floor being a float64 scalar."""
    return m / (ops.sqrt(v) + ops.cast(floor, v.dtype))


def adam(
    learning_rate: LearningRate = 0.001, betas: Betas = (0.9, 0.999), epsilon: float = 1e-8
) -> Optimizer:
    """Return Adam: steps of about the learning rate, whatever the gradient's scale.

    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) g^2
    w <- w - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    t counts updates from 1; the corrections are computed in float64 and moved into the rate, as
    section 2 of the paper does. Raises InputError for a negative rate, betas outside [0, 1), or
    epsilon not above 0. Source: Kingma & Ba 2015, Adam, algorithm 1.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = adam(0.1), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([5.0])}, optimizer.init(params), params)[0]
    {'w': tensor([0.9], float32[1])}
    """
    require_adam("adam", betas, epsilon)
    rate = rate_of("adam", AdamState, learning_rate)

    def init(params: Params) -> AdamState:
        require_trainable("adam", params)
        return AdamState(first_step(), zeros_like(params), zeros_like(params))

    def update(
        grads: Params, state: AdamState, params: Params
    ) -> tuple[dict[str, Tensor], AdamState]:
        require_agreement("adam", AdamState, grads, state, params)
        step = state.step + 1
        root = ops.sqrt(seen_part(betas[1], step))
        size, floor = rate(state) * root / seen_part(betas[0], step), root * epsilon

        def rule(p: Tensor, g: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, ...]:
            m, v = means(betas, g, m, v)
            return p - times(size, ratio(m, v, floor)), m, v

        moved, m, v = for_each(rule, params, grads, state.m, state.v)
        return moved, AdamState(step, m, v)

    return Optimizer(init, update, learning_rate=rate)


def adamw(
    learning_rate: LearningRate = 0.001,
    betas: Betas = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimizer:
    """Return AdamW: Adam, before which the weights shrink by themselves, outside its moments.

    w <- w - learning_rate weight_decay w
    w <- Adam's step

    Its state is Adam's: the decay remembers nothing. Raises InputError as `adam` does, and for a
    negative weight decay. Source: Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization,
    algorithm 2. There the decay is multiplied by the schedule only; here, as in PyTorch, by the
    learning rate. The paper gives no default; 0.01 is PyTorch's. To spare biases, use
    ``decoupled_weight_decay(adam(...), rate, applies_to=...)``.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = adamw(0.1, weight_decay=0.5), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([5.0])}, optimizer.init(params), params)[0]
    {'w': tensor([0.85], float32[1])}
    """
    require_adam("adamw", betas, epsilon)
    require_not_negative("adamw", 0.01, weight_decay=weight_decay)
    rate_of("adamw", AdamState, learning_rate)  # refuses in this name
    return decoupled_weight_decay(adam(learning_rate, betas, epsilon), weight_decay)


def amsgrad(
    learning_rate: LearningRate = 0.001, betas: Betas = (0.9, 0.999), epsilon: float = 1e-8
) -> Optimizer:
    """Return AMSGrad: Adam whose step sizes never grow again, so that rare large gradients count.

    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) g^2
    u <- max(u, v)
    w <- w - learning_rate (m / (1 - beta1^t)) / (sqrt(u / (1 - beta2^t)) + epsilon)

    Raises InputError as `adam` does. Source: Reddi, Kale & Kumar 2018, On the Convergence of Adam
    and Beyond, algorithm 2, which has neither the corrections nor epsilon: here both are as in
    PyTorch.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = amsgrad(0.1), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([5.0])}, optimizer.init(params), params)[0]
    {'w': tensor([0.9], float32[1])}
    """
    require_adam("amsgrad", betas, epsilon)
    rate = rate_of("amsgrad", AMSGradState, learning_rate)

    def init(params: Params) -> AMSGradState:
        require_trainable("amsgrad", params)
        return AMSGradState(first_step(), *(zeros_like(params) for _ in range(3)))

    def update(
        grads: Params, state: AMSGradState, params: Params
    ) -> tuple[dict[str, Tensor], AMSGradState]:
        require_agreement("amsgrad", AMSGradState, grads, state, params)
        step = state.step + 1
        root = ops.sqrt(seen_part(betas[1], step))
        size, floor = rate(state) * root / seen_part(betas[0], step), root * epsilon

        def rule(p: Tensor, g: Tensor, m: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, ...]:
            m, v = means(betas, g, m, v)
            u = ops.maximum(u, v)
            return p - times(size, ratio(m, u, floor)), m, v, u

        moved, m, v, u = for_each(rule, params, grads, state.m, state.v, state.largest)
        return moved, AMSGradState(step, m, v, u)

    return Optimizer(init, update, learning_rate=rate)
