"""Overwriting: when a new value may take the memory of the argument that it replaces.

A step that is repeated hands its state on. The old state is dead once the new one is written, and
here is the proof: every reader of the old value is done before the writer starts, or is the writer
itself and reads exactly the element that it replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from retrograd.compile.expressions import walk
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Group, Kernel, Schedule
from retrograd.compile.schedule import is_in_row, reads_of
from retrograd.tensor.element import Call, For, Store

Pair = tuple[int, int]
"""An input, and the value that takes its place in the next step."""


class Carried(NamedTuple):
    """What a step hands on: values written over their inputs, and those copied at its end."""

    in_place: dict[int, int]
    copies: tuple[Pair, ...]


def carry(graph: Graph, schedule: Schedule, pairs: Sequence[Pair]) -> Carried:
    """Return how each pair is carried; ``in_place`` maps values to inputs."""
    in_place: dict[int, int] = {}
    copies = []
    kept = {value for given, value in pairs if value != given and value < graph.first_node}
    for given, value in pairs:
        if value == given:
            continue
        is_free = value not in in_place and given not in kept and given not in graph.outputs
        if is_free and may_overwrite(graph, schedule, given, value):
            in_place[value] = given
        else:
            copies.append((given, value))
    # What is copied from an input comes first: that input may itself be replaced afterwards.
    copies.sort(key=lambda pair: pair[1] >= graph.first_node)
    return Carried(in_place, tuple(copies))


def may_overwrite(graph: Graph, schedule: Schedule, given: int, value: int) -> bool:
    """Return whether a value may be written where an input lies."""
    if value < graph.first_node or graph.type_of(value) != graph.type_of(given):
        return False
    home, number = _place(schedule, value)
    if any(checks_indices(group) and group.stage >= home.stage for group in schedule.groups):
        return False  # a step that is refused must leave the state as it was
    for group in schedule.groups:
        for i, kernel in enumerate(group.kernels):
            loads = [load for load in reads_of(kernel) if load.source == given]
            if not loads or group.stage < home.stage:
                continue
            if group is not home or i > number:
                return False
            if i == number:
                if any(load.index != kernel.variables for load in loads):
                    return False
            elif not all(is_in_row(graph, load, kernel, group.rows) for load in loads):
                return False
    return True


def _place(schedule: Schedule, value: int) -> tuple[Group, int]:
    return next(
        (group, i)
        for group in schedule.groups
        for i, kernel in enumerate(group.kernels)
        if value in kernel.values
    )


def checks_indices(group: Group) -> bool:
    """Return whether a group looks at indices that may be wrong."""
    return any(_checks(kernel) for kernel in group.kernels)


def _checks(kernel: Kernel) -> bool:
    roots = [output.element for output in kernel.outputs]
    statements: list[For | Store] = [] if kernel.loops is None else list(kernel.loops.body)
    while statements:
        statement = statements.pop()
        if isinstance(statement, For):
            statements.extend(statement.body)
        else:
            roots += [*statement.index, statement.value]
    return any(
        isinstance(e, Call) and e.function == "checked_index" for root in roots for e in walk(root)
    )
