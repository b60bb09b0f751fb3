"""How a matrix product is cut: register tiles by its rows and columns, blocks by its sums."""

from __future__ import annotations

import math
from typing import NamedTuple

from retrograd.compile.target import Target

LONGEST = 256
"""The most products that are added one after the other before the sum joins its total."""

WIDEST = 8
"""The most registers of columns in a tile: enough chains to hide the latency of one row."""


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
    (Blocks(axis=0, piece=196), Blocks(axis=0, piece=3), Blocks(axis=1, piece=9))
    """
    axis, inside = len(extents) - 1, 1
    while axis > 0 and inside * extents[axis] <= LONGEST:
        inside *= extents[axis]
        axis -= 1
    extent, most = extents[axis], max(LONGEST // max(inside, 1), 1)
    if extent <= most:
        return Blocks(axis, max(extent, 1))
    equal = [piece for piece in range(most, most // 2, -1) if extent % piece == 0]
    return Blocks(axis, equal[0] if equal else most)


def tile_rows(target: Target, product: Product) -> int:
    """Return the height of the register tile; cuts of the rows are multiples of it."""
    rows, tallest = product.rows, target.rows
    if rows <= tallest:
        return max(rows, 1)
    return min(range(tallest, tallest // 3, -1), key=lambda height: _cost(rows, height))


def _cost(rows: int, height: int) -> float:
    """Return what tiles of a height cost: a step of one takes as long as half a row more.

    A last tile of another height is more code to compile, hence its price.
    """
    tiles, rest = divmod(rows, height)
    return tiles * (height + 0.75) + (rest + 2.0 if rest else 0.0)


def tile_vectors(target: Target, product: Product) -> int:
    """Return how many vectors of columns a tile has: as many as its height leaves registers for."""
    registers = product.size // 4
    sums = target.rows * target.vectors // tile_rows(target, product)
    most = max(min(sums, WIDEST) // registers, 1)
    vectors = max(-(-product.columns // target.lanes), 1)
    if vectors <= most:
        return vectors
    equal = [n for n in range(most, (most + 1) // 2, -1) if vectors % n == 0]
    return equal[0] if equal else most


def tile_bytes(target: Target, product: Product) -> int:
    """Return the size of one tile of sums."""
    vectors = tile_vectors(target, product)
    return tile_rows(target, product) * vectors * target.lanes * product.size


def scratch_bytes(target: Target, product: Product) -> int:
    """Return how much memory of its own a thread needs: a tile of sums and a packed slab."""
    width = tile_vectors(target, product) * target.lanes
    whole = tile_bytes(target, product) + product.length * width * product.size
    return -(-whole // 64) * 64
