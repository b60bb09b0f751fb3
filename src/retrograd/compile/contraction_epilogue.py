"""What becomes of a tile's sums: handed to the epilogue at once, from memory, or one tile later.

A large epilogue, such as an optimiser's update, waits for its divisions and for memory, while the
next tile's products wait for nothing. So its sums are put off, and handed on row by row between
those products: the one's waiting is filled by the other's work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from retrograd.compile.contraction_packing import Slab
from retrograd.compile.contraction_plan import Product
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
    divides: bool
    prelude: Prelude | None


class Tiles(NamedTuple):
    """Rows from a first up to another, cut into tiles of one height."""

    start: Integer
    stop: Integer
    height: int


class Meanwhile(NamedTuple):
    """What else is done while a tile is summed: ``do(i)``, some times, every so many turns."""

    times: int
    between: int
    do: Callable[[Integer], None]


NOTHING = Meanwhile(0, 0, lambda _: None)


def hand_sums(job: Job, slab: Slab, sums: Sequence[Value], row: Integer, column: Integer) -> None:
    """Give the epilogue the sums of a tile: from registers, or, rolled, in a loop from memory."""
    if job.rolled:
        store_sums(job, slab, job.scratch, sums)
        hand_rows(job, slab, len(sums) // slab.vectors, row, column)
        return
    for i, x in enumerate(sums):
        down, along = divmod(i, slab.vectors)
        at = job.text.add(column, along * slab.lanes)
        job.epilogue(job.text.add(row, down), at, x, slab.counted(along))


def hand_late(
    job: Job,
    slab: Slab,
    tiles: Tiles,
    column: Integer,
    between: int,
    sums: Callable[..., list[Value]],
) -> None:
    """Give the epilogue the sums of some tiles, at least one, each while the next is summed.

    ``sums(row, height, meanwhile)`` writes the sums of one. A row is handed on after every so many
    turns of their innermost loop.
    """
    text, height = job.text, tiles.height

    def following(row: Integer) -> None:
        before = text.add(row, -height)

        def hand(i: Integer) -> None:
            for j in range(slab.vectors):
                _hand_vector(job, slab, (i, j), (before, column), slab.counted(j))

        together = sums(row, height, Meanwhile(height, between, hand))
        store_sums(job, slab, job.scratch, together)

    store_sums(job, slab, job.scratch, sums(tiles.start, height))
    text.loop(text.add(tiles.start, height), tiles.stop, height, following)
    hand_rows(job, slab, height, text.add(tiles.stop, -height), column)


def store_sums(job: Job, slab: Slab, pointer: Value, sums: Sequence[Value]) -> None:
    """Write the sums of a tile to memory, row by row."""
    for i, x in enumerate(sums):
        at = job.text.address(pointer, i * slab.lanes, slab.scalar)
        job.text.store(x, at, slab.size)


def hand_rows(job: Job, slab: Slab, count: Integer, row: Integer, column: Integer) -> None:
    """Give the epilogue rows of sums that wait in memory, from ``row`` on, in a loop."""
    whole = slab.vectors if slab.valid is None else slab.vectors - 1

    def line(i: Integer) -> None:
        def one(j: Integer) -> None:
            _hand_vector(job, slab, (i, j), (row, column), None)

        job.text.loop(0, whole, 1, one)
        if slab.valid is not None:
            _hand_vector(job, slab, (i, whole), (row, column), slab.valid)

    job.text.loop(0, count, 1, line)


def _hand_vector(
    job: Job,
    slab: Slab,
    place: tuple[Integer, Integer],
    start: tuple[Integer, Integer],
    count: int | None,
) -> None:
    """Give the epilogue a vector of sums by its place in the tile, which starts somewhere."""
    text, (i, j) = job.text, place
    offset = text.add(text.multiply(i, slab.width), text.multiply(j, slab.lanes))
    x = text.load(slab.type, text.address(job.scratch, offset, slab.scalar), slab.size)
    at = text.add(start[1], text.multiply(j, slab.lanes))
    job.epilogue(text.add(start[0], i), at, x, count)
