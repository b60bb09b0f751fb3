"""Division to whole numbers, elementwise: floor, floor_divide, remainder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.ops.arithmetic import multiply, negative
from retrograd.ops.families import Binary, Unary, apply_binary, apply_unary
from retrograd.tensor.element import Element, call
from retrograd.tensor.op import Draw, Example
from retrograd.tensor.tensor import Tensor, TensorLike
from retrograd.tensor.types import Array


@dataclass(frozen=True)
class Floor(Unary):
    """The largest whole number not above x, as a float.  Its derivative is 0, at the steps too."""

    def evaluate(self, x: Array) -> Array:
        """Return the floor."""
        return np.floor(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[None]:
        """Let no gradient flow: the floor is constant in pieces."""
        return (None,)

    def element(self, x: Element) -> Element:
        """Return the floor."""
        return call("floor", x)


@dataclass(frozen=True)
class FloorDivide(Binary):
    """floor(x / y).  An integer by 0 is 0, and the smallest integer by -1 wraps to itself.

    A float by 0 is inf, -inf or NaN. The derivative is 0, at the steps too.
    """

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return NumPy's quotient, which is guarded."""
        return np.floor_divide(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[None, None]:
        """Let no gradient flow: the quotient is constant in pieces."""
        return None, None

    def element(self, x: Element, y: Element) -> Element:
        """Return the guarded quotient."""
        return call("floor_divide", x, y)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return quotients between two whole numbers."""
        return Example(cls(), _between_steps(draw))


@dataclass(frozen=True)
class Remainder(Binary):
    """x - y floor(x / y), with the sign of y.  An integer by 0 leaves 0, a float by 0 NaN.

    At a step the derivative is that of the piece that starts there.
    """

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return NumPy's remainder, which is guarded."""
        return np.remainder(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return (g, -g floor(x / y))."""
        return g, negative(multiply(g, floor_divide(x, y)))

    def element(self, x: Element, y: Element) -> Element:
        """Return the guarded remainder."""
        return call("remainder", x, y)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return remainders well inside their pieces."""
        return Example(cls(), _between_steps(draw))


def _between_steps(draw: Draw) -> tuple[Array, Array]:
    """Return x and y of either sign whose quotient is not close to a whole number."""
    shape, dtype = draw.shape(), draw.float_dtype()
    y = draw.array(shape, dtype, 0.5, 3.0) * dtype.numpy.type(draw.choice((-1, 1)))
    whole = np.floor(draw.array(shape, dtype, -3.0, 3.0))
    return (whole + draw.array(shape, dtype, 0.2, 0.8)) * y, y


def floor(x: TensorLike) -> Tensor:
    """Return the largest whole number not above x, as a float.

    >>> floor([1.7, -1.2])
    tensor([ 1., -2.], float32[2])
    """
    return apply_unary(Floor(), x)


def floor_divide(x: TensorLike, y: TensorLike) -> Tensor:
    """Return floor(x / y), broadcast; an integer by 0 is 0.

    >>> floor_divide([7, -7, 7], [2, 2, 0])
    tensor([ 3, -4,  0], int64[3])
    """
    return apply_binary("floor_divide", FloorDivide(), x, y)


def remainder(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x - y floor(x / y), broadcast, with the sign of y; an integer by 0 leaves 0.

    >>> remainder([7, -7, 7], [2, 2, 0])
    tensor([1, 1, 0], int64[3])
    """
    return apply_binary("remainder", Remainder(), x, y)
