"""Debugging: where a number stopped being finite, in the program and in the code that made it.

With ``RETROGRAD_DEBUG=nan`` every compiled function and every resident step looks at its answers.
If one is not finite, the graph as it was traced is evaluated op by op, and the walk goes back from
that answer, over values that are not finite, to those that were made of finite ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from retrograd.compile.engines import Engine, Memory
from retrograd.compile.naming import Label, label_values, walk_back
from retrograd.compile.store import Store
from retrograd.compile.trace import Traced, trace
from retrograd.tensor.errors import NonFiniteError
from retrograd.tensor.places import recording
from retrograd.tensor.types import Array

_FIRST = ("loss", "gradient_norm")
_TRY = "look at what that line is given, or unset RETROGRAD_DEBUG to go on regardless"


@dataclass(frozen=True)
class Origin:
    """Where the first number that is not finite came from.

    ``phase`` is "input" for an argument, else "forward", "backward" or "update". ``name`` is the
    argument's or the operation's; ``index`` and ``number`` are the element's. ``layer`` is that of
    the nearest weight, ``operands`` describe what the operation was given, ``place`` is the line of
    code that applied it, and ``value`` its result's number in the graph.
    """

    phase: str
    name: str
    index: tuple[int, ...]
    number: float
    value: int
    layer: str = ""
    operands: tuple[str, ...] = ()
    place: str = ""

    def __str__(self) -> str:
        """Return it as a clause."""
        if self.phase == "input":
            return f"{self.name or 'the argument'}{list(self.index) or ''} is {self.number:g}"
        found = "the update" if self.phase == "update" else f"the {self.phase} pass"
        found += f" got {self.number:g} from {self.name} of {' and '.join(self.operands)}"
        found += f" at {list(self.index)}" if self.index else ""
        found += f" in layer {self.layer!r}" if self.layer else ""
        return found


class Evaluated(NamedTuple):
    """A traced function with the numbers of all its values."""

    traced: Traced
    values: list[Array]

    def is_bad(self, value: int) -> bool:
        """Return whether a value holds a NaN or an infinity."""
        return is_bad(self.values[value])


def is_checking() -> bool:
    """Return whether the user asks for checks: ``RETROGRAD_DEBUG=nan``."""
    return os.environ.get("RETROGRAD_DEBUG", "").strip().lower() == "nan"


def trace_places(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Traced:
    """Trace a function, and record the line of code of every node."""
    with recording():
        return trace(function, *arguments, **keywords)


def is_bad(array: Array) -> bool:
    """Return whether an array holds a NaN or an infinity."""
    return array.dtype.kind == "f" and not bool(np.isfinite(array).all())


def evaluate(traced: Traced, arrays: Sequence[Array]) -> Evaluated:
    """Return all values of a traced function for these inputs, op by op in NumPy."""
    graph = traced.graph
    values: list[Any] = [*arrays, *graph.constants]
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            values.append(np.asarray(node.op.evaluate(*[values[i] for i in node.inputs])))
    return Evaluated(traced, values)


def find_origin(done: Evaluated) -> Origin | None:
    """Return where the answers first get a number that is not finite, or None if they are finite.

    The loss is asked first, then the gradient's norm, then the others in their order. An answer is
    let pass if it was handed on with an infinity in it. An input that is not finite itself comes
    before every operation, if the answer is right without it; those of the last argument first.
    """
    starts = _bad_outputs(done)
    if not starts:
        return None
    graph, truth = done.traced.graph, done
    while True:
        reached = set(walk_back(graph, starts[0], done.is_bad))
        given = sorted((v for v in reached if v < len(graph.inputs)), key=_order(done))
        broken = [v for v in given if np.isnan(done.values[v]).any()]
        if broken or not given:
            break
        # An infinity may be meant, as a mask's is: it is the origin only if all is well without it.
        repaired = [np.where(np.isinf(x), 0, x).astype(x.dtype) if v in given else x
                    for v, x in enumerate(done.values[: len(graph.inputs)])]  # fmt: skip
        without = evaluate(done.traced, repaired)
        if not without.is_bad(starts[0]):
            broken = given
            break
        done = without
    if broken:
        return _input(done, broken[0])
    value = _first_made(done, reached)
    index, _ = _first_bad(done.values[value])
    return _operation(truth if not np.isfinite(truth.values[value][index]) else done, value, index)


def _order(done: Evaluated) -> Callable[[int], tuple[int, int]]:
    """Return what sorts inputs: those of later arguments first."""
    names = dict(enumerate(done.traced.names.inputs))

    def key(value: int) -> tuple[int, int]:
        argument = names.get(value, "").partition(".")[0]
        return -int(argument) if argument.isdecimal() else -1000, value

    return key


def _bad_outputs(done: Evaluated) -> list[int]:
    """Return the answers that a number went wrong in, in the order in which they are asked."""
    graph, names = done.traced.graph, done.traced.names
    meant = _handed_on(done.traced, done.values)
    found = [
        (name.rpartition(".")[2], value)
        for name, value in zip(names.outputs, graph.outputs, strict=True)
        if _went_bad(done.values[value], name in meant)
    ]
    first = {name: i for i, name in enumerate(_FIRST)}
    return [value for _, value in sorted(found, key=lambda each: first.get(each[0], len(first)))]


def _handed_on(traced: Traced, inputs: Sequence[Array]) -> set[str]:
    """Return the leaves of a state that come in with an infinity, which an optimizer may keep."""
    named = zip(traced.names.inputs, inputs, strict=False)
    return {name for name, x in named if "." in name and is_bad(x) and not np.isnan(x).any()}


def _went_bad(answer: Array, was_infinite: bool) -> bool:
    return is_bad(answer) and (not was_infinite or bool(np.isnan(answer).any()))


def _first_made(done: Evaluated, reached: set[int]) -> int:
    """Return the first value that was made bad, of inputs that were not.

    An infinite constant was meant to be one, and so was what is infinite because of it alone.
    """
    graph = done.traced.graph
    meant = {v for v in range(len(graph.inputs), graph.first_node) if done.is_bad(v)}
    bad = [v for v in sorted(reached) if v >= graph.first_node]
    for value in bad:
        wrong = {i for i in graph.nodes[value - graph.first_node].inputs if done.is_bad(i)}
        if wrong - meant:
            continue
        if not wrong or np.isnan(done.values[value]).any():
            return value
        meant.add(value)
    return bad[-1]


def _first_bad(array: Array) -> tuple[tuple[int, ...], float]:
    flat = int(np.argmin(np.isfinite(array)))
    index = tuple(int(i) for i in np.unravel_index(flat, array.shape))
    return index, float(array[index])


def _input(done: Evaluated, value: int) -> Origin:
    name = done.traced.names.inputs[value]
    return Origin("input", name, *_first_bad(done.values[value]), value)


def _operation(done: Evaluated, value: int, index: tuple[int, ...]) -> Origin:
    traced, array = done.traced, done.values[value]
    graph, number = traced.graph, float(array[index])
    node = graph.nodes[value - graph.first_node]
    label: Label = label_values(graph, traced.names)[value]
    operands = tuple(_operand(done.values[i], array.shape, index) for i in node.inputs)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(node.op).__name__).lower()
    place = traced.places[value - graph.first_node] if traced.places else ""
    return Origin(label.phase, name, index, number, value, label.layer, operands, place)


def _operand(array: Array, shape: tuple[int, ...], index: tuple[int, ...]) -> str:
    """Return the one number that an elementwise operation read here, else the range of all."""
    if array.shape == shape or array.size == 1:
        return f"{array.reshape(-1)[0] if array.size == 1 else array[index]:.6g}"
    if array.size == 0:
        return "nothing"
    return f"{array.dtype}{list(array.shape)} from {array.min():.6g} to {array.max():.6g}"


def explain(traced: Traced, arrays: Sequence[Array], answers: Sequence[Array]) -> str | None:
    """Return what went wrong in a run with these inputs and answers, or None if nothing did."""
    meant = _handed_on(traced, arrays)
    named = zip(traced.names.outputs, answers, strict=True)
    bad = [name for name, x in named if _went_bad(x, name in meant)]
    if not bad:
        return None
    origin = find_origin(evaluate(traced, arrays))
    if origin is None:
        where = f"its answer {bad[0]!r}" if bad[0] else "its answer"
        return f"{where} is not finite, but is so in NumPy: only the native program shows it"
    return f"{origin}, applied in {origin.place}" if origin.place else str(origin)


class CheckedRun:
    """A program that looks at its answers."""

    def __init__(self, run: Callable[[Sequence[Array]], list[Array]], traced: Traced) -> None:
        """Check a program of a function that was traced with its places."""
        self._run, self._traced = run, traced

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Return the outputs; raises NonFiniteError that names the origin of a bad one."""
        answers = self._run(arrays)
        found = explain(self._traced, arrays, answers)
        if found is not None:
            raise NonFiniteError("running a compiled function", found, _TRY)
        return answers


class CheckedEngine:
    """An engine that looks at the state and the metrics after every step, one step at a time."""

    def __init__(self, engine: Engine, store: Store, traced: Traced) -> None:
        """Check an engine on a store; the step was traced with its places."""
        self.engine, self._store, self._traced = engine, store, traced
        self._batches: dict[int, list[Array]] = {}

    @property
    def memory(self) -> Memory:
        """What it works in."""
        return self.engine.memory

    def on(self, store: Store) -> CheckedEngine:
        """Return the same program on another state."""
        return CheckedEngine(self.engine.on(store), store, self._traced)

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
        """Take one step; raises NonFiniteError, after which the state is that before the step."""
        before = [np.array(x) for x in self._store.save()]
        metrics = self.engine.step(arrays)
        found = explain(self._traced, [*before, *arrays], [*self._store.save(), *metrics])
        if found is not None:
            self._store.load(before)
            raise NonFiniteError("taking a compiled step", found, _TRY)
        return metrics
