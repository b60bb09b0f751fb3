"""One row times a matrix: the matrix is read once, so it is read as it lies, line after line.

The sums of all columns wait in memory while a few steps' lines go by. They are added up in the same
order as in tiles, and have the same bits.
"""

from __future__ import annotations

from retrograd.compile.contraction_epilogue import Job
from retrograd.compile.contraction_packing import Operand
from retrograd.compile.contraction_plan import Product, blocks
from retrograd.compile.target import Target
from retrograd.compile.values import Integer, Value, vector

TOGETHER = 4
"""Steps whose lines go by together: the sums are read and written once for all of them."""
SIDE_BY_SIDE = 4
"""Vectors of columns in one turn of the innermost loop."""
LEAST_COLUMNS = 64
"""With fewer columns lines are short, and sums stay in registers."""


def is_streamed(product: Product, a: Operand, b: Operand) -> bool:
    """Return whether a product is one row times a matrix whose lines lie one after the other."""
    is_matrix = len(product.extents) == 1 and b.outer == 1 and b.inner[0] == product.columns
    return product.rows == 1 and is_matrix and product.columns >= LEAST_COLUMNS


def row_bytes(target: Target, product: Product) -> int:
    """Return how much scratch memory the sums of a block and their totals take."""
    lines = -(-product.columns // target.lanes) * target.lanes
    return 2 * lines * product.size if product.rows == 1 else 0


def write_row(job: Job, a: Operand, b: Operand) -> None:
    """Write the sums of all columns, and hand them to the epilogue."""
    text, product, target = job.text, job.product, job.target
    type = vector(product.scalar, target.lanes)
    lines = -(-product.columns // target.lanes) * target.lanes
    totals = text.address(job.scratch, lines * product.size)
    _, piece = blocks(product.extents)
    (extent,) = product.extents
    is_one = piece >= extent
    zero = text.constant(type, 0.0)

    def clear(pointer: Value) -> None:
        text.loop(0, lines, target.lanes, lambda j: _put(job, zero, pointer, j))

    def block(first: Integer, count: int) -> None:
        clear(job.scratch)
        whole = count // TOGETHER * TOGETHER

        def steps(k: Integer, together: int) -> None:
            _write_steps(job, a, b, text.add(first, k), together)

        text.loop(0, whole, TOGETHER, lambda k: steps(k, TOGETHER))
        if count > whole:
            steps(whole, count - whole)
        if not is_one:
            text.loop(0, lines, target.lanes, add)

    def add(j: Integer) -> None:
        sums = (_get(job, type, pointer, j) for pointer in (totals, job.scratch))
        _put(job, text.binary("fadd", *sums), totals, j)

    if not is_one:
        clear(totals)
    whole = extent // piece * piece
    text.loop(0, whole, piece, lambda first: block(first, piece))
    if extent > whole:
        block(whole, extent - whole)
    _hand_on(job, type, job.scratch if is_one else totals)


def _write_steps(job: Job, a: Operand, b: Operand, k: Integer, together: int) -> None:
    """Add the products of some steps to the sums of all columns."""
    text, product, target = job.text, job.product, job.target
    type = vector(product.scalar, target.lanes)
    factors, lines = [], []
    for i in range(together):
        step = text.add(k, i)
        place = text.address(a.pointer, text.multiply(step, a.inner[0]), product.scalar)
        factors.append(text.splat(text.load(product.scalar, place, product.size), target.lanes))
        lines.append(text.address(b.pointer, text.multiply(step, b.inner[0]), product.scalar))

    def column(j: Integer, count: int | None = None) -> None:
        total = _get(job, type, job.scratch, j)
        for x, line in zip(factors, lines, strict=True):
            place = text.address(line, j, product.scalar)
            total = _added(job, x, text.load(type, place, product.size, count), total)
        _put(job, total, job.scratch, j)

    def columns(j: Integer) -> None:
        for i in range(SIDE_BY_SIDE):
            column(text.add(j, i * target.lanes))

    wide = SIDE_BY_SIDE * target.lanes
    whole = product.columns // wide * wide
    text.loop(0, whole, wide, columns)
    for j in range(whole, product.columns, target.lanes):
        left = product.columns - j
        column(j, left if left < target.lanes else None)


def _hand_on(job: Job, type: str, sums: Value) -> None:
    whole = job.product.columns // job.target.lanes * job.target.lanes

    def column(j: Integer, count: int | None = None) -> None:
        job.epilogue(0, j, _get(job, type, sums, j), count)

    job.text.loop(0, whole, job.target.lanes, column)
    if job.product.columns > whole:
        column(whole, job.product.columns - whole)


def _added(job: Job, x: Value, y: Value, total: Value) -> Value:
    if job.target.fused:
        return job.text.fma(x, y, total)
    return job.text.binary("fadd", job.text.binary("fmul", x, y), total)


def _get(job: Job, type: str, pointer: Value, j: Integer) -> Value:
    place = job.text.address(pointer, j, job.product.scalar)
    return job.text.load(type, place, job.product.size)


def _put(job: Job, x: Value, pointer: Value, j: Integer) -> None:
    job.text.store(x, job.text.address(pointer, j, job.product.scalar), job.product.size)
