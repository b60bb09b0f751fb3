"""How a matrix product is cut: register tiles by its rows and columns, blocks by its sums."""

from __future__ import annotations

import math
from typing import NamedTuple

from retrograd.compile.target import Target

LONGEST = 128
"""The most products that are added one after the other before the sum joins its total."""

WIDEST = 8
"""The most registers of columns in a tile: enough chains to hide the latency of one row."""

LARGEST = 1 << 19
"""The most bytes of one operand that are packed at a time: half of a usual second-level cache."""

GROUP = 512
"""The most rows whose sums wait in memory for the next part of long summed axes."""


class Product(NamedTuple):
    """A matrix product (rows, inner) x (inner, columns) of one scalar type.

    ``extents`` are the lengths of the summed axes, outermost first; usually there is one.
    """

    scalar: str
    rows: int
    columns: int
    extents: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return 4 if self.scalar == "float" else 8

    @property
    def length(self) -> int:
        """Products that each sum has."""
        return math.prod(self.extents)


class Blocks(NamedTuple):
    """How the summed axes are cut: a block is ``piece`` steps of ``axis``, and all axes inside it.

    It follows from the extents alone, so that the bits of a sum do.
    """

    axis: int
    piece: int


def blocks(extents: tuple[int, ...]) -> Blocks:
    """Cut summed axes into blocks of at most LONGEST products, equal ones if that is possible.

    >>> blocks((784,)), blocks((3, 48)), blocks((64, 26, 26))
    (Blocks(axis=0, piece=112), Blocks(axis=0, piece=1), Blocks(axis=1, piece=2))
    """
    axis, inside = len(extents) - 1, 1
    while axis > 0 and inside * extents[axis] <= LONGEST:
        inside *= extents[axis]
        axis -= 1
    extent, most = extents[axis], max(LONGEST // max(inside, 1), 1)
    if extent <= most:
        return Blocks(axis, max(extent, 1))
    equal = [piece for piece in range(most, (most - 1) // 2, -1) if extent % piece == 0]
    return Blocks(axis, equal[0] if equal else most)


def tile_rows(target: Target, product: Product) -> int:
    """Return the height of the register tile; cuts of the rows are multiples of it."""
    rows, usual = product.rows, target.rows
    tallest = usual + usual // 2 if _registers(target) > 16 else usual
    if rows <= tallest:
        return max(rows, 1)
    return min(range(tallest, usual // 3, -1), key=lambda height: _cost(rows, height, usual))


def _registers(target: Target) -> int:
    """Return how many vector registers there are: twice the usual sums, or few more."""
    return 32 if target.rows * target.vectors > 12 else 16


def _cost(rows: int, height: int, usual: int) -> float:
    """Return what tiles of a height cost, in steps of one row.

    Every tile costs a little more than its rows do; one that is higher than usual needs more
    cache lines at a time than a set may hold, a lower one loads more for a sum; a last tile of
    another height is code to compile, and below 4 rows it waits for its own sums.
    """
    tiles, rest = divmod(rows, height)
    last = 2.0 + max(4 - rest, 0) + rows / 16 if rest else 0.0
    return tiles * (0.25 + 0.2 * abs(height - usual)) + last


def tile_vectors(target: Target, product: Product) -> int:
    """Return how many vectors of columns a tile has: as many as its height leaves registers for."""
    registers = product.size // 4
    height = tile_rows(target, product)
    sums = max(target.rows * target.vectors // height, target.vectors)
    free = (_registers(target) - 2) // (height + 1)
    most = max(min(sums, free, WIDEST) // registers, 1)
    vectors = max(-(-product.columns // target.lanes), 1)
    if vectors <= most:
        return vectors
    equal = [n for n in range(most, (most + 1) // 2, -1) if vectors % n == 0]
    return equal[0] if equal else most


def chunk(target: Target, product: Product) -> int:
    """Return how many steps of the outermost summed axis are worked on at a time: whole blocks.

    Sums are the same for any; a slab of fewer steps stays in the cache.
    """
    extent, inside = product.extents[0], math.prod(product.extents[1:])
    most = LARGEST // (slab_width(target, product) * product.size)
    if extent * inside <= most:
        return max(extent, 1)
    axis, piece = blocks(product.extents)
    unit = piece if axis == 0 else 1
    steps = max(most // inside // unit, 1) * unit
    equal = [n for n in range(steps, steps // 2, -unit) if extent % n == 0]
    return min(equal[0] if equal else steps, extent)


def slab_width(target: Target, product: Product) -> int:
    """Return how many columns are worked on at a time."""
    return tile_vectors(target, product) * target.lanes


def waiting_rows(target: Target, product: Product) -> int:
    """Return how many rows of sums wait in memory: those of a tile, or of a group of tiles."""
    height = tile_rows(target, product)
    if chunk(target, product) >= product.extents[0]:
        return height
    return min(-(-product.rows // height), max(GROUP // height, 1)) * height


def panel_rows(target: Target, product: Product) -> int:
    """Return how many rows of the left operand may be packed at a time; 0 if that cannot pay."""
    height = tile_rows(target, product)
    rows = LARGEST // max(product.length * product.size, 1) // height * height
    is_large = product.columns >= 4 * slab_width(target, product) and product.rows >= 8 * height
    if not is_large or rows < 8 * height or product.length < 64:
        return 0
    return min(rows, -(-product.rows // height) * height)


class Scratch(NamedTuple):
    """Where in a thread's memory things lie, in bytes: first the sums, then what is packed."""

    slab: int
    panel: int
    end: int


def scratch(target: Target, product: Product) -> Scratch:
    """Lay out the memory that a thread needs for a product."""
    width, size = slab_width(target, product), product.size
    steps = chunk(target, product) * math.prod(product.extents[1:])
    slab = _up(waiting_rows(target, product) * width * size)
    panel = slab + _up(steps * width * size)
    # A row of a panel is written as a whole vector, of which the next row overwrites the rest.
    rows = panel_rows(target, product) * product.length * size + target.lanes * size
    return Scratch(slab, panel, panel + _up(rows))


def _up(size: int) -> int:
    return -(-size // 64) * 64


def normal(extents: tuple[int, ...]) -> tuple[int, ...]:
    """Return which summed axes matter: those that are not one step, or one at least.

    >>> normal((1, 3, 48)), normal((1, 1))
    ((1, 2), (0,))
    """
    return tuple(i for i, extent in enumerate(extents) if extent != 1) or tuple(
        range(len(extents[:1]))
    )
