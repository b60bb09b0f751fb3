"""Arithmetic, elementwise: add, subtract, multiply, divide, negative, square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.ops.families import Binary, Unary, apply_binary, apply_unary
from retrograd.tensor.element import Element, call
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import Array


@dataclass(frozen=True)
class Add(Binary):
    """x + y.  Integers wrap around."""

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return the sum."""
        return np.add(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Hand g to both."""
        return g, g

    def element(self, x: Element, y: Element) -> Element:
        """Return the sum."""
        return x + y


@dataclass(frozen=True)
class Subtract(Binary):
    """x - y.  Integers wrap around."""

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return the difference."""
        return np.subtract(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Hand g to the first, -g to the second."""
        return g, negative(g)

    def element(self, x: Element, y: Element) -> Element:
        """Return the difference."""
        return x - y


@dataclass(frozen=True)
class Multiply(Binary):
    """x * y.  Integers wrap around."""

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return the product."""
        return np.multiply(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return (g y, g x)."""
        return multiply(g, y), multiply(g, x)

    def element(self, x: Element, y: Element) -> Element:
        """Return the product."""
        return x * y


@dataclass(frozen=True)
class Divide(Binary):
    """x / y for floats: 1/0 is inf and 0/0 is NaN, as IEEE 754 says."""

    needs_float: ClassVar[bool] = True
    domains: ClassVar[tuple[tuple[float, float], tuple[float, float]]] = ((-2.0, 2.0), (0.5, 3.0))

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return the quotient."""
        return np.divide(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return (g/y, -g out/y)."""
        towards_x = divide(g, y)
        return towards_x, negative(multiply(towards_x, out))

    def element(self, x: Element, y: Element) -> Element:
        """Return the quotient."""
        return x / y


@dataclass(frozen=True)
class Negative(Unary):
    """-x.  The smallest integer is its own negative."""

    needs_float: ClassVar[bool] = False

    def evaluate(self, x: Array) -> Array:
        """Return the negative."""
        return np.negative(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return -g."""
        return (negative(g),)

    def element(self, x: Element) -> Element:
        """Return the negative."""
        return call("negative", x)


def add(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x + y, broadcast.

    >>> add([1.0, 2.0], [10.0, 20.0])
    tensor([11., 22.], float32[2])
    """
    return apply_binary("add", Add(), x, y)


def subtract(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x - y, broadcast.

    >>> subtract([1.0, 2.0], [1.0, 1.0])
    tensor([0., 1.], float32[2])
    """
    return apply_binary("subtract", Subtract(), x, y)


def multiply(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x * y, broadcast.

    >>> multiply([1.0, 2.0], [3.0, 4.0])
    tensor([3., 8.], float32[2])
    """
    return apply_binary("multiply", Multiply(), x, y)


def divide(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x / y for floats, broadcast; raises DTypeError for integers.

    >>> divide([1.0, 2.0], [2.0, 4.0])
    tensor([0.5, 0.5], float32[2])
    """
    return apply_binary("divide", Divide(), x, y)


def negative(x: TensorLike) -> Tensor:
    """Return -x.

    >>> negative([1.0, -2.0])
    tensor([-1.,  2.], float32[2])
    """
    return apply_unary(Negative(), x)


def square(x: TensorLike) -> Tensor:
    """Return x * x.

    >>> square([1.0, -3.0])
    tensor([1., 9.], float32[2])
    """
    x = as_tensor(x)
    return multiply(x, x)
