"""Resident: a step whose state stays in the program's memory, for many steps a call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from retrograd.compile import native
from retrograd.compile.compiled import is_native
from retrograd.compile.machine import Machine, Table, aligned, contiguous, empty
from retrograd.compile.program import Program
from retrograd.compile.simplify import simplify
from retrograd.compile.trace import trace
from retrograd.tensor.errors import InputError, ShapeError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, TensorType
from retrograd.tree import leaves, map_leaves, refill


class Resident:
    """A compiled ``step(state, batch) -> (state, metrics)`` that keeps its state.

    ``run`` takes many batches, stacked along a new first axis, in one call; ``step`` takes one.
    ``state`` is what the steps so far have made of the first state, as a copy. The bits are the
    same however steps are put together. One thread at a time may run it; others wait.
    """

    def __init__(
        self, step: Callable[..., Any], state: Any, batch: Any, threads: int | None = None
    ) -> None:
        """Compile a step for a state and batches like ``batch``, and take over a copy of the state.

        Raises InputError if the step does not return a state of the same structure and types.
        """
        traced = trace(step, state, batch)
        self._given = {name: x.type for name, x in leaves(state).items()}
        self._batch = {name: x.type for name, x in leaves(batch).items()}
        after, self._metrics = _parts(traced.answer, self._given)
        self._tree = map_leaves(lambda x: x, after)
        graph = simplify(traced.graph)
        pairs = tuple((i, i) for i in range(len(self._given)))
        self._lock = threading.Lock()
        self._engine: _Native | _Evaluated = (
            _Native(Machine(graph, native.host(), threads, pairs), len(self._given))
            if is_native()
            else _Evaluated(Program.of(graph), len(self._given))
        )
        self.set_state(state)

    @property
    def machine(self) -> Machine | None:
        """The native program, or None where it is evaluated in NumPy."""
        return self._engine.machine if isinstance(self._engine, _Native) else None

    def set_state(self, state: Any) -> None:
        """Go on from another state; raises ShapeError if its types are not the first one's."""
        given = leaves(state)
        found = {name: x.type for name, x in given.items()}
        if found != self._given:
            raise ShapeError(
                "setting the state of a compiled step",
                "its leaves differ from those of the state that it was compiled for",
                "compile the step for this state",
            )
        with self._lock:
            self._engine.load([x.numpy() for x in given.values()])

    @property
    def state(self) -> Any:
        """The state now."""
        with self._lock:
            arrays = self._engine.save()
        return refill(self._tree, map(Tensor, self._given.values(), arrays))

    def step(self, batch: Any) -> Any:
        """Take one step, and return its metrics; raises ShapeError for a batch of other types."""
        arrays = [x.array for x in leaves(batch).values()]
        self._check(arrays, ())
        with self._lock:
            metrics = self._engine.run(arrays, None)
        return self._metrics_of(metrics)

    def run(self, batches: Any) -> Any:
        """Take a step for each batch, and return the metrics of all, stacked likewise.

        Every part of ``batches`` has the batches along its first axis. Raises ShapeError for
        batches of other types, and IndexRangeError for a label out of range, after which the state
        is that before the wrong batch.
        """
        arrays = [x.array for x in leaves(batches).values()]
        steps = arrays[0].shape[0] if arrays and arrays[0] is not None and arrays[0].ndim else 0
        self._check(arrays, (steps,))
        with self._lock:
            metrics = self._engine.run(arrays, steps)
        return self._metrics_of(metrics)

    def _check(self, arrays: list[Any], lead: tuple[int, ...]) -> None:
        wanted = list(self._batch.values())
        if len(arrays) == len(wanted):
            pairs = zip(arrays, wanted, strict=True)
            if all(a.shape == (*lead, *t.shape) and a.dtype == t.dtype.numpy for a, t in pairs):
                return
        found = ", ".join(f"{a.dtype}{list(a.shape)}" for a in arrays)
        expected = ", ".join(f"{t.dtype.value}{[*lead, *t.shape]}" for t in wanted)
        raise ShapeError(
            "running a compiled step",
            f"the batch has {found}, not {expected}",
            "compile the step for batches of this shape",
        )

    def _metrics_of(self, arrays: list[Array]) -> Any:
        return refill(self._metrics, (from_array(a) for a in arrays))


def _parts(answer: Any, given: dict[str, TensorType]) -> tuple[Any, Any]:
    """Return the state and the metrics that a step answers, if the state is like the given one."""
    is_pair = isinstance(answer, tuple) and len(answer) == 2
    if not is_pair or {name: x.type for name, x in leaves(answer[0]).items()} != given:
        raise InputError(
            "keeping the state of a step in its program",
            "the step does not return a state like the one that it takes, and metrics",
            "return (state, metrics), every leaf of the state in its old shape and dtype",
        )
    return answer[0], answer[1]


class _Native:
    """A machine with the state in its own memory."""

    def __init__(self, machine: Machine, states: int) -> None:
        self.machine, self._states = machine, states
        graph = machine.graph
        self._table = Table(machine)
        self._state = [_room(graph.inputs[i]) for i in range(states)]
        for i, array in enumerate(self._state):
            self._table.bind(i, array)
        self._inputs = range(states, len(graph.inputs))
        self._metrics = graph.outputs[states:]

    def load(self, arrays: list[Array]) -> None:
        for own, given in zip(self._state, arrays, strict=True):
            own[...] = given

    def save(self) -> list[Array]:
        return [array.copy() for array in self._state]

    def run(self, arrays: list[Array], steps: int | None) -> list[Array]:
        table, graph = self._table, self.machine.graph
        for value, array in zip(self._inputs, arrays, strict=True):
            held = contiguous(array)
            table.bind(value, held, held.strides[0] if steps else 0)
        found: dict[int, Array] = {}
        for value in self._metrics:
            if value >= graph.first_node and value not in found:
                type = graph.type_of(value)
                lead = () if steps is None else (steps,)
                found[value] = empty(TensorType((*lead, *type.shape), type.dtype))
                stride = found[value].strides[0] if steps else 0
                table.bind(value, found[value], stride)
        table.set_steps(1 if steps is None else steps)
        self.machine.run(table)
        return [found[v] if v in found else _repeated(table.held[v], steps) for v in self._metrics]


class _Evaluated:
    """The same in NumPy."""

    def __init__(self, program: Program, states: int) -> None:
        self._program, self._states = program, states
        self._state: list[Array] = []

    def load(self, arrays: list[Array]) -> None:
        self._state = list(arrays)

    def save(self) -> list[Array]:
        return list(self._state)

    def run(self, arrays: list[Array], steps: int | None) -> list[Array]:
        parts = [arrays] if steps is None else [[a[i] for a in arrays] for i in range(steps)]
        found = []
        for part in parts:
            outputs = self._program([*self._state, *part])
            self._state = outputs[: self._states]
            found.append(outputs[self._states :])
        return found[0] if steps is None else [np.stack(x) for x in zip(*found, strict=True)]


def _room(type: TensorType) -> Array:
    size = type.size * type.dtype.numpy.itemsize
    return aligned(size).view(type.dtype.numpy).reshape(type.shape)


def _repeated(array: Array, steps: int | None) -> Array:
    return array.copy() if steps is None else np.repeat(array[None], steps, 0)
