"""Choosing between values, elementwise: where, and what is made of it.

`where`, the larger and the smaller of two, the magnitude and the sign: each hands its gradient to
the side that was taken, and says what it does at a tie or a kink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.ops.arithmetic import multiply
from retrograd.ops.comparison import equal, greater, less
from retrograd.ops.families import Binary, Unary, apply_binary, apply_unary, stretch
from retrograd.tensor.element import Element, Index, Reader, call, select
from retrograd.tensor.errors import DTypeError, InputError, ShapeError
from retrograd.tensor.history import apply, same_dtype
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import Array, DType, TensorType


@dataclass(frozen=True)
class Where(Op):
    """x where the condition holds, else y.  condition (bool), x, y (equal shapes) -> the same

    The side that is not taken is not read: its NaN or inf reaches neither the value nor the
    gradient here. A gradient of 0 can still meet an inf further up; make that input safe too.
    """

    def result_type(self, condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
        """Return the type of x and y; raises ShapeError or DTypeError if they do not fit."""
        same_dtype("where", (x, y))
        if condition.dtype is not DType.bool:
            raise DTypeError(
                f"where with a condition {condition}", "it is no bool", "compare first: x > 0"
            )
        if not condition.shape == x.shape == y.shape:
            raise ShapeError(
                f"where of {condition}, {x} and {y}",
                "the primitive takes equal shapes",
                "call ops.where, which broadcasts, or use broadcast_to",
            )
        return x

    def evaluate(self, condition: Array, x: Array, y: Array) -> Array:
        """Return NumPy's choice."""
        return np.where(condition, x, y)

    def vjp(
        self, g: Tensor, out: Tensor, condition: Tensor, x: Tensor, y: Tensor
    ) -> tuple[None, Tensor, Tensor]:
        """Hand g to the side that was taken and 0 to the other."""
        return None, where(condition, g, 0.0), where(condition, 0.0, g)

    def lower(
        self, out: TensorType, index: Index, condition: Reader, x: Reader, y: Reader
    ) -> Element:
        """Return the lazy choice."""
        return select(condition(*index), x(*index), y(*index))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a choice between two arrays."""
        shape, dtype = draw.shape(), draw.float_dtype()
        condition = draw.array(shape, DType.bool)
        return Example(cls(), (condition, draw.array(shape, dtype), draw.array(shape, dtype)))


@dataclass(frozen=True)
class Absolute(Unary):
    """|x|.  The derivative at 0 is 0; the smallest integer is its own magnitude."""

    needs_float: ClassVar[bool] = False

    def evaluate(self, x: Array) -> Array:
        """Return the magnitude."""
        return np.absolute(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g sign(x), which is 0 at 0."""
        return (multiply(g, sign(x)),)

    def element(self, x: Element) -> Element:
        """Return the magnitude."""
        return call("absolute", x)


@dataclass(frozen=True)
class Sign(Unary):
    """-1, 0 or 1 as x is negative, zero or positive; NaN stays.  Its derivative is 0, at 0 too."""

    needs_float: ClassVar[bool] = False

    def evaluate(self, x: Array) -> Array:
        """Return the sign."""
        return np.sign(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[None]:
        """Let no gradient flow: the sign is constant in pieces."""
        return (None,)

    def element(self, x: Element) -> Element:
        """Return the sign."""
        return call("sign", x)


# Both inputs lie on grids shifted by less than their spacing, so that no two elements tie.
_APART = ((-2.0, 2.0), (-1.95, 2.05))


@dataclass(frozen=True)
class Maximum(Binary):
    """The larger of x and y, NaN if either is.  A tie shares g evenly; NaN hands g to both."""

    domains: ClassVar[tuple[tuple[float, float], tuple[float, float]]] = _APART

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return the larger."""
        return np.maximum(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Hand g to the larger, half to each at a tie."""
        shared = where(equal(x, y), g * 0.5, g)
        return where(less(x, y), 0.0, shared), where(less(y, x), 0.0, shared)

    def element(self, x: Element, y: Element) -> Element:
        """Return the larger."""
        return call("maximum", x, y)


@dataclass(frozen=True)
class Minimum(Binary):
    """The smaller of x and y, NaN if either is.  A tie shares g evenly; NaN hands g to both."""

    domains: ClassVar[tuple[tuple[float, float], tuple[float, float]]] = _APART

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return the smaller."""
        return np.minimum(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Hand g to the smaller, half to each at a tie."""
        shared = where(equal(x, y), g * 0.5, g)
        return where(greater(x, y), 0.0, shared), where(greater(y, x), 0.0, shared)

    def element(self, x: Element, y: Element) -> Element:
        """Return the smaller."""
        return call("minimum", x, y)


def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """Return x where the condition holds and y elsewhere, broadcast.

    A NaN on the side that is not taken does not come through. Raises DTypeError for a condition
    that is no bool.

    >>> where([True, False], [1.0, float("nan")], 0.0)
    tensor([1., 0.], float32[2])
    """
    chosen = as_tensor(condition)
    first, second = stretch("where", x, y)
    return apply(Where(), *stretch("where", chosen, first, second))


def absolute(x: TensorLike) -> Tensor:
    """Return |x|; the derivative at 0 is 0.

    >>> absolute([-1.5, 2.0])
    tensor([1.5, 2. ], float32[2])
    """
    return apply_unary(Absolute(), x)


abs = absolute
"""Another name of `absolute`, as in NumPy."""


def sign(x: TensorLike) -> Tensor:
    """Return -1, 0 or 1.

    >>> sign([-1.5, 0.0, 2.0])
    tensor([-1.,  0.,  1.], float32[3])
    """
    return apply_unary(Sign(), x)


def maximum(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the larger of x and y, broadcast; a tie shares the gradient evenly.

    >>> maximum([1.0, 5.0], 3.0)
    tensor([3., 5.], float32[2])
    """
    return apply_binary("maximum", Maximum(), x, y)


def minimum(x: TensorLike, y: TensorLike) -> Tensor:
    """Return the smaller of x and y, broadcast; a tie shares the gradient evenly.

    >>> minimum([1.0, 5.0], 3.0)
    tensor([1., 3.], float32[2])
    """
    return apply_binary("minimum", Minimum(), x, y)


def clip(x: TensorLike, low: TensorLike, high: TensorLike) -> Tensor:
    """Return x held between two bounds, broadcast; at a bound the gradient still goes to x.

    NaN stays. Raises InputError if both bounds are numbers and ``low`` is above ``high``.

    >>> clip([-5.0, 0.5, 5.0], 0.0, 1.0)
    tensor([0. , 0.5, 1. ], float32[3])
    """
    if isinstance(low, float | int) and isinstance(high, float | int) and low > high:
        raise InputError(
            f"clip to [{low}, {high}]", "the lower bound is above the upper", "exchange them"
        )
    given = as_tensor(x, next((v for v in (low, high) if isinstance(v, Tensor)), None))
    raised = where(less(given, low), low, given)
    return where(greater(raised, high), high, raised)
