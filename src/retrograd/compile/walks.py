"""Walks: the loops of one kernel, for a range of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from retrograd.compile import instructions
from retrograd.compile.contraction import Operand, Product, write_product
from retrograd.compile.emitter import Emitter
from retrograd.compile.expressions import folds_in, walk
from retrograd.compile.fetching import tile_lines
from retrograd.compile.folding import runs_along
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Kernel
from retrograd.compile.products import ProductPlan, flat, flat_index, product_plan
from retrograd.compile.text import Text
from retrograd.compile.values import BYTES, MEMORY, SCALARS, Integer, Value, vector
from retrograd.tensor.element import OUTPUT, Call, Const, Element, For, Load, Store, Var

ROLLED = 10
"""An epilogue of more instructions is written once, in a loop over the tile's rows."""


class Rows(NamedTuple):
    """Rows from a first up to another, and how many these are where that is always the same."""

    start: Integer
    stop: Integer
    length: int | None = None

    def divided(self, text: Text, scale: int) -> Rows:
        """Return the rows of a kernel each of whose rows takes so many of these."""
        if scale == 1:
            return self
        start, stop = (
            x // scale if isinstance(x, int) else text.binary("udiv", x, text.integer(scale))
            for x in self[:2]
        )
        return Rows(start, stop, None if self.length is None else self.length // scale)


class Walker(NamedTuple):
    """What all kernels of a program are written with."""

    graph: Graph
    emitter: Emitter
    scratch: Value

    def copy(self, source: int, target: int) -> None:
        """Write the elements of one buffer to another of its type."""
        emitter, text = self.emitter, self.emitter.text
        given, wanted = emitter.buffers[source], emitter.buffers[target]
        size, width, memory = math.prod(given.shape), emitter.target.lanes, MEMORY[given.dtype]

        def move(i: Integer, count: int | None = None) -> None:
            first, second = (text.address(b.pointer, i, memory) for b in (given, wanted))
            align = BYTES[given.dtype]
            wide = text.load(vector(memory, width), first, align, count)
            text.store(wide, second, align, count)

        full = size - size % width
        text.loop(0, full, width, move)
        if size > full:
            move(full, size - full)

    def write(self, kernel: Kernel, rows: Rows) -> None:
        """Write a kernel for these rows; one that cannot be cut ignores them."""
        plan = product_plan(self.emitter.interner, self.graph, kernel)
        rows = rows.divided(self.emitter.text, kernel.scale)
        with self.emitter.scope():
            if kernel.loops is not None:
                self._loops(kernel)
            elif plan is not None:
                self._product(kernel, plan, rows)
            elif all(kernel.extents):
                self._map(kernel, rows)

    # Maps and reductions

    def _map(self, kernel: Kernel, rows: Rows) -> None:
        axes = [v for v in kernel.variables if isinstance(v, Var)]
        lanes = lanes_axis(self.emitter, kernel)
        with self.emitter.lanes_times(vectors_together(self.emitter, kernel)):
            self._nest(kernel, [v for v in axes if v is not lanes], lanes, rows)

    def _nest(self, kernel: Kernel, axes: Sequence[Var], lanes: Var | None, rows: Rows) -> None:
        """Write loops over the axes, and inside of them the outputs, lane by lane."""
        emitter = self.emitter
        emitter.hoist(output.element for output in kernel.outputs)
        if axes:
            first, *others = axes
            start, stop, _ = self._bounds(kernel, first, rows)

            def turn(i: Integer) -> None:
                with emitter.scope({first: i}):
                    self._nest(kernel, others, lanes, rows)

            emitter.text.loop(start, stop, 1, turn)
        elif lanes is None:
            self._store(kernel)
        else:
            self._lanes(kernel, lanes, self._bounds(kernel, lanes, rows))

    def _bounds(self, kernel: Kernel, variable: Var, rows: Rows) -> Rows:
        is_row = bool(kernel.variables) and variable is kernel.variables[0]
        extent = self.emitter.interner.extent(variable)
        return rows if is_row else Rows(0, extent, extent)

    def _lanes(self, kernel: Kernel, variable: Var, bounds: Rows) -> None:
        """Write a loop over full vectors, and one vector more for what is left at the end."""
        emitter, text = self.emitter, self.emitter.text
        width, extent = emitter.target.lanes, emitter.interner.extent(variable)
        start, stop, length = bounds
        full = extent - extent % width

        def lanes(i: Integer, count: int | None = None) -> None:
            with emitter.scope({variable: i}), emitter.lanes_along(variable, count):
                self._store(kernel)

        if length is not None and length <= width:
            lanes(start, length if length < width else None)
        elif isinstance(stop, int):
            text.loop(start, min(stop, full), width, lanes)
            if stop > full:
                lanes(full, stop - full)
        else:
            text.loop(start, text.smaller(stop, full), width, lanes)
            if extent > full:
                is_last = text.compare("icmp eq", stop, text.integer(extent))
                text.when(is_last, lambda: lanes(full, extent - full))

    def _store(self, kernel: Kernel) -> None:
        emitter = self.emitter
        for output in kernel.outputs:
            shape = emitter.buffers[output.value].shape
            position = flat_index(emitter.interner, shape, kernel.variables)
            value = emitter(output.element)
            if emitter.vector is not None:
                value = emitter.splat(value)
            emitter.store(output.value, position, value)

    # Products

    def _product(self, kernel: Kernel, plan: ProductPlan, rows: Rows) -> None:
        self._lead(kernel, plan, plan.lead, rows)

    def _lead(self, kernel: Kernel, plan: ProductPlan, lead: Sequence[Var], rows: Rows) -> None:
        emitter = self.emitter
        if not lead:
            emitter.hoist(output.element for output in kernel.outputs)
            self._tiles(kernel, plan, rows)
            return
        first, *others = lead
        start, stop, _ = self._bounds(kernel, first, rows)

        def turn(i: Integer) -> None:
            with emitter.scope({first: i}):
                self._lead(kernel, plan, others, rows)

        emitter.text.loop(start, stop, 1, turn)

    def _tiles(self, kernel: Kernel, plan: ProductPlan, rows: Rows) -> None:
        emitter = self.emitter
        bounds: tuple[Integer, Integer] = (0, 1)
        if plan.row is not None:
            bounds = self._bounds(kernel, plan.row, rows)[:2]

        def epilogue(row: Integer, column: Integer, sums: Value, count: int | None) -> None:
            bound = {plan.column: column}
            if plan.row is not None:
                bound[plan.row] = row
            with emitter.scope(bound), emitter.lanes_along(plan.column, count):
                emitter.know(plan.fold, sums)
                self._store(kernel)

        write_product(
            emitter.text, emitter.target, product_of(emitter, plan),
            self._operand(plan, plan.a, plan.row), self._operand(plan, plan.b, plan.column),
            bounds, epilogue, rolled=_size(kernel) > ROLLED, scratch=self.scratch,
            divides=_divides(kernel), prelude=tile_lines(emitter, self.graph, kernel, plan),
        )  # fmt: skip

    def _operand(self, plan: ProductPlan, load: Load, outer: Var | None) -> Operand:
        interner = self.emitter.interner
        position = flat(interner, self.graph, load)
        s = interner.sum_of(position)
        factors = {id(atom): c for atom, c in s.terms}
        moved = (outer, *plan.inner)
        start = interner.affine(s._replace(terms=tuple(t for t in s.terms if t[0] not in moved)))
        pointer = self.emitter.place(load.source, start)
        inner = tuple(factors.get(id(v), 0) for v in plan.inner)
        return Operand(pointer, factors.get(id(outer), 0), inner)

    # The second form

    def _loops(self, kernel: Kernel) -> None:
        """Fill the output, then run the statements in order, one number at a time."""
        emitter, text = self.emitter, self.emitter.text
        assert kernel.loops is not None
        ((value, _),) = kernel.outputs
        buffer = emitter.buffers[value]
        initial = emitter(kernel.loops.initial)
        size = 1
        for length in buffer.shape:
            size *= length
        variable = Var("fill", -1)
        emitter.interner.variable(variable, max(size, 2))

        def fill(i: Integer) -> None:
            with emitter.scope({variable: i}):
                emitter.store(value, variable, initial)

        text.loop(0, size, 1, fill)
        emitter.buffers[OUTPUT] = buffer
        for statement in kernel.loops.body:
            self._statement(statement, value)

    def _statement(self, statement: For | Store, value: int) -> None:
        emitter = self.emitter
        if isinstance(statement, For):
            bound = statement.variable

            def turn(i: Integer) -> None:
                with emitter.scope({bound: i}):
                    for inner in statement.body:
                        self._statement(inner, value)

            emitter.text.loop(0, statement.extent, 1, turn)
            return
        with emitter.scope():
            index = statement.index
            new = emitter(statement.value)
            if statement.add:
                old = emitter(emitter.interner.load(OUTPUT, index, statement.value.dtype))
                new = instructions.write(emitter.text, "add", (old, new), new.type)
            shape = emitter.buffers[value].shape
            emitter.store(value, flat_index(emitter.interner, shape, index), new)


def lanes_axis(emitter: Emitter, kernel: Kernel) -> Var | None:
    """Return the axis whose neighbours fill the lanes, or None where a fold fills them."""
    axes = [v for v in kernel.variables if isinstance(v, Var)]
    folds = [f for output in kernel.outputs for f in folds_in(output.element)]
    if not axes or any(runs_along(emitter, f) for f in folds):
        return None
    return axes[-1]


def vectors_together(emitter: Emitter, kernel: Kernel) -> int:
    """Return how many vectors of results a fold across the lanes keeps side by side.

    It reads a few numbers of each row, and rows lie far apart: the more of them the better.
    """
    lanes = lanes_axis(emitter, kernel)
    if lanes is None or not any(folds_in(output.element) for output in kernel.outputs):
        return 1
    vectors = -(-emitter.interner.extent(lanes) // emitter.target.lanes)
    return min(4, 1 << (vectors.bit_length() - 1))


def product_of(emitter: Emitter, plan: ProductPlan) -> Product:
    """Return the extents of a product."""
    extent = emitter.interner.extent
    rows = 1 if plan.row is None else extent(plan.row)
    scalar = SCALARS[plan.fold.dtype]
    return Product(scalar, rows, extent(plan.column), plan.fold.extents)


def _size(kernel: Kernel) -> int:
    return len({id(e) for e in _elements(kernel) if not isinstance(e, Const)})


def _divides(kernel: Kernel) -> bool:
    """Return whether a kernel needs the divider, which takes as long as ten products."""
    slow = ("divide", "sqrt")
    return any(isinstance(e, Call) and e.function in slow for e in _elements(kernel))


def _elements(kernel: Kernel) -> Iterator[Element]:
    return (e for output in kernel.outputs for e in walk(output.element))
