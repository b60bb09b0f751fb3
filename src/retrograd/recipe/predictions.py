"""What a network says of a table: labels or amounts, probabilities, and what was odd."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.compile.threads import one_blas_thread
from retrograd.data import Preprocessor, Schema, Table
from retrograd.nn import softmax
from retrograd.tensor.errors import NonFiniteError
from retrograd.tensor.tensor import from_array
from retrograd.tensor.types import Array

Floats = npt.NDArray[np.float64]
_ROWS_AT_ONCE = 4096  # so that memory does not grow with the table


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says of every row.

    values (rows,): the likeliest label as text, or the amount (float64) in the target's unit.
    probabilities (rows, classes) float64, in the order of `classes`; None for amounts.
    notes: sentences about cells and columns that training did not know.
    lower, upper (rows,) and sets (rows, classes): where a coverage was asked for.
    """

    target: str
    values: npt.NDArray[Any]
    probabilities: Floats | None
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    lower: Floats | None = None
    upper: Floats | None = None
    sets: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    def __iter__(self) -> Iterator[Any]:
        """Give the value of each row as a Python object."""
        return iter(self.values.tolist())

    def to_columns(self) -> dict[str, list[Any]]:
        """Return columns to write into a file: the prediction, then a probability for each class.

        >>> one = Predictions("sold", np.array(["yes"]), np.array([[0.25, 0.75]]), ("no", "yes"))
        >>> one.to_columns()
        {'sold': ['yes'], 'probability of no': [0.25], 'probability of yes': [0.75]}
        """
        columns: dict[str, list[Any]] = {self.target: self.values.tolist()}
        if self.probabilities is not None:
            for name, column in zip(self.classes, self.probabilities.T, strict=True):
                columns[f"probability of {name}"] = column.tolist()
        if self.lower is not None and self.upper is not None:
            columns[f"{self.target} lower"] = self.lower.tolist()
            columns[f"{self.target} upper"] = self.upper.tolist()
        if self.sets is not None:
            columns[f"{self.target} set"] = [
                " | ".join(name for name, has in zip(self.classes, row, strict=True) if has)
                for row in self.sets.tolist()
            ]
        return columns


def outputs_of(net: Any, inputs: Array) -> Array:
    """Return what a network gives.  inputs (rows, features) -> (rows, classes), or (rows, 1)"""
    starts = range(0, max(len(inputs), 1), _ROWS_AT_ONCE)
    parts = (from_array(inputs[i : i + _ROWS_AT_ONCE]) for i in starts)
    with one_blas_thread():
        return np.concatenate([net(part).numpy() for part in parts])


def finite_outputs(net: Any, inputs: Array, asked: str = "predicting") -> Array:
    """Return `outputs_of`; raises NonFiniteError, naming the first row where they are none."""
    outputs = outputs_of(net, inputs)
    bad = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if len(bad):
        raise NonFiniteError(
            asked,
            f"the network gives NaN or infinity for {len(bad)} rows, the first is row {bad[0]}",
            "look for huge values in these rows, or train again with a lower learning_rate",
        )
    return outputs


def class_probabilities(logits: Array) -> Floats:
    """Return probabilities that sum to 1.  logits (rows, classes) -> float64 (rows, classes)"""
    return softmax(from_array(logits.astype(np.float64))).numpy().astype(np.float64)


def predict_table(
    net: Any, schema: Schema, preprocessor: Preprocessor, table: Table
) -> Predictions:
    """Return the predictions of a network for every row of a table.

    Raises DataError for a column that is missing or changed its kind, NonFiniteError as
    `finite_outputs` does.
    """
    outputs = finite_outputs(net, preprocessor.transform(table), f"predicting {table.name!r}")
    notes = table.notes + preprocessor.notes(table)
    if not schema.task.is_classification:
        amounts = preprocessor.inverse_target(outputs[:, 0])
        return Predictions(schema.target, amounts, None, (), notes)
    values = preprocessor.inverse_target(outputs.argmax(axis=1))
    probabilities = class_probabilities(outputs)
    return Predictions(schema.target, values, probabilities, schema.classes, notes)
