"""Guards against networks that would train without a word and learn the wrong thing, or nothing.

Call them once before training. What a loss can see of its own arguments it refuses itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from retrograd import ops
from retrograd.autodiff import gradients, watch
from retrograd.nn.activations import hard_sigmoid, log_softmax, sigmoid, softmax
from retrograd.nn.containers import Flatten, Sequential, name_of
from retrograd.nn.dropout import Dropout
from retrograd.nn.losses.classification import (
    binary_cross_entropy,
    cross_entropy,
    hinge,
    kl_divergence,
)
from retrograd.tensor.errors import GradientError, InputError
from retrograd.tensor.history import differentiating, placeholder
from retrograd.tensor.tensor import Tensor
from retrograd.tree import leaves, with_leaves

_TAKES_SCORES = (cross_entropy, binary_cross_entropy, hinge, kl_divergence)
_SQUASHES = (softmax, log_softmax, sigmoid, hard_sigmoid)
# The same by the names that ops give them.
_SQUASHING_OPS = (ops.sigmoid,)


def check_output(net: Any, loss: Callable[..., Tensor]) -> None:
    """Raise InputError if the network ends in a softmax or sigmoid that the loss applies itself.

    Sees through Sequential, Flatten, Dropout and functools.partial.

    >>> from retrograd.nn.activations import relu
    >>> check_output(Sequential((Flatten(), relu)), cross_entropy)
    """
    name, last = name_of(loss), _last(net)
    if _function(loss) in _TAKES_SCORES and _function(last) in (*_SQUASHES, *_SQUASHING_OPS):
        raise InputError(
            f"training with {name} a network that ends in {name_of(last)}",
            f"{name} takes scores, and applies the {_inner(loss)} itself",
            f"leave {name_of(last)} out of the network, and apply it to net(x) for probabilities",
        )


def check_reachable(loss: Callable[[Any], Tensor], params: Any) -> None:
    """Raise GradientError, with their names, if ``loss(params)`` cannot reach some parameters.

    Such a parameter would keep its first value without a word: it is not used, or a stop_gradient,
    a cast or a comparison stands between. The loss is traced, not computed.

    >>> from retrograd.tensor.tensor import tensor
    >>> check_reachable(lambda p: ops.sum(p["weight"]), {"weight": tensor([1.0])})
    """
    with differentiating():
        watched = {name: watch(placeholder(x.type)) for name, x in leaves(params).items()}
        value = loss(with_leaves(params, watched))
        found = gradients([value], [ops.ones(value.shape, value.dtype)], list(watched.values()))
    missing = [name for name, g in zip(watched, found, strict=True) if g is None]
    if missing:
        raise GradientError(
            f"the gradient of the loss in {', '.join(missing)}",
            "the loss does not depend on " + ("it" if len(missing) == 1 else "them"),
            "use it in the network's call, or leave it out of the parameters "
            'with field(metadata={"trained": False})',
        )


def _last(net: Any) -> Any:
    """Return what gives a network's output: the last member that changes numbers."""
    if isinstance(net, Sequential):
        changing = [m for m in net.layers if not isinstance(m, Flatten | Dropout)]
        return _last(changing[-1]) if changing else net
    return net


def _function(value: Any) -> Any:
    while isinstance(value, functools.partial):
        value = value.func
    return value


def _inner(loss: Callable[..., Tensor]) -> str:
    return "sigmoid" if _function(loss) is binary_cross_entropy else "softmax"
