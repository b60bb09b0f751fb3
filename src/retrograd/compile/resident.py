"""Resident: a step whose state stays in the program's memory, for many steps a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from retrograd.compile import native
from retrograd.compile.compiled import is_native
from retrograd.compile.debugging import CheckedEngine, is_checking, trace_places
from retrograd.compile.engines import Engine, Evaluated, Memory, Native
from retrograd.compile.machine import Machine
from retrograd.compile.program import Program
from retrograd.compile.simplify import simplify
from retrograd.compile.store import Store
from retrograd.compile.trace import trace
from retrograd.tensor.errors import InputError, ShapeError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, TensorType
from retrograd.tree import leaves, map_leaves, refill


class Resident:
    """A compiled ``step(state, batch) -> (state, metrics)`` that keeps its state.

    ``run`` takes many batches, stacked along a new first axis, in one call; ``step`` takes one.
    ``put`` and ``take`` are the same for arrays, without trees around them. ``state`` is what the
    steps so far have made of the first state, as a copy. The bits are the same however steps are
    put together. One thread at a time may run it; others wait.
    """

    def __init__(
        self, step: Callable[..., Any], state: Any, batch: Any, threads: int | None = None,
        store: Store | None = None, is_checked: bool | None = None, memory: int | None = None,
    ) -> None:  # fmt: skip
        """Compile a step for a state and batches like ``batch``, and take over a copy of the state.

        With a ``store``, which another program of this state fills, that is gone on from instead.
        ``is_checked``, which RETROGRAD_DEBUG=nan decides if nothing is given, a step that makes a
        number that is not finite raises NonFiniteError and leaves the state as it was. The native
        program keeps to ``memory`` bytes for a state, a batch, metrics and all that lies between,
        and makes values anew instead of keeping them where it must. Raises InputError if it
        cannot, or if the step does not return a state of the same structure and types.
        """
        is_checked = is_checking() if is_checked is None else is_checked
        traced = (trace_places if is_checked else trace)(step, state, batch)
        self._given = {name: x.type for name, x in leaves(state).items()}
        self._batch = {name: x.type for name, x in leaves(batch).items()}
        after, self._metrics = _parts(traced.answer, self._given)
        self.names = list(leaves(self._metrics))
        # The usual forms, a tuple of tensors and a dict of them, are taken apart without a walk.
        self._is_flat = isinstance(batch, tuple) and not any("." in name for name in self._batch)
        is_dict = isinstance(self._metrics, dict) and self.names == list(self._metrics)
        self._kinds = [x.type for x in self._metrics.values()] if is_dict else None
        self._tree = map_leaves(lambda x: x, after)
        graph = simplify(traced.graph)
        pairs = tuple((i, i) for i in range(len(self._given)))
        self._store = store or Store(tuple(self._given.values()), is_native=is_native())
        self._engine: Engine = (
            Native(Machine(graph, native.host(), threads, pairs, memory=memory), self._store)
            if is_native()
            else Evaluated(Program.of(graph), self._store)
        )
        if is_checked:
            self._engine = CheckedEngine(self._engine, self._store, traced)
        if store is None:
            self.set_state(state)

    def twin(self, store: Store | None = None) -> Resident:
        """Return the same program on another state, a copy if none is given; none is compiled."""
        other: Resident = object.__new__(Resident)
        other.__dict__.update(self.__dict__)
        if store is None:
            store = self._store.twin()
        other._store, other._engine = store, self._engine.on(store)
        return other

    @property
    def machine(self) -> Machine | None:
        """The native program, or None where it is evaluated in NumPy."""
        engine = self._engine
        engine = engine.engine if isinstance(engine, CheckedEngine) else engine
        return engine.machine if isinstance(engine, Native) else None

    @property
    def memory(self) -> Memory:
        """The bytes that the program works in, known before it runs."""
        return self._engine.memory

    @property
    def store(self) -> Store:
        """Where the state lies, for other programs of it."""
        return self._store

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
        with self._store.lock:
            self._store.load([x.numpy() for x in given.values()])

    @property
    def state(self) -> Any:
        """The state now."""
        with self._store.lock:
            arrays = self._store.save()
        return refill(self._tree, map(Tensor, self._given.values(), arrays))

    def step(self, batch: Any) -> Any:
        """Take one step, and return its metrics; raises ShapeError for a batch of other types."""
        if self._is_flat and isinstance(batch, tuple):
            arrays: list[Any] = [x.array for x in batch if type(x) is Tensor]
        else:
            arrays = [x.array for x in leaves(batch).values()]
        self._check(arrays, ())
        metrics = self.take_one(arrays)
        if self._kinds is None:
            return self._metrics_of(metrics)
        return dict(zip(self.names, map(Tensor, self._kinds, metrics), strict=True))

    def run(self, batches: Any) -> Any:
        """Take a step for each batch, and return the metrics of all, stacked likewise.

        Every part of ``batches`` has the batches along its first axis. Raises ShapeError for
        batches of other types, and IndexRangeError for a label out of range, after which the state
        is that before the wrong batch.
        """
        arrays: list[Any] = [x.array for x in leaves(batches).values()]
        steps = arrays[0].shape[0] if arrays and arrays[0] is not None and arrays[0].ndim else 0
        self._check(arrays, (steps,))
        with self._store.lock:
            metrics = self._engine.run(arrays, steps)
        return self._metrics_of(metrics)

    def put(self, place: int, capacity: int, arrays: Sequence[Array]) -> None:
        """Copy a batch's arrays to a place for ``take``; ``capacity`` counts all places."""
        self._engine.put(place, capacity, arrays)

    def take(self, steps: int) -> list[Array]:
        """Take a step for each of the first places that were filled; return all the metrics."""
        with self._store.lock:
            return self._engine.take(steps)

    def take_one(self, arrays: Sequence[Array]) -> list[Array]:
        """Take one step with a batch's arrays, whose types nobody checks; return its metrics."""
        with self._store.lock:
            return self._engine.step(arrays)

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
