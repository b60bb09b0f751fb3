"""Machine: a graph as native code, with the memory that it runs in."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from retrograd.compile import native, pool, recall
from retrograd.compile.arrays import Answers, aligned, contiguous, is_held
from retrograd.compile.graph import Graph
from retrograd.compile.modules import module
from retrograd.compile.recall import Signature
from retrograd.compile.slots import NAME, STREAMED, Slot
from retrograd.compile.target import Target
from retrograd.tensor.errors import IndexRangeError
from retrograd.tensor.types import Array

if TYPE_CHECKING:
    from retrograd.compile.kernels import Schedule
    from retrograd.compile.layout import Layout
    from retrograd.compile.overwriting import Pair
    from retrograd.compile.planning import Plan
    from retrograd.compile.text import Text


class Machine:
    """A program that runs natively: called with the inputs' arrays, it returns the outputs'.

    ``carried`` are pairs of an input's and an output's number: a run writes that output where the
    input lies, so that the next run goes on from there; the two share one place in `bind`. The
    arena, inputs, constants and outputs take no more than ``memory`` bytes, if that is given.
    """

    def __init__(
        self, graph: Graph, target: Target, threads: int | None = None,
        carried: Sequence[Pair] = (), *, profiled: bool = False, memory: int | None = None,
    ) -> None:  # fmt: skip
        """Compile a graph for a target; small programs run on one thread, large ones on all.

        Raises InputError if no plan keeps to the memory.
        """
        self._asked = (graph, target, threads, tuple(carried), profiled)
        self._memory = memory
        cores = pool.usable_cores()
        key = recall.key_of(graph, target, threads, cores, carried, profiled, memory)
        known = recall.read(key) if key is not None else None
        library = native.recall(known.object, (NAME,)) if known is not None else None
        if known is None or library is None:
            known, library = self._compile()
            if key is not None:
                recall.write(key, known)
        elif known.threads > 1 and pool.start(known.threads) < known.threads:
            known, library = self._compile()
        self.signature, self.library = known, library
        self._address = library.address(NAME)
        self.constants = [contiguous(c) if is_held(c) else c for c in graph.constants]
        self._lock = threading.Lock()
        self._answers = Answers()

    @functools.cached_property
    def _own(self) -> Table:
        return Table(self)

    @functools.cached_property
    def plan(self) -> Plan:
        """How the graph is run, stage by stage: planned anew where it was known from before."""
        from retrograd.compile import planning

        graph, target, threads, carried, _ = self._asked
        return planning.plan(graph, target, threads, carried, self._memory)

    @property
    def graph(self) -> Graph:
        """The graph that is run, its large sums split."""
        return self.plan.graph

    @property
    def schedule(self) -> Schedule:
        """Its kernels, in groups and stages."""
        return self.plan.schedule

    @functools.cached_property
    def _written(self) -> tuple[Text, Layout]:
        _, target, _, _, profiled = self._asked
        return self.plan.written(target, profiled)

    @property
    def text(self) -> Text:
        """The native function as it was written."""
        return self._written[0]

    @property
    def layout(self) -> Layout:
        """Where values lie."""
        return self._written[1]

    def _compile(self) -> tuple[Signature, native.Library]:
        (text, layout), target = self._written, self._asked[1]
        library = native.load(module([text], target), target)
        return self.plan.signature(layout, library.key), library

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Return the outputs for these inputs; raises IndexRangeError for an index out of range."""
        signature, count = self.signature, len(arrays)
        values = dict(enumerate([contiguous(a) for a in arrays] + self.constants))
        answers = signature.arguments[signature.first_node :]
        with self._lock:
            table = self._own
            for value in answers:
                values[value] = self._answers.room(value, signature.type_of(value))
            for value in (*signature.arguments[:count], *answers):  # constants are bound already
                table.bind(value, values[value])
            self.run(table)
            table.forget(answers)
        seen: set[int] = set()
        outputs = []
        for value in signature.outputs:
            is_own = value >= signature.first_node and value not in seen
            outputs.append(values[value] if is_own else values[value].copy())
            seen.add(value)
        return outputs

    def run(self, table: Table) -> None:
        """Run the program on what a table holds; raises IndexRangeError."""
        pool.run(self._address, table.address, self.signature.threads)
        if table.state[0]:
            table.refuse()


class Table:
    """The memory of one run at a time: the table of slots, and everything that they point to."""

    def __init__(self, machine: Machine, *, has_arena: bool = True) -> None:
        """Make room for a machine's program; without an arena, `set_arena` has to name one."""
        signature = machine.signature
        places = signature.arguments
        self._slots = np.zeros(Slot.first_argument + 2 * len(places), np.int64)
        self.address = self._slots.ctypes.data
        self._arena = aligned(signature.arena_bytes if has_arena else 0)
        self.arena = self._arena.ctypes.data
        # The words of a wrong index, then the barrier on a line of its own.
        self._words = aligned(256)
        self.state = self._words.view(np.int64)
        self._slots[Slot.arena] = self.arena
        self._slots[Slot.errors] = self._words.ctypes.data
        self._slots[Slot.barrier] = self._words.ctypes.data + 128
        self._slots[Slot.give_way] = pool.give_way()
        self.ticks = np.zeros(signature.kernels, np.int64)
        self._slots[Slot.profile] = self.ticks.ctypes.data
        self._slots[Slot.threads], self._slots[Slot.steps] = signature.threads, 1
        self._place = {v: Slot.first_argument + 2 * i for i, v in enumerate(places)}
        self._steps, self._first = 1, signature.first_node
        self.held: dict[int, Array] = {}
        for value, constant in enumerate(machine.constants, len(signature.inputs)):
            self.bind(value, constant)

    def bind(self, value: int, array: Array, stride: int = 0) -> None:
        """Let a value lie in an array, ``stride`` bytes further on at each step of a run."""
        address, place = array.ctypes.data, self._place[value]
        # What is large may be written past the caches, which takes whole lines only.
        assert address % 64 == 0 or value < self._first or array.nbytes < STREAMED
        self.held[value] = array
        self._slots[place] = address
        self._slots[place + 1] = stride

    def forget(self, values: Sequence[int]) -> None:
        """Hold arrays of these values no longer."""
        for value in values:
            self.held.pop(value, None)

    def set_arena(self, address: int) -> None:
        """Let the next runs work in an arena that somebody else holds."""
        if address != self.arena:
            self._slots[Slot.arena] = self.arena = address

    def set_steps(self, steps: int) -> None:
        """Let the next runs take so many steps."""
        if steps != self._steps:
            self._slots[Slot.steps] = self._steps = steps

    def refuse(self) -> None:
        """Raise the error for the wrong index that a run has found."""
        self.state[0] = 0
        raise IndexRangeError(
            f"reading index {self.state[1]}",
            f"it is not in 0..{self.state[2] - 1}",
            "count from 0; nothing wraps around and nothing is clipped",
        )
