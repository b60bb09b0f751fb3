"""Waves and S-shaped curves, elementwise on floats: sin, cos, tanh, sigmoid, erf, erfc."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from retrograd.ops.arithmetic import multiply, negative
from retrograd.ops.exponential import exp
from retrograd.ops.families import Unary, apply_unary
from retrograd.tensor import special
from retrograd.tensor.element import Element, call, constant, select
from retrograd.tensor.tensor import Tensor, TensorLike
from retrograd.tensor.types import Array

_TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)


@dataclass(frozen=True)
class Sin(Unary):
    """Sine of x in radians; NaN at +-inf."""

    def evaluate(self, x: Array) -> Array:
        """Return the sine."""
        return np.sin(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g cos(x)."""
        return (multiply(g, cos(x)),)

    def element(self, x: Element) -> Element:
        """Return the sine."""
        return call("sin", x)


@dataclass(frozen=True)
class Cos(Unary):
    """Cosine of x in radians; NaN at +-inf."""

    def evaluate(self, x: Array) -> Array:
        """Return the cosine."""
        return np.cos(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return -g sin(x)."""
        return (negative(multiply(g, sin(x))),)

    def element(self, x: Element) -> Element:
        """Return the cosine."""
        return call("cos", x)


@dataclass(frozen=True)
class Tanh(Unary):
    """(e^x - e^-x) / (e^x + e^-x), between -1 and 1.

    The slope is formed from the output: it is 0 where that has rounded to -1 or 1.
    """

    def evaluate(self, x: Array) -> Array:
        """Return the hyperbolic tangent."""
        return np.tanh(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g (1 - out^2)."""
        return (multiply(g, 1.0 - multiply(out, out)),)

    def element(self, x: Element) -> Element:
        """Return the hyperbolic tangent."""
        return call("tanh", x)


@dataclass(frozen=True)
class Sigmoid(Unary):
    """1 / (1 + e^-x), between 0 and 1.

    Stable: only e^-|x| is formed, which never overflows, so small values keep all their digits.
    The slope is formed from the output: it is 0 where that has rounded to 1.
    """

    def evaluate(self, x: Array) -> Array:
        """Return 1/(1+z) or z/(1+z) with z = e^-|x|."""
        z = np.exp(-np.abs(x))
        one = x.dtype.type(1)
        return np.asarray(np.where(x >= 0, one, z) / (one + z))

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g out (1 - out)."""
        return (multiply(g, multiply(out, 1.0 - out)),)

    def element(self, x: Element) -> Element:
        """Return the same quotient, its numerator chosen by the sign of x."""
        z = call("exp", call("negative", call("absolute", x)))
        one = constant(1, x.dtype)
        return select(call("greater_equal", x, 0), one, z) / (one + z)


@dataclass(frozen=True)
class Erf(Unary):
    """The error function: 2/sqrt(pi) times the integral of e^-t^2 from 0 to x."""

    def evaluate(self, x: Array) -> Array:
        """Return erf, within 1 ulp."""
        return special.erf(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g 2/sqrt(pi) e^(-x^2)."""
        return (multiply(g, bell(x)),)

    def element(self, x: Element) -> Element:
        """Return erf."""
        return call("erf", x)


@dataclass(frozen=True)
class Erfc(Unary):
    """1 - erf(x), without the cancellation: exact in the tail, where erf is 1."""

    def evaluate(self, x: Array) -> Array:
        """Return erfc."""
        return special.erfc(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return -g 2/sqrt(pi) e^(-x^2)."""
        return (negative(multiply(g, bell(x))),)

    def element(self, x: Element) -> Element:
        """Return erfc."""
        return call("erfc", x)


def sin(x: TensorLike) -> Tensor:
    """Return the sine of x in radians.

    >>> sin([0.0, 0.5])
    tensor([0.    , 0.4794], float32[2])
    """
    return apply_unary(Sin(), x)


def cos(x: TensorLike) -> Tensor:
    """Return the cosine of x in radians.

    >>> cos([0.0, 0.5])
    tensor([1.    , 0.8776], float32[2])
    """
    return apply_unary(Cos(), x)


def tanh(x: TensorLike) -> Tensor:
    """Return the hyperbolic tangent.

    >>> tanh([0.0, 1.0])
    tensor([0.    , 0.7616], float32[2])
    """
    return apply_unary(Tanh(), x)


def sigmoid(x: TensorLike) -> Tensor:
    """Return 1 / (1 + e^-x), stable for any x.

    >>> sigmoid([-1000.0, 0.0, 1000.0])
    tensor([0. , 0.5, 1. ], float32[3])
    """
    return apply_unary(Sigmoid(), x)


def erf(x: TensorLike) -> Tensor:
    """Return the error function.

    >>> erf([0.5])
    tensor([0.5205], float32[1])
    """
    return apply_unary(Erf(), x)


def erfc(x: TensorLike) -> Tensor:
    """Return 1 - erf(x), exact in the tail.

    >>> erfc([5.0])
    tensor([1.5375e-12], float32[1])
    """
    return apply_unary(Erfc(), x)


def bell(x: Tensor) -> Tensor:
    """Return 2/sqrt(pi) e^(-x^2), the slope of erf.

    >>> from retrograd.tensor.tensor import tensor
    >>> bell(tensor(0.0))
    tensor(1.1284, float32[])
    """
    return multiply(exp(negative(multiply(x, x))), _TWO_OVER_ROOT_PI)
