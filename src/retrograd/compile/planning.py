"""Planning: all that happens to a graph before its text is compiled.

A machine that knows its program from an earlier process loads none of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from retrograd.compile import pool
from retrograd.compile.expressions import Interner
from retrograd.compile.fitting import fit
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Schedule
from retrograd.compile.layout import Layout
from retrograd.compile.overwriting import Pair
from retrograd.compile.recall import Signature
from retrograd.compile.splitting import split_folds
from retrograd.compile.storing import traits_of
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.writing import arguments, write_program

PARALLEL_WORK = 5_000_000
"""Scalar operations of a run below which threads would wait longer than they work."""


class Plan(NamedTuple):
    """How a graph is run: what the stages before writing made of it.

    ``extra`` is the share of its work that is done twice, to keep to a limit of memory.
    """

    graph: Graph
    interner: Interner
    schedule: Schedule
    pairs: tuple[Pair, ...]
    threads: int
    extra: float = 0.0

    def written(self, target: Target, profiled: bool) -> tuple[Text, Layout]:
        """Return the native function, and where values lie."""
        is_parallel = self.threads > 1
        return write_program(
            self.graph, self.schedule, self.interner, target, is_parallel, self.pairs, profiled
        )

    def signature(self, layout: Layout, key: str) -> Signature:
        """Return what running takes, of a program that the cache knows by a key."""
        graph = self.graph
        outside = arguments(graph, self.pairs)
        types = {value: graph.type_of(value) for value in (*outside, *graph.outputs)}
        kernels = sum(len(group.kernels) for group in self.schedule.groups)
        memory = (self.threads, layout.thread_offset, layout.thread_bytes)
        return Signature(
            graph.inputs, graph.first_node, graph.outputs, outside, types, *memory, kernels,
            key, self.extra,
        )  # fmt: skip


def plan(
    given: Graph, target: Target, threads: int | None, carried: Sequence[Pair], memory: int | None
) -> Plan:
    """Return how a graph is run; small programs run on one thread, large ones on all.

    Raises InputError if no plan keeps to the memory.
    """
    graph = split_folds(given)
    pairs = [(i, graph.outputs[output]) for i, output in carried]
    count = threads or _threads(graph)
    found = fit(graph, target, pairs, count, memory)
    pairs = [(i, found.graph.outputs[output]) for i, output in carried]
    return Plan(found.graph, found.interner, found.schedule, tuple(pairs), count, found.extra)


def _threads(graph: Graph) -> int:
    is_small = work(graph) < PARALLEL_WORK
    return 1 if is_small else pool.start(pool.usable_cores())


def work(graph: Graph) -> float:
    """Return about how many scalar operations a run takes."""
    return sum(
        node.type.size * traits_of(graph, value).work
        for value, node in enumerate(graph.nodes, graph.first_node)
    )
