"""Rematerialising: values that are not kept but made again, so that a step needs less memory.

A plan that exceeds its limit is changed in two ways. The graph's nodes are put in an order in which
few values are alive at a time, cut into phases that the schedule does not mix: gradients are used
as soon as they are there. And values that wait long for their last readers, such as activations
that wait for the backward pass, are dropped and made again just before them, segment by segment,
which is Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016, for any graph. Every
number is made by the same operations of the same numbers: not a bit changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from retrograd.compile.graph import Graph, Node, verify
from retrograd.compile.ordering import Model, order_of

MOST_ROUNDS = 8
"""So often each value is dropped or kept instead, if that is better."""

Made = tuple[int, bool]
"""A stored value, or (True) the copy of it that is made late."""


class Item(NamedTuple):
    """One value to make, and which it is made of."""

    made: Made
    reads: tuple[Made, ...]


class Choice(NamedTuple):
    """What is made in which order: bytes alive at each moment, and the work that comes on top."""

    items: tuple[Item, ...]
    alive: list[int]
    extra: float
    dropped: frozenset[int]

    @property
    def peak(self) -> int:
        """The bytes alive at most."""
        return max(self.alive)

    def worth(self, limit: int) -> tuple[int, float]:
        """Return what is compared: bytes over a limit, at all moments together, and then work."""
        return sum(held - limit for held in self.alive if held > limit), self.extra


class Rewritten(NamedTuple):
    """A graph in its new order, its stored values, where phases begin, and what numbers were."""

    graph: Graph
    stored: frozenset[int]
    phases: tuple[int, ...]
    origins: dict[int, int]


class Chooser:
    """Tries what to drop, in one order of a model's values."""

    def __init__(self, model: Model) -> None:
        """Order the values, and find those that wait long for a reader."""
        self.model = model
        self.order = order_of(model)
        self.place = {v: i for i, v in enumerate(self.order)}
        self.ends: dict[int, int] = dict(self.place)
        for value in self.order:
            for read in model.reads[value]:
                self.ends[read] = max(self.ends[read], self.place[value])
        self.large = {v for v in self.order if model.sizes[v] >= model.small}
        self.waits = self._long_waits()
        self.tried: dict[frozenset[int], Choice] = {}

    def _long_waits(self) -> dict[int, int]:
        """Return for each large value that waits the place after which a copy is read."""
        uses: dict[int, list[int]] = {v: [self.place[v]] for v in self.order}
        for value in self.order:
            for read in self.model.reads[value]:
                uses[read].append(self.place[value])
        found = {}
        for value, places in uses.items():
            gaps = [(b - a, a) for a, b in pairwise(places)]
            longest, start = max(gaps, default=(0, 0))
            if longest > max(2, len(self.order) // 20) and value in self.large:
                found[value] = start
        return found

    def choose(self, limit: int) -> Choice:
        """Return what fits into a limit of bytes with the least work, or the smallest there is."""
        if self.simulate(frozenset()).peak > limit and len(self.tried) == 1:
            for dropped in self._candidates():
                self.simulate(dropped)
        best = min(self.tried.values(), key=lambda c: c.worth(limit))
        for _ in range(MOST_ROUNDS):
            before = best
            for value in self.waits:
                other = self.simulate(best.dropped ^ {value})
                best = min(best, other, key=lambda c: c.worth(limit))
            if best is before:
                break
        return self._with_less_work(best, limit)

    def smallest(self) -> Choice:
        """Return what takes the least of all that was tried."""
        return min(self.tried.values(), key=lambda c: (c.peak, c.extra))

    def _candidates(self) -> Iterator[frozenset[int]]:
        """Yield sets of values to drop: all up to one price, up to another one in so many bytes."""
        price = {v: self.model.work[v] / self.model.sizes[v] for v in self.waits}
        ranked = sorted(set(price.values()))
        steps = max(len(ranked) // 4, 1)
        levels = list(dict.fromkeys((*ranked[::steps], *ranked[-1:])))
        for i, most in enumerate(levels):
            for least in (-1.0, *levels[:i]):
                cheap = frozenset(v for v in price if price[v] <= least)
                rest = [v for v in self.order if v in price and least < price[v] <= most]
                total = sum(self.model.sizes[v] for v in rest)
                for part in (1, 2, 3, 4, 6, 8, 12, 24):
                    yield cheap | self._segments(rest, total / part)

    def _segments(self, values: Sequence[int], most: float) -> frozenset[int]:
        """Return the values without those that are kept, one after each so many bytes."""
        dropped, size = [], 0
        for value in values:
            size += self.model.sizes[value]
            if size > most:
                size = 0
            else:
                dropped.append(value)
        return frozenset(dropped)

    def _with_less_work(self, choice: Choice, limit: int) -> Choice:
        """Return the choice without what need not be dropped, the costliest first."""
        goal = max(limit, choice.peak)
        for value in sorted(choice.dropped, key=lambda v: (-self.model.work[v], v)):
            less = self.simulate(choice.dropped - {value})
            if less.peak <= goal and less.extra <= choice.extra:
                choice = less
        return choice

    def simulate(self, dropped: frozenset[int]) -> Choice:
        """Return the order with late copies of what is dropped, and what that takes."""
        if dropped not in self.tried:
            self.tried[dropped] = self._simulated(dropped)
        return self.tried[dropped]

    def _simulated(self, dropped: frozenset[int]) -> Choice:
        ends = {**self.ends, **{v: self.waits[v] for v in dropped}}
        large, items = self.large, list[Item]()
        copies: set[int] = set()

        def source(read: int, now: int) -> Made:
            return (read, now > ends[read] and (read in large or read in dropped))

        for now, value in enumerate(self.order):
            reads = tuple(source(r, now) for r in self.model.reads[value])
            stack = [r for r, is_copy in reversed(reads) if is_copy]
            while stack:
                own = tuple(source(r, now) for r in self.model.reads[stack[-1]])
                missing = [r for r, is_copy in own if is_copy and r not in copies]
                if stack[-1] in copies:
                    stack.pop()
                elif missing:
                    stack.extend(reversed(missing))
                else:
                    copies.add(stack[-1])
                    items.append(Item((stack.pop(), True), own))
            items.append(Item((value, False), reads))
        extra = sum(self.model.work[v] for v in copies)
        return Choice(tuple(items), alive_bytes(self.model, items), extra, dropped)


def last_uses(items: Sequence[Item]) -> dict[Made, int]:
    """Return the place of what reads each value last."""
    last = {item.made: i for i, item in enumerate(items)}
    for i, item in enumerate(items):
        last.update((read, i) for read in item.reads)
    return last


def alive_bytes(model: Model, items: Sequence[Item]) -> list[int]:
    """Return the bytes that are alive while each item is made."""
    last = last_uses(items)
    dying: list[int] = [0] * (len(items) + 1)
    for made, i in last.items():
        dying[i] += model.sizes[made[0]]
    alive, found = 0, []
    for i, item in enumerate(items):
        alive += model.sizes[item.made[0]]
        found.append(alive)
        alive -= dying[i]
    return found or [0]


def cut(model: Model, items: Sequence[Item], limit: int) -> list[int]:
    """Return where phases begin: as few as keep all that a phase holds within a limit."""
    alive = alive_bytes(model, items)
    starts, held = [0], 0
    for i, item in enumerate(items):
        held += model.sizes[item.made[0]]
        if held > limit and i > starts[-1]:
            starts.append(i)
            held = alive[i]
    return starts


def rewrite(graph: Graph, model: Model, choice: Choice, limit: int) -> Rewritten:
    """Return the graph in the order of a choice, with its copies, and where phases begin."""
    nodes: list[Node] = []
    numbers: dict[Made, int] = {}
    known: dict[tuple[int, tuple[int, ...]], int] = {}
    origins: dict[int, int] = {}
    starts = set(cut(model, choice.items, limit)[1:])
    phases = []

    def add(value: int, inputs: tuple[int, ...]) -> int:
        node = graph.nodes[value - graph.first_node]
        nodes.append(Node(node.op, inputs, node.type))
        origins[graph.first_node + len(nodes) - 1] = value
        return graph.first_node + len(nodes) - 1

    for i, item in enumerate(choice.items):
        if i in starts:
            phases.append(graph.first_node + len(nodes))
        value = item.made[0]
        names = {made[0]: numbers[made] for made in item.reads}
        for n in model.inlined[value]:
            inputs = tuple(names.get(x, x) for x in graph.nodes[n - graph.first_node].inputs)
            if (n, inputs) not in known:
                known[n, inputs] = add(n, inputs)
            names[n] = known[n, inputs]
        own = graph.nodes[value - graph.first_node].inputs
        numbers[item.made] = add(value, tuple(names.get(x, x) for x in own))
    outputs = tuple(numbers.get((v, False), v) for v in graph.outputs)
    done = Graph(graph.inputs, graph.constants, tuple(nodes), outputs)
    stored = frozenset(numbers.values())
    return Rewritten(verify(done, "rematerialise"), stored, tuple(phases), origins)
