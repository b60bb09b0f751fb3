"""Ordering: in which order values are made so that few are alive at a time.

A model of a step that is small enough to be tried many times: only values with a buffer, how many
bytes of the arena each takes, which ones it reads, and what making it costs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from retrograd.compile.graph import Graph
from retrograd.compile.storing import traits_of
from retrograd.compile.values import BYTES


class Model(NamedTuple):
    """A graph's stored values: bytes in the arena, what each reads, its work, what it waits for.

    ``inlined`` are the nodes without a buffer that are computed along with a value. ``waits`` are
    the readers of an input that a value is written over.
    """

    sizes: dict[int, int]
    reads: dict[int, tuple[int, ...]]
    inlined: dict[int, tuple[int, ...]]
    work: dict[int, float]
    waits: dict[int, tuple[int, ...]]

    @property
    def small(self) -> int:
        """Bytes below which a value is not worth a thought."""
        return max(sum(self.sizes.values()) // 1000, 1)


def model_of(
    graph: Graph, stored: Collection[int], outside: Collection[int], overwrites: dict[int, int]
) -> Model:
    """Return the model of a graph; what lies ``outside`` takes nothing of the arena."""
    reach: dict[int, frozenset[int]] = {v: frozenset((v,)) for v in range(len(graph.inputs))}
    through: dict[int, frozenset[int]] = {}
    reads: dict[int, tuple[int, ...]] = {}
    inlined: dict[int, tuple[int, ...]] = {}
    for value, node in enumerate(graph.nodes, graph.first_node):
        found = frozenset().union(*(reach.get(i, frozenset()) for i in node.inputs))
        passed = frozenset().union(*(through.get(i, frozenset()) for i in node.inputs))
        if value in stored:
            reads[value], inlined[value] = tuple(sorted(found)), tuple(sorted(passed))
            reach[value] = frozenset((value,))
        else:
            reach[value], through[value] = found, passed | {value}
    costs = {
        value: node.type.size * traits_of(graph, value).work
        for value, node in enumerate(graph.nodes, graph.first_node)
    }
    work = {v: costs[v] + sum(costs[n] for n in inlined[v]) for v in reads}
    sizes = {v: 0 if v in outside else bytes_in_arena(graph, v) for v in reads}
    waits = {
        value: tuple(v for v in reads if given in reads[v] and v != value and value not in reads[v])
        for value, given in overwrites.items()
        if value in reads
    }
    arena_reads = {v: tuple(r for r in own if r >= graph.first_node) for v, own in reads.items()}
    return Model(sizes, arena_reads, inlined, work, waits)


def bytes_in_arena(graph: Graph, value: int) -> int:
    """Return the bytes of a value, rounded up to lines."""
    type = graph.type_of(value)
    return -(-type.size * BYTES[type.dtype] // 64) * 64


class Attempt(NamedTuple):
    """Values to make, in order; better ones compare less.

    Those that leave no more bytes alive come first, the one that needs the fewest meanwhile before
    the others; then those that add the least.
    """

    adds: bool
    size: int
    values: tuple[int, ...]


class _Run:
    """How far an order has come: what is made, and how many readers each value still has."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.done: dict[int, None] = {}
        self.readers: dict[int, list[int]] = {v: [] for v in model.sizes}
        for value, own in model.reads.items():
            for read in own:
                self.readers[read].append(value)
        self.left = {v: len(own) for v, own in self.readers.items()}

    def is_ready(self, value: int, more: Collection[int] = ()) -> bool:
        needed = (*self.model.reads[value], *self.model.waits.get(value, ()))
        return all(v in self.done or v in more for v in needed)

    def attempt(self, value: int) -> Attempt:
        """Try to make a value, and all that then costs no more."""
        model, made, left = self.model, {}, {}  # type: ignore[var-annotated]
        queue, total, most = [value], 0, 0
        while queue:
            v = queue.pop(0)
            if v in made or v in self.done or not self.is_ready(v, made):
                continue
            freed = [r for r in model.reads[v] if left.get(r, self.left[r]) == 1]
            added = model.sizes[v] if self.left[v] else 0
            net = added - sum(model.sizes[r] for r in freed)
            if v != value and net > model.small:
                continue
            most = max(most, total + added)
            total += net
            made[v] = None
            for r in model.reads[v]:
                left[r] = left.get(r, self.left[r]) - 1
            queue.extend(self.readers[v])
        is_cheap = total <= model.small
        return Attempt(not is_cheap, most if is_cheap else total, tuple(made))

    def make(self, values: Sequence[int]) -> None:
        for value in values:
            self.done[value] = None
            for read in self.model.reads[value]:
                self.left[read] -= 1


def order_of(model: Model) -> list[int]:
    """Return the stored values in an order in which few bytes are alive at a time.

    In the graph's order, but what reads something large that is there already comes first, if it
    adds the least. What hangs on nothing large waits until it is wanted.
    """
    run, everything = _Run(model), sorted(model.sizes)
    large = {v for v in everything if model.sizes[v] >= model.small}
    near: dict[int, None] = {}
    unblocked: dict[int, list[int]] = {}
    for value, others in model.waits.items():
        for other in others:
            unblocked.setdefault(other, []).append(value)
    while len(run.done) < len(everything):
        waiting = [v for v in everything if v not in run.done]
        chosen = next((v for v in waiting if run.is_ready(v)), None)
        if chosen is None:
            made = tuple(waiting[:1])  # what it waits for waits for it
            run.make(made)
        else:
            options = [v for v in near if v not in run.done and run.is_ready(v)]
            tries = [run.attempt(v) for v in dict.fromkeys((chosen, *options))]
            made = min(tries, key=lambda found: found[:2]).values
            run.make(made)
        for value in made:
            near.update(dict.fromkeys(unblocked.get(value, ())))
            if value in large:
                near.update(dict.fromkeys(run.readers[value]))
    return list(run.done)
