"""The matrix product: sums held in registers, tile by tile, handed to an epilogue.

Each sum adds its products one after the other in blocks of a length that follows from the extents
(`contraction_plan.blocks`), and adds up the blocks in order: its bits depend on the extents and on
the CPU, but not on the number of rows or columns, on how they are cut, or on how operands lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from retrograd.compile import contraction_plan as plan
from retrograd.compile.contraction_epilogue import (
    Epilogue,
    Job,
    Meanwhile,
    Prelude,
    Tiles,
    hand_late,
    hand_rows,
    hand_sums,
    store_sums,
)
from retrograd.compile.contraction_packing import (
    Operand,
    Slab,
    packed_strides,
    smaller,
    write_packing,
    write_panel,
)
from retrograd.compile.contraction_plan import Product, tile_rows
from retrograd.compile.contraction_row import is_streamed, row_bytes, write_row
from retrograd.compile.contraction_tile import (
    Tile,
    add_blocks,
    load_sums,
    sum_tile,
    turns_between,
)
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Integer, Value

__all__ = ["Epilogue", "Operand", "Product", "scratch_bytes", "tile_rows", "write_product"]


def scratch_bytes(target: Target, product: Product) -> int:
    """Return how much memory of its own, 64-byte aligned, a thread needs for a product."""
    product = _normal(product)
    return max(plan.scratch(target, product).end, row_bytes(target, product))


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
    divides: bool = False,
    prelude: Prelude | None = None,
) -> None:
    """Write sums of a[row, k] * b[k, column] over k, for rows within the bounds and all columns.

    ``bounds`` are multiples of `tile_rows`, or the end of the rows. The epilogue takes the sums
    from registers, or, ``rolled``, from memory in a loop, which keeps a large epilogue's code
    small; one that ``divides`` waits for that. ``scratch`` is memory of the thread's own of
    `scratch_bytes`. A prelude is written before the sums of each tile.
    """
    if not product.rows or not product.columns:
        return
    kept = plan.normal(product.extents)
    a = a._replace(inner=tuple(a.inner[i] for i in kept) or (0,))
    b = b._replace(inner=tuple(b.inner[i] for i in kept) or (0,))
    job = Job(text, target, _normal(product), epilogue, rolled, scratch, divides, prelude)
    if is_streamed(job.product, a, b):
        write_row(job, a, b)
        return
    if not _is_far(a, product) or not plan.panel_rows(target, job.product):
        _write_columns(job, _Left(a, 0, a.outer, 0), b, bounds)
        return
    rows = plan.panel_rows(target, job.product)

    def panel(start: Integer) -> None:
        stop = smaller(text, text.add(start, rows), bounds[1])
        _write_columns(job, _pack_left(job, a, start, stop), b, (start, stop))

    text.loop(*bounds, rows, panel)


def _normal(product: Product) -> Product:
    """Return the product without summed axes of one step."""
    kept = plan.normal(product.extents)
    return product._replace(extents=tuple(product.extents[i] for i in kept) or (1,))


def _is_far(a: Operand, product: Product) -> bool:
    """Return whether rows are neighbours and steps so far apart that lines miss the caches."""
    return a.outer == 1 and max(map(abs, a.inner)) * product.size >= 2048


class _Left(NamedTuple):
    """The left operand from a row on; ``pitch`` leads from row to row of different tiles.

    The last tile, if it is lower, begins ``shift`` rows into its place for every row that it lacks.
    """

    operand: Operand
    origin: Integer
    pitch: Integer
    shift: int


def _pack_left(job: Job, a: Operand, start: Integer, stop: Integer) -> _Left:
    """Copy rows of the left operand so that each step of a tile is side by side."""
    text, target, product = job.text, job.target, job.product
    height = tile_rows(target, product)
    place = text.address(job.scratch, plan.scratch(target, product).panel)
    line = Slab(1, target.lanes, height, product.scalar, product.size)

    def tile(row: Integer) -> None:
        # The last rows are packed with rows before them, so that nothing outside is read.
        first = smaller(text, row, product.rows - height)
        source = a._replace(pointer=text.address(a.pointer, first, product.scalar))
        down = _less(text, row, start)
        to = text.address(place, text.multiply(down, product.length), product.scalar)
        write_panel(text, line, product.extents, source, to)

    text.loop(start, stop, height, tile)
    packed = Operand(place, 1, packed_strides(product.extents, height))
    return _Left(packed, start, product.length, 1)


def _write_columns(job: Job, a: _Left, b: Operand, bounds: tuple[Integer, Integer]) -> None:
    """Write all columns of some rows, slab by slab."""
    target, product = job.target, job.product
    slab = Slab(
        plan.tile_vectors(target, product), target.lanes, None, product.scalar, product.size
    )
    whole = product.columns // slab.width * slab.width
    write = _write_slab if plan.chunk(target, product) >= product.extents[0] else _write_long_slab

    def write_at(slab: Slab, column: Integer) -> None:
        offset = job.text.multiply(column, b.outer)
        pointer = job.text.address(b.pointer, offset, product.scalar)
        write(job, slab, a, b._replace(pointer=pointer), bounds, column)

    job.text.loop(0, whole, slab.width, lambda column: write_at(slab, column))
    rest = product.columns - whole
    if rest:
        vectors, valid = -(-rest // target.lanes), rest % target.lanes or None
        write_at(slab._replace(vectors=vectors, valid=valid), whole)


def _write_slab(
    job: Job, slab: Slab, a: _Left, b: Operand, bounds: tuple[Integer, Integer], column: Integer
) -> None:
    """Write all tiles of some neighbouring columns."""
    b, read = _write_right(job, slab, job.product.extents, b)
    between = turns_between(job)

    def sums(row: Integer, height: int, meanwhile: Meanwhile | None = None) -> list[Value]:
        tile = Tile(slab, read, height, meanwhile)
        return sum_tile(job, tile, _rows(job, a, row, height), b, row, column)

    def tile(row: Integer, height: int) -> None:
        hand_sums(job, slab, sums(row, height), row, column)

    def late(start: Integer, stop: Integer) -> None:
        height = tile_rows(job.target, job.product)
        hand_late(job, slab, Tiles(start, stop, height), column, between, sums)

    _write_rows(job, bounds, tile, late if between else None)


def _write_long_slab(
    job: Job, slab: Slab, a: _Left, b: Operand, bounds: tuple[Integer, Integer], column: Integer
) -> None:
    """Write all tiles of some neighbouring columns whose summed axes are too long for the cache.

    A group of rows goes through a part of the outermost axis at a time, while its sums wait.
    """
    text, product = job.text, job.product
    steps, extent = plan.chunk(job.target, product), product.extents[0]
    rows = plan.waiting_rows(job.target, product)
    zero = text.constant(slab.type, 0.0)

    def group(start: Integer) -> None:
        stop = smaller(text, text.add(start, rows), bounds[1])

        def clear(i: Integer) -> None:
            text.store(zero, text.address(job.scratch, i, slab.scalar), slab.size)

        def part(first: Integer, count: int) -> None:
            extents = (count, *product.extents[1:])
            left = a._replace(operand=_later(job, a.operand, first))
            right, read = _write_right(job, slab, extents, _later(job, b, first))

            def add(row: Integer, height: int) -> None:
                down = text.multiply(_less(text, row, start), slab.width)
                place = text.address(job.scratch, down, slab.scalar)
                here, tile = _rows(job, left, row, height), Tile(slab, read, height)
                before = load_sums(job, tile, place)
                after = add_blocks(job, tile, extents, here, right, before)
                store_sums(job, slab, place, after)

            _write_rows(job, (start, stop), add)

        text.loop(0, rows * slab.width, slab.lanes, clear)
        whole = extent // steps * steps
        text.loop(0, whole, steps, lambda first: part(first, steps))
        if extent > whole:
            part(whole, extent - whole)
        hand_rows(job, slab, _less(text, stop, start), start, column)

    text.loop(*bounds, rows, group)


def _less(text: Text, x: Integer, y: Integer) -> Integer:
    """Return x - y."""
    return text.add(x, text.multiply(y, -1))


def _later(job: Job, operand: Operand, step: Integer) -> Operand:
    """Return an operand from a step of its outermost summed axis on."""
    offset = job.text.multiply(step, operand.inner[0])
    pointer = job.text.address(operand.pointer, offset, job.product.scalar)
    return operand._replace(pointer=pointer)


def _rows(job: Job, a: _Left, row: Integer, height: int) -> Operand:
    """Return the left operand from a tile's first row on."""
    text = job.text
    offset = text.multiply(_less(text, row, a.origin), a.pitch)
    lacking = (tile_rows(job.target, job.product) - height) * a.shift
    pointer = text.address(a.operand.pointer, offset, job.product.scalar)
    return a.operand._replace(pointer=text.address(pointer, lacking, job.product.scalar))


def _write_rows(
    job: Job,
    bounds: tuple[Integer, Integer],
    tile: Callable[[Integer, int], None],
    together: Callable[[Integer, Integer], None] | None = None,
) -> None:
    """Write ``tile(row, height)`` for all rows of the bounds; the last may be lower.

    ``together(start, stop)`` writes, instead, all that are not lower.
    """
    text, rows = job.text, job.product.rows
    height = tile_rows(job.target, job.product)
    (start, stop), rest = bounds, rows % height
    whole = smaller(text, stop, rows - rest) if rest else stop
    if together is None:
        text.loop(start, whole, height, lambda row: tile(row, height))
    elif isinstance(start, int) and isinstance(whole, int):
        together(start, whole)
    else:
        some = text.compare("icmp slt", text.integer(start), text.integer(whole))
        text.when(some, lambda: together(start, whole))
    if not rest:
        return
    if isinstance(stop, int):
        if stop == rows:
            tile(rows - rest, rest)
    else:
        is_last = text.compare("icmp eq", stop, text.integer(rows))
        text.when(is_last, lambda: tile(rows - rest, rest))


def _write_right(
    job: Job, slab: Slab, extents: tuple[int, ...], b: Operand
) -> tuple[Operand, Slab]:
    """Return the right operand's slab and how its columns are read: packed where that pays."""
    if not _is_packed(job, b):
        return b, slab
    place = job.text.address(job.scratch, plan.scratch(job.target, job.product).slab)
    return write_packing(job.text, slab, extents, b, place), slab._replace(valid=None)


def _is_packed(job: Job, b: Operand) -> bool:
    """Return whether columns are worth copying: they are not neighbours, or steps lie far apart."""
    product = job.product
    if b.outer != 1:
        return True
    is_far = max(map(abs, b.inner)) * product.size >= 1024
    is_used_often = product.rows >= 4 * tile_rows(job.target, product)
    return is_far and is_used_often and product.length >= 256
