"""Where a NaN or an infinity came from: the failed step, traced and evaluated op by op.

The walk starts at the loss (else the gradient, else the new state), goes back over the values that
are not finite, and stops at those that were made of finite ones. A cell of the batch or a number of
the weights that is not finite itself comes first, then the earliest operation.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from retrograd.compile.graph import Graph
from retrograd.compile.trace import trace
from retrograd.tensor.errors import NonFiniteError
from retrograd.tensor.types import Array
from retrograd.train.checkpoint import Checkpoint
from retrograd.tree import leaves

_STATE, _BATCH = "0.", "1."
_PARAMS = "0.params."


class Attempt(NamedTuple):
    """A step that was tried: from where, and with the i-th batch of the epoch, from 0."""

    at: Checkpoint
    batch: Any
    i: int


@dataclass(frozen=True)
class Origin:
    """Where the first number that is not finite came from.

    ``phase`` is "input" for a cell of the batch, "state" for a weight or a statistic, else
    "forward", "backward" or "update". ``name`` is the batch's part, the leaf, or the operation;
    ``index`` and ``value`` are the element's. ``layer`` is that of the nearest weight, ``operands``
    describe what the operation was given, ``row`` is the batch's row where there is one.
    """

    phase: str
    name: str
    index: tuple[int, ...]
    value: float
    layer: str = ""
    operands: tuple[str, ...] = ()
    row: int | None = None


class _Evaluated(NamedTuple):
    """A traced step with the numbers of every value, and the names of its inputs and outputs."""

    graph: Graph
    values: list[Array]
    inputs: list[str]
    outputs: dict[str, int]


def explain_failure(
    step: Callable[..., Any],
    attempt: Attempt,
    feature_names: Sequence[str] = (),
    row_numbers: Callable[[int, int], Sequence[int]] | None = None,
) -> NonFiniteError:
    """Return the error that names the origin; see `find_origin` and `retrograd.train.fit`."""
    progress = attempt.at.progress
    asked = f"training, step {progress.step + 1} (batch {attempt.i + 1} of epoch {progress.epoch})"
    origin = find_origin(step, attempt.at.state, attempt.batch)
    if origin is None:
        return NonFiniteError(
            asked,
            "the compiled program gave a number that is not finite, NumPy gives none",
            "standardise the inputs, or lower the learning rate",
        )
    rows = row_numbers(progress.epoch, attempt.i) if row_numbers else ()
    found, try_this = _describe(origin, leaves(attempt.batch), feature_names, rows)
    return NonFiniteError(asked, found, try_this)


def find_origin(step: Callable[..., Any], state: Any, batch: Any) -> Origin | None:
    """Return where ``step(state, batch)`` first gets a number that is not finite, or None."""
    done = _evaluate(step, state, batch)
    names = ["1.loss", "1.gradient_norm", *done.outputs]
    bad = [done.outputs[n] for n in names if n in done.outputs and _is_bad(done, done.outputs[n])]
    if not bad:
        return None
    reached = set(_walk_back(done.graph, bad[0], lambda value: _is_bad(done, value)))
    for prefix in (_BATCH, _STATE):
        for value, name in enumerate(done.inputs):
            if value in reached and name.startswith(prefix):
                return _input_origin(done, value, name)
    first = done.graph.first_node
    made_bad = (v for v in sorted(reached) if v >= first and not _has_bad_input(done, v))
    return next((_op_origin(done, value) for value in made_bad), None)


def _evaluate(step: Callable[..., Any], state: Any, batch: Any) -> _Evaluated:
    traced = trace(step, state, batch)
    graph, inputs = traced.graph, leaves((state, batch))
    values: list[Any] = [x.numpy() for x in inputs.values()] + list(graph.constants)
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            values.append(np.asarray(node.op.evaluate(*[values[i] for i in node.inputs])))
    outputs = dict(zip(leaves(traced.answer), graph.outputs, strict=True))
    return _Evaluated(graph, values, list(inputs), outputs)


def _is_bad(done: _Evaluated, value: int) -> bool:
    array = done.values[value]
    return array.dtype.kind == "f" and not bool(np.isfinite(array).all())


def _has_bad_input(done: _Evaluated, value: int) -> bool:
    """Return whether it read what was already bad; an infinite constant was meant to be one."""
    first = done.graph.first_node
    constants = range(len(done.inputs), first)
    inputs = done.graph.nodes[value - first].inputs
    return any(i not in constants and _is_bad(done, i) for i in inputs)


def _walk_back(
    graph: Graph, start: int, follow: Callable[[int], bool] = lambda value: True
) -> Iterator[int]:
    """Yield start and what it was made from, nearest first, over values that ``follow`` accepts."""
    seen, queue = {start}, deque([start])
    while queue:
        value = queue.popleft()
        yield value
        if value >= graph.first_node:
            inputs = graph.nodes[value - graph.first_node].inputs
            new = [i for i in dict.fromkeys(inputs) if i not in seen and follow(i)]
            seen.update(new)
            queue.extend(new)


def _first_bad(array: Array) -> tuple[tuple[int, ...], float]:
    flat = int(np.argmin(np.isfinite(array)))
    index = tuple(int(i) for i in np.unravel_index(flat, array.shape))
    return index, float(array[index])


def _input_origin(done: _Evaluated, value: int, name: str) -> Origin:
    index, number = _first_bad(done.values[value])
    if name.startswith(_BATCH):
        row = index[0] if index else None
        return Origin("input", name.removeprefix(_BATCH), index, number, row=row)
    return Origin("state", name.removeprefix(_PARAMS).removeprefix(_STATE), index, number)


def _op_origin(done: _Evaluated, value: int) -> Origin:
    graph, array = done.graph, done.values[value]
    index, number = _first_bad(array)
    node = graph.nodes[value - graph.first_node]
    operands = tuple(_operand(done.values[i], array.shape, index) for i in node.inputs)
    batch = next((v for v, n in enumerate(done.inputs) if n.startswith(_BATCH)), None)
    rows = done.values[batch].shape[:1] if batch is not None else ()
    phase = _phase(done, value)
    is_row = phase == "forward" and bool(rows) and array.shape[:1] == rows
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(node.op).__name__).lower()
    layer = _layer(done, value, phase)
    return Origin(phase, name, index, number, layer, operands, index[0] if is_row else None)


def _layer(done: _Evaluated, value: int, phase: str) -> str:
    """Return the layer of the nearest weight that a value was made from.

    What the backward pass makes belongs to the layer whose forward value it reads, which the
    gradient that arrived, made from later layers, must not hide.
    """
    if phase == "backward":
        forward = set(_walk_back(done.graph, done.outputs["1.loss"]))
        made = (v for v in _walk_back(done.graph, value) if v in forward)
        value = next((v for v in made if v >= done.graph.first_node), value)
    nearest = (done.inputs[v] for v in _walk_back(done.graph, value) if v < len(done.inputs))
    leaf = next((name for name in nearest if name.startswith(_PARAMS)), "").removeprefix(_PARAMS)
    return leaf.rpartition(".")[0] or leaf


def _phase(done: _Evaluated, value: int) -> str:
    """Return the part of the step that made a value: what the loss needs is the forward pass."""
    for phase, name in (("forward", "1.loss"), ("backward", "1.gradient_norm")):
        output = done.outputs.get(name)
        if output is not None and value in _walk_back(done.graph, output):
            return phase
    return "update"


def _operand(array: Array, shape: tuple[int, ...], index: tuple[int, ...]) -> str:
    """Return the one number that an elementwise operation read here, else the range of all."""
    if array.shape == shape or array.size == 1:
        return f"{array.reshape(-1)[0] if array.size == 1 else array[index]:.6g}"
    if array.size == 0:
        return "nothing"
    return f"{array.dtype}{list(array.shape)} from {array.min():.6g} to {array.max():.6g}"


def _describe(
    origin: Origin, batch: Mapping[str, Any], features: Sequence[str], rows: Sequence[int]
) -> tuple[str, str]:
    """Return what was found, and what to try."""
    where = _row(origin.row, rows)
    if origin.phase == "input":
        column = _column(origin.index, features) if origin.name == "inputs" else origin.name
        return f"{column} is {origin.value:g} in {where}", "repair the cell, or impute it"
    if origin.phase == "state":
        found = f"{origin.name}{list(origin.index) or ''} was {origin.value:g} before the step"
        return found, "start from weights that are numbers, or from an earlier checkpoint"
    given = " and ".join(origin.operands)
    place = f"{list(origin.index) or ''}{f' in layer {origin.layer!r}' if origin.layer else ''}"
    found = f"the {origin.phase} pass" if origin.phase != "update" else "the update"
    found += f" got {origin.value:g} from {origin.name} of {given} at {place}".replace(" at  ", " ")
    if origin.row is not None:
        found += f", in {where}{_largest(origin.row, batch, features)}"
    return found, "standardise the inputs, lower the learning rate, or clip the gradient"


def _row(row: int | None, rows: Sequence[int]) -> str:
    if row is None:
        return "the batch"
    return f"row {rows[row]}" if row < len(rows) else f"row {row} of the batch"


def _column(index: tuple[int, ...], features: Sequence[str]) -> str:
    place = index[1:]
    if len(place) == 1 and place[0] < len(features):
        return f"column {features[place[0]]!r}"
    return f"inputs[:, {', '.join(map(str, place))}]" if place else "inputs"


def _largest(row: int, batch: Mapping[str, Any], features: Sequence[str]) -> str:
    """Return the row's largest input, which most often is what overflowed."""
    inputs: Array = batch["inputs"].numpy() if "inputs" in batch else np.zeros(0)
    if inputs.ndim != 2 or inputs.shape[1] == 0 or inputs.dtype.kind != "f":
        return ""
    column = int(np.argmax(np.abs(inputs[row])))
    name = _column((row, column), features)
    return f" (its largest input is {inputs[row, column]:.4g}, {name})"
