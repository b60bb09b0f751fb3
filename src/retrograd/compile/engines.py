"""Engines of a resident step: native or evaluated, on a state that several of them may share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from retrograd.compile.arrays import contiguous, empty, is_held
from retrograd.compile.graph import Graph
from retrograd.compile.machine import Machine, Table
from retrograd.compile.program import Program
from retrograd.compile.recall import Signature
from retrograd.compile.store import Store, size_of
from retrograd.tensor.types import Array, TensorType

LARGE = 2**16
"""Bytes of an array from which on it is read where it lies, and not copied for one step."""


class Memory(NamedTuple):
    """Bytes that a step's program works in: all that it ever holds at a time.

    arena: values between the parts of the step, and constants.  state: what it goes on from and
    changes.  batch: one batch.  outputs: the metrics of one step.
    """

    arena: int
    state: int
    batch: int
    outputs: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)


class Engine(Protocol):
    """What takes steps: batches are put in their places, and then it goes on so many steps."""

    @property
    def memory(self) -> Memory:
        """What it works in."""

    def on(self, store: Store) -> Engine:
        """Return the same program on another state."""

    def put(self, place: int, capacity: int, arrays: Sequence[Array]) -> None:
        """Copy the arrays of a batch to a place of ``capacity`` of them."""

    def take(self, steps: int) -> list[Array]:
        """Take a step for each of the first places; return the metrics, steps first."""

    def step(self, arrays: Sequence[Array]) -> list[Array]:
        """Take one step with a batch, and return its metrics."""

    def run(self, arrays: Sequence[Array], steps: int) -> list[Array]:
        """Take so many steps with batches that are stacked already; return the metrics alike."""


class Native:
    """A machine with the state in memory of its own."""

    def __init__(self, machine: Machine, store: Store) -> None:
        """Lay a machine's memory out, with its first inputs in a store."""
        self.machine, self._store = machine, store
        graph, states = machine.signature, len(store.types)
        self._table = Table(machine, has_arena=False)
        store.reserve(graph.arena_bytes)
        for value, array in enumerate(store.arrays):
            self._table.bind(value, array)
        self._inputs = range(states, len(graph.inputs))
        self._metrics = graph.outputs[states:]
        # A metric that lies in the state is overwritten by the next step: it is copied from there,
        # before the step if it is of the state that it takes, else after it.
        self._old = {v: store.arrays[v] for v in self._metrics if v < states}
        carried = zip(graph.outputs, store.arrays, strict=False)
        self._new = {v: a for v, a in carried if v in self._metrics and v >= graph.first_node}
        self._is_bound = False
        self._results: list[Array] = []
        self._capacity = 0
        self._places: list[Array] = []
        self._found: dict[int, Array] = {}
        self._room(1)

    @property
    def memory(self) -> Memory:
        """What it works in."""
        machine = self.machine
        held = sum(c.nbytes for c in machine.constants if is_held(c))
        arena = machine.signature.arena_bytes + held
        return _memory(machine.signature, len(self._store.types), arena)

    def on(self, store: Store) -> Native:
        """Return the same program on another state."""
        return Native(self.machine, store)

    def _room(self, capacity: int) -> None:
        graph = self.machine.signature
        self._capacity = capacity
        if capacity > 1 or not self._places:
            self._places = [empty(_stacked(graph.inputs[v], capacity)) for v in self._inputs]
        self._found = {
            value: empty(_stacked(graph.type_of(value), capacity))
            for value in self._metrics
            if value >= graph.first_node and value not in self._new
        }
        for value, array in self._found.items():
            self._table.bind(value, array, array.strides[0])
        self._is_bound = False
        self._first = [place[0, ...] for place in self._places]

    def put(self, place: int, capacity: int, arrays: Sequence[Array]) -> None:
        """Copy the arrays of a batch to a place of ``capacity`` of them."""
        if capacity > self._capacity:
            self._room(capacity)
        for held, array in zip(self._places, arrays, strict=True):
            held[place] = array

    def take(self, steps: int) -> list[Array]:
        """Take a step for each of the first places; return the metrics, steps first."""
        if self._old or self._new:
            found = [self._run([x[i] for x in self._places]) for i in range(steps)]
            return [np.stack(x) for x in zip(*found, strict=True)]
        self._bind()
        self._go(steps)
        return [self._result(v, steps) for v in self._metrics]

    def _go(self, steps: int) -> None:
        self._table.set_arena(self._store.arena)
        self._table.set_steps(steps)
        self.machine.run(self._table)

    def _bind(self) -> None:
        """Let the program read batches from their places."""
        if not self._is_bound:
            for value, array in zip(self._inputs, self._places, strict=True):
                self._table.bind(value, array, array.strides[0])
            self._is_bound = True
            self._results = [self._view(v) for v in self._metrics]

    def _view(self, value: int) -> Array:
        """Return where a single step leaves a metric."""
        if value in self._found:
            return self._found[value][0, ...]
        if value in self._inputs:
            return self._places[value - self._inputs.start][0, ...]
        return self._table.held[value]

    def step(self, arrays: Sequence[Array]) -> list[Array]:
        """Take one step with a batch, and return its metrics."""
        if self._old or self._new or any(array.nbytes >= LARGE for array in arrays):
            return self._run(arrays)
        for held, array in zip(self._first, arrays, strict=True):
            held[...] = array
        self._bind()
        self._go(1)
        return [x.copy() for x in self._results]

    def run(self, arrays: Sequence[Array], steps: int) -> list[Array]:
        """Take so many steps with batches that are stacked already; return the metrics alike."""
        if steps > self._capacity:
            self._room(steps)
        before, self._places = self._places, [contiguous(array) for array in arrays]
        self._is_bound = False
        try:
            return self.take(steps)
        finally:
            self._places, self._is_bound = before, False  # `_first` still looks at those

    def _run(self, arrays: Sequence[Array]) -> list[Array]:
        """Take one step with arrays where they lie."""
        for value, array in zip(self._inputs, map(contiguous, arrays), strict=True):
            self._table.bind(value, array)
        self._is_bound = False
        old = {value: array.copy() for value, array in self._old.items()}
        self._go(1)
        given = dict(zip(self._inputs, arrays, strict=True))
        known = {**old, **self._new, **given}
        return [
            known[v].copy() if v in known else self._result(v, 1)[0, ...] for v in self._metrics
        ]

    def _result(self, value: int, steps: int) -> Array:
        if value in self._found:
            return self._found[value][:steps].copy()
        if value in self._inputs:
            return self._places[value - self._inputs.start][:steps].copy()
        return np.repeat(self._table.held[value][None], steps, 0)


class Evaluated:
    """The same in NumPy."""

    def __init__(self, program: Program, store: Store) -> None:
        """Evaluate a program on the state of a store."""
        self._program, self._store = program, store
        self._batches: dict[int, list[Array]] = {}

    @property
    def memory(self) -> Memory:
        """What it works in: the most that is alive at a time."""
        graph = self._program.graph
        alive = most = 0
        for step in self._program.steps:
            alive += size_of(graph.type_of(step.output))
            most = max(most, alive)
            alive -= sum(size_of(graph.type_of(v)) for v in step.dead if v >= graph.first_node)
        return _memory(graph, len(self._store.types), most)

    def on(self, store: Store) -> Evaluated:
        """Return the same program on another state."""
        return Evaluated(self._program, store)

    def put(self, place: int, capacity: int, arrays: Sequence[Array]) -> None:
        """Copy the arrays of a batch to a place."""
        self._batches[place] = [np.array(array) for array in arrays]

    def take(self, steps: int) -> list[Array]:
        """Take a step for each of the first places; return the metrics, steps first."""
        found = [self.step(self._batches.pop(place)) for place in range(steps)]
        return [np.stack(x) for x in zip(*found, strict=True)]

    def run(self, arrays: Sequence[Array], steps: int) -> list[Array]:
        """Take so many steps with batches that are stacked already; return the metrics alike."""
        found = [self.step([array[i] for array in arrays]) for i in range(steps)]
        return [np.stack(x) for x in zip(*found, strict=True)]

    def step(self, arrays: Sequence[Array]) -> list[Array]:
        """Take one step with a batch, and return its metrics."""
        states = len(self._store.types)
        outputs = self._program([*self._store.arrays, *arrays])
        self._store.arrays = outputs[:states]
        return outputs[states:]


def _memory(graph: Graph | Signature, states: int, arena: int) -> Memory:
    parts = graph.inputs[:states], graph.inputs[states:], map(graph.type_of, graph.outputs[states:])
    state, batch, outputs = (sum(map(size_of, part)) for part in parts)
    return Memory(arena, state, batch, outputs)


def _stacked(type: TensorType, count: int) -> TensorType:
    return TensorType((count, *type.shape), type.dtype)
