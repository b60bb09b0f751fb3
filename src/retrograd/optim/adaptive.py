"""Rates of their own for each parameter, from its squared gradients: AdaGrad, AdaDelta, RMSprop."""

from __future__ import annotations

from typing import NamedTuple

from retrograd import ops
from retrograd.optim.optimizer import (
    LearningRate,
    Optimizer,
    Params,
    first_step,
    for_each,
    full_like,
    rate_of,
    require_agreement,
    require_trainable,
    times,
    zeros_like,
)
from retrograd.optim.settings import require_fraction, require_not_negative, require_positive
from retrograd.tensor.tensor import Tensor


class AdaGradState(NamedTuple):
    """The number of updates done, and the sum of squared gradients."""

    step: Tensor
    total: dict[str, Tensor]


class AdaDeltaState(NamedTuple):
    """The number of updates done, and the averages of squared gradients and squared moves."""

    step: Tensor
    v: dict[str, Tensor]
    moves: dict[str, Tensor]


class RMSpropState(NamedTuple):
    """The number of updates done, and the average of squared gradients."""

    step: Tensor
    v: dict[str, Tensor]


def adagrad(
    learning_rate: LearningRate = 0.01, *, epsilon: float = 1e-10, initial: float = 0.0
) -> Optimizer:
    """Return AdaGrad: a rate that falls with all that a parameter has been moved by.

    s <- s + g^2
    w <- w - learning_rate g / (sqrt(s) + epsilon)

    ``initial`` is s before the first step. Raises InputError for negative settings. Source: Duchi,
    Hazan & Singer 2011, Adaptive Subgradient Methods, figure 1 with diagonal matrices (their delta
    is epsilon). They give no defaults; these are PyTorch's.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = adagrad(0.1), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([5.0])}, optimizer.init(params), params)[0]
    {'w': tensor([0.9], float32[1])}
    """
    require_positive("adagrad", 1e-10, epsilon=epsilon)
    require_not_negative("adagrad", 0.0, initial=initial)
    rate = rate_of("adagrad", AdaGradState, learning_rate)

    def init(params: Params) -> AdaGradState:
        require_trainable("adagrad", params)
        start = {name: full_like(p, initial) for name, p in params.items()}
        return AdaGradState(first_step(), start)

    def update(
        grads: Params, state: AdaGradState, params: Params
    ) -> tuple[dict[str, Tensor], AdaGradState]:
        require_agreement("adagrad", AdaGradState, grads, state, params)
        size = rate(state)

        def rule(p: Tensor, g: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            total = total + ops.square(g)
            return p - times(size, g / (ops.sqrt(total) + epsilon)), total

        moved, total = for_each(rule, params, grads, state.total)
        return moved, AdaGradState(state.step + 1, total)

    return Optimizer(init, update, learning_rate=rate)


def adadelta(
    learning_rate: LearningRate = 1.0, *, rho: float = 0.95, epsilon: float = 1e-6
) -> Optimizer:
    """Return AdaDelta: moves in the parameter's own units, without a rate to choose.

    v <- rho v + (1 - rho) g^2
    d = sqrt(u + epsilon) / sqrt(v + epsilon) g
    u <- rho u + (1 - rho) d^2
    w <- w - learning_rate d

    Raises InputError for a negative rate, epsilon not above 0, or rho outside [0, 1). Source:
    Zeiler 2012, ADADELTA, algorithm 1, which has no learning rate (1); rho and epsilon are those of
    its section 4.1. PyTorch's default rho is 0.9.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = adadelta(), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([1.0])}, optimizer.init(params), params)[0]
    {'w': tensor([0.9955], float32[1])}
    """
    require_positive("adadelta", 1e-6, epsilon=epsilon)
    require_fraction("adadelta", 0.95, rho=rho)
    rate = rate_of("adadelta", AdaDeltaState, learning_rate)

    def init(params: Params) -> AdaDeltaState:
        require_trainable("adadelta", params)
        return AdaDeltaState(first_step(), zeros_like(params), zeros_like(params))

    def update(
        grads: Params, state: AdaDeltaState, params: Params
    ) -> tuple[dict[str, Tensor], AdaDeltaState]:
        require_agreement("adadelta", AdaDeltaState, grads, state, params)
        size = rate(state)

        def rule(p: Tensor, g: Tensor, v: Tensor, moves: Tensor) -> tuple[Tensor, ...]:
            v = v * rho + ops.square(g) * (1 - rho)
            move = ops.sqrt((moves + epsilon) / (v + epsilon)) * g
            return p - times(size, move), v, moves * rho + ops.square(move) * (1 - rho)

        moved, v, moves = for_each(rule, params, grads, state.v, state.moves)
        return moved, AdaDeltaState(state.step + 1, v, moves)

    return Optimizer(init, update, learning_rate=rate)


def rmsprop(
    learning_rate: LearningRate = 0.001, *, decay: float = 0.9, epsilon: float = 1e-8
) -> Optimizer:
    """Return RMSprop: the gradient over the root of its recent mean square.

    v <- decay v + (1 - decay) g^2
    w <- w - learning_rate g / (sqrt(v) + epsilon)

    Raises InputError for a negative rate, epsilon not above 0, or decay outside [0, 1). Source:
    Tieleman & Hinton 2012, Coursera lecture 6.5, which has decay 0.9, no epsilon and no rate; 0.001
    is the field's custom. PyTorch's defaults are decay (alpha) 0.99 and rate 0.01.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = rmsprop(0.1, decay=0.75), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([5.0])}, optimizer.init(params), params)[0]
    {'w': tensor([0.8], float32[1])}
    """
    require_positive("rmsprop", 1e-8, epsilon=epsilon)
    require_fraction("rmsprop", 0.9, decay=decay)
    rate = rate_of("rmsprop", RMSpropState, learning_rate)

    def init(params: Params) -> RMSpropState:
        require_trainable("rmsprop", params)
        return RMSpropState(first_step(), zeros_like(params))

    def update(
        grads: Params, state: RMSpropState, params: Params
    ) -> tuple[dict[str, Tensor], RMSpropState]:
        require_agreement("rmsprop", RMSpropState, grads, state, params)
        size = rate(state)

        def rule(p: Tensor, g: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            v = v * decay + ops.square(g) * (1 - decay)
            return p - times(size, g / (ops.sqrt(v) + epsilon)), v

        moved, v = for_each(rule, params, grads, state.v)
        return moved, RMSpropState(state.step + 1, v)

    return Optimizer(init, update, learning_rate=rate)
