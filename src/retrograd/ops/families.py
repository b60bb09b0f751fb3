"""Families of elementwise ops: what all one-input and all two-input ops answer alike."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from retrograd.tensor.element import Element, Index, Reader, call
from retrograd.tensor.errors import DTypeError, ShapeError
from retrograd.tensor.history import apply, promise, same_dtype
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import DType, TensorType, broadcast_shapes


@dataclass(frozen=True)
class Unary(Op, family=True):
    """Elementwise, x (any shape) -> the same shape and dtype.

    A member gives ``evaluate``, ``vjp``, ``element`` (its scalar formula), and the ``domain`` that
    examples are drawn from. Members that need a float say so.
    """

    needs_float: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (-2.0, 2.0)

    def result_type(self, x: TensorType) -> TensorType:
        """Return the input's type; raises DTypeError if a float is needed and x is none."""
        if x.dtype is DType.bool or (self.needs_float and not x.dtype.is_float):
            wanted = "a float" if self.needs_float else "a number"
            raise DTypeError(
                f"{type(self).__name__.lower()} of {x}",
                f"the dtype is not {wanted}",
                "cast it: ops.cast(x, DType.float32)",
            )
        return x

    @abstractmethod
    def element(self, x: Element) -> Element:
        """Return f of one scalar."""

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return f(x[index])."""
        return self.element(x(*index))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a use inside the domain."""
        low, high = cls.domain
        return Example(cls(), (draw.array(draw.shape(), draw.float_dtype(), low, high),))


@dataclass(frozen=True)
class Binary(Op, family=True):
    """Elementwise, x and y (equal shapes and dtypes) -> the same shape and dtype.

    A member gives ``evaluate``, ``vjp``, ``element``, and the two ``domains`` of its examples.
    """

    needs_float: ClassVar[bool] = False
    domains: ClassVar[tuple[tuple[float, float], tuple[float, float]]] = ((-2.0, 2.0), (-2.0, 2.0))

    def result_type(self, x: TensorType, y: TensorType) -> TensorType:
        """Return the common type; raises ShapeError or DTypeError if there is none."""
        name = type(self).__name__.lower()
        dtype = same_dtype(name, (x, y))
        if x.shape != y.shape:
            raise ShapeError(
                f"{name} of {x} and {y}",
                "the primitive takes equal shapes",
                f"call ops.{name}, which broadcasts, or use broadcast_to",
            )
        if dtype is DType.bool or (self.needs_float and not dtype.is_float):
            wanted = "floats" if self.needs_float else "numbers"
            raise DTypeError(
                f"{name} of {x} and {y}",
                f"these are not {wanted}",
                "cast them: ops.cast(x, DType.float32)",
            )
        return x

    @abstractmethod
    def element(self, x: Element, y: Element) -> Element:
        """Return f of two scalars."""

    def lower(self, out: TensorType, index: Index, x: Reader, y: Reader) -> Element:
        """Return f(x[index], y[index])."""
        return self.element(x(*index), y(*index))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a use inside the domains, away from ties: the gap of x and y is never small."""
        shape, dtype = draw.shape(), draw.float_dtype()
        (low_x, high_x), (low_y, high_y) = cls.domains
        x, y = draw.array(shape, dtype, low_x, high_x), draw.array(shape, dtype, low_y, high_y)
        return Example(cls(), (x, y))


@dataclass(frozen=True)
class Comparison(Op, family=True):
    """Elementwise, x and y (equal shapes and dtypes) -> bool of that shape. No derivative.

    A member gives ``evaluate`` and ``function``, its name in the element language.
    """

    differentiable: ClassVar[bool] = False
    function: ClassVar[str]

    def result_type(self, x: TensorType, y: TensorType) -> TensorType:
        """Return bool of the common shape; raises ShapeError or DTypeError if there is none."""
        same_dtype(self.function, (x, y))
        if x.shape != y.shape:
            raise ShapeError(
                f"{self.function} of {x} and {y}",
                "the primitive takes equal shapes",
                f"call ops.{self.function}, which broadcasts, or use broadcast_to",
            )
        return TensorType(x.shape, DType.bool)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, y: Tensor) -> tuple[None, None]:
        """Let no gradient flow: the output is a bool."""
        return None, None

    def lower(self, out: TensorType, index: Index, x: Reader, y: Reader) -> Element:
        """Return the comparison of x[index] and y[index]."""
        return call(self.function, x(*index), y(*index))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return two arrays of small integers, so that some elements are equal."""
        shape = draw.shape()
        x, y = (draw.array(shape, DType.int64, 0, 3) for _ in range(2))
        dtype = draw.choice((DType.float32, DType.float64, DType.int32, DType.int64))
        return Example(cls(), (x.astype(dtype.numpy), y.astype(dtype.numpy)))


def apply_unary(op: Op, x: TensorLike) -> Tensor:
    """Apply a one-input op to anything that becomes a tensor."""
    return apply(op, as_tensor(x))


def apply_binary(asked: str, op: Op, x: TensorLike, y: TensorLike) -> Tensor:
    """Stretch both inputs to one shape, then apply a two-input op."""
    first, second = stretch(asked, x, y)
    return apply(op, first, second)


def stretch(asked: str, *values: TensorLike) -> tuple[Tensor, ...]:
    """Return the values as tensors of one shape; Python numbers take the dtype of the others."""
    from retrograd.ops.movement import BroadcastTo, broadcast_to

    like = next((as_tensor(v) for v in values if type(v) not in (float, int, bool)), None)
    tensors = [as_tensor(v, like) for v in values]
    shapes = [t.shape for t in tensors]
    if all(shape == shapes[0] for shape in shapes):
        return tuple(tensors)
    shape = broadcast_shapes(asked, *shapes)
    if any(t.is_traced for t in tensors):
        return tuple(t if t.shape == shape else promise(BroadcastTo(shape), t) for t in tensors)
    return tuple(broadcast_to(t, shape) for t in tensors)
