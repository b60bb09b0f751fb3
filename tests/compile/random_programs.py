"""Random whole programs: functions of 5 to 40 ops whose every intermediate value stays tame.

Whole programs compute with whole numbers so small that every sum is exact in any order: what
native code answers must then be right to the bit, however it adds up. Smooth programs compute with
functions that have no jumps, so that a rounding error stays one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from retrograd import ops
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import Array, DType

LENGTHS = (1, 2, 3, 5, 8, 17, 37, 131)
LARGEST = 12_000
"""Elements that a value may have."""
FLOATS, WHOLE = (DType.float32, DType.float64), (DType.int32, DType.int64)


class Chooses(Protocol):
    """Where the choices come from: Hypothesis or a seed."""

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""


class Writer:
    """Writes a program, one op at a time, over values and a bound of each one's magnitude."""

    def __init__(self, draw: Chooses, values: Sequence[Tensor], exact: bool) -> None:
        self.draw, self.exact = draw, exact
        self.values = [(x, 8.0 if exact else 2.0) for x in values]

    def integer(self, low: int, high: int) -> int:
        return self.draw.integer(low, high)

    def one_of(self, options: Sequence[object]) -> object:
        return options[self.integer(0, len(options) - 1)]

    def value(self) -> tuple[Tensor, float]:
        """A value, a late one more often, so that chains get long."""
        last = len(self.values) - 1
        return self.values[max(self.integer(0, last), self.integer(0, last))]

    def put(self, x: Tensor, bound: float) -> None:
        """Keep a value; one that grew too far is brought back first."""
        if self.exact and bound > 2.0 ** (21 if x.dtype is not DType.float64 else 50):
            x, bound = ops.remainder(x, 16), 16.0
        elif not self.exact and bound > 30:
            x, bound = ops.tanh(x), 1.0
        self.values.append((x, bound))

    def step(self) -> None:
        """Write one op, or a few that belong together."""
        kinds = [*STEPS, *(EXACT_STEPS if self.exact else SMOOTH_STEPS)]
        kind = kinds[self.integer(0, len(kinds) - 1)]
        x, bound = self.value()
        if x.dtype.is_float or kind not in FLOAT_ONLY:
            kind(self, x, bound)


def axis_of(w: Writer, x: Tensor) -> int:
    return w.integer(0, max(x.rank - 1, 0))


def partner(w: Writer, x: Tensor) -> tuple[Tensor, float]:
    """A value that goes together with x in one op: the same shape, or one that stretches."""
    fitting = [
        (y, bound) for y, bound in w.values if y.shape == x.shape or _stretches(y.shape, x.shape)
    ]
    y, bound = fitting[w.integer(0, len(fitting) - 1)]
    return (y if y.dtype is x.dtype else ops.cast(y, x.dtype)), bound


def _stretches(y: tuple[int, ...], x: tuple[int, ...]) -> bool:
    tail = x[len(x) - len(y) :] if len(y) <= len(x) else None
    return tail is not None and all(n in (1, m) for n, m in zip(y, tail, strict=True))


def arithmetic(w: Writer, x: Tensor, bound: float) -> None:
    y, other = partner(w, x)
    kind = w.integer(0, 4)
    if kind == 0:
        w.put(x + y, bound + other)
    elif kind == 1:
        w.put(x - y, bound + other)
    elif kind == 2 and bound * other < (2**20 if w.exact else 30):
        w.put(x * y, bound * other)
    elif kind == 3:
        w.put(ops.maximum(x, y), max(bound, other))
    else:
        w.put(ops.minimum(-x, y), max(bound, other))


def choose(w: Writer, x: Tensor, bound: float) -> None:
    y, other = partner(w, x)
    positive = ops.greater(x, 0.0) if x.dtype.is_float else ops.greater(x, 0)
    w.put(ops.where(positive, x * 2, y) if w.exact else ops.maximum(x, 0), 2 * max(bound, other))


def reduce(w: Writer, x: Tensor, bound: float) -> None:
    if not x.rank:
        return
    axes = tuple(a for a in range(x.rank) if w.integer(0, 1)) or (axis_of(w, x),)
    keep = bool(w.integer(0, 1))
    kind = w.integer(0, 3)
    if kind == 0:
        w.put(ops.max(x, axes, keepdims=keep), bound)
    elif kind == 1:
        w.put(ops.min(x, axes, keepdims=keep), bound)
    else:
        size = math.prod(x.shape[a] for a in axes)
        total = ops.sum(x, axes, keepdims=keep)
        w.put(total if w.exact else total * (1 / size), bound * (size if w.exact else 1))


def product(w: Writer, x: Tensor, bound: float) -> None:
    if x.rank < 2 or not x.dtype.is_float:
        return
    inner = x.shape[-1]
    fitting = [
        (y, other)
        for y, other in w.values
        if y.rank == 2 and y.dtype is x.dtype and inner in y.shape
    ]
    y, other = fitting[w.integer(0, len(fitting) - 1)] if fitting else (None, bound)
    if y is None:
        y = ops.transpose(x)
        y = ops.reshape(y, (inner, y.size // inner))
    elif y.shape[0] != inner:
        y = ops.transpose(y)
    grown = bound * other * inner
    if x.size // inner * y.shape[1] <= LARGEST and grown < (2**50 if w.exact else math.inf):
        if w.exact and x.dtype is DType.float32 and grown >= 2**22:
            return
        w.put((x @ y) if w.exact else (x @ y) * (1 / inner), grown if w.exact else bound * other)


def move(w: Writer, x: Tensor, bound: float) -> None:
    kind, axis = w.integer(0, 5), axis_of(w, x)
    if kind == 0:
        order = list(range(x.rank))
        for i in reversed(range(1, x.rank)):
            j = w.integer(0, i)
            order[i], order[j] = order[j], order[i]
        w.put(ops.transpose(x, tuple(order)), bound)
    elif kind == 1:
        shapes = [(x.size,), (1, x.size), (x.size, 1), tuple(reversed(x.shape))]
        shapes += [(n, x.size // n) for n in (2, 3, 5, 17) if x.size % n == 0]
        w.put(ops.reshape(x, w.one_of(shapes)), bound)  # type: ignore[arg-type]
    elif kind == 2 and x.rank:
        w.put(ops.flip(x, axis), bound)
    elif kind == 3 and x.rank and x.shape[axis] > 1:
        n = x.shape[axis]
        start, step = w.integer(0, n - 1), w.integer(1, 3) * (1 - 2 * w.integer(0, 1))
        key = slice(start, None, step)
        w.put(x[(*[slice(None)] * axis, key)], bound)
    elif kind == 4 and x.rank < 4 and x.size * 3 <= LARGEST:
        w.put(ops.broadcast_to(x, (3, *x.shape)), bound)
    elif kind == 5 and x.size * 2 <= LARGEST:
        widths = [(w.integer(0, 2), w.integer(0, 2)) if a == axis else (0, 0)
                  for a in range(x.rank)]  # fmt: skip
        w.put(ops.pad(x, widths, w.integer(0, 3)), max(bound, 3.0))


def join(w: Writer, x: Tensor, bound: float) -> None:
    same = [(y, o) for y, o in w.values if y.shape == x.shape and y.dtype is x.dtype]
    y, other = same[w.integer(0, len(same) - 1)]
    if x.size * 3 <= LARGEST and x.rank:
        parts = [x, y, ops.flip(x)][: w.integer(2, 3)]
        w.put(ops.concatenate(parts, axis_of(w, x)), max(bound, other))


def select(w: Writer, x: Tensor, bound: float) -> None:
    if not x.rank:
        return
    axis = axis_of(w, x)
    n = x.shape[axis]
    if w.integer(0, 1):
        dtype = WHOLE[w.integer(0, 1)]
        indices = tensor([w.integer(0, n - 1) for _ in range(w.integer(1, 7))], dtype)
        if x.size // n * len(indices.shape) * 7 <= LARGEST:
            w.put(ops.take(x, indices, axis), bound)
    else:
        where = ops.argmax(x, axis)
        indices = ops.reshape(where, tuple(1 if a == axis else m for a, m in enumerate(x.shape)))
        w.put(ops.gather(x, indices, axis), bound)


def scatter(w: Writer, x: Tensor, bound: float) -> None:
    if x.rank:
        n = x.shape[0]
        indices = tensor([(7 * i + w.integer(0, 3)) % n for i in range(n)])
        w.put(ops.scatter_add(x, indices, ops.flip(x, 0)), bound * (n + 1))


def running(w: Writer, x: Tensor, bound: float) -> None:
    if x.rank:
        axis = axis_of(w, x)
        factor = 1 if w.exact else 1 / x.shape[axis]
        w.put(ops.cumsum(x, axis, reverse=bool(w.integer(0, 1))) * factor,
              bound * (x.shape[axis] if w.exact else 1))  # fmt: skip


def convert(w: Writer, x: Tensor, bound: float) -> None:
    wanted = [*FLOATS, *WHOLE] if w.exact else [*FLOATS]
    dtype = wanted[w.integer(0, len(wanted) - 1)]
    if bound < 2**22:
        w.put(ops.cast(x, dtype), bound)


def count(w: Writer, x: Tensor, bound: float) -> None:
    y, _ = partner(w, x)
    compare = [ops.equal, ops.less, ops.greater_equal, ops.not_equal][w.integer(0, 3)]
    w.put(ops.cast(compare(x, y), x.dtype), 1.0)


def divide_whole(w: Writer, x: Tensor, bound: float) -> None:
    divisor = w.one_of((-5, -1, 2, 3, 16))
    if w.integer(0, 1):
        w.put(ops.floor_divide(x, divisor), bound)  # type: ignore[arg-type]
    else:
        w.put(ops.remainder(x, divisor), 16.0)  # type: ignore[arg-type]


def place(w: Writer, x: Tensor, bound: float) -> None:
    if x.rank and x.rank < 4 and x.size * 5 <= LARGEST:
        labels = ops.cast(ops.remainder(x, 5), WHOLE[w.integer(0, 1)])
        w.put(ops.one_hot(labels, 5, x.dtype), 1.0)


def curve(w: Writer, x: Tensor, bound: float) -> None:
    curves: list[tuple[Callable[[Tensor], Tensor], float]] = [
        (ops.tanh, 1), (ops.sigmoid, 1), (ops.sin, 1), (ops.cos, 1), (ops.erf, 1),
        (lambda x: ops.exp(ops.tanh(x)), 3), (lambda x: ops.log1p(x * x), 7),
        (lambda x: ops.sqrt(1 + x * x), 31), (lambda x: 1 / (1 + x * x), 1),
        (lambda x: ops.expm1(ops.sin(x)), 3), (lambda x: ops.power(1 + x * x, 0.3), 8),
        (lambda x: ops.rsqrt(2 + ops.cos(x)), 1),
    ]  # fmt: skip
    function, limit = curves[w.integer(0, len(curves) - 1)]
    w.put(function(x), limit)


def soft(w: Writer, x: Tensor, bound: float) -> None:
    if x.rank:
        axis = axis_of(w, x)
        powers = ops.exp(x - ops.stop_gradient(ops.max(x, axis, keepdims=True)))
        w.put(powers / ops.sum(powers, axis, keepdims=True), 1.0)


def normalise(w: Writer, x: Tensor, bound: float) -> None:
    if x.rank:
        centred = x - ops.mean(x, -1, keepdims=True)
        w.put(centred * ops.rsqrt(ops.mean(centred * centred, -1, keepdims=True) + 1.0), bound * 2)


def log_total(w: Writer, x: Tensor, bound: float) -> None:
    if x.rank:
        w.put(ops.logsumexp(x, axis_of(w, x)), bound + 9)


Step = Callable[[Writer, Tensor, float], None]
STEPS: list[Step] = [arithmetic, arithmetic, arithmetic, reduce, product, move, move, join, running]
EXACT_STEPS: list[Step] = [choose, select, scatter, convert, count, divide_whole, place]
SMOOTH_STEPS: list[Step] = [choose, convert, curve, curve, curve, soft, normalise, log_total]
FLOAT_ONLY = frozenset([product])


def inputs_of(draw: Chooses, exact: bool, seed: int) -> list[Array]:
    """A few arrays: shapes that go together, one dtype."""
    n, m, k = (LENGTHS[draw.integer(0, len(LENGTHS) - 1)] for _ in range(3))
    dtype = FLOATS[draw.integer(0, 1)].numpy
    generator = np.random.default_rng(seed)
    shapes = [(n, m), (m,), (m, k), (2, n, m)][: draw.integer(2, 4)]
    if exact:
        return [generator.integers(-8, 9, shape).astype(dtype) for shape in shapes]
    return [generator.uniform(-2, 2, shape).astype(dtype) for shape in shapes]


def program(draw: Chooses, size: int, exact: bool) -> Callable[..., list[Tensor]]:
    """A function of so many steps that answers all that it computed; only to be traced once."""

    def function(*inputs: Tensor) -> list[Tensor]:
        writer = Writer(draw, inputs, exact)
        for _ in range(size):
            writer.step()
        return [x for x, _ in writer.values[len(inputs) :]] or list(inputs)

    return function
