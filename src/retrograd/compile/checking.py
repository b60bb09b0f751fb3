"""Checking: what every schedule and every layout must keep, tested before code is written of it.

A stage that breaks a promise is found here, by name, and not in a wrong number later. The checks
are written apart from the stages: they take nothing for granted that a stage has worked out.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Group, Kernel, Schedule
from retrograd.compile.layout import Layout
from retrograd.compile.memory import ALIGNMENT
from retrograd.compile.schedule import is_in_row, reads_of
from retrograd.tensor.element import Load
from retrograd.tensor.errors import CompileError


class Home(NamedTuple):
    """Where a value is computed: its group, and the kernel's number in that."""

    group: Group
    kernel: int


class Buffer(NamedTuple):
    """A value's bytes from a start up to an end, and the first and last moment of its life."""

    value: int
    start: int
    end: int
    first: int
    last: int


def homes_of(schedule: Schedule) -> dict[int, Home]:
    """Return where each value is computed; raises CompileError if one is computed twice."""
    homes: dict[int, Home] = {}
    for group in schedule.groups:
        for number, kernel in enumerate(group.kernels):
            for value in kernel.values:
                if value in homes:
                    raise _broken("schedule", f"%{value} is computed twice")
                homes[value] = Home(group, number)
    return homes


def verify_schedule(graph: Graph, schedule: Schedule) -> Schedule:
    """Return the schedule if it keeps its promises; raises CompileError if not.

    Every answer is computed, and nothing twice; every kernel walks over its outputs' shape; what it
    reads is an input or a constant, or computed in an earlier stage, or before it in its own group
    and row; and what is local to a group is read there alone.
    """
    homes = homes_of(schedule)
    missing = [v for v in graph.outputs if v >= graph.first_node and v not in homes]
    if missing:
        raise _broken("schedule", f"the answer %{missing[0]} is computed nowhere")
    for group in schedule.groups:
        for number, kernel in enumerate(group.kernels):
            _verify_extents(graph, group, kernel)
            for load in reads_of(kernel):
                _verify_read(graph, schedule, homes, Home(group, number), load)
    # What nobody reads any more since its readers were merged is in no kernel, and may be local.
    for value in schedule.local.intersection(homes):
        if value in graph.outputs or homes[value].group.rows == 1:
            raise _broken("schedule", f"%{value} cannot be local to a group")
    return schedule


def _verify_extents(graph: Graph, group: Group, kernel: Kernel) -> None:
    for value, element in kernel.outputs:
        type = graph.type_of(value)
        if kernel.extents != type.shape or len(kernel.variables) != type.rank:
            found = f"%{value} is {type}, but its kernel walks over {list(kernel.extents)}"
            raise _broken("schedule", found)
        if kernel.loops is None and element.dtype is not type.dtype:
            raise _broken("schedule", f"%{value} is {type}, but its element {element.dtype!r}")
    if group.rows > 1 and kernel.extents[0] * kernel.scale != group.rows:
        rows = kernel.extents[0] * kernel.scale
        raise _broken("schedule", f"a kernel of {rows} rows is in a group of {group.rows}")


def _verify_read(
    graph: Graph, schedule: Schedule, homes: dict[int, Home], reader: Home, load: Load
) -> None:
    source, (group, number) = load.source, reader
    if len(load.index) != graph.type_of(source).rank:
        raise _broken("schedule", f"%{source} is read at an index of {len(load.index)} axes")
    if source < graph.first_node:
        return
    by = f"stage {group.stage} reads %{source}"
    home = homes.get(source)
    if home is None:
        raise _broken("schedule", f"{by}, which is computed nowhere")
    is_home = home.group is group
    if home.group.stage > group.stage or (is_home and home.kernel >= number):
        raise _broken("schedule", f"{by} before it is computed")
    if home.group.stage == group.stage and not is_home:
        raise _broken("schedule", f"{by}, which another group computes in the same stage")
    if is_home and not is_in_row(graph, load, group.kernels[number], group.rows):
        raise _broken("schedule", f"{by} in another row than its own")
    if source in schedule.local and not is_home:
        raise _broken("schedule", f"{by}, which is local to another group")


def verify_layout(
    graph: Graph, schedule: Schedule, layout: Layout, outside: Container[int]
) -> Layout:
    """Return the layout if it keeps its promises; raises CompileError if not.

    Every value has one place, in whole cache lines and inside its memory; two that are alive at a
    time share no byte; and a thread's own memory holds the rows that it works on at a time.
    """
    if len(layout.cuts) != len(schedule.groups):
        raise _broken("layout", f"{len(layout.cuts)} cuts for {len(schedule.groups)} groups")
    for value in homes_of(schedule):
        places = [value in layout.shared, value in layout.own, value in outside]
        if sum(places) != 1 or places[1] != (value in schedule.local):
            raise _broken("layout", f"%{value} has not exactly the one place that it needs")
    _verify_buffers(shared_buffers(graph, schedule, layout), layout.thread_offset, "the arena")
    for group, cut in zip(schedule.groups, layout.cuts, strict=True):
        if min(cut) < 1 or any(cut.chunk % kernel.scale for kernel in group.kernels):
            raise _broken("layout", f"{group.rows} rows are cut into {cut}")
        own = own_buffers(graph, layout, group, cut.chunk)
        _verify_buffers(own, layout.scratch, "a thread's memory")
    if layout.scratch > layout.thread_bytes or layout.thread_bytes % ALIGNMENT:
        found = f"a thread's {layout.thread_bytes} bytes end before their part for packing"
        raise _broken("layout", found)
    return layout


def shared_buffers(graph: Graph, schedule: Schedule, layout: Layout) -> list[Buffer]:
    """Return what lies in the arena; the moments are stages, and answers live beyond the last."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for group in schedule.groups:
        for kernel in group.kernels:
            first.update((value, group.stage) for value in kernel.values)
            for value in (*kernel.values, *(load.source for load in reads_of(kernel))):
                last[value] = max(last.get(value, 0), group.stage)
    end = max((group.stage for group in schedule.groups), default=0) + 1
    last.update((value, end) for value in graph.outputs)
    return [
        Buffer(value, offset, offset + _bytes(graph, value), first[value], last[value])
        for value, offset in layout.shared.items()
    ]


def own_buffers(graph: Graph, layout: Layout, group: Group, chunk: int) -> list[Buffer]:
    """Return what a group keeps in a thread's memory; the moments are its kernels."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for moment, kernel in enumerate(group.kernels):
        first.update((value, moment) for value in kernel.values)
        last.update((value, moment) for value in kernel.values)
        last.update((load.source, moment) for load in reads_of(kernel))
    buffers = []
    for value, moment in first.items():
        if value in layout.own:
            start, rows = layout.own[value], graph.type_of(value).shape[0]
            # As many of its rows as belong to a chunk: a value may have one for several.
            size = _bytes(graph, value) // rows * -(-chunk * rows // group.rows)
            buffers.append(Buffer(value, start, start + size, moment, last[value]))
    return buffers


def _verify_buffers(buffers: Iterable[Buffer], size: int, where: str) -> None:
    ordered = sorted(buffers, key=lambda buffer: buffer.start)
    for value, start, end, *_ in ordered:
        if start % ALIGNMENT or start < 0:
            raise _broken("layout", f"%{value} starts at byte {start} of {where}, within a line")
        if end > size:
            raise _broken("layout", f"%{value} ends at byte {end} of {where}, which has {size}")
    for one, other in _touching(ordered):
        if one.first <= other.last and other.first <= one.last:
            found = f"%{one.value} and %{other.value} overlap in {where} while both are alive"
            raise _broken("layout", found)


def _touching(ordered: list[Buffer]) -> Iterator[tuple[Buffer, Buffer]]:
    """Yield the pairs that share bytes, of buffers in the order of their starts."""
    open: list[Buffer] = []
    for buffer in ordered:
        open = [other for other in open if other.end > buffer.start]
        yield from ((other, buffer) for other in open if buffer.end > buffer.start)
        open.append(buffer)


def _bytes(graph: Graph, value: int) -> int:
    type = graph.type_of(value)
    return type.size * type.dtype.numpy.itemsize


def _broken(stage: str, found: str) -> CompileError:
    return CompileError(f"verifying the {stage}", found, "report this: a compiler stage is wrong")
