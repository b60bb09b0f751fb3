"""A tile of sums: the register kernel of the matrix product, and what its epilogue receives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from retrograd.compile.contraction_packing import Operand, Slab, write_nest
from retrograd.compile.contraction_plan import Product, blocks
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Integer, Value

Epilogue = Callable[[Integer, Integer, Value, int | None], None]
"""``epilogue(row, column, sums, count)``: what becomes of one vector of sums.

They belong to columns from the given one on; the first ``count`` lanes exist, or all if it is None.
"""


Prelude = Callable[[Integer, Integer, int, int], None]
"""``prelude(row, column, height, width)``: what is done before a tile's sums, as prefetching."""


class Job(NamedTuple):
    """What every part of a product's emission needs."""

    text: Text
    target: Target
    product: Product
    epilogue: Epilogue
    rolled: bool
    scratch: Value
    prelude: Prelude | None = None


class Tile(NamedTuple):
    """Sums of some rows of a slab: the slab as stored, and as its columns are read."""

    slab: Slab
    read: Slab
    height: int


def write_tile(job: Job, tile: Tile, a: Operand, b: Operand, row: Integer, column: Integer) -> None:
    """Write the sums of one tile over all summed axes, and hand them to the epilogue."""
    if job.prelude is not None:
        job.prelude(row, column, tile.height, tile.slab.width)
    zero = job.text.constant(tile.slab.type, 0.0)
    zeros = [zero] * (tile.height * tile.slab.vectors)
    sums = add_blocks(job, tile, job.product.extents, a, b, zeros)
    if job.rolled:
        store_sums(job, tile, job.scratch, sums)
        hand_rows(job, tile.slab, 0, tile.height, row, column)
        return
    for i, x in enumerate(sums):
        down, along = divmod(i, tile.slab.vectors)
        at = job.text.add(column, along * tile.slab.lanes)
        job.epilogue(job.text.add(row, down), at, x, tile.slab.counted(along))


def add_blocks(
    job: Job,
    tile: Tile,
    extents: tuple[int, ...],
    a: Operand,
    b: Operand,
    totals: Sequence[Value],
) -> list[Value]:
    """Return the totals of a tile with the blocks of some summed axes added, in order."""
    axis, piece = blocks(job.product.extents)
    if axis == 0 and piece >= job.product.extents[0]:
        return _write_block(job, tile, extents, a, b)
    whole, rest = divmod(extents[axis], piece)
    text, scalar, strides = job.text, tile.slab.scalar, (a.inner[axis], b.inner[axis])

    def add_block(length: int, addresses: Sequence[Value], totals: Sequence[Value]) -> list[Value]:
        x, y = Operand(addresses[0], a.outer, a.inner[axis:]), b._replace(inner=b.inner[axis:])
        inside = (length, *extents[axis + 1 :])
        sums = _write_block(job, tile, inside, x, y._replace(pointer=addresses[1]))
        return [text.binary("fadd", t, s) for t, s in zip(totals, sums, strict=True)]

    def line(addresses: Sequence[Value], *totals: Value) -> list[Value]:
        pieces = [(x, (s * piece,)) for x, s in zip(addresses, strides, strict=True)]
        added = write_nest(
            text, scalar, (whole,), pieces, lambda x, *t: add_block(piece, x, t), totals
        )
        if rest:
            ends = zip(addresses, strides, strict=True)
            at_end = [text.address(x, s * piece * whole, scalar) for x, s in ends]
            added = add_block(rest, at_end, added)
        return added

    moving = [(a.pointer, a.inner), (b.pointer, b.inner)]
    return write_nest(text, scalar, extents[:axis], moving, line, totals)


def _write_block(
    job: Job, tile: Tile, extents: tuple[int, ...], a: Operand, b: Operand
) -> list[Value]:
    """Write the sums over one block: all its products one after the other, from zero."""
    text, scalar = job.text, tile.read.scalar
    zeros = [text.constant(tile.read.type, 0.0)] * (tile.height * tile.read.vectors)
    together = 4 if len(zeros) < 8 else 2
    extent, strides = extents[-1], (a.inner[-1], b.inner[-1])

    def line(addresses: Sequence[Value], *sums: Value) -> list[Value]:
        def steps(k: Integer, count: int, sums: Sequence[Value]) -> list[Value]:
            for i in range(count):
                x, y = (
                    text.address(start, text.multiply(text.add(k, i), stride), scalar)
                    for start, stride in zip(addresses, strides, strict=True)
                )
                sums = _write_step(job, tile, a.outer, x, y, sums)
            return list(sums)

        whole = extent // together * together
        carried = text.loop(0, whole, together, lambda k, *s: steps(k, together, s), sums)
        return steps(whole, extent - whole, carried)

    moving = [(a.pointer, a.inner), (b.pointer, b.inner)]
    return write_nest(text, scalar, extents[:-1], moving, line, zeros)


def _write_step(
    job: Job, tile: Tile, outer: Integer, a: Value, b: Value, sums: Sequence[Value]
) -> list[Value]:
    """Write one product for every sum of a tile."""
    text, read, result = job.text, tile.read, []
    columns = []
    for i in range(read.vectors):
        pointer = text.address(b, i * read.lanes, read.scalar)
        columns.append(text.load(read.type, pointer, read.size, read.counted(i)))
    for row in range(tile.height):
        pointer = text.address(a, text.multiply(row, outer), read.scalar)
        x = text.splat(text.load(read.scalar, pointer, read.size), read.lanes)
        for i, y in enumerate(columns):
            z = sums[row * read.vectors + i]
            if job.target.fused:
                result.append(text.fma(x, y, z))
            else:
                result.append(text.binary("fadd", text.binary("fmul", x, y), z))
    return result


def hand_rows(
    job: Job, slab: Slab, start: Integer, stop: Integer, row: Integer, column: Integer
) -> None:
    """Give the epilogue rows of sums that wait in memory, in a loop; ``row`` is the number of 0."""
    text = job.text
    whole = slab.vectors if slab.valid is None else slab.vectors - 1

    def line(i: Integer) -> None:
        def one(j: Integer, count: int | None) -> None:
            offset = text.add(text.multiply(i, slab.width), text.multiply(j, slab.lanes))
            pointer = text.address(job.scratch, offset, slab.scalar)
            x = text.load(slab.type, pointer, slab.size)
            at = text.add(column, text.multiply(j, slab.lanes))
            job.epilogue(text.add(row, i), at, x, count)

        text.loop(0, whole, 1, lambda j: one(j, None))
        if slab.valid is not None:
            one(whole, slab.valid)

    text.loop(start, stop, 1, line)


def store_sums(job: Job, tile: Tile, pointer: Value, sums: Sequence[Value]) -> None:
    """Write the sums of a tile to memory, row by row."""
    for i, x in enumerate(sums):
        at = job.text.address(pointer, i * tile.slab.lanes, tile.slab.scalar)
        job.text.store(x, at, tile.slab.size)


def load_sums(job: Job, tile: Tile, pointer: Value) -> list[Value]:
    """Read the sums of a tile that `store_sums` wrote."""
    loaded, slab = [], tile.slab
    for i in range(tile.height * slab.vectors):
        at = job.text.address(pointer, i * slab.lanes, slab.scalar)
        loaded.append(job.text.load(slab.type, at, slab.size))
    return loaded
