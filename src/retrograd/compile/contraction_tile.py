"""A tile of sums: the register kernel of the matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from retrograd.compile.contraction_epilogue import NOTHING, Job, Meanwhile
from retrograd.compile.contraction_packing import Operand, Slab, write_nest
from retrograd.compile.contraction_plan import blocks, tile_rows
from retrograd.compile.values import Integer, Value

TOGETHER = 2
"""Steps of a sum in one turn of the innermost loop: of most tiles, and more of the small ones."""


class Tile(NamedTuple):
    """Sums of some rows of a slab: the slab as stored, and as its columns are read."""

    slab: Slab
    read: Slab
    height: int
    meanwhile: Meanwhile | None = None


def turns_between(job: Job) -> int:
    """Return after how many turns a row of the tile before is handed on, 0 if all are at once.

    All rows go into the first block of a sum. Where more blocks follow, what the epilogue reads is
    at hand by then, and only one that divides has anything to wait for.
    """
    product, height = job.product, tile_rows(job.target, job.product)
    _, piece = blocks(product.extents)
    pays = job.rolled and (job.divides or piece == product.length)
    if not pays or len(product.extents) > 1 or product.rows < 2 * height:
        return 0
    return piece // TOGETHER // height


def sum_tile(
    job: Job, tile: Tile, a: Operand, b: Operand, row: Integer, column: Integer
) -> list[Value]:
    """Return the sums of one tile over all summed axes."""
    if job.prelude is not None and tile.meanwhile is None:
        job.prelude(row, column, tile.height, tile.slab.width)
    zeros = [job.text.constant(tile.slab.type, 0.0)] * (tile.height * tile.slab.vectors)
    return add_blocks(job, tile, job.product.extents, a, b, zeros)


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
    plain = tile._replace(meanwhile=None)

    def add_block(
        length: int, addresses: Sequence[Value], totals: Sequence[Value], tile: Tile = plain
    ) -> list[Value]:
        x, y = Operand(addresses[0], a.outer, a.inner[axis:]), b._replace(inner=b.inner[axis:])
        inside = (length, *extents[axis + 1 :])
        sums = _write_block(job, tile, inside, x, y._replace(pointer=addresses[1]))
        return [text.binary("fadd", t, s) for t, s in zip(totals, sums, strict=True)]

    def later(addresses: Sequence[Value], steps: int) -> list[Value]:
        ends = zip(addresses, strides, strict=True)
        return [text.address(x, s * steps, scalar) for x, s in ends]

    def line(addresses: Sequence[Value], *totals: Value) -> list[Value]:
        added, first = list(totals), 0
        if tile.meanwhile is not None:  # in the first block alone
            added, first = add_block(piece, addresses, totals, tile), 1
        starts = zip(later(addresses, first * piece), strides, strict=True)
        pieces = [(x, (s * piece,)) for x, s in starts]
        added = write_nest(
            text, scalar, (whole - first,), pieces, lambda x, *t: add_block(piece, x, t), added
        )
        return add_block(rest, later(addresses, piece * whole), added) if rest else added

    moving = [(a.pointer, a.inner), (b.pointer, b.inner)]
    return write_nest(text, scalar, extents[:axis], moving, line, totals)


def _write_block(
    job: Job, tile: Tile, extents: tuple[int, ...], a: Operand, b: Operand
) -> list[Value]:
    """Write the sums over one block: all its products one after the other, from zero."""
    text, scalar = job.text, tile.read.scalar
    zeros = [text.constant(tile.read.type, 0.0)] * (tile.height * tile.read.vectors)
    together = TOGETHER if len(zeros) >= 8 or tile.meanwhile else 2 * TOGETHER
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

        def turns(start: Integer, count: int, sums: Sequence[Value]) -> list[Value]:
            def turn(k: Integer, *sums: Value) -> list[Value]:
                return steps(text.add(start, k), together, sums)

            return text.loop(0, count * together, together, turn, sums)

        def part(i: Integer, *sums: Value) -> list[Value]:
            result = turns(text.multiply(i, between * together), between, sums)
            do(i)
            return result

        times, between, do = tile.meanwhile or NOTHING
        first, whole = times * between * together, extent // together * together
        carried = text.loop(0, times, 1, part, sums)
        carried = turns(first, (whole - first) // together, carried)
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


def load_sums(job: Job, tile: Tile, pointer: Value) -> list[Value]:
    """Read the sums of a tile that `store_sums` wrote."""
    loaded, slab = [], tile.slab
    for i in range(tile.height * slab.vectors):
        at = job.text.address(pointer, i * slab.lanes, slab.scalar)
        loaded.append(job.text.load(slab.type, at, slab.size))
    return loaded
