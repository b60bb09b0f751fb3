"""Layout: where values lie, how many rows a thread takes at a time, and what that needs."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import NamedTuple

from retrograd.compile.contraction import scratch_bytes, tile_rows
from retrograd.compile.emitter import Emitter
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Group, Kernel, Schedule
from retrograd.compile.memory import Arena, Request, plan
from retrograd.compile.products import product_plan
from retrograd.compile.schedule import reads_of
from retrograd.compile.values import BYTES
from retrograd.compile.walks import lanes_axis, product_of, vectors_together
from retrograd.tensor.types import TensorType

NEAR = 3 * 2**14
"""Bytes of its own rows that a thread works on at a time: most stay in its nearest cache."""
PRODUCT_ROWS = 512
"""Rows that a group with matrix products takes at a time: factors are packed once for them."""


class Cut(NamedTuple):
    """How a group's rows are cut: into units of ``grain`` rows, worked on ``chunk`` at a time."""

    grain: int
    chunk: int


class Layout(NamedTuple):
    """Offsets of values in the arena and in a thread's own memory, and the sizes of both."""

    shared: dict[int, int]
    own: dict[int, int]
    cuts: tuple[Cut, ...]
    scratch: int
    thread_bytes: int
    thread_offset: int

    def arena_bytes(self, threads: int) -> int:
        """Return the size of the whole arena."""
        return self.thread_offset + threads * self.thread_bytes


def lay_out(graph: Graph, schedule: Schedule, emitter: Emitter, outside: Container[int]) -> Layout:
    """Return a place for every value that a kernel computes and that does not lie outside."""
    cuts = tuple(_cut(graph, schedule, emitter, group) for group in schedule.groups)
    shared = _shared(graph, schedule, outside)
    own: dict[int, int] = {}
    near = 0
    for group, cut in zip(schedule.groups, cuts, strict=True):
        offsets, size = _own(graph, schedule, group, cut.chunk)
        own.update(offsets)
        near = max(near, size)
    scratch = max(
        (_scratch(graph, emitter, k) for g in schedule.groups for k in g.kernels), default=0
    )
    thread_bytes = _rounded(near + scratch)
    size = max((offset + _bytes(graph.type_of(v)) for v, offset in shared.items()), default=0)
    return Layout(shared, own, cuts, near, thread_bytes, _rounded(size))


def _shared(graph: Graph, schedule: Schedule, outside: Container[int]) -> dict[int, int]:
    """Return offsets of what is read across rows or stages; stages are the moments."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for group in schedule.groups:
        for kernel in group.kernels:
            for value in kernel.values:
                first[value] = last[value] = group.stage
            for load in reads_of(kernel):
                last[load.source] = max(last.get(load.source, 0), group.stage)
    values = [v for v in first if v not in schedule.local and v not in outside]
    # An output that lies here is handed on when the step is over.
    end = max((group.stage for group in schedule.groups), default=0) + 1
    last.update((v, end) for v in graph.outputs if v in last)
    arena: Arena = plan([Request(_bytes(graph.type_of(v)), first[v], last[v]) for v in values])
    return dict(zip(values, arena.offsets, strict=True))


def _own(graph: Graph, schedule: Schedule, group: Group, chunk: int) -> tuple[dict[int, int], int]:
    """Return offsets of a group's local values in a thread's memory; kernels are the moments."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for moment, kernel in enumerate(group.kernels):
        for value in kernel.values:
            first[value] = last[value] = moment
        for load in reads_of(kernel):
            last[load.source] = moment
    values = [v for v in first if v in schedule.local]
    sizes = [_bytes(graph.type_of(v)) // group.rows * chunk for v in values]
    arena = plan([Request(n, first[v], last[v]) for n, v in zip(sizes, values, strict=True)])
    return dict(zip(values, arena.offsets, strict=True)), arena.size


def _cut(graph: Graph, schedule: Schedule, emitter: Emitter, group: Group) -> Cut:
    if group.rows == 1:
        return Cut(1, 1)
    grain, least, has_product = 1, 1, False
    for kernel in group.kernels:
        tile = _tile(graph, emitter, kernel)
        has_product = has_product or tile > 0
        if tile == 0 and lanes_axis(emitter, kernel) is kernel.variables[0]:
            tile = emitter.target.lanes * vectors_together(emitter, kernel)
        grain = math.lcm(grain, max(tile, 1) * kernel.scale)
        least = max(least, kernel.scale)
    per_row = sum(
        _bytes(graph.type_of(v)) // group.rows
        for kernel in group.kernels
        for v in kernel.values
        if v in schedule.local
    )
    rows = PRODUCT_ROWS if has_product else NEAR // max(per_row, 1)
    if per_row == 0:
        rows = group.rows
    return Cut(grain, _chunk(group.rows, rows, grain, max(least, 4), has_product))


def _chunk(rows: int, wanted: int, grain: int, least: int, has_product: bool) -> int:
    """Return about as many rows as wanted: grains, or an equal part of one, at least so many."""
    if wanted < grain and not has_product and rows % grain == 0:
        parts = [n for n in (4, 8, 16, 32) if grain % n == 0 and n % least == 0 and n < grain]
        fitting = [n for n in parts if n <= wanted]
        if parts:
            return fitting[-1] if fitting else parts[0]
    return min(max(wanted // grain, 1) * grain, rows)


def _tile(graph: Graph, emitter: Emitter, kernel: Kernel) -> int:
    """Return the tile height if the kernel is a product that moves by rows, 0 if it is none."""
    found = product_plan(emitter.interner, graph, kernel)
    if found is None:
        return 0
    if found.row is not kernel.variables[0]:
        return 1
    return tile_rows(emitter.target, product_of(emitter, found))


def _scratch(graph: Graph, emitter: Emitter, kernel: Kernel) -> int:
    found = product_plan(emitter.interner, graph, kernel)
    return 0 if found is None else scratch_bytes(emitter.target, product_of(emitter, found))


def _bytes(type: TensorType) -> int:
    return type.size * BYTES[type.dtype]


def _rounded(size: int) -> int:
    return -(-size // 64) * 64
