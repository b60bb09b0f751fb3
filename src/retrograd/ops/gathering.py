"""An entry of each row by number: gather and scatter, each the other's vjp, and one_hot.

An index outside its axis is refused, a negative one too: nothing wraps and nothing is clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retrograd.ops.indexing import (
    checked,
    require_inside,
    require_integers,
    require_numbers,
    some_indices,
)
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
from retrograd.tensor.errors import ShapeError
from retrograd.tensor.history import apply
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import (
    Array,
    DType,
    DTypeLike,
    Shape,
    TensorType,
    as_dtype,
    as_shape,
    normalise_axis,
)


@dataclass(frozen=True)
class Gather(Op):
    """One entry of each row, by number, along an axis.  x (a, n), indices (a, k), axis 1 -> (a, k)

    out[i, j] = x[i, indices[i, j]]; the other axes are equal. An index outside 0..n-1 is refused.
    """

    axis: int

    def result_type(self, x: TensorType, indices: TensorType) -> TensorType:
        """Return the shape of the indices; raises ShapeError or DTypeError if they do not fit."""
        require_integers("gather", indices)
        _require_rows("gather", x, indices, self.axis)
        return TensorType(indices.shape, x.dtype)

    def evaluate(self, x: Array, indices: Array) -> Array:
        """Return NumPy's take_along_axis; raises IndexRangeError for an index out of range."""
        require_inside("gather at index", indices, x.shape[self.axis])
        return np.take_along_axis(x, indices, self.axis)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor, indices: Tensor) -> tuple[Tensor, None]:
        """Add each part of g to the entry that it came from."""
        return apply(Scatter(self.axis, x.shape[self.axis]), indices, g), None

    def lower(self, out: TensorType, index: Index, x: Reader, indices: Reader) -> Element:
        """Return x at the checked index."""
        number = checked(indices(*index), x.type.shape[self.axis])
        return x(*index[: self.axis], number, *index[self.axis + 1 :])

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a choice in each row."""
        shape = draw.shape(1)
        axis = draw.integer(0, len(shape) - 1)
        wanted = (*shape[:axis], draw.integer(0, 3), *shape[axis + 1 :])
        indices = some_indices(draw, wanted, shape[axis])
        return Example(cls(axis), (draw.array(shape, draw.float_dtype()), indices))


@dataclass(frozen=True)
class Scatter(Op):
    """Zeros, with each update added in its own row at its number.  The adjoint of gather.

    indices (a, k), updates (a, k), axis 1 -> (a, length); equal numbers add up, in order.
    """

    axis: int
    length: int

    def result_type(self, indices: TensorType, updates: TensorType) -> TensorType:
        """Return the shape with the new length; raises ShapeError or DTypeError."""
        require_integers("scatter", indices)
        require_numbers("scatter", updates)
        if indices.shape != updates.shape:
            raise ShapeError(
                f"scatter of {updates} at {indices}",
                "the shapes differ",
                "give one number for each index",
            )
        return TensorType(_with_length(updates.shape, self.axis, self.length), updates.dtype)

    def evaluate(self, indices: Array, updates: Array) -> Array:
        """Return NumPy's unbuffered sums; raises IndexRangeError for an index out of range."""
        require_inside("scatter at index", indices, self.length)
        out = np.zeros(_with_length(updates.shape, self.axis, self.length), updates.dtype)
        place: list[Any] = list(np.indices(updates.shape, sparse=True))
        place[self.axis] = indices
        np.add.at(out, tuple(place), updates)
        return out

    def vjp(self, g: Tensor, out: Tensor, indices: Tensor, updates: Tensor) -> tuple[None, Tensor]:
        """Gather g at the numbers."""
        return None, apply(Gather(self.axis), g, indices)

    def lower(self, out: TensorType, index: Index, indices: Reader, updates: Reader) -> Loops:
        """Return a loop over the updates that adds each one at its place."""

        def body(*i: Element) -> tuple[Store]:
            number = checked(indices(*i), self.length)
            return (Store((*i[: self.axis], number, *i[self.axis + 1 :]), updates(*i), add=True),)

        return Loops(constant(0, out.dtype), (loop(updates.type.shape, body),))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return updates with repeated and with absent numbers."""
        shape, length = draw.shape(1), draw.integer(1, 4)
        indices = some_indices(draw, shape, length)
        axis = draw.integer(0, len(shape) - 1)
        return Example(cls(axis, length), (indices, draw.array(shape, draw.float_dtype())))


@dataclass(frozen=True)
class OneHot(Op):
    """1 at the label's place and 0 elsewhere.  labels (n,) -> (n, depth). No derivative.

    A label outside 0..depth-1 is refused.
    """

    differentiable: ClassVar[bool] = False
    depth: int
    dtype: DType

    def result_type(self, labels: TensorType) -> TensorType:
        """Return the labels' shape with an axis behind; raises DTypeError for labels not whole."""
        require_integers("one_hot", labels)
        return TensorType((*labels.shape, self.depth), self.dtype)

    def evaluate(self, labels: Array) -> Array:
        """Return the comparison with 0..depth-1; raises IndexRangeError for a label outside."""
        require_inside("one_hot of label", labels, self.depth)
        return np.equal(labels[..., None], np.arange(self.depth)).astype(self.dtype.numpy)

    def vjp(self, g: Tensor, out: Tensor, labels: Tensor) -> tuple[None]:
        """Let no gradient flow: labels are integers."""
        return (None,)

    def lower(self, out: TensorType, index: Index, labels: Reader) -> Element:
        """Return whether the checked label is this place."""
        label = checked(labels(*index[:-1]), self.depth)
        return Cast(call("equal", label, index[-1]), self.dtype)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return labels of either integer dtype."""
        depth = draw.integer(1, 4)
        return Example(
            cls(depth, draw.choice(tuple(DType))), (some_indices(draw, draw.shape(0, 2), depth),)
        )


def gather(x: TensorLike, indices: TensorLike, axis: int) -> Tensor:
    """Return one entry of each row by number: NumPy's take_along_axis, without wrapping.

    x (a, n), indices (a, k), axis 1 -> (a, k). Raises IndexRangeError for a number outside 0..n-1,
    DTypeError for floats, ShapeError if other axes differ.

    >>> gather([[1.0, 2.0], [3.0, 4.0]], [[1], [0]], 1).numpy().tolist()
    [[2.0], [3.0]]
    """
    x = as_tensor(x)
    return apply(Gather(normalise_axis(axis, x.rank, "gather")), x, as_tensor(indices))


def one_hot(labels: TensorLike, depth: int, dtype: DTypeLike = DType.float32) -> Tensor:
    """Return 1 at each label's place and 0 elsewhere.  labels (n,) -> (n, depth)

    Raises IndexRangeError for a label outside 0..depth-1, DTypeError for labels that are floats.

    >>> one_hot([2, 0], 3).numpy().tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    (depth,) = as_shape(depth, "one_hot")
    return apply(OneHot(depth, as_dtype(dtype)), as_tensor(labels))


def _require_rows(asked: str, x: TensorType, indices: TensorType, axis: int) -> None:
    """Raise ShapeError unless the indices have the shape of x but for the axis."""
    length = indices.shape[axis] if axis < indices.rank else 0
    if indices.shape != _with_length(x.shape, axis, length):
        raise ShapeError(
            f"{asked} of {x} at {indices}, axis {axis}",
            "the other axes differ",
            "give the indices the shape of x but for that axis",
        )


def _with_length(shape: Shape, axis: int, length: int) -> Shape:
    """Return the shape with another length on one axis."""
    return (*shape[:axis], length, *shape[axis + 1 :])
