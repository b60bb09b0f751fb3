"""Optimizers around an optimizer, without a memory of their own: what happens to g and w.

The state is the inner optimizer's. The outermost acts first on the gradients:
``clip_by_global_norm(weight_decay(sgd(0.1), 1e-4), 1.0)`` clips, then adds the decay.
``applies_to(name)`` says which parameters are meant, for example
``lambda name: name.endswith("weight")``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from retrograd import ops
from retrograd.optim.optimizer import Optimizer, Params, float64, require_like, times
from retrograd.optim.settings import require_not_negative, require_positive
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import DType

Names = Callable[[str], bool]
Grads = dict[str, Tensor]


def every(name: str) -> bool:
    """Return True: every parameter is meant."""
    return True


def clip_by_value(optimizer: Optimizer, limit: float) -> Optimizer:
    """Return the optimizer fed with gradients clipped to [-limit, limit], each number by itself.

    The direction changes. Raises InputError for a limit not above 0. Source: Mikolov 2012, thesis,
    section 3.2.2.

    >>> from retrograd.optim import sgd
    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = clip_by_value(sgd(1.0), 0.5), {"w": tensor([0.0, 0.0])}
    >>> optimizer.update({"w": tensor([4.0, 0.2])}, optimizer.init(params), params)[0]
    {'w': tensor([-0.5, -0.2], float32[2])}
    """
    require_positive("clip_by_value", 1.0, limit=limit)

    def clip(grads: Params, params: Params) -> Grads:
        return {name: ops.maximum(ops.minimum(g, limit), -limit) for name, g in grads.items()}

    return _with_gradients("clip_by_value", optimizer, clip)


def clip_by_global_norm(optimizer: Optimizer, max_norm: float) -> Optimizer:
    """Return the optimizer fed with gradients whose joint length is at most ``max_norm``.

    g <- g min(1, max_norm / |g|),  |g| = sqrt(sum of all parameters' g^2)

    The direction stays. A NaN or infinity makes every gradient NaN, so that it is found rather than
    hidden. Raises InputError for a norm not above 0. Source: Pascanu, Mikolov & Bengio 2013, On the
    difficulty of training recurrent neural networks, algorithm 1. PyTorch divides by |g| + 1e-6.

    >>> from retrograd.optim import sgd
    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = clip_by_global_norm(sgd(1.0), 1.0), {"w": tensor([0.0, 0.0])}
    >>> optimizer.update({"w": tensor([30.0, 40.0])}, optimizer.init(params), params)[0]
    {'w': tensor([-0.6, -0.8], float32[2])}
    """
    require_positive("clip_by_global_norm", 1.0, max_norm=max_norm)

    def clip(grads: Params, params: Params) -> Grads:
        norm = global_norm(grads)
        # Of an infinite norm the quotient is 0, which would pass for a step without a gradient.
        scale = ops.where(norm < math.inf, ops.minimum(max_norm / norm, 1.0), math.nan)
        return {name: times(scale, g) for name, g in grads.items()}

    return _with_gradients("clip_by_global_norm", optimizer, clip)


def global_norm(tensors: Params) -> Tensor:
    """Return sqrt(sum of squares of all numbers), a float64 scalar.

    Squared in float64: in float32 the square of 1e20 is infinite.

    >>> from retrograd.tensor.tensor import tensor
    >>> global_norm({"w": tensor([3.0]), "b": tensor([4.0])})
    tensor(5., float64[])
    """
    total = float64(0.0)
    for x in tensors.values():
        total = total + ops.sum(ops.square(ops.cast(x, DType.float64)))
    return ops.sqrt(total)


def weight_decay(optimizer: Optimizer, rate: float, applies_to: Names = every) -> Optimizer:
    """Return the optimizer fed with g + rate w: the gradient of the loss plus rate |w|^2 / 2.

    Coupled: what an adaptive optimizer does with g it does with the decay too (PyTorch's
    ``weight_decay`` of all but AdamW). Raises InputError for a negative rate. Source: Krogh & Hertz
    1992, A Simple Weight Decay Can Improve Generalization, equation 3.

    >>> from retrograd.optim import sgd
    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = weight_decay(sgd(1.0), 0.25), {"w": tensor([8.0])}
    >>> optimizer.update({"w": tensor([1.0])}, optimizer.init(params), params)[0]  # 8 - (1 + 2)
    {'w': tensor([5.], float32[1])}
    """
    require_not_negative("weight_decay", 1e-4, rate=rate)

    def decay(grads: Params, params: Params) -> Grads:
        return {
            name: g + params[name] * rate if applies_to(name) else g for name, g in grads.items()
        }

    return _with_gradients("weight_decay", optimizer, decay) if rate else optimizer


def decoupled_weight_decay(
    optimizer: Optimizer, rate: float, applies_to: Names = every
) -> Optimizer:
    """Return the optimizer before whose step the weights shrink, unseen by its moments.

    w <- w - learning_rate rate w, then the optimizer's step

    Raises InputError for a negative rate, or an optimizer that does not tell its learning rate.
    Source: Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, algorithms 1 and 2;
    multiplied by the whole learning rate as in PyTorch, there by its schedule only.

    >>> from retrograd.optim import sgd
    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = decoupled_weight_decay(sgd(0.5), 0.5), {"w": tensor([8.0])}
    >>> optimizer.update({"w": tensor([2.0])}, optimizer.init(params), params)[0]  # 8 - 2 - 1
    {'w': tensor([5.], float32[1])}
    """
    require_not_negative("decoupled_weight_decay", 0.01, rate=rate)
    learning_rate = optimizer.learning_rate
    if learning_rate is None:
        raise InputError(
            "decoupled_weight_decay(optimizer)",
            "the optimizer does not tell its learning rate",
            "give Optimizer(init, update, learning_rate=...), or use weight_decay",
        )

    def update(grads: Params, state: Any, params: Params) -> tuple[Grads, Any]:
        require_like("decoupled_weight_decay", "grads", grads, params)
        keep = 1 - learning_rate(state) * rate
        shrunk = {name: times(keep, p) if applies_to(name) else p for name, p in params.items()}
        return optimizer.update(grads, state, shrunk)

    return optimizer._replace(update=update) if rate else optimizer


def l1(optimizer: Optimizer, rate: float, applies_to: Names = every) -> Optimizer:
    """Return the optimizer fed with g + rate sign(w): the gradient of the loss plus rate |w|_1.

    sign(0) is 0. Weights come near 0 without resting there. Raises InputError for a negative rate.
    Source: Tibshirani 1996, Regression Shrinkage and Selection via the Lasso, by subgradients.

    >>> from retrograd.optim import sgd
    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = l1(sgd(1.0), 0.5), {"w": tensor([8.0, -8.0, 0.0])}
    >>> optimizer.update({"w": tensor([0.0, 0.0, 0.0])}, optimizer.init(params), params)[0]
    {'w': tensor([ 7.5, -7.5,  0. ], float32[3])}
    """
    require_not_negative("l1", 1e-5, rate=rate)

    def shrink(grads: Params, params: Params) -> Grads:
        return {
            name: g + ops.sign(params[name]) * rate if applies_to(name) else g
            for name, g in grads.items()
        }

    return _with_gradients("l1", optimizer, shrink) if rate else optimizer


def max_norm(optimizer: Optimizer, limit: float, applies_to: Names = every) -> Optimizer:
    """Return the optimizer after whose step no unit's incoming weights are longer than ``limit``.

    weight (..., units): w <- w min(1, limit / |w|), |w| over all axes but the last

    Parameters with fewer than two axes (biases) are left alone. Raises InputError for a limit not
    above 0. Source: Srebro & Shraibman 2005; Srivastava et al. 2014, Dropout, section 5.1, whose
    limits are 3 to 4.

    >>> from retrograd.optim import sgd
    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = max_norm(sgd(0.0), 1.0), {"w": tensor([[3.0, 0.3], [4.0, 0.4]])}
    >>> optimizer.update(params, optimizer.init(params), params)[0]["w"]
    tensor([[0.6, 0.3],
            [0.8, 0.4]], float32[2, 2])
    """
    require_positive("max_norm", 3.0, limit=limit)

    def shorten(name: str, p: Tensor) -> Tensor:
        if p.rank < 2 or not applies_to(name):
            return p
        length = ops.sqrt(ops.sum(ops.square(p), axes=tuple(range(p.rank - 1)), keepdims=True))
        return p * ops.minimum(limit / length, 1.0)

    def update(grads: Params, state: Any, params: Params) -> tuple[Grads, Any]:
        moved, state = optimizer.update(grads, state, params)
        return {name: shorten(name, p) for name, p in moved.items()}, state

    return optimizer._replace(update=update)


def _with_gradients(
    asked: str, optimizer: Optimizer, change: Callable[[Params, Params], Grads]
) -> Optimizer:
    """Return the optimizer with its gradients changed first."""

    def update(grads: Params, state: Any, params: Params) -> tuple[Grads, Any]:
        require_like(asked, "grads", grads, params)
        return optimizer.update(change(grads, params), state, params)

    return optimizer._replace(update=update)
