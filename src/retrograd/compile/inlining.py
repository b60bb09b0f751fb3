"""What one element of a value is, with the producers that are computed where they are read.

This is fusion: an op's ``lower`` reads its inputs through readers, and where a reader meets a value
that has no buffer, the answer is that value's own element at the index asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from retrograd.compile.arrays import uniform
from retrograd.compile.expressions import Interner, loads_in, remake
from retrograd.compile.graph import Graph
from retrograd.compile.storing import DEEPEST, is_product, traits_of
from retrograd.tensor.element import (
    OUTPUT,
    BufferReader,
    Call,
    Const,
    Element,
    Fold,
    For,
    Index,
    Load,
    Loops,
    Lowered,
    Store,
    Var,
)

Read = Callable[[int, Index], Element]
"""From a value and an index to the element there."""


class Inliner:
    """Elements of a graph's values, given which values have a buffer."""

    def __init__(self, graph: Graph, stored: Container[int], interner: Interner) -> None:
        """Start from a graph; inputs always have buffers, and constants unless they are uniform."""
        self.graph, self.interner = graph, interner
        self._stored = stored
        self._instances: dict[tuple[int, ...], Element] = {}
        self._numbers: dict[int, float | int | bool | None] = {
            value: uniform(constant)
            for value, constant in enumerate(graph.constants, len(graph.inputs))
        }

    def element(self, value: int, index: Index) -> Element:
        """Return the element of a value: a load, a number, or what its producer says."""
        type = self.graph.type_of(value)
        number = self._numbers.get(value)
        if number is not None:
            return self.interner.constant(number, type.dtype)
        if value < self.graph.first_node or value in self._stored:
            return self.interner.load(value, index, type.dtype)
        key = (value, *map(self.interner.number, index))
        if key not in self._instances:
            lowered = self.lowered(value, index)
            assert isinstance(lowered, Element), "what has no element form is stored"
            self._instances[key] = lowered
        return self._instances[key]

    def factor(self, value: int, index: Index, depth: int = 0) -> Element:
        """Return the element of a product's factor: of what an answer that computes nothing moves.

        How a product is added up depends on how its factors lie. A transpose that is an answer as
        well, and so has a buffer, must not change that: what was transposed is read all the same.
        """
        is_answer = value >= self.graph.first_node and value in self.graph.outputs
        if not is_answer or depth > DEEPEST or not traits_of(self.graph, value).only_moves:
            return self.element(value, index)
        answer = self._answer(value, index)
        assert isinstance(answer, Element), "what only moves has an element form"
        if not isinstance(answer, Load):
            return Rebuilder(self.interner, self.element)(answer)
        inside = tuple(map(Rebuilder(self.interner, self.element), answer.index))
        return self.factor(answer.source, inside, depth + 1)

    def lowered(self, value: int, index: Index) -> Lowered:
        """Return what the producer of a value answers at an index, its own readers inlined."""
        answer = self._answer(value, index)
        if isinstance(answer, Loops):
            return self._loops(answer)
        return Rebuilder(self.interner, self.element, self.factor)(answer)

    def _answer(self, value: int, index: Index) -> Lowered:
        node = self.graph.nodes[value - self.graph.first_node]
        readers = [BufferReader(i, self.graph.type_of(i)) for i in node.inputs]
        return node.op.lower(node.type, index, *readers)

    def _loops(self, loops: Loops) -> Loops:
        rebuild = Rebuilder(self.interner, self._element_or_output(loops.initial))

        def statement(s: For | Store) -> For | Store:
            if isinstance(s, Store):
                return Store(tuple(map(rebuild, s.index)), rebuild(s.value), s.add)
            rebuild.bind(s.variable, s.extent)
            return For(s.variable, s.extent, tuple(map(statement, s.body)))

        return Loops(loops.initial, tuple(map(statement, loops.body)))

    def _element_or_output(self, initial: Const) -> Callable[[int, Index], Element]:
        def read(source: int, index: Index) -> Element:
            if source == OUTPUT:
                return self.interner.load(OUTPUT, index, initial.dtype)
            return self.element(source, index)

        return read


class Rebuilder:
    """Takes an element into an interner, reading every load through a function."""

    def __init__(
        self, interner: Interner, read: Read, read_factor: Read | None = None
    ) -> None:  # fmt: skip
        """Start with no element met; factors of products may be read in a way of their own."""
        self._interner, self._read = interner, read
        self._read_factor = read_factor or read
        # Elements share parts: each is rebuilt once. They are kept, so that no identity is reused.
        self._done: dict[int, tuple[Element, Element]] = {}

    def bind(self, variable: Var, extent: int) -> None:
        """Make a loop variable known."""
        self._done[id(variable)] = (variable, self._interner.variable(variable, extent))

    def __call__(self, e: Element) -> Element:
        """Return the same element as the interner has it."""
        if self._interner.owns(e):
            return e
        if id(e) not in self._done:
            self._done[id(e)] = (e, self._rebuilt(e))
        return self._done[id(e)][1]

    def _rebuilt(self, e: Element) -> Element:
        match e:
            case Const():
                return self._interner.constant(e.value, e.dtype)
            case Load():
                return self._read(e.source, tuple(map(self, e.index)))
            case Fold():
                return self._fold(e)
            case _:
                return remake(self._interner, e, self)

    def _fold(self, e: Fold) -> Element:
        """Take over a fold, and what its own op says of it, before anything is inlined.

        How it is added up must not depend on fusion: whether it is a sum of products, and whether
        it runs along the last axis of what it reads, is asked of the op's own answer.
        """
        interner = self._interner
        for variable, extent in zip(e.variables, e.extents, strict=True):
            self.bind(variable, extent)
        last = e.variables[-1] if e.variables else None
        if any(load.index and load.index[-1] == last for load in loads_in(e.body)):
            interner.mark_consecutive(e.variables[-1])
        if not is_product(e):
            return interner.fold(e, self(e.body))
        assert isinstance(e.body, Call)
        factors = tuple(map(self._factor, e.body.arguments))
        return interner.fold(e, interner.call("product", factors, e.dtype))

    def _factor(self, e: Element) -> Element:
        assert isinstance(e, Load)
        return self._read_factor(e.source, tuple(map(self, e.index)))
