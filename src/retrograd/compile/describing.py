"""Describing: in words, how a kernel is run and where values lie, as the stages decided it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from retrograd.compile.checking import Buffer, homes_of, own_buffers, shared_buffers
from retrograd.compile.contraction_plan import Product, blocks, tile_rows, tile_vectors
from retrograd.compile.emitter import Emitter
from retrograd.compile.expressions import Interner, folds_in
from retrograd.compile.folding import runs_along, write_fold
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Group, Kernel, Schedule
from retrograd.compile.layout import Cut, Layout
from retrograd.compile.overwriting import Carried
from retrograd.compile.products import ProductPlan, product_plan
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Value
from retrograd.compile.walks import lanes_axis, product_of, vectors_together
from retrograd.tensor.element import Element, Fold, Var


class Describer(NamedTuple):
    """Says how kernels are run; it asks the functions that decide it when code is written."""

    graph: Graph
    emitter: Emitter

    @classmethod
    def of(cls, graph: Graph, interner: Interner, target: Target) -> Describer:
        """Return a describer of kernels whose elements an interner made."""
        nothing = Value("ptr", "null")
        text = Text("nothing", (), fused=target.fused)
        return cls(graph, Emitter(text, target, interner, {}, nothing, write_fold))

    def __call__(self, kernel: Kernel) -> str:
        """Return one sentence."""
        if kernel.loops is not None:
            return "statements in order, one number at a time, on one thread"
        if not all(kernel.extents):
            return "nothing: its outputs have no elements"
        plan = product_plan(self.emitter.interner, self.graph, kernel)
        return self._map(kernel) if plan is None else self._product(kernel, plan)

    def _product(self, kernel: Kernel, plan: ProductPlan) -> str:
        target, product = self.emitter.target, product_of(self.emitter, plan)
        axes = list(kernel.variables)
        row = f"rows {_axis(axes, plan.row)}" if plan.row is not None else "one row"
        height, vectors = tile_rows(target, product), tile_vectors(target, product)
        said = f"matrix product: {row}, columns {_axis(axes, plan.column)}"
        said += f", {product.length} products a sum"
        said += _length_of_blocks(product)
        said += f"; tiles of {_counted(height, 'row')} x {_counted(vectors, 'vector')} of "
        said += _counted(target.lanes, "lane")
        return said + _around(axes, plan.lead)

    def _map(self, kernel: Kernel) -> str:
        emitter, axes = self.emitter, list(kernel.variables)
        lanes = lanes_axis(emitter, kernel)
        found = {id(f): f for output in kernel.outputs for f in folds_in(output.element)}
        said = "element by element" if not found else "; ".join(map(self._fold, found.values()))
        if lanes is not None:
            together = vectors_together(emitter, kernel)
            side = f", {together} vectors side by side" if together > 1 else ""
            said += f"; {_axis(axes, lanes)} fills vectors of {emitter.target.lanes} lanes{side}"
        others = tuple(v for v in axes if isinstance(v, Var) and v is not lanes)
        return said + _around(axes, others)

    def _fold(self, fold: Fold) -> str:
        over = " x ".join(map(str, fold.extents))
        if runs_along(self.emitter, fold):
            lanes = self.emitter.target.lanes
            return f"fold over {over} neighbours, {lanes} at a time, then the lanes as a tree"
        return f"fold over {over}, one after the other"


def _length_of_blocks(product: Product) -> str:
    axis, piece = blocks(product.extents)
    length = piece * math.prod(product.extents[axis + 1 :])
    return f", added up in blocks of {length}" if length < product.length else ""


def _axis(axes: list[Element], variable: Element) -> str:
    return f"i{next(n for n, axis in enumerate(axes) if axis is variable)}"


def _around(axes: list[Element], variables: Sequence[Element]) -> str:
    names = [_axis(axes, v) for v in variables]
    return f"; in {'a loop' if len(names) == 1 else 'loops'} over {', '.join(names)}" * bool(names)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def describe_places(
    graph: Graph, schedule: Schedule, layout: Layout, carried: Carried
) -> dict[int, str]:
    """Return for each computed value where it lies."""
    homes = homes_of(schedule)
    said = dict.fromkeys(homes, "an answer's own array")
    said |= {value: f"over argument %{given}" for value, given in carried.in_place.items()}
    for buffer in shared_buffers(graph, schedule, layout):
        last = max(home.group.stage for home in homes.values())
        until = "the end" if buffer.last > last else f"stage {buffer.last}"
        said[buffer.value] = _place(buffer, "arena") + f", from stage {buffer.first} to {until}"
    for number, (group, cut) in enumerate(zip(schedule.groups, layout.cuts, strict=True)):
        for buffer in own_buffers(graph, layout, group, cut.chunk):
            said[buffer.value] = _place(buffer, "thread's own") + f", in group {number}"
    return said


def _place(buffer: Buffer, where: str) -> str:
    return f"{where} {buffer.start}..{buffer.end}"


def describe_cut(group: Group, cut: Cut) -> str:
    """Return how a group's rows are shared by threads."""
    if group.rows == 1:
        return "the first thread runs it"
    share = f"threads share {group.rows} rows in units of {cut.grain}"
    return f"{share}; each works on {min(cut.chunk, group.rows)} at a time"
