"""Predictions for many rows, in batches, through one compiled inference; validation with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from retrograd.compile import compile
from retrograd.tensor.errors import DataError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array
from retrograd.train.plan import Validate
from retrograd.train.state import TrainState
from retrograd.train.step import Loss, network

Predict = Callable[[TrainState, Array], Array]


def make_predict(net: Any, *, batch_size: int = 1024) -> Predict:
    """Return ``predict(state, inputs) -> predictions``, both arrays with a row each.

    inputs (n, ...) -> (n, ...). The network is compiled once for all batches and states: the last
    batch is filled up with copies of its last row, whose predictions are dropped. Raises DataError
    if there are no rows.

    >>> from retrograd import nn, ops
    >>> from retrograd.optim import sgd
    >>> from retrograd.train.step import initial_state
    >>> net = nn.Linear(from_array(np.float32([[2.0]])))
    >>> state = initial_state(net, sgd(0.1), ops.key(0))
    >>> make_predict(net, batch_size=2)(state, np.float32([[1.0], [2.0], [3.0]])).tolist()
    [[2.0], [4.0], [6.0]]
    """

    def infer(leaves: dict[str, Any], inputs: Tensor) -> Tensor:
        result: Tensor = network(net, TrainState(**leaves, **_UNUSED))(inputs)
        return result

    compiled = compile(infer)

    def predict(state: TrainState, inputs: Array) -> Array:
        if len(inputs) == 0:
            raise DataError("predicting", "there are no rows", "give at least one row")
        leaves = {"params": state.params, "statistics": state.statistics}
        size = min(batch_size, len(inputs))
        parts = []
        for start in range(0, len(inputs), size):
            rows = inputs[start : start + size]
            filled = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
            parts.append(compiled(leaves, from_array(filled)).numpy()[: len(rows)])
        return np.concatenate(parts)

    return predict


# What inference has no use for.
_UNUSED: Mapping[str, Any] = {"optimizer": (), "step": (), "key": ()}


def make_validate(
    net: Any,
    loss: Loss,
    inputs: Array,
    targets: Array,
    *,
    weights: Array | None = None,
    metrics: Callable[[Array, Array], Mapping[str, float]] | None = None,
    batch_size: int = 1024,
) -> Validate:
    """Return ``validate(state)`` for `fit`: "validation_loss" and what ``metrics`` gives.

    ``metrics(predictions, targets)`` sees all rows at once, for example `classification_metrics`.
    The loss of all rows is computed at once too, so that its value does not depend on batches.

    >>> from retrograd import nn, ops
    >>> from retrograd.optim import sgd
    >>> from retrograd.train.metrics import regression_metrics
    >>> from retrograd.train.step import initial_state
    >>> net = nn.Linear(from_array(np.float32([[2.0]])))
    >>> state = initial_state(net, sgd(0.1), ops.key(0))
    >>> x, y = np.float32([[1.0], [2.0]]), np.float32([[1.0], [5.0]])
    >>> found = make_validate(net, nn.mean_squared_error, x, y, metrics=regression_metrics)(state)
    >>> found["validation_loss"], found["mean_absolute_error"]
    (1.0, 1.0)
    """
    predict = make_predict(net, batch_size=batch_size)
    given = {} if weights is None else {"weights": from_array(weights)}
    compiled = compile(loss)
    is_checked = False

    def validate(state: TrainState) -> dict[str, float]:
        nonlocal is_checked
        predictions = predict(state, inputs)
        seen = from_array(predictions), from_array(targets)
        if not is_checked:  # losses check the values of labels only when they are not compiled
            loss(*seen, **given)
            is_checked = True
        value = compiled(*seen, **given)
        found = metrics(predictions, targets) if metrics is not None else {}
        return {"validation_loss": float(value), **found}

    return validate
