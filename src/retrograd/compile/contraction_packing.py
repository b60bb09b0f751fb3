"""Packing: copies a slab of columns so that each step of a sum finds them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from retrograd.compile.text import Text
from retrograd.compile.values import Integer, Value, lanes_of, scalar_of, vector


class Operand(NamedTuple):
    """A matrix in memory, by the address of its first element and its strides in elements.

    ``outer`` is the stride along the rows of the left operand, or the columns of the right one;
    ``inner`` are those along the summed axes, outermost first.
    """

    pointer: Value
    outer: Integer
    inner: tuple[int, ...]


class Slab(NamedTuple):
    """Neighbouring columns: how many vectors they fill, and how many lanes of the last count."""

    vectors: int
    lanes: int
    valid: int | None
    scalar: str
    size: int

    @property
    def type(self) -> str:
        """The type of one vector."""
        return vector(self.scalar, self.lanes)

    @property
    def width(self) -> int:
        """Lanes of all vectors."""
        return self.vectors * self.lanes

    @property
    def columns(self) -> int:
        """Columns that exist."""
        return self.width if self.valid is None else self.width - self.lanes + self.valid

    def counted(self, place: int) -> int | None:
        """Return how many lanes of a vector count; None if all do."""
        return self.valid if place == self.vectors - 1 else None


Moving = tuple[Value, Sequence[int]]
"""An address and its strides along the axes of a nest."""


def write_nest(
    text: Text,
    scalar: str,
    extents: Sequence[int],
    moving: Sequence[Moving],
    body: Callable[..., Sequence[Value] | None],
    carried: Sequence[Value] = (),
) -> list[Value]:
    """Write ``body(addresses, *carried)`` in a loop for each extent; return what it carried last.

    Each address moves by its strides, in elements of the scalar type.
    """
    if not extents:
        return list(body([pointer for pointer, _ in moving], *carried) or ())

    def step(i: Integer, *carried: Value) -> list[Value]:
        moved = [
            (text.address(pointer, text.multiply(i, strides[0]), scalar), strides[1:])
            for pointer, strides in moving
        ]
        return write_nest(text, scalar, extents[1:], moved, body, carried)

    return text.loop(0, extents[0], 1, step, carried)


def packed_strides(extents: tuple[int, ...], width: int) -> tuple[int, ...]:
    """Return the strides of summed axes that lie packed.

    >>> packed_strides((3, 48), 32)
    (1536, 32)
    """
    strides, step = [], width
    for extent in reversed(extents):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def write_packing(
    text: Text, slab: Slab, extents: tuple[int, ...], source: Operand, packed: Value
) -> Operand:
    """Write the copy of a slab and return where it lies.

    Lanes beyond the last column are zeros or repeat that column: nothing outside is read.
    """
    target = Operand(packed, 1, packed_strides(extents, slab.width))
    lines = source.outer != 1 and source.inner[-1] == 1 and extents[-1] > 1

    def body(addresses: Sequence[Value]) -> None:
        at = Operand(addresses[0], source.outer, source.inner[-1:])
        if lines:
            _transpose_line(text, slab, extents[-1], at, addresses[1])
        elif source.outer == 1:
            _copy_vectors(text, slab, *addresses)
        else:
            _copy_columns(text, slab, at, addresses[1])

    moving = [(source.pointer, source.inner), (packed, target.inner)]
    write_nest(text, slab.scalar, extents[:-1] if lines else extents, moving, body)
    return target


def _copy_vectors(text: Text, slab: Slab, source: Value, target: Value) -> None:
    """Copy one step whose columns are neighbours."""
    for place in range(slab.vectors):
        offset = place * slab.lanes
        pointer = text.address(source, offset, slab.scalar)
        x = text.load(slab.type, pointer, slab.size, slab.counted(place))
        text.store(x, text.address(target, offset, slab.scalar), slab.size)


def _copy_columns(text: Text, slab: Slab, source: Operand, target: Value) -> None:
    """Copy one step of columns that lie anywhere, number by number."""

    def copy(i: Integer) -> None:
        offset = text.multiply(_at_most(text, i, slab.columns - 1, slab.width), source.outer)
        x = text.load(slab.scalar, text.address(source.pointer, offset, slab.scalar), slab.size)
        text.store(x, text.address(target, i, slab.scalar), slab.size)

    text.loop(0, slab.width, 1, copy)


def _transpose_line(text: Text, slab: Slab, extent: int, source: Operand, target: Value) -> None:
    """Copy columns whose steps are neighbours, in square blocks that turn in registers.

    The last block of steps begins early enough to end with them, and writes some steps again.
    """
    lanes, scalar = slab.lanes, slab.scalar
    steps = min(extent, lanes)

    def block(start: Integer, place: Integer) -> None:
        first = _at_most(text, start, extent - steps, -(-extent // lanes) * lanes)
        from_here = text.address(source.pointer, first, scalar)
        rows = []
        for lane in range(lanes):
            column = text.add(text.multiply(place, lanes), lane)
            column = _at_most(text, column, slab.columns - 1, slab.width)
            pointer = text.address(from_here, text.multiply(column, source.outer), scalar)
            rows.append(text.load(slab.type, pointer, slab.size, steps))
        to = text.address(target, text.multiply(first, slab.width), scalar)
        to = text.address(to, text.multiply(place, lanes), scalar)
        for step, x in enumerate(transposed(text, rows)[:steps]):
            text.store(x, text.address(to, step * slab.width, scalar), slab.size)

    def vector_of_columns(place: Integer) -> None:
        # Inside, so that few lines of memory are read at a time, each from its start to its end.
        text.loop(0, extent, lanes, lambda start: block(start, place))

    text.loop(0, slab.vectors, 1, vector_of_columns)


def write_panel(
    text: Text, line: Slab, extents: tuple[int, ...], source: Operand, packed: Value
) -> None:
    """Write the copy of some rows that are neighbours: a line of them for every step."""
    height = line.columns

    def body(addresses: Sequence[Value]) -> None:
        x = text.load(line.type, addresses[0], line.size, height)
        text.store(x, addresses[1], line.size, None)

    moving = [(source.pointer, source.inner), (packed, packed_strides(extents, height))]
    write_nest(text, line.scalar, extents, moving, body)


def _at_most(text: Text, x: Integer, most: int, bound: int) -> Integer:
    """Return the smaller of x, which is below the bound, and the most that is allowed."""
    return x if most >= bound - 1 else smaller(text, x, most)


def smaller(text: Text, x: Integer, y: Integer) -> Integer:
    """Return the smaller of two whole numbers."""
    if isinstance(x, int) and isinstance(y, int):
        return min(x, y)
    x, y = text.integer(x), text.integer(y)
    return text.select(text.compare("icmp slt", x, y), x, y)


def transposed(text: Text, rows: Sequence[Value]) -> list[Value]:
    """Return the columns of a square of as many vectors as each has lanes, a power of two.

    Every step is one instruction of a CPU whose vectors consist of quarters of 128 bits: first
    small squares turn inside the quarters, then the quarters change places as a whole.
    """
    lanes = len(rows)
    side = min(4 if scalar_of(rows[0].type) == "float" else 2, lanes)
    turned = [_turn_quarters(text, rows[i : i + side], side) for i in range(0, lanes, side)]
    columns = [_turn_squares(text, square, side) for square in zip(*turned, strict=True)]
    return [x for square in zip(*columns, strict=True) for x in square]


def _turn_quarters(text: Text, rows: Sequence[Value], side: int) -> list[Value]:
    """Transpose the squares of ``side`` by ``side`` that rows hold one beside the other."""
    size, square = 1, list(rows)
    while size < side:
        # Runs of neighbours alternate between two rows: their lower halves, then their upper.
        pairs = list(zip(square[::2], square[1::2], strict=True))
        lower = [_alternate(text, *pair, side, size, 0) for pair in pairs]
        upper = [_alternate(text, *pair, side, size, side // 2) for pair in pairs]
        square = [x for pair in zip(lower, upper, strict=True) for x in pair]
        if side == 4 and size == 1:
            square = [square[i] for i in (0, 2, 1, 3)]
        size *= 2
    return square


def _alternate(text: Text, x: Value, y: Value, side: int, size: int, half: int) -> Value:
    """Return runs of ``size`` lanes by turns from x and y, out of one half of each square."""
    lanes = lanes_of(x.type)
    places = [
        start + half + run + lane + source * lanes
        for start in range(0, lanes, side)
        for run in range(0, side // 2, size)
        for source in (0, 1)
        for lane in range(size)
    ]
    return text.shuffle(x, y, places)


def _turn_squares(text: Text, rows: Sequence[Value], side: int) -> list[Value]:
    """Transpose a square whose elements are runs of ``side`` lanes."""
    square, lanes = list(rows), lanes_of(rows[0].type)
    halving = len(square)
    while halving > 1:
        even, odd = (
            [i + j for i in range(first, 2 * lanes, 2 * side) for j in range(side)]
            for first in (0, side)
        )
        pairs = list(zip(square[::2], square[1::2], strict=True))
        square = [text.shuffle(*pair, places) for places in (even, odd) for pair in pairs]
        halving //= 2
    return square
