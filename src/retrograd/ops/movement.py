"""Where elements are read from: broadcast_to and sum (each the other's vjp), reshape, transpose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from retrograd.tensor.element import Element, Index, Reader, constant, flat_index, fold, unflatten
from retrograd.tensor.errors import DTypeError, ShapeError
from retrograd.tensor.history import apply
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.summation import total
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import (
    Array,
    DType,
    Shape,
    TensorType,
    as_shape,
    broadcast_shapes,
    normalise_axes,
    normalise_axis,
)

T = TypeVar("T")


@dataclass(frozen=True)
class BroadcastTo(Op):
    """Stretch axes of length 1, and add axes in front, by NumPy's rule: the only op that does.

    x (n, 1) -> (b, n, m). Its vjp sums back what was stretched.
    """

    shape: Shape

    def result_type(self, x: TensorType) -> TensorType:
        """Return the target shape; raises ShapeError if x does not stretch to it."""
        if broadcast_shapes("broadcast_to", x.shape, self.shape) != self.shape:
            raise ShapeError(
                f"broadcast_to of {x}",
                f"it does not stretch to shape {self.shape}",
                "stretch axes of length 1, or reshape first",
            )
        return TensorType(self.shape, x.dtype)

    def evaluate(self, x: Array) -> Array:
        """Return a copy of that shape."""
        # A view would save the memory, but making one takes NumPy longer than filling a layer's
        # output, and every op that reads it then loses more: measured, half as long again a step.
        out = np.empty(self.shape, x.dtype)
        out[...] = x
        return out

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Sum over the stretched axes."""
        added = g.rank - x.rank
        stretched = tuple(
            axis
            for axis, length in enumerate(self.shape)
            if axis < added or (x.shape[axis - added] == 1 and length != 1)
        )
        return (reshape(sum(g, stretched), x.shape),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return x at the same place, at 0 along stretched axes."""
        own = index[len(index) - x.type.rank :]
        return x(*(i if n != 1 else constant(0) for i, n in zip(own, x.type.shape, strict=True)))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a stretch of some axes and an addition of others."""
        shape = draw.shape()
        start = draw.integer(0, len(shape))
        small = tuple(1 if draw.choice((True, False)) else n for n in shape[start:])
        return Example(cls(shape), (draw.array(small, draw.float_dtype()),))


@dataclass(frozen=True)
class Sum(Op):
    """Sum over the named axes, which vanish.  x (a, b, c), axes (1,) -> (a, c)

    Sums are pairwise in blocks along every axis; a sum over no elements is 0.
    """

    axes: tuple[int, ...]

    def result_type(self, x: TensorType) -> TensorType:
        """Return the shape without the axes; raises DTypeError for bool."""
        if x.dtype is DType.bool:
            raise DTypeError(f"sum of {x}", "bool has no sum", "cast it: ops.cast(x, DType.int64)")
        return TensorType(without(x.shape, self.axes), x.dtype)

    def evaluate(self, x: Array) -> Array:
        """Return the blocked sum in the same dtype."""
        return total(x, self.axes)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Hand g to every element that was added."""
        return (broadcast_to(expand(g, self.axes), x.shape),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return the fold over the summed axes."""
        extents = tuple(x.type.shape[axis] for axis in self.axes)
        return fold("add", extents, lambda *k: x(*insert(index, self.axes, k)))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a sum over some axes, none and all among them."""
        shape = draw.shape()
        axes = tuple(axis for axis in range(len(shape)) if draw.choice((True, False)))
        return Example(cls(axes), (draw.array(shape, draw.float_dtype()),))


@dataclass(frozen=True)
class Reshape(Op):
    """The same elements in row-major order under another shape.  x (2, 6) -> (3, 4)"""

    shape: Shape

    def result_type(self, x: TensorType) -> TensorType:
        """Return the target shape; raises ShapeError if the number of elements differs."""
        if math.prod(self.shape) != x.size:
            raise ShapeError(
                f"reshape of {x} to {self.shape}",
                f"{x.size} elements do not make {math.prod(self.shape)}",
                "keep the product of the lengths",
            )
        return TensorType(self.shape, x.dtype)

    def evaluate(self, x: Array) -> Array:
        """Return the array under the new shape."""
        return x.reshape(self.shape)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Reshape back."""
        return (reshape(g, x.shape),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return x at the same row-major position."""
        return x(*unflatten(flat_index(index, self.shape), x.type.shape))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a reshape that merges or reverses axes."""
        shape = draw.shape()
        target = draw.choice((shape[::-1], (math.prod(shape),), (1, *shape), shape))
        return Example(cls(target), (draw.array(shape, draw.float_dtype()),))


@dataclass(frozen=True)
class Transpose(Op):
    """Permute the axes: axis k of the output is ``axes[k]`` of x.  x (a, b), (1, 0) -> (b, a)"""

    axes: tuple[int, ...]

    def result_type(self, x: TensorType) -> TensorType:
        """Return the permuted shape; raises ShapeError if the axes are no permutation."""
        if sorted(self.axes) != list(range(x.rank)):
            raise ShapeError(
                f"transpose of {x} by {self.axes}",
                "these are not its axes, each once",
                f"permute {tuple(range(x.rank))}",
            )
        return TensorType(tuple(x.shape[axis] for axis in self.axes), x.dtype)

    def evaluate(self, x: Array) -> Array:
        """Return the permuted view."""
        return x.transpose(self.axes)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Permute back."""
        return (transpose(g, self._inverse()),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return x with the index permuted back."""
        return x(*(index[axis] for axis in self._inverse()))

    def _inverse(self) -> tuple[int, ...]:
        return tuple(self.axes.index(axis) for axis in range(len(self.axes)))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a rotation or reversal of the axes."""
        shape = draw.shape()
        axes = tuple(range(len(shape)))
        turn = draw.integer(0, max(len(shape) - 1, 0))
        axes = draw.choice((axes[::-1], axes[turn:] + axes[:turn]))
        return Example(cls(axes), (draw.array(shape, draw.float_dtype()),))


def broadcast_to(x: TensorLike, shape: Shape) -> Tensor:
    """Return x stretched to ``shape`` by NumPy's rule; raises ShapeError if it does not stretch.

    >>> broadcast_to(1.0, (2,))
    tensor([1., 1.], float32[2])
    """
    x, wanted = as_tensor(x), as_shape(shape, "broadcast_to")
    return x if x.shape == wanted else apply(BroadcastTo(wanted), x)


def sum(
    x: TensorLike, axes: int | tuple[int, ...] | None = None, *, keepdims: bool = False
) -> Tensor:
    """Return the sum over axes, all of them by default; ``keepdims`` leaves them with length 1.

    >>> sum([[1.0, 2.0], [3.0, 4.0]], 0)
    tensor([4., 6.], float32[2])
    """
    x = as_tensor(x)
    named = normalise_axes(axes, x.rank, "sum")
    out = apply(Sum(named), x) if named else x
    return expand(out, named) if keepdims else out


def mean(
    x: TensorLike, axes: int | tuple[int, ...] | None = None, *, keepdims: bool = False
) -> Tensor:
    """Return the mean over axes, all of them by default; the mean of no elements is NaN.

    >>> mean([1.0, 3.0])
    tensor(2., float32[])
    """
    x = as_tensor(x)
    named = normalise_axes(axes, x.rank, "mean")
    return sum(x, named, keepdims=keepdims) / float(math.prod(x.shape[axis] for axis in named))


def reshape(x: TensorLike, shape: Shape | int) -> Tensor:
    """Return the same elements under another shape; one length may be -1 and is worked out.

    Raises ShapeError if the number of elements differs.

    >>> reshape([1.0, 2.0, 3.0, 4.0], (2, -1)).shape
    (2, 2)
    """
    x = as_tensor(x)
    wanted = (shape,) if isinstance(shape, int) else tuple(shape)
    if wanted.count(-1) == 1:
        known = math.prod(n for n in wanted if n != -1)
        wanted = tuple(n if n != -1 else x.size // max(known, 1) for n in wanted)
    if any(n < 0 for n in wanted):
        raise ShapeError(f"reshape of {x.type} to {shape}", "a length is negative", "use one -1")
    wanted = as_shape(wanted, "reshape")
    return x if wanted == x.shape else apply(Reshape(wanted), x)


def transpose(x: TensorLike, axes: tuple[int, ...] | None = None) -> Tensor:
    """Return x with its axes permuted; without ``axes`` the last two are exchanged.

    >>> transpose([[1.0, 2.0, 3.0]]).shape
    (3, 1)
    """
    x = as_tensor(x)
    if axes is None:
        if x.rank < 2:
            raise ShapeError(f"transpose of {x.type}", "it has fewer than two axes", "reshape it")
        axes = (*range(x.rank - 2), x.rank - 1, x.rank - 2)
    return apply(Transpose(tuple(normalise_axis(a, x.rank, "transpose") for a in axes)), x)


def expand(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return x with axes of length 1 inserted, so that they stand at ``axes`` of the result.

    >>> from retrograd.tensor.tensor import tensor
    >>> expand(tensor([1.0, 2.0]), (0,)).shape
    (1, 2)
    """
    return reshape(x, insert(x.shape, axes, (1,) * len(axes)))


def without(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """Return the shape without those axes."""
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)


def insert(kept: tuple[T, ...], axes: tuple[int, ...], added: tuple[T, ...]) -> tuple[T, ...]:
    """Merge two indices: ``added`` stands at ``axes`` of the result, ``kept`` elsewhere."""
    rest, new = iter(kept), iter(added)
    total = len(kept) + len(added)
    return tuple(next(new) if axis in axes else next(rest) for axis in range(total))
