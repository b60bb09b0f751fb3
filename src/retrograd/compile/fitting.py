"""Fitting: a plan that keeps to a limit of bytes, or an error before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from retrograd.compile.emitter import Buffer, Emitter
from retrograd.compile.expressions import Interner
from retrograd.compile.folding import write_fold
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Schedule
from retrograd.compile.layout import Layout, lay_out
from retrograd.compile.ordering import bytes_in_arena, model_of
from retrograd.compile.overwriting import Pair, carry
from retrograd.compile.rematerialising import Chooser, rewrite
from retrograd.compile.schedule import ANY, Order, schedule
from retrograd.compile.slots import NAME
from retrograd.compile.storing import choose_stored
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Value
from retrograd.compile.writing import arguments
from retrograd.tensor.errors import InputError

GOALS = (1.0, 0.85, 0.7, 0.5, 0.25, 0.0)
"""What the values may take, as shares of the arena's limit: the model knows them only about."""


class Fitted(NamedTuple):
    """A graph and its schedule, the bytes of the whole, and the share of work that is done twice.

    ``origins`` are the numbers that its values had before, where the graph was changed.
    """

    graph: Graph
    interner: Interner
    schedule: Schedule
    total: int = 0
    extra: float = 0.0
    origins: dict[int, int] | None = None


def fit(
    graph: Graph, target: Target, pairs: Sequence[Pair], threads: int, limit: int | None
) -> Fitted:
    """Return the fastest plan that keeps to a limit, if there is one.

    The limit is for all that a program works in: the arena, inputs, constants and outputs. Raises
    InputError if no plan keeps to it.
    """
    if limit is None:
        interner = Interner()
        return Fitted(graph, interner, schedule(graph, interner))
    plain = _planned(graph, target, pairs, threads, ANY)
    if plain.total <= limit:
        return plain
    outside = {*arguments(graph, pairs), *carry(graph, plain.schedule, pairs).in_place}
    overwrites = {value: given for given, value in pairs if value != given}
    model = model_of(graph, choose_stored(graph), outside, overwrites)
    chooser = Chooser(model)
    fixed = outside_bytes(graph, pairs)
    smallest = plain
    for share in GOALS:
        goal = int(share * (limit - fixed))
        choice = chooser.choose(goal)
        changed = rewrite(graph, model, choice, max(goal, choice.peak))
        new = dict(zip(graph.outputs, changed.graph.outputs, strict=True))
        moved = [(given, new[value]) for given, value in pairs]
        order = Order(changed.phases, {new[value]: given for value, given in overwrites.items()})
        found = _planned(changed.graph, target, moved, threads, order)
        extra = choice.extra / max(sum(model.work.values()), 1.0)
        found = found._replace(extra=extra, origins=changed.origins)
        if found.total <= limit:
            return found
        smallest = min(smallest, found, key=lambda f: f.total)
    raise InputError(
        f"running a program in {limit:,} bytes",
        f"it takes {plain.total:,}, and {smallest.total:,} with values made anew, not kept",
        "give more memory, smaller batches, or a smaller network",
    )


def outside_bytes(graph: Graph, pairs: Sequence[Pair]) -> int:
    """Return the bytes of inputs, constants and outputs."""
    return sum(bytes_in_arena(graph, value) for value in arguments(graph, pairs))


def _planned(
    graph: Graph, target: Target, pairs: Sequence[Pair], threads: int, order: Order
) -> Fitted:
    interner = Interner()
    made = schedule(graph, interner, order)
    arena = _layout(graph, made, interner, target, pairs).arena_bytes(threads)
    return Fitted(graph, interner, made, arena + outside_bytes(graph, pairs))


def _layout(
    graph: Graph, made: Schedule, interner: Interner, target: Target, pairs: Sequence[Pair]
) -> Layout:
    """Return where values would lie, without writing the program."""
    text = Text(NAME, (), fused=target.fused)
    emitter = Emitter(text, target, interner, {}, Value("ptr", "null"), write_fold)
    for value in range(graph.first_node + len(graph.nodes)):
        type = graph.type_of(value)
        emitter.buffers[value] = Buffer(Value("ptr", "null"), type.shape, type.dtype)
    moved = carry(graph, made, pairs)
    outside = {*arguments(graph, pairs), *moved.in_place}
    return lay_out(graph, made, emitter, outside)
