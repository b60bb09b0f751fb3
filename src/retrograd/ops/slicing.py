"""Parts and their places: slice and pad, each the other's vjp, with steps of either sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrograd.tensor.element import Element, Index, Reader, call, constant, select
from retrograd.tensor.errors import ShapeError
from retrograd.tensor.history import apply
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import Array, DType, Shape, TensorType, as_shape, normalise_axes


@dataclass(frozen=True)
class Slice(Op):
    """Every ``steps``-th element from ``starts`` on.  out[i] = x[starts + i steps], i < lengths

    One start, length and step an axis, counted from the front; steps may be negative.
    """

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    steps: tuple[int, ...]

    def result_type(self, x: TensorType) -> TensorType:
        """Return the lengths; raises ShapeError if an element would lie outside x."""
        _require_inside("slice", x, self.lengths, self.starts, self.steps, x.shape)
        return TensorType(self.lengths, x.dtype)

    def evaluate(self, x: Array) -> Array:
        """Return NumPy's view."""
        return x[_selection(self.starts, self.lengths, self.steps)]

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Put g back at its places, and 0 elsewhere."""
        return (apply(Pad(x.shape, self.starts, self.steps), g),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return x[starts + index steps]."""
        places = zip(index, self.starts, self.steps, strict=True)
        return x(*(_scaled(i, step) + start if start else _scaled(i, step)
                   for i, start, step in places))  # fmt: skip

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a slice with steps of either sign, whole axes and empty ones among them."""
        places, shape, _ = _random_places(draw)
        return Example(cls(*places), (draw.array(shape, draw.float_dtype()),))


@dataclass(frozen=True)
class Pad(Op):
    """x at every ``steps``-th place from ``starts`` on, ``value`` elsewhere.

    out[starts + i steps] = x[i]; one start and step an axis; steps may be negative or leave gaps.
    """

    shape: Shape
    starts: tuple[int, ...]
    steps: tuple[int, ...]
    value: float = 0.0

    def result_type(self, x: TensorType) -> TensorType:
        """Return the shape; raises ShapeError if an element would land outside it."""
        _require_inside("pad", x, x.shape, self.starts, self.steps, self.shape)
        return TensorType(self.shape, x.dtype)

    def evaluate(self, x: Array) -> Array:
        """Return the filled array with x written into it."""
        out = np.full(self.shape, self.value, x.dtype)
        out[_selection(self.starts, x.shape, self.steps)] = x
        return out

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Return the elements of g where those of x went."""
        return (apply(Slice(self.starts, x.shape, self.steps), g),)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return x[(index - starts) / steps] where that exists, else the value."""
        inside: Element = constant(True, DType.bool)
        places = []
        for i, start, step, n in zip(index, self.starts, self.steps, x.type.shape, strict=True):
            offset = i - start if start else i
            place = call("floor_divide", offset, step) if step != 1 else offset
            conditions = [call("greater_equal", place, 0), call("less", place, n)]
            if abs(step) != 1:
                conditions.append(call("equal", call("remainder", offset, step), 0))
            for condition in conditions:
                inside = call("bitwise_and", inside, condition)
            places.append(place)
        return select(inside, x(*places), self.value)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a padding with gaps and reversals, around zeros or another value."""
        (starts, lengths, steps), shape, value = _random_places(draw)
        x = draw.array(lengths, draw.float_dtype())
        return Example(cls(shape, starts, steps, value), (x,))


def _scaled(i: Element, step: int) -> Element:
    return i * step if step != 1 else i


def _selection(starts: Shape, lengths: Shape, steps: Shape) -> tuple[slice, ...]:
    """Return Python's slices, whose stop must not fall to -1, which would mean the last."""
    stops = (start + n * step for start, n, step in zip(starts, lengths, steps, strict=True))
    return tuple(
        slice(start, stop if stop >= 0 else None, step) if n else slice(0, 0)
        for start, stop, step, n in zip(starts, stops, steps, lengths, strict=True)
    )


def _require_inside(
    asked: str, x: TensorType, lengths: Shape, starts: Shape, steps: Shape, shape: Shape
) -> None:
    """Raise ShapeError unless start + i step lies in the shape for all i below the lengths."""
    fits = x.rank == len(starts) == len(steps) == len(lengths) == len(shape) and all(
        n == 0 or (step and 0 <= start < size and 0 <= start + (n - 1) * step < size)
        for n, start, step, size in zip(lengths, starts, steps, shape, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"{asked} of {x} at starts {starts}, steps {steps}, lengths {lengths}",
            f"an element lies outside of shape {shape}",
            "give one start, step and length an axis, all inside",
        )


def _random_places(draw: Draw) -> tuple[tuple[Shape, Shape, Shape], Shape, float]:
    """Return starts, lengths and steps, the shape that they fit, and a number to fill gaps with."""
    shape = draw.shape()
    starts, lengths, steps = [], [], []
    for n in shape:
        step = draw.choice((1, 1, -1, 2, -2, 3))
        start = draw.integer(0, n - 1)
        most = 1 + ((n - 1 - start) // step if step > 0 else start // -step)
        starts.append(start)
        steps.append(step)
        lengths.append(draw.integer(0, most))
    places = (tuple(starts), tuple(lengths), tuple(steps))
    return places, shape, draw.choice((0.0, 1.5))


def pad(x: TensorLike, widths: Sequence[tuple[int, int]], value: float = 0) -> Tensor:
    """Return x with ``value`` around it: one pair (before, after) an axis.

    Raises ShapeError for a missing pair or a negative width.

    >>> pad([1.0, 2.0], [(1, 2)])
    tensor([0., 1., 2., 0., 0.], float32[5])
    """
    x = as_tensor(x)
    if len(widths) != x.rank or any(n < 0 for pair in widths for n in pair):
        raise ShapeError(
            f"pad of {x.type} by {list(widths)}",
            "there is not one pair of widths from 0 up for each axis",
            "give ((before, after), ...); to cut, slice",
        )
    as_tensor(value, x)
    pairs = zip(x.shape, widths, strict=True)
    shape = as_shape((before + n + after for n, (before, after) in pairs), "pad")
    return apply(Pad(shape, tuple(before for before, _ in widths), (1,) * x.rank, value), x)


def flip(x: TensorLike, axes: int | tuple[int, ...] | None = None) -> Tensor:
    """Return x with the order along axes reversed, all of them by default.

    >>> flip([1.0, 2.0, 3.0])
    tensor([3., 2., 1.], float32[3])
    """
    x = as_tensor(x)
    named = normalise_axes(axes, x.rank, "flip")
    starts = tuple(max(n - 1, 0) if axis in named else 0 for axis, n in enumerate(x.shape))
    steps = tuple(-1 if axis in named else 1 for axis in range(x.rank))
    return apply(Slice(starts, x.shape, steps), x)
