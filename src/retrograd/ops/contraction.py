"""Sums of products: matmul, with batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.ops.movement import broadcast_to, reshape, transpose
from retrograd.tensor.element import Element, Index, Reader, fold
from retrograd.tensor.errors import DTypeError, ShapeError
from retrograd.tensor.history import apply, same_dtype
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import Array, DType, TensorType, broadcast_shapes


@dataclass(frozen=True)
class Matmul(Op):
    """Matrix product of the last two axes.  a (..., n, k), b (..., k, m) -> (..., n, m)

    out[..., i, j] = sum over k of a[..., i, k] b[..., k, j]; both have the same leading axes.
    """

    def result_type(self, a: TensorType, b: TensorType) -> TensorType:
        """Return (..., n, m); raises ShapeError if the inner or leading axes differ."""
        dtype = same_dtype("matmul", (a, b))
        if a.rank < 2 or a.rank != b.rank or a.shape[:-2] != b.shape[:-2]:
            raise ShapeError(
                f"matmul of {a} by {b}",
                "the primitive takes two or more axes with equal leading ones",
                "call ops.matmul, which stretches them",
            )
        if a.shape[-1] != b.shape[-2]:
            fits = a.shape[-1] == b.shape[-1]
            raise ShapeError(
                f"matmul of {a} by {b}",
                f"the inner axes {a.shape[-1]} and {b.shape[-2]} differ",
                "did you mean b.T?" if fits else "make the columns of a the rows of b",
            )
        if dtype is DType.bool:
            raise DTypeError(f"matmul of {a} by {b}", "bool has no product", "cast to a number")
        return TensorType((*a.shape[:-1], b.shape[-1]), dtype)

    def evaluate(self, a: Array, b: Array) -> Array:
        """Return NumPy's product."""
        product: Array = np.matmul(a, b)
        return product

    def vjp(self, g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return (g b^T, a^T g)."""
        return matmul(g, transpose(b)), matmul(transpose(a), g)

    def lower(self, out: TensorType, index: Index, a: Reader, b: Reader) -> Element:
        """Return the fold over k."""
        *lead, i, j = index
        inner = (a.type.shape[-1],)
        return fold("add", inner, lambda k: a(*lead, i, k) * b(*lead, k, j))

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a product with up to one batch axis."""
        lead, dtype = draw.shape(0, 1), draw.float_dtype()
        n, k, m = (draw.integer(1, 4) for _ in range(3))
        return Example(cls(), (draw.array((*lead, n, k), dtype), draw.array((*lead, k, m), dtype)))


def matmul(a: TensorLike, b: TensorLike) -> Tensor:
    """Return the matrix product; leading axes broadcast, and a vector has its missing axis added.

    a (..., n, k), b (..., k, m) -> (..., n, m); a (k,) counts as one row and b (k,) as one column,
    and that axis is dropped again. Raises ShapeError if the inner axes differ.

    >>> matmul([[1.0, 2.0]], [[3.0], [4.0]])
    tensor([[11.]], float32[1, 1])
    """
    first, second = as_tensor(a), as_tensor(b)
    for side in (first, second):
        if side.rank == 0:
            raise ShapeError(f"matmul of {first.type} by {second.type}", "one has no axes", "use *")
    is_row, is_column = first.rank == 1, second.rank == 1
    left = reshape(first, (1, *first.shape)) if is_row else first
    right = reshape(second, (*second.shape, 1)) if is_column else second
    lead = broadcast_shapes("matmul", left.shape[:-2], right.shape[:-2])
    left = broadcast_to(left, (*lead, *left.shape[-2:]))
    right = broadcast_to(right, (*lead, *right.shape[-2:]))
    out = apply(Matmul(), left, right)
    if not (is_row or is_column):
        return out
    kept = out.shape[:-2] + out.shape[-2:-1] * (not is_row) + out.shape[-1:] * (not is_column)
    return reshape(out, kept)
