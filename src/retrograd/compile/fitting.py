"""Fitting: a plan that keeps to a limit of bytes, or an error before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from retrograd.compile.arrays import is_held
from retrograd.compile.emitter import Buffer, Emitter
from retrograd.compile.expressions import Interner
from retrograd.compile.folding import write_fold
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Schedule
from retrograd.compile.layout import Layout, lay_out
from retrograd.compile.ordering import bytes_in_arena, model_of
from retrograd.compile.overwriting import Pair, carry
from retrograd.compile.rematerialising import Choice, Chooser, rewrite
from retrograd.compile.schedule import ANY, Order, schedule
from retrograd.compile.slots import NAME
from retrograd.compile.storing import choose_stored
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Value
from retrograd.compile.writing import arguments
from retrograd.tensor.errors import InputError

TRIES = 5
"""Plans that are tried at most: what the values take alone says only about what all takes."""


class LimitError(InputError):
    """No plan keeps to a limit: the bytes of the fastest one, and of the smallest."""

    def __init__(self, limit: int, plain: int, smallest: int) -> None:
        """Say what was asked, and what it takes at least."""
        self.plain, self.smallest = plain, smallest
        super().__init__(
            f"running a program in {limit:,} bytes",
            f"it takes {plain:,}, and {smallest:,} with values made anew instead of kept",
            "give more memory, smaller batches, or a smaller network",
        )


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
    LimitError, an InputError, if no plan keeps to it.
    """
    if limit is None:
        interner = Interner()
        return Fitted(graph, interner, schedule(graph, interner))
    plain = _planned(graph, target, pairs, threads, ANY)
    if plain.total <= limit:
        return plain
    room = limit - outside_bytes(graph, pairs)
    fitter = _Fitter(graph, target, pairs, threads, plain.schedule)
    for found in fitter.plans(limit, room):
        if found.total <= limit:
            return found
    # The last resort hangs on no limit: what is named as the smallest can be asked for.
    smallest = min((plain, *fitter.smallest()), key=lambda f: f.total)
    if smallest.total <= limit:
        return smallest
    raise LimitError(limit, plain.total, smallest.total)


class _Fitter:
    """Makes plans of a graph whose values take no more than they may, as far as that is known."""

    def __init__(
        self, graph: Graph, target: Target, pairs: Sequence[Pair], threads: int, plain: Schedule
    ) -> None:
        self.graph, self.target, self.pairs, self.threads = graph, target, pairs, threads
        outside = {*arguments(graph, pairs), *carry(graph, plain, pairs).in_place}
        self.overwrites = {value: given for given, value in pairs if value != given}
        self.model = model_of(graph, choose_stored(graph), outside, self.overwrites)
        self.chooser = Chooser(self.model)

    def plans(self, limit: int, goal: int) -> Iterator[Fitted]:
        """Yield plans for ever smaller goals, as long as there are any."""
        for _ in range(TRIES):
            choice = self.chooser.choose(goal)
            if choice.peak > goal:
                return
            found = self.plan(choice, goal)
            yield found
            goal -= found.total - limit

    def smallest(self) -> Iterator[Fitted]:
        """Yield the plans that take the least at any moment, and at all moments together."""
        chooser = Chooser(self.model)
        choice = chooser.choose(0)
        yield self.plan(chooser.smallest(), 0)
        yield self.plan(choice, 0)

    def plan(self, choice: Choice, goal: int) -> Fitted:
        """Return the plan of a choice, in as few phases as keep to a goal if it does."""
        changed = rewrite(self.graph, self.model, choice, max(goal, choice.peak))
        new = dict(zip(self.graph.outputs, changed.graph.outputs, strict=True))
        moved = [(given, new[value]) for given, value in self.pairs]
        places = {new[value]: given for value, given in self.overwrites.items()}
        order = Order(changed.stored, changed.phases, places)
        found = _planned(changed.graph, self.target, moved, self.threads, order)
        extra = choice.extra / max(sum(self.model.work.values()), 1.0)
        return found._replace(extra=extra, origins=changed.origins)


def outside_bytes(graph: Graph, pairs: Sequence[Pair]) -> int:
    """Return the bytes of inputs, constants and outputs."""
    first = len(graph.inputs)
    light = {v for v, c in enumerate(graph.constants, first) if not is_held(c)}
    values = (v for v in arguments(graph, pairs) if v not in light)
    return sum(bytes_in_arena(graph, value) for value in values)


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
