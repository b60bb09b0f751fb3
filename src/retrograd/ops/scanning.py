"""Along one axis, in order: cumsum, argmax, argmin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.ops.movement import insert, reshape, without
from retrograd.tensor.element import (
    OUTPUT,
    Element,
    Index,
    Load,
    Loops,
    Reader,
    Store,
    call,
    constant,
    fold,
    loop,
    select,
)
from retrograd.tensor.errors import DTypeError, ShapeError
from retrograd.tensor.history import apply
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import Array, DType, TensorType, normalise_axis


@dataclass(frozen=True)
class CumSum(Op):
    """Running sum along an axis.  out[i] = x[0] + ... + x[i], or x[i] + ... + x[n-1] in reverse

    Added one after the other, so rounding errors grow with i.
    """

    axis: int
    reverse: bool = False

    def result_type(self, x: TensorType) -> TensorType:
        """Return the input's type; raises DTypeError for bool."""
        if x.dtype is DType.bool:
            raise DTypeError(f"cumsum of {x}", "bool has no sum", "cast it to an integer")
        return x

    def evaluate(self, x: Array) -> Array:
        """Return NumPy's running sum in the same dtype."""
        if not self.reverse:
            return np.cumsum(x, self.axis, dtype=x.dtype)
        return np.flip(np.cumsum(np.flip(x, self.axis), self.axis, dtype=x.dtype), self.axis)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return the running sum of g from the other end."""
        return (apply(CumSum(self.axis, not self.reverse), g),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Loops:
        """Return a loop that adds each element to the sum before it."""
        n = out.shape[self.axis]
        axes, along = (self.axis,), without(out.shape, (self.axis,))

        def body(*i: Element) -> tuple[Store]:
            *others, k = i
            here = n - 1 - k if self.reverse else k
            before = here + 1 if self.reverse else k - 1
            place, previous = (insert(tuple(others), axes, (j,)) for j in (here, before))
            running = Load(OUTPUT, previous, out.dtype) + x(*place)
            return (Store(place, select(call("equal", k, 0), x(*place), running)),)

        return Loops(constant(0, out.dtype), (loop((*along, n), body),))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a running sum in either direction."""
        shape = draw.shape(1)
        op = cls(draw.integer(0, len(shape) - 1), draw.choice((False, True)))
        return Example(op, (draw.array(shape, draw.float_dtype()),))


@dataclass(frozen=True)
class Arg(Op, family=True):
    """Place of an extreme along one axis, which vanishes.  x (a, n), axis 1 -> int64 (a,)

    A member gives ``evaluate`` and ``lower``. No derivative.
    """

    differentiable: ClassVar[bool] = False
    axis: int

    def result_type(self, x: TensorType) -> TensorType:
        """Return int64 without the axis; raises ShapeError if it has no elements."""
        if x.shape[self.axis] == 0:
            raise ShapeError(
                f"{type(self).__name__.lower()} of {x} along axis {self.axis}",
                "there are no elements to choose from",
                "leave empty tensors out",
            )
        return TensorType(without(x.shape, (self.axis,)), DType.int64)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[None]:
        """Let no gradient flow: a place is an integer."""
        return (None,)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return small whole numbers, so that there are ties."""
        shape, dtype = draw.shape(1), draw.choice((DType.float32, DType.float64, DType.int32))
        x = draw.array(shape, DType.int64, 0, 3).astype(dtype.numpy)
        return Example(cls(draw.integer(0, len(shape) - 1)), (x,))


@dataclass(frozen=True)
class ArgMax(Arg):
    """Place of the largest element along an axis: the first at a tie, the first NaN if any."""

    def evaluate(self, x: Array) -> Array:
        """Return NumPy's place."""
        return np.asarray(np.argmax(x, self.axis))

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return the fold that keeps the first largest."""
        extents = (x.type.shape[self.axis],)
        return fold("argmax", extents, lambda k: x(*insert(index, (self.axis,), (k,))))


@dataclass(frozen=True)
class ArgMin(Arg):
    """Place of the smallest element along an axis: the first at a tie, the first NaN if any."""

    def evaluate(self, x: Array) -> Array:
        """Return NumPy's place."""
        return np.asarray(np.argmin(x, self.axis))

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return the fold that keeps the first smallest."""
        extents = (x.type.shape[self.axis],)
        return fold("argmin", extents, lambda k: x(*insert(index, (self.axis,), (k,))))


def cumsum(x: TensorLike, axis: int, *, reverse: bool = False) -> Tensor:
    """Return the running sum along an axis, from its end if ``reverse``.

    >>> cumsum([1.0, 2.0, 3.0], 0), cumsum([1.0, 2.0, 3.0], 0, reverse=True)
    (tensor([1., 3., 6.], float32[3]), tensor([6., 5., 3.], float32[3]))
    """
    x = as_tensor(x)
    return apply(CumSum(normalise_axis(axis, x.rank, "cumsum"), reverse), x)


def argmax(x: TensorLike, axis: int | None = None) -> Tensor:
    """Return the place of the largest element along an axis, or in all of x in row-major order.

    The first at a tie, the first NaN if any. Raises ShapeError if there are no elements.

    >>> argmax([[1.0, 5.0], [3.0, 3.0]], 1)
    tensor([1, 0], int64[2])
    """
    return _place(ArgMax, x, axis)


def argmin(x: TensorLike, axis: int | None = None) -> Tensor:
    """Return the place of the smallest element along an axis, or in all of x in row-major order.

    The first at a tie, the first NaN if any. Raises ShapeError if there are no elements.

    >>> argmin([[1.0, 5.0], [3.0, 3.0]], 1)
    tensor([0, 0], int64[2])
    """
    return _place(ArgMin, x, axis)


def _place(kind: type[Arg], x: TensorLike, axis: int | None) -> Tensor:
    given = as_tensor(x)
    along = reshape(given, -1) if axis is None else given
    name = kind.__name__.lower()
    return apply(kind(normalise_axis(0 if axis is None else axis, along.rank, name)), along)
