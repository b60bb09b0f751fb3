"""Which values get a buffer, and which are computed wherever they are read.

Read off what each op answers, never off its name: sums are stored, since nobody wants to add twice;
bare loads (a transpose, a reshape) never are; what lies between is stored if computing it again
costs more than reading it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from retrograd.compile.expressions import below, loads_in, parts
from retrograd.compile.graph import Graph
from retrograd.tensor.element import (
    BufferReader,
    Call,
    Cast,
    Element,
    Fold,
    For,
    Load,
    Loops,
    Select,
    Store,
    Var,
)
from retrograd.tensor.types import DType

CHEAP = 4
"""Computing so much again costs about what reading a buffer does."""
TOO_LARGE = 500
"""What one element may cost at most before a part of it is stored: code has to stay small."""
DEEPEST = 100
"""So many parts may be made of each other: they are taken over by recursion, which Python ends."""

_COSTS = {
    **dict.fromkeys(("exp", "log", "tanh", "expm1", "log1p"), 20),
    **dict.fromkeys(("sin", "cos", "erf", "erfc", "power"), 40),
    **dict.fromkeys(("divide", "sqrt", "floor_divide", "remainder"), 5),
}


class Use(NamedTuple):
    """How an input is read: how often each of its elements, and whether as a product's factor."""

    value: int
    times: float
    is_factor: bool


class Traits(NamedTuple):
    """What matters of an op's answer: work an element, sums and loops in it, reads, and depth."""

    cost: int
    must_store: bool
    uses: tuple[Use, ...]
    work: float
    depth: int

    @property
    def only_moves(self) -> bool:
        """Whether nothing is computed, and each element is one of another value or a number."""
        return self.cost == 0 and not self.must_store


class Decision(NamedTuple):
    """Whether a value gets a buffer, and why in a few words."""

    is_stored: bool
    reason: str


def choose_stored(graph: Graph) -> frozenset[int]:
    """Return the values of nodes that get a buffer; outputs always do."""
    return frozenset(value for value, own in decide(graph).items() if own.is_stored)


def decide(graph: Graph) -> dict[int, Decision]:
    """Return for each node's value whether it is stored; outputs always are."""
    traits = {
        value: traits_of(graph, value)
        for value in range(graph.first_node, graph.first_node + len(graph.nodes))
    }
    costs, forced = _forward(graph, traits)
    decisions: dict[int, Decision] = {}
    readers: dict[int, list[Use]] = {}
    for value in reversed(traits):
        own = readers.get(value, [])
        decision = decisions[value] = (
            Decision(True, forced[value])
            if value in forced
            else _decide(graph, value, traits[value], own, costs[value])
        )
        for use in traits[value].uses:
            through = own
            if decision.is_stored:
                # Products read what an answer moved, not the answer (`Inliner.factor`).
                moved = [u for u in own if u.is_factor] if traits[value].only_moves else []
                through = [Use(value, 1.0, False), *moved]
            readers.setdefault(use.value, []).extend(
                Use(root, times * use.times, is_factor or use.is_factor)
                for root, times, is_factor in through
            )
    return {value: decisions[value] for value in traits}


def _forward(graph: Graph, traits: dict[int, Traits]) -> tuple[dict[int, int], dict[int, str]]:
    """Return what each value costs with all its producers, and why some must be stored anyway."""
    stored = {value: "it is an answer" for value in graph.outputs if value >= graph.first_node}
    costs: dict[int, int] = {}
    depths: dict[int, int] = {}
    for value, own in traits.items():
        inlined = [use.value for use in own.uses if use.value not in stored]
        depths[value] = own.depth + max((depths.get(i, 0) for i in inlined), default=0)
        cost = own.cost + sum(costs.get(i, 0) for i in inlined)
        if own.must_store:
            stored.setdefault(value, "nobody wants to add it up twice")
        elif cost > TOO_LARGE or depths[value] > DEEPEST:
            stored.setdefault(value, "what is made from it would be too long")
        costs[value] = cost
    return costs, stored


def _decide(graph: Graph, value: int, traits: Traits, uses: Iterable[Use], cost: int) -> Decision:
    if traits.cost == 0:
        return Decision(False, "it computes nothing")
    roots, times = {use.value for use in uses}, [use.times for use in uses]
    if any(use.is_factor for use in uses):
        return Decision(True, "a sum of products reads it")
    # A one-hot row is made of one label: reading that again is nothing.
    is_wide = all(use.times >= 4 for use in traits.uses)
    if len(roots) > 1 and graph.type_of(value).dtype is DType.bool and not is_wide:
        return Decision(True, "a byte is smaller than what it was made from")
    if len(roots) <= 1 and sum(times) <= 1:
        return Decision(False, "it is read once")
    if cost <= 2 or (cost <= CHEAP and max(times, default=0) <= 1):
        return Decision(False, "computing it again is cheap")
    return Decision(True, "computing it again costs more than reading it")


def traits_of(graph: Graph, value: int) -> Traits:
    """Return the traits of a node's answer."""
    node = graph.nodes[value - graph.first_node]
    index = tuple(Var("i") for _ in node.type.shape)
    readers = [BufferReader(i, graph.type_of(i)) for i in node.inputs]
    answer = node.op.lower(node.type, index, *readers)
    if isinstance(answer, Loops):
        reads = dict.fromkeys(source for s in answer.body for source in _sources(s) if source >= 0)
        return Traits(TOO_LARGE, True, tuple(Use(i, 2.0, False) for i in reads), 1.0, 1)
    walk = _Walk(graph, max(node.type.size, 1))
    walk.visit(answer, 1, False)
    uses = tuple(Use(i, times, i in walk.factors) for i, times in walk.times.items())
    return Traits(walk.cost, walk.has_fold, uses, walk.work, _depth(answer))


def _depth(e: Element) -> int:
    """Return how many parts are made of each other, at most."""
    depths: dict[int, int] = {}
    for x in below(e, parts):
        depths[id(x)] = 1 + max((depths[id(part)] for part in parts(x)), default=0)
    return depths[id(e)]


class _Walk:
    """Adds up cost and reads over the parts of an element, each met once a fold."""

    def __init__(self, graph: Graph, size: int) -> None:
        self.graph, self.size = graph, size
        self.cost, self.has_fold, self.work = 0, False, 0.0
        self.times: dict[int, float] = {}
        self.factors: set[int] = set()
        self._seen: set[int] = set()

    def visit(self, e: Element, turns: int, is_factor: bool) -> None:
        if id(e) in self._seen:
            return
        self._seen.add(id(e))
        match e:
            case Load():
                reads = self.size * turns / max(self.graph.type_of(e.source).size, 1)
                self.times[e.source] = self.times.get(e.source, 0.0) + reads
                if is_factor:
                    self.factors.add(e.source)
                for i in e.index:
                    for load in loads_in(i):
                        self.visit(load, turns, False)
                return
            case Call():
                self._count(_COSTS.get(e.function, 1), turns)
            case Select() | Cast():
                self._count(1, turns)
            case Fold():
                self.has_fold = True
                for extent in e.extents:
                    turns *= extent
                is_factor = is_product(e)
        for part in parts(e):
            self.visit(part, turns, is_factor)

    def _count(self, cost: int, turns: int) -> None:
        self.cost += cost
        self.work += cost * turns


def is_product(e: Fold) -> bool:
    """Return whether a fold is a sum of products of two bare loads of floats."""
    body = e.body
    return (
        e.kind == "add"
        and body.dtype.is_float
        and isinstance(body, Call)
        and body.function == "multiply"
        and all(isinstance(x, Load) for x in body.arguments)
    )


def _sources(s: For | Store) -> Iterable[int]:
    if isinstance(s, For):
        for inner in s.body:
            yield from _sources(inner)
        return
    for e in (*s.index, s.value):
        yield from (load.source for load in loads_in(e))
