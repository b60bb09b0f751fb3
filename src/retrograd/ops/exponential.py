"""Exponentials, logarithms, roots and powers, elementwise on floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.ops.arithmetic import divide, multiply, square
from retrograd.ops.choice import where
from retrograd.ops.comparison import equal
from retrograd.ops.families import Binary, Unary, apply_binary, apply_unary
from retrograd.tensor.element import Element, call, constant
from retrograd.tensor.tensor import Tensor, TensorLike
from retrograd.tensor.types import Array


@dataclass(frozen=True)
class Exp(Unary):
    """e^x.  Overflows to inf; exp(-inf) is 0."""

    def evaluate(self, x: Array) -> Array:
        """Return the exponential."""
        return np.exp(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g out, since the exponential is its own derivative."""
        return (multiply(g, out),)

    def element(self, x: Element) -> Element:
        """Return the exponential."""
        return call("exp", x)


@dataclass(frozen=True)
class Expm1(Unary):
    """e^x - 1, exact to the last digits for small x.

    The slope is formed from the output: it is 0 where that has rounded to -1.
    """

    def evaluate(self, x: Array) -> Array:
        """Return NumPy's expm1."""
        return np.expm1(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g (out + 1)."""
        return (multiply(g, out + 1.0),)

    def element(self, x: Element) -> Element:
        """Return e^x - 1."""
        return call("expm1", x)


@dataclass(frozen=True)
class Log(Unary):
    """Natural logarithm.  log(0) is -inf with derivative inf; below 0 it is NaN."""

    domain: ClassVar[tuple[float, float]] = (0.3, 3.0)

    def evaluate(self, x: Array) -> Array:
        """Return the natural logarithm."""
        return np.log(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g / x."""
        return (divide(g, x),)

    def element(self, x: Element) -> Element:
        """Return the natural logarithm."""
        return call("log", x)


@dataclass(frozen=True)
class Log1p(Unary):
    """log(1 + x), exact to the last digits for small x; log1p(-1) is -inf, below that NaN."""

    domain: ClassVar[tuple[float, float]] = (-0.6, 2.0)

    def evaluate(self, x: Array) -> Array:
        """Return NumPy's log1p."""
        return np.log1p(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g / (1 + x)."""
        return (divide(g, x + 1.0),)

    def element(self, x: Element) -> Element:
        """Return log(1 + x)."""
        return call("log1p", x)


@dataclass(frozen=True)
class Sqrt(Unary):
    """Square root.  The derivative at 0 is inf; below 0 the root is NaN."""

    domain: ClassVar[tuple[float, float]] = (0.3, 3.0)

    def evaluate(self, x: Array) -> Array:
        """Return the root."""
        return np.sqrt(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g / (2 out)."""
        return (divide(g, out * 2.0),)

    def element(self, x: Element) -> Element:
        """Return the root."""
        return call("sqrt", x)


@dataclass(frozen=True)
class Rsqrt(Unary):
    """1 / sqrt(x).  At 0 it is inf with derivative -inf; below 0 it is NaN."""

    domain: ClassVar[tuple[float, float]] = (0.3, 3.0)

    def evaluate(self, x: Array) -> Array:
        """Return the reciprocal of the root."""
        return np.asarray(x.dtype.type(1) / np.sqrt(x))

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return -g out^3 / 2."""
        return (multiply(g * -0.5, out * out * out),)

    def element(self, x: Element) -> Element:
        """Return the reciprocal of the root."""
        return constant(1, x.dtype) / call("sqrt", x)


@dataclass(frozen=True)
class Power(Binary):
    """x^y for floats.  x^0 is 1 for every x; a negative x with a fractional y gives NaN.

    The derivative towards x is right at 0: 0 for y = 0, 1 for y = 1. Towards y it is 0 at x = 0 and
    NaN below, where x^y is defined for single exponents only.
    """

    needs_float: ClassVar[bool] = True
    domains: ClassVar[tuple[tuple[float, float], tuple[float, float]]] = ((0.3, 3.0), (-2.0, 2.0))

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return the power."""
        return np.power(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return (g y x^(y-1), g out log(x))."""
        # Both products would be 0 * inf at their exceptions, so those get a harmless input first.
        exponent = where(equal(y, 0.0), 1.0, y - 1.0)
        base = where(equal(x, 0.0), 1.0, x)
        towards_y = where(equal(x, 0.0), 0.0, multiply(out, log(base)))
        return multiply(g, multiply(y, power(x, exponent))), multiply(g, towards_y)

    def element(self, x: Element, y: Element) -> Element:
        """Return the power."""
        return call("power", x, y)


def exp(x: TensorLike) -> Tensor:
    """Return e^x.

    >>> exp([0.0, 1.0])
    tensor([1.    , 2.7183], float32[2])
    """
    return apply_unary(Exp(), x)


def expm1(x: TensorLike) -> Tensor:
    """Return e^x - 1 without the cancellation near 0.

    >>> expm1([0.0, 1e-8])
    tensor([0.e+00, 1.e-08], float32[2])
    """
    return apply_unary(Expm1(), x)


def log(x: TensorLike) -> Tensor:
    """Return the natural logarithm: -inf at 0, NaN below.

    >>> log([1.0, 0.0])
    tensor([  0., -inf], float32[2])
    """
    return apply_unary(Log(), x)


def log1p(x: TensorLike) -> Tensor:
    """Return log(1 + x) without the cancellation near 0.

    >>> log1p([0.0, -1.0])
    tensor([  0., -inf], float32[2])
    """
    return apply_unary(Log1p(), x)


def sqrt(x: TensorLike) -> Tensor:
    """Return the square root; its derivative at 0 is inf.

    >>> sqrt([4.0, 9.0])
    tensor([2., 3.], float32[2])
    """
    return apply_unary(Sqrt(), x)


def rsqrt(x: TensorLike) -> Tensor:
    """Return 1 / sqrt(x).

    >>> rsqrt([4.0])
    tensor([0.5], float32[1])
    """
    return apply_unary(Rsqrt(), x)


def power(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x^y for floats, broadcast; an exponent written as 2 squares, integers too.

    Raises DTypeError for integers otherwise.

    >>> power([2.0, 3.0], 3.0)
    tensor([ 8., 27.], float32[2])
    """
    if isinstance(y, int | float) and y == 2:
        return square(x)
    return apply_binary("power", Power(), x, y)
