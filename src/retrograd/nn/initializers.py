"""Initialisers: ``(key, shape, dtype) -> Tensor``, the numbers that weights start from.

A good start keeps the variance of signals, forward and backward, from layer to layer; which
variance does that depends on the activation, and `initializer_for` chooses. Fans are read off the
shape: (in_features, out_features), or (..., in, out), where the leading axes are a kernel's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from retrograd import ops
from retrograd.nn import activations
from retrograd.tensor.errors import InputError, ShapeError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import DType, Shape

Initializer = Callable[[Tensor, Shape, DType], Tensor]
"""``initializer(key, shape, dtype)`` draws a tensor; equal keys give equal tensors."""


def fans(shape: Shape) -> tuple[int, int]:
    """Return how many inputs an output sums and how many outputs an input reaches.

    Raises ShapeError for a shape without an input and an output axis.

    >>> fans((784, 128)), fans((3, 3, 16, 32))
    ((784, 128), (144, 288))
    """
    if len(shape) < 2:
        raise ShapeError(
            f"drawing weights of shape {shape}",
            "the fans are unknown, since it has fewer than two axes",
            "give (in_features, out_features), or use nn.normal(std)",
        )
    kernel = math.prod(shape[:-2])
    return kernel * shape[-2], kernel * shape[-1]


def glorot_uniform(key: Tensor, shape: Shape, dtype: DType) -> Tensor:
    """Draw evenly from +-sqrt(6 / (fan_in + fan_out)): for tanh, sigmoid, softmax and none.

    Source: Glorot & Bengio 2010, Understanding the Difficulty of Training Deep Feedforward Neural
    Networks, equation 16.

    >>> glorot_uniform(ops.key(0), (2, 3), DType.float32).shape
    (2, 3)
    """
    return _uniform(key, shape, dtype, 2.0 / max(1, sum(fans(shape))))


def glorot_normal(key: Tensor, shape: Shape, dtype: DType) -> Tensor:
    """Draw normally with variance 2 / (fan_in + fan_out): for tanh, sigmoid, softmax and none.

    Source: Glorot & Bengio 2010, equation 12.
    """
    return _normal(key, shape, dtype, 2.0 / max(1, sum(fans(shape))))


def he_uniform(key: Tensor, shape: Shape, dtype: DType) -> Tensor:
    """Draw evenly from +-sqrt(6 / fan_in): for relu and its kin, which drop half the variance.

    Source: He et al. 2015, Delving Deep into Rectifiers, equation 10.
    """
    return _uniform(key, shape, dtype, 2.0 / max(1, fans(shape)[0]))


def he_normal(key: Tensor, shape: Shape, dtype: DType) -> Tensor:
    """Draw normally with variance 2 / fan_in: for relu and its kin, which drop half the variance.

    Source: He et al. 2015, Delving Deep into Rectifiers, equation 10.
    """
    return _normal(key, shape, dtype, 2.0 / max(1, fans(shape)[0]))


def lecun_normal(key: Tensor, shape: Shape, dtype: DType) -> Tensor:
    """Draw normally with variance 1 / fan_in: for selu, whose fixed point needs it.

    Source: LeCun et al. 1998, Efficient BackProp, equation 16; Klambauer et al. 2017, section 2.
    """
    return _normal(key, shape, dtype, 1.0 / max(1, fans(shape)[0]))


def orthogonal(key: Tensor, shape: Shape, dtype: DType) -> Tensor:
    """Draw an orthogonal matrix evenly: its columns, or rows if they are fewer, are orthonormal.

    All axes but the last count as rows. Signs are settled so that the draw is even (Mezzadri 2007).
    Not traceable: the decomposition is NumPy's.
    Source: Saxe et al. 2013, Exact Solutions to the Nonlinear Dynamics of Learning, section 3.

    >>> q = orthogonal(ops.key(0), (4, 2), DType.float64).numpy()
    >>> bool(np.allclose(q.T @ q, np.eye(2)))
    True
    """
    fans(shape)
    rows, columns = math.prod(shape[:-1]), shape[-1]
    tall = (max(rows, columns), min(rows, columns))
    drawn = ops.normal(key, tall, DType.float64).numpy()
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    matrix = q if rows >= columns else q.T
    return from_array(np.ascontiguousarray(matrix.reshape(shape), dtype.numpy))


def uniform(scale: float) -> Initializer:
    """Return an initialiser that draws evenly from -scale to scale; any shape.

    Raises InputError for a scale below 0.

    >>> uniform(0.1)(ops.key(0), (3,), DType.float32).shape
    (3,)
    """
    limit = _require_spread("uniform", scale)
    return lambda key, shape, dtype: ops.uniform(key, shape, dtype, low=-limit, high=limit)


def normal(std: float) -> Initializer:
    """Return an initialiser that draws normally with mean 0 and that standard deviation; any shape.

    Raises InputError for a deviation below 0.

    >>> normal(0.02)(ops.key(0), (3,), DType.float32).shape
    (3,)
    """
    deviation = _require_spread("normal", std)
    return lambda key, shape, dtype: ops.normal(key, shape, dtype) * deviation


_KEEPS_HALF = (
    *(activations.relu, activations.leaky_relu, activations.elu, activations.gelu),
    *(activations.gelu_tanh, activations.silu, activations.softplus, activations.mish),
)


def initializer_for(activation: Callable[[Tensor], Tensor]) -> Initializer:
    """Return the initialiser that fits what follows the weights.

    `he_normal` before relu and what bends like it, `lecun_normal` before selu, `glorot_uniform`
    before tanh, sigmoid, softmax, no activation, and any that is unknown.

    >>> initializer_for(activations.relu).__name__, initializer_for(activations.tanh).__name__
    ('he_normal', 'glorot_uniform')
    """
    while isinstance(activation, functools.partial):
        activation = activation.func
    if activation in _KEEPS_HALF:
        return he_normal
    return lecun_normal if activation is activations.selu else glorot_uniform


def _uniform(key: Tensor, shape: Shape, dtype: DType, variance: float) -> Tensor:
    limit = math.sqrt(3.0 * variance)
    return ops.uniform(key, shape, dtype, low=-limit, high=limit)


def _normal(key: Tensor, shape: Shape, dtype: DType, variance: float) -> Tensor:
    return ops.normal(key, shape, dtype) * math.sqrt(variance)


def _require_spread(name: str, spread: float) -> float:
    if not 0.0 <= spread < math.inf:
        raise InputError(
            f"nn.{name}({spread})", "a spread is 0 or more, and finite", "give for example 0.02"
        )
    return spread
