"""Gradient descent: plain, with momentum, and with Nesterov's look ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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
from retrograd.optim.settings import require_fraction
from retrograd.tensor.tensor import Tensor


class SGDState(NamedTuple):
    """The number of updates done."""

    step: Tensor


class MomentumState(NamedTuple):
    """The number of updates done, and the velocity of each parameter."""

    step: Tensor
    velocity: dict[str, Tensor]


class NesterovState(NamedTuple):
    """The number of updates done, and the velocity of each parameter."""

    step: Tensor
    velocity: dict[str, Tensor]


def sgd(learning_rate: LearningRate = 0.01) -> Optimizer:
    """Return gradient descent on the batch's gradient.

    w <- w - learning_rate g

    Raises InputError for a negative rate. Source: Robbins & Monro 1951, A Stochastic Approximation
    Method; they give no default, ours is 0.01.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = sgd(0.1), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([2.0])}, optimizer.init(params), params)[0]
    {'w': tensor([0.8], float32[1])}
    """
    rate = rate_of("sgd", SGDState, learning_rate)

    def init(params: Params) -> SGDState:
        require_trainable("sgd", params)
        return SGDState(first_step())

    def update(
        grads: Params, state: SGDState, params: Params
    ) -> tuple[dict[str, Tensor], SGDState]:
        require_agreement("sgd", SGDState, grads, state, params)
        size = rate(state)
        (moved,) = for_each(lambda p, g: (ops.subtract(p, times(size, g)),), params, grads)
        return moved, SGDState(state.step + 1)

    return Optimizer(init, update, learning_rate=rate)


def momentum(learning_rate: LearningRate = 0.01, momentum: float = 0.9) -> Optimizer:
    """Return gradient descent with a velocity, which remembers the gradients before.

    v <- momentum v + g
    w <- w - learning_rate v

    The velocity holds no learning rate, as in PyTorch: Polyak, and Sutskever et al. 2013 equation
    1, put it inside, which differs only while the rate changes. Raises InputError for a negative
    rate or a momentum outside [0, 1). Source: Polyak 1964, Some methods of speeding up the
    convergence of iteration methods; 0.9 is the field's custom.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params, grads = momentum(0.1), {"w": tensor([1.0])}, {"w": tensor([1.0])}
    >>> params, state = optimizer.update(grads, optimizer.init(params), params)
    >>> optimizer.update(grads, state, params)[0]  # 0.9 - 0.1 (0.9 + 1)
    {'w': tensor([0.71], float32[1])}
    """
    require_fraction("momentum", 0.9, momentum=momentum)
    return _with_velocity(
        "momentum", MomentumState, learning_rate, momentum, lambda g, velocity: velocity
    )


def nesterov(learning_rate: LearningRate = 0.01, momentum: float = 0.9) -> Optimizer:
    """Return Nesterov's accelerated gradient: the step that momentum would make next.

    v <- momentum v + g
    w <- w - learning_rate (g + momentum v)

    The parameters are the looked-ahead ones and the velocity holds no learning rate, as in PyTorch;
    Nesterov, and Sutskever et al. 2013 equations 3 and 4, keep the others, so that the gradient
    would be asked for elsewhere. Raises InputError for a negative rate or a momentum outside
    [0, 1). Source: Nesterov 1983; this form is Bengio et al. 2013, Advances in optimizing recurrent
    networks, section 3.5.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = nesterov(0.1), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([1.0])}, optimizer.init(params), params)[0]
    {'w': tensor([0.81], float32[1])}
    """
    require_fraction("nesterov", 0.9, momentum=momentum)
    return _with_velocity(
        "nesterov", NesterovState, learning_rate, momentum,
        lambda g, velocity: g + velocity * momentum,
    )  # fmt: skip


def _with_velocity(
    asked: str,
    kind: type[MomentumState] | type[NesterovState],
    learning_rate: LearningRate,
    momentum: float,
    direction: Callable[[Tensor, Tensor], Tensor],
) -> Optimizer:
    """Return v <- momentum v + g, w <- w - learning_rate direction(g, v), with its own state."""
    rate = rate_of(asked, kind, learning_rate)

    def init(params: Params) -> Any:
        require_trainable(asked, params)
        return kind(first_step(), zeros_like(params))

    def update(grads: Params, state: Any, params: Params) -> tuple[dict[str, Tensor], Any]:
        require_agreement(asked, kind, grads, state, params)
        size = rate(state)

        def rule(p: Tensor, g: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            v = v * momentum + g
            return p - times(size, direction(g, v)), v

        moved, velocity = for_each(rule, params, grads, state.velocity)
        return moved, kind(state.step + 1, velocity)

    return Optimizer(init, update, learning_rate=rate)
