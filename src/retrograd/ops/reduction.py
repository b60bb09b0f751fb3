"""Reductions over axes: max, min, prod, logsumexp (sum is in movement, beside its adjoint)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.ops.arithmetic import divide, multiply
from retrograd.ops.choice import where
from retrograd.ops.comparison import equal
from retrograd.ops.exponential import exp
from retrograd.ops.flow import cast
from retrograd.ops.joining import concatenate
from retrograd.ops.movement import (
    broadcast_to,
    expand,
    insert,
    reshape,
    sum,
    transpose,
    without,
)
from retrograd.tensor.element import Element, FoldKind, Index, Reader, call, fold, select
from retrograd.tensor.errors import DTypeError, ShapeError
from retrograd.tensor.history import apply
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.summation import total
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import Array, DType, TensorType, normalise_axes

Axes = int | tuple[int, ...] | None


@dataclass(frozen=True)
class Reduction(Op, family=True):
    """One number for all elements along the named axes, which vanish.  x (a, b), (1,) -> (a,)

    A member gives ``evaluate``, ``vjp`` and ``lower``, and says whether it needs a float and
    whether it refuses to reduce no elements.
    """

    needs_float: ClassVar[bool] = False
    needs_elements: ClassVar[bool] = False
    axes: tuple[int, ...]

    def result_type(self, x: TensorType) -> TensorType:
        """Return the shape without the axes; raises DTypeError or ShapeError if it refuses."""
        name = type(self).__name__.lower()
        if x.dtype is DType.bool or (self.needs_float and not x.dtype.is_float):
            wanted = "a float" if self.needs_float else "a number"
            raise DTypeError(
                f"{name} of {x}",
                f"the dtype is not {wanted}",
                "cast it: ops.cast(x, DType.float32)",
            )
        _require_elements(name, x, self.axes if self.needs_elements else ())
        return TensorType(without(x.shape, self.axes), x.dtype)

    def extents(self, x: TensorType) -> tuple[int, ...]:
        """Return the lengths of the axes that vanish."""
        return tuple(x.shape[axis] for axis in self.axes)

    def fold(
        self, kind: FoldKind, index: Index, x: Reader, body: Callable[[Element], Element]
    ) -> Element:
        """Return the fold of ``body(element)`` over the axes that vanish."""
        return fold(
            kind, self.extents(x.type), lambda *k: body(x(*insert(index, self.axes, tuple(k))))
        )

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a reduction over some axes, none and all among them, of different numbers."""
        shape = draw.shape()
        axes = tuple(axis for axis in range(len(shape)) if draw.choice((True, False)))
        return Example(cls(axes), (draw.array(shape, draw.float_dtype()),))


def _require_elements(name: str, x: TensorType, axes: tuple[int, ...]) -> None:
    if any(x.shape[axis] == 0 for axis in axes):
        raise ShapeError(
            f"{name} of {x} over axes {axes}",
            "there are no elements to choose from",
            "leave empty tensors out, or reduce another axis",
        )


def _identity(x: Element) -> Element:
    return x


@dataclass(frozen=True)
class Max(Reduction):
    """Largest element along the axes; NaN if one is.  Ties share the gradient evenly.

    No elements have no largest one and are refused. A NaN makes the gradient of its row NaN.
    """

    needs_elements: ClassVar[bool] = True

    def evaluate(self, x: Array) -> Array:
        """Return NumPy's maximum."""
        return np.asarray(np.maximum.reduce(x, axis=self.axes))

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Hand g to the largest element, in equal parts if there are several."""
        return (_shared(g, out, x, self.axes),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return the fold by maximum."""
        return self.fold("maximum", index, x, _identity)


@dataclass(frozen=True)
class Min(Reduction):
    """Smallest element along the axes; NaN if one is.  Ties share the gradient evenly.

    No elements have no smallest one and are refused. A NaN makes the gradient of its row NaN.
    """

    needs_elements: ClassVar[bool] = True

    def evaluate(self, x: Array) -> Array:
        """Return NumPy's minimum."""
        return np.asarray(np.minimum.reduce(x, axis=self.axes))

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Hand g to the smallest element, in equal parts if there are several."""
        return (_shared(g, out, x, self.axes),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return the fold by minimum."""
        return self.fold("minimum", index, x, _identity)


def _shared(g: Tensor, out: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return g spread over the elements of x that equal ``out``, divided by their number."""
    chosen = cast(equal(x, broadcast_to(expand(out, axes), x.shape)), x.dtype)
    part = divide(g, sum(chosen, axes))
    return multiply(broadcast_to(expand(part, axes), x.shape), chosen)


@dataclass(frozen=True)
class Prod(Reduction):
    """Product along the axes; of no elements 1.  The gradient is exact where elements are 0."""

    def evaluate(self, x: Array) -> Array:
        """Return NumPy's product in the same dtype."""
        return np.asarray(np.multiply.reduce(x, axis=self.axes, dtype=x.dtype))

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g times the product of the other elements, formed without division."""
        kept = tuple(axis for axis in range(x.rank) if axis not in self.axes)
        order = kept + self.axes
        turned = transpose(x, order) if x.rank else x
        rows = reshape(turned, (g.size, math.prod(self.extents(x.type))))
        others = reshape(_product_of_others(rows), turned.shape)
        inverse = tuple(order.index(axis) for axis in range(x.rank))
        back = transpose(others, inverse) if x.rank else others
        return (multiply(broadcast_to(expand(g, self.axes), x.shape), back),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return the fold by multiplication."""
        return self.fold("multiply", index, x, _identity)


def _product_of_others(x: Tensor) -> Tensor:
    """Return for each element the product of the rest of its row.  x (rows, n) -> (rows, n)

    Pairs are multiplied, the question is asked of the half as many products, and each of a pair
    gets the answer times its partner: n multiplications and no division, so zeros are exact, and
    so are their higher derivatives.
    """
    n = x.shape[1]
    if n < 2:
        return broadcast_to(as_tensor(1, x), x.shape)
    half = n // 2
    first, second, odd = x[:, :half], x[:, half : 2 * half], x[:, 2 * half :]
    up = _product_of_others(concatenate([first * second, odd], 1))
    return concatenate([up[:, :half] * second, up[:, :half] * first, up[:, half:]], 1)


@dataclass(frozen=True)
class LogSumExp(Reduction):
    """log of the sum of e^x along the axes, which never overflows: the largest x is taken out.

    Of no elements, or of -inf alone, it is -inf with gradient 0; with an inf it is inf.
    """

    needs_float: ClassVar[bool] = True

    def evaluate(self, x: Array) -> Array:
        """Return m + log of the sum of e^(x - m), m the largest x where that is finite, else 0."""
        m = np.max(x, axis=self.axes, keepdims=True, initial=-np.inf)
        m = np.where(m - m == 0, m, x.dtype.type(0))
        powers = total(np.exp(x - m), self.axes)
        return np.asarray(np.log(powers) + m.reshape(powers.shape))

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return g softmax(x), with softmax(x) = e^(x - out)."""
        # x - out would be -inf + inf where all are -inf; e^(-inf - 0) is the 0 that is meant.
        finite = where(equal(out, -math.inf), 0.0, out)
        weights = exp(x - broadcast_to(expand(finite, self.axes), x.shape))
        return (multiply(broadcast_to(expand(g, self.axes), x.shape), weights),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return two folds: the largest x, then the sum of e^(x - m)."""
        largest = self.fold("maximum", index, x, _identity)
        finite = call("equal", largest - largest, 0)
        m = select(finite, largest, 0)
        return call("log", self.fold("add", index, x, lambda e: call("exp", e - m))) + m


def max(x: TensorLike, axes: Axes = None, *, keepdims: bool = False) -> Tensor:
    """Return the largest element over axes, all of them by default; ties share the gradient.

    Raises ShapeError if there are no elements.

    >>> max([[1.0, 5.0], [3.0, 4.0]], 1)
    tensor([5., 4.], float32[2])
    """
    return _reduce(Max, x, axes, keepdims)


def min(x: TensorLike, axes: Axes = None, *, keepdims: bool = False) -> Tensor:
    """Return the smallest element over axes, all of them by default; ties share the gradient.

    Raises ShapeError if there are no elements.

    >>> min([[1.0, 5.0], [3.0, 4.0]], 1)
    tensor([1., 3.], float32[2])
    """
    return _reduce(Min, x, axes, keepdims)


def prod(x: TensorLike, axes: Axes = None, *, keepdims: bool = False) -> Tensor:
    """Return the product over axes, all of them by default; the product of no elements is 1.

    >>> prod([[1.0, 5.0], [3.0, 4.0]], 1)
    tensor([ 5., 12.], float32[2])
    """
    return _reduce(Prod, x, axes, keepdims)


def logsumexp(x: TensorLike, axes: Axes = None, *, keepdims: bool = False) -> Tensor:
    """Return log(sum(exp(x))) over axes, all of them by default, for x of any size.

    >>> logsumexp([1000.0, 1000.0])
    tensor(1000.6932, float32[])
    """
    return _reduce(LogSumExp, x, axes, keepdims)


def _reduce(kind: type[Reduction], x: TensorLike, axes: Axes, keepdims: bool) -> Tensor:
    x = as_tensor(x)
    named = normalise_axes(axes, x.rank, kind.__name__.lower())
    out = apply(kind(named), x)
    return expand(out, named) if keepdims else out
