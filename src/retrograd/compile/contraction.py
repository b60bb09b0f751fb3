"""The matrix product: sums held in registers, tile by tile, handed to an epilogue.

Each sum adds its products one after the other in blocks of a length that follows from the extents
(`contraction_plan.blocks`), and adds up the blocks in order: its bits depend on the extents and on
the CPU, but not on the number of rows or columns, on how they are cut, or on how operands lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from retrograd.compile.contraction_packing import (
    Operand,
    Slab,
    write_nest,
    write_packing,
)
from retrograd.compile.contraction_plan import (
    Product,
    blocks,
    scratch_bytes,
    tile_bytes,
    tile_rows,
    tile_vectors,
)
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Integer, Value

__all__ = ["Epilogue", "Operand", "Product", "scratch_bytes", "tile_rows", "write_product"]

Epilogue = Callable[[Integer, Integer, Value, int | None], None]
"""``epilogue(row, column, sums, count)``: what becomes of one vector of sums.

They belong to columns from the given one on; the first ``count`` lanes exist, or all if it is None.
"""


class _Job(NamedTuple):
    """What every part of the emission needs."""

    text: Text
    target: Target
    product: Product
    epilogue: Epilogue
    rolled: bool
    scratch: Value


def write_product(
    text: Text,
    target: Target,
    product: Product,
    a: Operand,
    b: Operand,
    bounds: tuple[Integer, Integer],
    epilogue: Epilogue,
    *,
    rolled: bool,
    scratch: Value,
) -> None:
    """Write sums of a[row, k] * b[k, column] over k, for rows within the bounds and all columns.

    ``bounds`` are multiples of `tile_rows`, or the end of the rows. The epilogue takes the sums
    from registers, or, ``rolled``, from memory in a loop, which keeps a large epilogue's code
    small. ``scratch`` is memory of the thread's own of `scratch_bytes`.
    """
    if not product.rows or not product.columns:
        return
    kept = [i for i, extent in enumerate(product.extents) if extent != 1] or [0]
    if not product.extents:
        product, kept = product._replace(extents=(1,)), []
    else:
        product = product._replace(extents=tuple(product.extents[i] for i in kept))
    a = a._replace(inner=tuple(a.inner[i] for i in kept) or (0,))
    b = b._replace(inner=tuple(b.inner[i] for i in kept) or (0,))
    job = _Job(text, target, product, epilogue, rolled, scratch)
    vectors, size = tile_vectors(target, product), product.size
    width = vectors * target.lanes
    slab = Slab(vectors, target.lanes, None, product.scalar, size)
    whole = product.columns // width * width

    text.loop(0, whole, width, lambda j: _write_slab(job, slab, a, b, bounds, j))
    rest = product.columns - whole
    if rest:
        valid = rest % target.lanes or None
        last = slab._replace(vectors=-(-rest // target.lanes), valid=valid)
        _write_slab(job, last, a, b, bounds, whole)


def _write_slab(
    job: _Job, slab: Slab, a: Operand, b: Operand, bounds: tuple[Integer, Integer], column: Integer
) -> None:
    """Write all tiles of some neighbouring columns."""
    text, product = job.text, job.product
    height = tile_rows(job.target, product)
    offset = text.multiply(column, b.outer)
    b = b._replace(pointer=text.address(b.pointer, offset, product.scalar))
    if _is_packed(product, b, height):
        packed = text.address(job.scratch, tile_bytes(job.target, product))
        b = write_packing(text, slab, product.extents, b, packed)
        slab_read = slab._replace(valid=None)
    else:
        slab_read = slab
    start, stop = bounds
    rest = product.rows % height

    def tile(row: Integer, height: int) -> None:
        first = text.address(a.pointer, text.multiply(row, a.outer), product.scalar)
        _write_tile(job, slab, slab_read, height, a._replace(pointer=first), b, (row, column))

    whole = _smaller(text, stop, product.rows - rest) if rest else stop
    text.loop(start, whole, height, lambda row: tile(row, height))
    if rest and isinstance(stop, int):
        if stop == product.rows:
            tile(product.rows - rest, rest)
    elif rest and not isinstance(stop, int):
        is_last = text.compare("icmp eq", stop, text.integer(product.rows))
        text.when(is_last, lambda: tile(product.rows - rest, rest))


def _smaller(text: Text, x: Integer, y: int) -> Integer:
    if isinstance(x, int):
        return min(x, y)
    limit = text.integer(y)
    return text.select(text.compare("icmp slt", x, limit), x, limit)


def _is_packed(product: Product, b: Operand, height: int) -> bool:
    """Return whether columns are worth copying: they are not neighbours, or steps lie far apart."""
    if b.outer != 1:
        return True
    far = max(map(abs, b.inner)) * product.size >= 1024
    return far and product.rows >= 4 * height and product.length * 128 > 1 << 15


def _write_tile(
    job: _Job,
    slab: Slab,
    read: Slab,
    height: int,
    a: Operand,
    b: Operand,
    place: tuple[Integer, Integer],
) -> None:
    """Write the sums of one tile, and what its epilogue makes of them."""
    text, extents = job.text, job.product.extents
    axis, piece = blocks(extents)
    whole, rest = divmod(extents[axis], piece)
    inside = extents[axis + 1 :]
    moving = [(a.pointer, a.inner), (b.pointer, b.inner)]
    if axis == 0 and whole == 1 and not rest:
        sums = _write_block(job, read, height, extents, a, b)
        _write_epilogue(job, slab, height, place, sums)
        return
    types = [read.type] * (height * slab.vectors)
    totals = [text.constant(type, 0.0) for type in types]
    _store_all(job, slab, totals)

    def add_block(length: int, addresses: Sequence[Value]) -> None:
        x = Operand(addresses[0], a.outer, a.inner[axis:])
        y = Operand(addresses[1], b.outer, b.inner[axis:])
        sums = _write_block(job, read, height, (length, *inside), x, y)
        before = _load_all(job, slab, height)
        _store_all(
            job, slab, [text.binary("fadd", t, s) for t, s in zip(before, sums, strict=True)]
        )

    def line(addresses: Sequence[Value]) -> None:
        strides = (a.inner[axis], b.inner[axis])
        pieces = [(x, (s * piece,)) for x, s in zip(addresses, strides, strict=True)]
        write_nest(text, read.scalar, (whole,), pieces, lambda x: add_block(piece, x))
        if rest:
            moved = [
                text.address(x, s * piece * whole, read.scalar)
                for x, s in zip(addresses, strides, strict=True)
            ]
            add_block(rest, moved)

    write_nest(text, read.scalar, extents[:axis], moving, line)
    _write_epilogue(job, slab, height, place, None)


def _write_block(
    job: _Job, slab: Slab, height: int, extents: tuple[int, ...], a: Operand, b: Operand
) -> list[Value]:
    """Write the sums over one block: all its products one after the other, from zero."""
    text, scalar = job.text, slab.scalar
    zeros = [text.constant(slab.type, 0.0)] * (height * slab.vectors)
    together = 4 if len(zeros) < 8 else 2 if len(zeros) < 16 else 1
    extent, strides = extents[-1], (a.inner[-1], b.inner[-1])

    def line(addresses: Sequence[Value], *sums: Value) -> list[Value]:
        def steps(k: Integer, count: int, sums: Sequence[Value]) -> list[Value]:
            for i in range(count):
                moved = [
                    text.address(x, text.multiply(text.add(k, i), s), scalar)
                    for x, s in zip(addresses, strides, strict=True)
                ]
                sums = _write_step(job, slab, height, a.outer, moved, sums)
            return list(sums)

        whole = extent // together * together
        carried = text.loop(0, whole, together, lambda k, *s: steps(k, together, s), sums)
        return steps(whole, extent - whole, carried)

    moving = [(a.pointer, a.inner), (b.pointer, b.inner)]
    return write_nest(text, scalar, extents[:-1], moving, line, zeros)


def _write_step(
    job: _Job,
    slab: Slab,
    height: int,
    outer: Integer,
    addresses: Sequence[Value],
    sums: Sequence[Value],
) -> list[Value]:
    """Write one product for every sum of a tile."""
    text, result = job.text, []
    columns = [
        text.load(
            slab.type,
            text.address(addresses[1], i * slab.lanes, slab.scalar),
            slab.size,
            slab.counted(i),
        )
        for i in range(slab.vectors)
    ]
    for row in range(height):
        pointer = text.address(addresses[0], text.multiply(row, outer), slab.scalar)
        x = text.splat(text.load(slab.scalar, pointer, slab.size), slab.lanes)
        for i, y in enumerate(columns):
            z = sums[row * slab.vectors + i]
            if job.target.fused:
                result.append(text.fma(x, y, z))
            else:
                result.append(text.binary("fadd", text.binary("fmul", x, y), z))
    return result


def _write_epilogue(
    job: _Job, slab: Slab, height: int, place: tuple[Integer, Integer], sums: list[Value] | None
) -> None:
    """Hand the sums of a tile to the epilogue, from registers or from memory."""
    text, (row, column) = job.text, place
    if not job.rolled:
        for i, x in enumerate(sums or _load_all(job, slab, height)):
            down, along = divmod(i, slab.vectors)
            at = text.add(column, along * slab.lanes)
            job.epilogue(text.add(row, down), at, x, slab.counted(along))
        return
    if sums is not None:
        _store_all(job, slab, sums)
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

    text.loop(0, height, 1, line)


def _store_all(job: _Job, slab: Slab, sums: Sequence[Value]) -> None:
    for i, x in enumerate(sums):
        offset = i * slab.lanes
        job.text.store(x, job.text.address(job.scratch, offset, slab.scalar), slab.size)


def _load_all(job: _Job, slab: Slab, height: int) -> list[Value]:
    return [
        job.text.load(
            slab.type, job.text.address(job.scratch, i * slab.lanes, slab.scalar), slab.size
        )
        for i in range(height * slab.vectors)
    ]
