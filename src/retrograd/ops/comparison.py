"""Comparisons, choices and logic, elementwise: their bools steer, and carry no gradient."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.ops.families import Comparison, apply_binary, apply_unary
from retrograd.tensor.element import Element, Index, Reader, call
from retrograd.tensor.errors import DTypeError, ShapeError
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike
from retrograd.tensor.types import Array, DType, TensorType


@dataclass(frozen=True)
class Equal(Comparison):
    """x == y as a bool.  NaN equals nothing, not even itself."""

    function: ClassVar[str] = "equal"

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return whether they are equal."""
        return np.equal(x, y)


@dataclass(frozen=True)
class NotEqual(Comparison):
    """x != y as a bool.  NaN differs from everything, itself included."""

    function: ClassVar[str] = "not_equal"

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return whether they differ."""
        return np.not_equal(x, y)


@dataclass(frozen=True)
class Less(Comparison):
    """x < y as a bool.  False where either is NaN."""

    function: ClassVar[str] = "less"

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return whether x is less."""
        return np.less(x, y)


@dataclass(frozen=True)
class LessEqual(Comparison):
    """x <= y as a bool.  False where either is NaN."""

    function: ClassVar[str] = "less_equal"

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return whether x is less or equal."""
        return np.less_equal(x, y)


@dataclass(frozen=True)
class Greater(Comparison):
    """x > y as a bool.  False where either is NaN."""

    function: ClassVar[str] = "greater"

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return whether x is greater."""
        return np.greater(x, y)


@dataclass(frozen=True)
class GreaterEqual(Comparison):
    """x >= y as a bool.  False where either is NaN."""

    function: ClassVar[str] = "greater_equal"

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return whether x is greater or equal."""
        return np.greater_equal(x, y)


@dataclass(frozen=True)
class Logical(Op, family=True):
    """Elementwise, one or more bools (equal shapes) -> bool of that shape. No derivative.

    A member gives ``evaluate``, ``vjp`` and ``element``, its scalar formula.
    """

    differentiable: ClassVar[bool] = False

    def result_type(self, *types: TensorType) -> TensorType:
        """Return the common type; raises DTypeError for no bool, ShapeError if they differ."""
        name = type(self).__name__.removeprefix("Logical").lower()
        given = " and ".join(map(str, types))
        if any(t.dtype is not DType.bool for t in types):
            raise DTypeError(
                f"logical_{name} of {given}",
                "it takes bools",
                "compare first, for example x > 0",
            )
        if any(t.shape != types[0].shape for t in types):
            raise ShapeError(
                f"logical_{name} of {given}",
                "the primitive takes equal shapes",
                f"call ops.logical_{name}, which broadcasts",
            )
        return types[0]

    @abstractmethod
    def element(self, *values: Element) -> Element:
        """Return f of the scalars."""

    def lower(self, out: TensorType, index: Index, *readers: Reader) -> Element:
        """Return f of the inputs at the same place."""
        return self.element(*(x(*index) for x in readers))


@dataclass(frozen=True)
class LogicalAnd(Logical):
    """Whether both hold.  x, y (bool, equal shapes) -> bool"""

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return x and y."""
        return np.logical_and(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[None, None]:
        """Let no gradient flow: all are bools."""
        return None, None

    def element(self, *values: Element) -> Element:
        """Return x and y."""
        return call("bitwise_and", *values)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return two arrays of bools."""
        shape = draw.shape()
        return Example(cls(), (draw.array(shape, DType.bool), draw.array(shape, DType.bool)))


@dataclass(frozen=True)
class LogicalOr(Logical):
    """Whether at least one holds.  x, y (bool, equal shapes) -> bool"""

    def evaluate(self, x: Array, y: Array) -> Array:
        """Return x or y."""
        return np.logical_or(x, y)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[None, None]:
        """Let no gradient flow: all are bools."""
        return None, None

    def element(self, *values: Element) -> Element:
        """Return x or y."""
        return call("bitwise_or", *values)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return two arrays of bools."""
        shape = draw.shape()
        return Example(cls(), (draw.array(shape, DType.bool), draw.array(shape, DType.bool)))


@dataclass(frozen=True)
class LogicalNot(Logical):
    """Whether it does not hold.  x (bool) -> bool"""

    def evaluate(self, x: Array) -> Array:
        """Return not x."""
        return np.logical_not(x)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[None]:
        """Let no gradient flow: both are bools."""
        return (None,)

    def element(self, *values: Element) -> Element:
        """Return not x."""
        return call("invert", *values)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return an array of bools."""
        return Example(cls(), (draw.array(draw.shape(), DType.bool),))


def equal(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x == y as bools, broadcast.

    >>> equal([1.0, 2.0], 1.0)
    tensor([ True, False], bool[2])
    """
    return apply_binary("equal", Equal(), x, y)


def not_equal(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x != y as bools, broadcast.

    >>> not_equal([1.0, 2.0], 1.0)
    tensor([False,  True], bool[2])
    """
    return apply_binary("not_equal", NotEqual(), x, y)


def less(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x < y as bools, broadcast.

    >>> less([1.0, 2.0], 2.0)
    tensor([ True, False], bool[2])
    """
    return apply_binary("less", Less(), x, y)


def less_equal(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x <= y as bools, broadcast.

    >>> less_equal([1.0, 2.0], 1.0)
    tensor([ True, False], bool[2])
    """
    return apply_binary("less_equal", LessEqual(), x, y)


def greater(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x > y as bools, broadcast.

    >>> greater([1.0, 2.0], 1.0)
    tensor([False,  True], bool[2])
    """
    return apply_binary("greater", Greater(), x, y)


def greater_equal(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x >= y as bools, broadcast.

    >>> greater_equal([1.0, 2.0], 2.0)
    tensor([False,  True], bool[2])
    """
    return apply_binary("greater_equal", GreaterEqual(), x, y)


def logical_and(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x and y for bools, broadcast; raises DTypeError for numbers.

    >>> logical_and([True, False], True)
    tensor([ True, False], bool[2])
    """
    return apply_binary("logical_and", LogicalAnd(), x, y)


def logical_or(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x or y for bools, broadcast; raises DTypeError for numbers.

    >>> logical_or([True, False], True)
    tensor([ True,  True], bool[2])
    """
    return apply_binary("logical_or", LogicalOr(), x, y)


def logical_not(x: TensorLike) -> Tensor:
    """Return not x for bools; raises DTypeError for numbers.

    >>> logical_not([True, False])
    tensor([False,  True], bool[2])
    """
    return apply_unary(LogicalNot(), x)
