"""Schedule: from a graph to groups of kernels.

A kernel joins the earliest stage that its reads allow: the same stage and group as a producer that
it reads in its own row only, else the stage after. Kernels over one iteration space that share
reads become one kernel with several outputs.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from retrograd.compile.affine import coefficient
from retrograd.compile.expressions import Interner, folds_in, loads_in, remake
from retrograd.compile.graph import Graph
from retrograd.compile.inlining import Inliner
from retrograd.compile.kernels import Group, Kernel, Output, Schedule
from retrograd.compile.products import is_swapped, product_plan
from retrograd.compile.splitting import BLOCK_ROWS, BlocksOf
from retrograd.compile.storing import choose_stored
from retrograd.tensor.element import Element, For, Load, Loops, Store, Var

FEW_ROWS = 4
"""So few rows are not cut: their kernels run with the scalars, one after the other."""


@dataclass
class _Place:
    """Where a kernel stands: its stage, the rows of its group, and its number within that."""

    stage: int
    rows: int
    number: int


@dataclass
class _Builder:
    graph: Graph
    interner: Interner
    inliner: Inliner
    not_before: dict[int, int]
    order: Order
    groups: dict[tuple[int, int], list[Kernel]] = field(default_factory=dict)
    places: dict[int, _Place] = field(default_factory=dict)
    readers: dict[int, list[tuple[int, bool]]] = field(default_factory=dict)
    tops: dict[int, int] = field(default_factory=dict)

    def floor(self, value: int) -> int:
        """Return the stage after all those of earlier phases."""
        phase = self.order.phase(value)
        return max((top for n, top in self.tops.items() if n < phase), default=-1) + 1

    def ceiling(self, value: int) -> int:
        """Return the last stage of a value's phase."""
        return self.tops[self.order.phase(value)]


class Order(NamedTuple):
    """What a plan for little memory asks for.

    Values from one of the numbers ``phases`` on come in later stages than all before. A value that
    ``overwrites`` an input comes after the readers of that input, so that it can take its place.
    ``stored`` are the values with a buffer, if they are not chosen anew.
    """

    stored: frozenset[int] | None = None
    phases: Sequence[int] = ()
    overwrites: Mapping[int, int] = MappingProxyType({})

    def phase(self, value: int) -> int:
        """Return the number of a value's phase."""
        return bisect(self.phases, value)


ANY = Order()
"""As few stages as reads allow."""


def schedule(graph: Graph, interner: Interner, order: Order = ANY) -> Schedule:
    """Return the kernels of a graph, grouped and staged."""
    stored = choose_stored(graph) if order.stored is None else order.stored
    inliner = Inliner(graph, stored, interner)
    first = _place_all(_Builder(graph, interner, inliner, {}, order), stored)
    # Once more, knowing the readers: what is read in its own row may wait for its reader's stage.
    latest = _latest(first, stored)
    builder = _place_all(_Builder(graph, interner, inliner, latest, order), stored)
    local = _local(builder, stored)
    groups = [
        Group(stage, rows, _without_dead(graph, builder.groups.values(), tuple(kernels)))
        for (stage, rows), kernels in sorted(builder.groups.items(), key=lambda item: item[0])
    ]
    return Schedule(tuple(group for group in groups if group.kernels), local)


def _place_all(builder: _Builder, stored: frozenset[int]) -> _Builder:
    for value in sorted(stored):
        _add(builder, _kernel(builder, value))
    return builder


def _latest(builder: _Builder, stored: frozenset[int]) -> dict[int, int]:
    """Return for each value the stage of its first reader in its own rows, if it may wait."""
    latest: dict[int, int] = {}
    for value in sorted(stored, reverse=True):
        place = builder.places[value]
        ends = [
            latest[reader] if in_row and builder.places[reader].rows == place.rows
            else latest[reader] - 1
            for reader, in_row in builder.readers.get(value, [])
        ]  # fmt: skip
        waits = any(
            in_row and builder.places[reader].rows == place.rows
            for reader, in_row in builder.readers.get(value, [])
        )
        latest[value] = max(place.stage, min(ends)) if waits else place.stage
        if builder.order.phases:
            latest[value] = min(latest[value], builder.ceiling(value))
    return latest


def _without_dead(
    graph: Graph, groups: Iterable[list[Kernel]], kernels: tuple[Kernel, ...]
) -> tuple[Kernel, ...]:
    """Return kernels without the outputs that nobody reads any more.

    Since they were merged, or since what reads them turned out not to need them: y - y is 0.
    """
    alive = {load.source for group in groups for kernel in group for load in reads_of(kernel)}
    alive.update(graph.outputs)
    return tuple(
        kernel._replace(outputs=tuple(o for o in kernel.outputs if o.value in alive))
        for kernel in kernels
        if not alive.isdisjoint(kernel.values)
    )


def _kernel(builder: _Builder, value: int) -> Kernel:
    type = builder.graph.type_of(value)
    # One variable for each axis and length, shared by all kernels: equal spaces have equal names.
    variables = tuple(
        builder.interner.variable(Var(f"i{axis}", -1 - axis - 64 * n), n)
        for axis, n in enumerate(type.shape)
    )
    lowered = builder.inliner.lowered(value, variables)
    if isinstance(lowered, Loops):
        empty = builder.interner.constant(0, type.dtype)
        return Kernel(variables, type.shape, (Output(value, empty),), lowered)
    op = builder.graph.nodes[value - builder.graph.first_node].op
    scale = BLOCK_ROWS if isinstance(op, BlocksOf) else 1
    return Kernel(variables, type.shape, (Output(value, lowered),), scale=scale)


def _add(builder: _Builder, kernel: Kernel) -> None:
    """Give a kernel its place, alone or as further outputs of one that stands there already."""
    rows = rows_of(builder.interner, builder.graph, kernel)
    reads = [load for load in reads_of(kernel) if load.source >= builder.graph.first_node]
    (value,) = kernel.values
    stage, after = max(builder.not_before.get(value, 0), builder.floor(value)), -1
    needed = [(load.source, is_in_row(builder.graph, load, kernel, rows)) for load in reads]
    needed += builder.readers.get(builder.order.overwrites.get(value, -1), [])
    for source, in_row in needed:
        place = builder.places[source]
        if place.rows == rows and in_row:
            if place.stage >= stage:
                after = place.number if place.stage > stage else max(after, place.number)
                stage = place.stage
        elif place.stage >= stage:
            stage, after = place.stage + 1, -1
    kernels = builder.groups.setdefault((stage, rows), [])
    number = _merge(builder, kernels, kernel, after)
    if number is None:
        number = len(kernels)
        kernels.append(kernel)
    builder.places[value] = _Place(stage, rows, number)
    phase = builder.order.phase(value)
    builder.tops[phase] = max(builder.tops.get(phase, 0), stage)
    for load in reads_of(kernel):
        in_row = is_in_row(builder.graph, load, kernel, rows)
        builder.readers.setdefault(load.source, []).append((value, in_row))


def rows_of(interner: Interner, graph: Graph, kernel: Kernel) -> int:
    """Return how many rows a kernel can be cut into: 1 if it has to be run whole."""
    if kernel.loops is not None or not kernel.extents or kernel.extents[0] <= FEW_ROWS:
        return 1
    plan = product_plan(interner, graph, kernel)
    if plan is not None and is_swapped(kernel, plan):
        return 1
    return kernel.extents[0] * kernel.scale


def is_in_row(graph: Graph, load: Load, kernel: Kernel, rows: int) -> bool:
    """Return whether a kernel reads a value only in the row that it computes."""
    if rows == 1:
        return True
    shape = graph.type_of(load.source).shape
    if not shape or shape[0] != rows:
        return False
    if kernel.scale == 1:
        return load.index[0] is kernel.variables[0]
    return coefficient(load.index[0], kernel.variables[0]) == kernel.scale


def reads_of(kernel: Kernel) -> list[Load]:
    """Return the loads of a kernel, those of its own output left out."""
    if kernel.loops is None:
        return [load for output in kernel.outputs for load in loads_in(output.element)]
    found: list[Load] = []

    def visit(s: For | Store) -> None:
        if isinstance(s, For):
            for inner in s.body:
                visit(inner)
        else:
            for e in (*s.index, s.value):
                found.extend(load for load in loads_in(e) if load.source >= 0)

    for statement in kernel.loops.body:
        visit(statement)
    return found


def _merge(builder: _Builder, kernels: list[Kernel], kernel: Kernel, after: int) -> int | None:
    """Add the kernel's output to an equal walk at or behind ``after``, and return its number."""
    (output,) = kernel.outputs
    if kernel.loops is not None or folds_in(output.element):
        return None
    reads = loads_in(output.element)
    for number in range(len(kernels) - 1, max(after, 0) - 1, -1):
        host = kernels[number]
        if host.loops is not None or host.variables != kernel.variables or not host.extents:
            continue
        if host.extents != kernel.extents or not _may_host(builder, host, kernel, reads):
            continue
        known = {o.value: o.element for o in host.outputs}
        element = replace_loads(builder.interner, output.element, known)
        kernels[number] = host._replace(outputs=(*host.outputs, Output(output.value, element)))
        return number
    return None


def _may_host(builder: _Builder, host: Kernel, kernel: Kernel, reads: list[Load]) -> bool:
    own = [load for load in reads if load.source in host.values]
    if any(load.index != host.variables for load in own):
        return False
    interner = builder.interner
    if any(interner.has_fold(output.element) for output in host.outputs):
        return bool(own) and product_plan(interner, builder.graph, host) is not None
    if own:
        return True
    given = [interner.load_numbers(output.element) for output in host.outputs]
    return any(interner.number(load) in numbers for load in reads for numbers in given)


def replace_loads(interner: Interner, e: Element, known: dict[int, Element]) -> Element:
    """Return an element in which the loads of some values are their elements."""
    if not any(load.source in known for load in loads_in(e)):
        return e
    done: dict[int, Element] = {}

    def visit(x: Element) -> Element:
        if id(x) not in done:
            if isinstance(x, Load) and x.source in known:
                done[id(x)] = known[x.source]
            else:
                done[id(x)] = remake(interner, x, visit)
        return done[id(x)]

    return visit(e)


def _local(builder: _Builder, stored: frozenset[int]) -> frozenset[int]:
    """Return the values that nobody outside of their own rows in their own group reads."""
    local = []
    for value in stored.difference(builder.graph.outputs):
        place = builder.places[value]
        readers = builder.readers.get(value, [])
        at_home = (
            in_row
            and builder.places[reader].stage == place.stage
            and builder.places[reader].rows == place.rows
            for reader, in_row in readers
        )
        if place.rows > 1 and all(at_home):
            local.append(value)
    return frozenset(local)
