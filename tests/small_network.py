"""A small network in float64, with everything that networks have, for tests of derivatives."""

from collections.abc import Callable
from typing import Any

import numpy as np

from retrograd import ops
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import Array

Params = dict[str, Tensor]


def random(seed: int, *shape: int) -> Tensor:
    return tensor(np.random.default_rng(seed).standard_normal(shape))


def params() -> Params:
    shapes = {"w1": (3, 4), "b1": (4,), "w2": (4, 2), "b2": (2,)}
    return {name: random(i, *shape) for i, (name, shape) in enumerate(shapes.items())}


X, LABELS = random(10, 5, 3), tensor([0, 1, 1, 0, 1])


def loss(p: Params, x: Tensor, labels: Tensor) -> Tensor:
    """A small network with everything that networks have: softmax cross-entropy of tanh units."""
    hidden = ops.tanh(x @ p["w1"] + p["b1"])
    logits = hidden @ p["w2"] + p["b2"]
    picked = ops.gather(logits, ops.reshape(labels, (-1, 1)), 1)
    return ops.mean(ops.logsumexp(logits, 1, keepdims=True) - picked)


def numerical(function: Callable[[Array], float], x: Array, step: float = 1e-5) -> Array:
    """Central differences, element by element."""
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        moved = np.zeros_like(x)
        moved[place] = step
        found[place] = (function(x + moved) - function(x - moved)) / (2 * step)
    return found


def near(found: Any, expected: Any, relative: float = 1e-8) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), relative, 1e-9)
