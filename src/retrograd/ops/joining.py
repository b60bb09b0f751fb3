"""Several tensors made one: concatenate, stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrograd.ops.movement import expand
from retrograd.ops.slicing import Slice
from retrograd.tensor.element import Element, Index, Reader, call, select
from retrograd.tensor.errors import ShapeError
from retrograd.tensor.history import apply, same_dtype
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import Array, TensorType, normalise_axis


@dataclass(frozen=True)
class Concatenate(Op):
    """The inputs one after the other along an axis.  (a, k), (b, k), axis 0 -> (a + b, k)"""

    axis: int

    def result_type(self, *types: TensorType) -> TensorType:
        """Return the joined shape; raises ShapeError if other axes differ, or DTypeError."""
        dtype = same_dtype("concatenate", types)
        first = types[0].shape
        for t in types:
            rest = t.shape[: self.axis] + t.shape[self.axis + 1 :]
            if t.rank != len(first) or rest != first[: self.axis] + first[self.axis + 1 :]:
                raise ShapeError(
                    f"concatenate of {types[0]} and {t} along axis {self.axis}",
                    "the other axes differ",
                    "make them equal, or use another axis",
                )
        total = sum(t.shape[self.axis] for t in types)
        return TensorType((*first[: self.axis], total, *first[self.axis + 1 :]), dtype)

    def evaluate(self, *arrays: Array) -> Array:
        """Return NumPy's concatenation."""
        return np.concatenate(arrays, self.axis)

    def vjp(self, g: Tensor, out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Cut g where the inputs were joined."""
        grads, start = [], 0
        for x in inputs:
            starts = tuple(start if axis == self.axis else 0 for axis in range(x.rank))
            grads.append(apply(Slice(starts, x.shape, (1,) * x.rank), g))
            start += x.shape[self.axis]
        return tuple(grads)

    def lower(self, out: TensorType, index: Index, *readers: Reader) -> Element:
        """Return the element of the input that holds the place, found by halving."""
        i = index[self.axis]

        def within(inputs: Sequence[Reader], start: int) -> Element:
            if len(inputs) == 1:
                own = i - start if start else i
                return inputs[0](*index[: self.axis], own, *index[self.axis + 1 :])
            half = len(inputs) // 2
            border = start + sum(x.type.shape[self.axis] for x in inputs[:half])
            return select(
                call("less", i, border), within(inputs[:half], start), within(inputs[half:], border)
            )

        return within(readers, 0)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return one to three inputs of different lengths."""
        shape, dtype = draw.shape(1), draw.float_dtype()
        axis = draw.integer(0, len(shape) - 1)
        lengths = [draw.integer(0, 3) for _ in range(draw.integer(1, 3))]
        shapes = [(*shape[:axis], n, *shape[axis + 1 :]) for n in lengths]
        return Example(cls(axis), tuple(draw.array(s, dtype) for s in shapes))


def concatenate(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Return the tensors one after the other along an axis; no axis is stretched.

    Raises ShapeError for an empty list or if the other axes differ.

    >>> concatenate([[1.0, 2.0], [3.0]])
    tensor([1., 2., 3.], float32[3])
    """
    inputs = [as_tensor(x) for x in tensors]
    if not inputs:
        raise ShapeError("concatenate of no tensors", "the list is empty", "give at least one")
    axis = normalise_axis(axis, inputs[0].rank, "concatenate")
    return inputs[0] if len(inputs) == 1 else apply(Concatenate(axis), *inputs)


def stack(tensors: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Return the tensors along a new axis, which stands at ``axis`` of the result.

    Raises ShapeError for an empty list or if the shapes differ.

    >>> stack([[1.0, 2.0], [3.0, 4.0]], 1).numpy().tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    inputs = [as_tensor(x) for x in tensors]
    if not inputs:
        raise ShapeError("stack of no tensors", "the list is empty", "give at least one")
    if any(x.shape != inputs[0].shape for x in inputs):
        raise ShapeError(
            f"stack of {' and '.join(str(x.type) for x in inputs)}",
            "the shapes differ",
            "make them equal, or concatenate along an axis that may differ",
        )
    place = normalise_axis(axis, inputs[0].rank + 1, "stack")
    return concatenate([expand(x, (place,)) for x in inputs], place)
