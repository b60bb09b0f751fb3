"""Where a NaN or an infinity came from: the failed step, traced and evaluated op by op.

`retrograd.compile.debugging` finds the operation, the layer and the line of code; what a step knows
besides are the rows and the columns of its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from retrograd.compile import debugging
from retrograd.compile.trace import Traced
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
    """Where the first number that is not finite came from, with what a step knows of it.

    ``phase`` is "input" for a cell of the batch, "state" for a weight or a statistic, else
    "forward", "backward" or "update". ``name`` is the batch's part, the leaf, or the operation;
    ``found`` has the rest. ``row`` is the batch's row where there is one.
    """

    phase: str
    name: str
    found: debugging.Origin
    row: int | None = None

    @property
    def layer(self) -> str:
        """The layer of the nearest weight."""
        return self.found.layer


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
    traced = debugging.trace_places(step, state, batch)
    arrays = [x.numpy() for x in leaves((state, batch)).values()]
    found = debugging.find_origin(debugging.evaluate(traced, arrays))
    if found is None:
        return None
    if found.phase != "input":
        return Origin(found.phase, found.name, found, _row_of(traced, found))
    if found.name.startswith(_BATCH):
        row = found.index[0] if found.index else None
        return Origin("input", found.name.removeprefix(_BATCH), found, row)
    return Origin("state", found.name.removeprefix(_PARAMS).removeprefix(_STATE), found)


def _row_of(traced: Traced, found: debugging.Origin) -> int | None:
    """Return the batch's row of what the forward pass made, if it has the batch's rows."""
    graph = traced.graph
    batch = next((i for i, name in enumerate(traced.names.inputs) if name.startswith(_BATCH)), None)
    rows = graph.type_of(batch).shape[:1] if batch is not None else ()
    is_row = found.phase == "forward" and bool(rows)
    return found.index[0] if is_row and graph.type_of(found.value).shape[:1] == rows else None


def _describe(
    origin: Origin, batch: Mapping[str, Any], features: Sequence[str], rows: Sequence[int]
) -> tuple[str, str]:
    """Return what was found, and what to try."""
    where, number, index = _row(origin.row, rows), origin.found.number, origin.found.index
    if origin.phase == "input":
        column = _column(index, features) if origin.name == "inputs" else origin.name
        return f"{column} is {number:g} in {where}", "repair the cell, or impute it"
    if origin.phase == "state":
        found = f"{origin.name}{list(index) or ''} was {number:g} before the step"
        return found, "start from weights that are numbers, or from an earlier checkpoint"
    found = str(origin.found)
    if origin.row is not None:
        found += f", in {where}{_largest(origin.row, batch, features)}"
    found += f", applied in {origin.found.place}" if origin.found.place else ""
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
