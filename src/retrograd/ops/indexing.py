"""Entries of an axis by number: take and scatter_add, each the other's vjp.

An index outside its axis is refused, a negative one too: nothing wraps and nothing is clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.ops.arithmetic import add
from retrograd.tensor.element import (
    Cast,
    Element,
    Index,
    Loops,
    Reader,
    Store,
    call,
    constant,
    loop,
)
from retrograd.tensor.errors import DTypeError, IndexRangeError, ShapeError
from retrograd.tensor.history import apply
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import Array, DType, Shape, TensorType, normalise_axis


@dataclass(frozen=True)
class Take(Op):
    """Entries of x along an axis by number.  x (a, n, b), indices (k, l) -> (a, k, l, b)

    out[i, p, q, j] = x[i, indices[p, q], j] for axis 1. An index outside 0..n-1 is refused.
    """

    axis: int

    def result_type(self, x: TensorType, indices: TensorType) -> TensorType:
        """Return the shape with the axis replaced by those of the indices; raises DTypeError."""
        require_integers("take", indices)
        before, after = x.shape[: self.axis], x.shape[self.axis + 1 :]
        return TensorType((*before, *indices.shape, *after), x.dtype)

    def evaluate(self, x: Array, indices: Array) -> Array:
        """Return NumPy's take; raises IndexRangeError for an index outside the axis."""
        require_inside("take at index", indices, x.shape[self.axis])
        return np.take(x, indices, self.axis)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, indices: Tensor) -> tuple[Tensor, None]:
        """Add each part of g to the entry that it came from."""
        return apply(ScatterAdd(self.axis, x.shape[self.axis]), indices, g), None

    def lower(self, out: TensorType, index: Index, x: Reader, indices: Reader) -> Element:
        """Return x at the checked index."""
        end = self.axis + indices.type.rank
        number = checked(indices(*index[self.axis : end]), x.type.shape[self.axis])
        return x(*index[: self.axis], number, *index[end:])

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a choice with repetitions."""
        shape = draw.shape(1)
        axis = draw.integer(0, len(shape) - 1)
        indices = some_indices(draw, draw.shape(0, 2), shape[axis])
        return Example(cls(axis), (draw.array(shape, draw.float_dtype()), indices))


@dataclass(frozen=True)
class ScatterAdd(Op):
    """Zeros, with each part of the updates added at its number.  The adjoint of take.

    indices (k, l), updates (a, k, l, b) -> (a, length, b); equal numbers add up, in order.
    """

    axis: int
    length: int

    def result_type(self, indices: TensorType, updates: TensorType) -> TensorType:
        """Return the shape with one axis for the indices'; raises ShapeError or DTypeError."""
        require_integers("scatter_add", indices)
        require_numbers("scatter_add", updates)
        end = self.axis + indices.rank
        if updates.shape[self.axis : end] != indices.shape:
            raise ShapeError(
                f"scatter_add of {updates} at {indices}, axis {self.axis}",
                f"the updates do not have the axes {indices.shape} there",
                "give one number for each index",
            )
        return TensorType(
            (*updates.shape[: self.axis], self.length, *updates.shape[end:]), updates.dtype
        )

    def evaluate(self, indices: Array, updates: Array) -> Array:
        """Return NumPy's unbuffered sums; raises IndexRangeError for an index out of range."""
        require_inside("scatter_add at index", indices, self.length)
        lead, end = updates.shape[: self.axis], self.axis + indices.ndim
        out = np.zeros((*lead, self.length, *updates.shape[end:]), updates.dtype)
        place: Any = (*(slice(None) for _ in lead), indices)
        np.add.at(out, place, updates)
        return out

    def vjp(self, g: Tensor, out: Tensor, indices: Tensor, updates: Tensor) -> tuple[None, Tensor]:
        """Take g at the numbers."""
        return None, apply(Take(self.axis), g, indices)

    def lower(self, out: TensorType, index: Index, indices: Reader, updates: Reader) -> Loops:
        """Return a loop over the updates that adds each one at its place."""
        end = self.axis + indices.type.rank

        def body(*i: Element) -> tuple[Store]:
            number = checked(indices(*i[self.axis : end]), self.length)
            return (Store((*i[: self.axis], number, *i[end:]), updates(*i), add=True),)

        return Loops(constant(0, out.dtype), (loop(updates.type.shape, body),))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return updates with repeated and with absent numbers."""
        lead, middle, tail = draw.shape(0, 1), draw.shape(0, 2), draw.shape(0, 1)
        length = draw.integer(1, 4)
        indices = some_indices(draw, middle, length)
        updates = draw.array((*lead, *middle, *tail), draw.float_dtype())
        return Example(cls(len(lead), length), (indices, updates))


def take(x: TensorLike, indices: TensorLike, axis: int = 0) -> Tensor:
    """Return the entries of x along an axis by number.  x (n, b), indices (k,) -> (k, b)

    Raises IndexRangeError for a number outside 0..n-1, DTypeError for floats.

    >>> take([10.0, 20.0, 30.0], [2, 0, 2])
    tensor([30., 10., 30.], float32[3])
    """
    x = as_tensor(x)
    return apply(Take(normalise_axis(axis, x.rank, "take")), x, as_tensor(indices))


def scatter_add(x: TensorLike, indices: TensorLike, updates: TensorLike, axis: int = 0) -> Tensor:
    """Return x with the updates added at the numbers along an axis; equal numbers add up.

    x (n, b), indices (k,), updates (k, b) -> (n, b). Raises IndexRangeError for a number outside
    0..n-1, DTypeError for floats, ShapeError for updates that do not fit.

    >>> scatter_add([0.0, 0.0, 0.0], [2, 0, 2], [1.0, 2.0, 3.0])
    tensor([2., 0., 4.], float32[3])
    """
    x = as_tensor(x)
    axis = normalise_axis(axis, x.rank, "scatter_add")
    op = ScatterAdd(axis, x.shape[axis])
    return add(x, apply(op, as_tensor(indices), as_tensor(updates, x)))


def require_integers(asked: str, indices: TensorType) -> None:
    """Raise DTypeError unless the indices are int32 or int64."""
    if not indices.dtype.is_integer:
        raise DTypeError(
            f"{asked} at {indices}", "indices are integers", "cast: ops.cast(x, DType.int64)"
        )


def require_numbers(asked: str, updates: TensorType) -> None:
    """Raise DTypeError for bools, which do not add up."""
    if updates.dtype is DType.bool:
        raise DTypeError(f"{asked} of {updates}", "bools have no sum", "cast them to a number")


def require_inside(asked: str, indices: Array, length: int) -> None:
    """Raise IndexRangeError, with the first offender, unless all indices are in 0..length-1."""
    given = np.asarray(indices, np.int64)
    wrong = (given < 0) | (given >= length)
    if wrong.any():
        raise IndexRangeError(
            f"{asked} {given[wrong].flat[0]}",
            f"it is not in 0..{length - 1}" if length else "there is nothing to choose from",
            "count from 0; nothing wraps around and nothing is clipped",
        )


def checked(index: Element, length: int) -> Element:
    """Return the index, an int64, which whoever runs the element must hold against the length."""
    wide = index if index.dtype is DType.int64 else Cast(index, DType.int64)
    return call("checked_index", wide, length)


def some_indices(draw: Draw, shape: Shape, length: int) -> Array:
    """Return random indices of either integer dtype; for examples."""
    drawn = draw.array(shape, DType.float64, 0.0, float(length))
    dtype = draw.choice((DType.int32, DType.int64))
    return np.minimum(np.floor(drawn), length - 1).astype(dtype.numpy)
