"""What the two estimators share: from arrays to a trained network, kept as plain arrays."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.data import split_rows
from retrograd.recipe.architecture import decode, encode
from retrograd.recipe.config import Config
from retrograd.recipe.predictions import finite_outputs
from retrograd.recipe.training import Job, Part, make_job, run_job, trained_network
from retrograd.tensor.types import Array
from retrograd.train.events import EpochDone, Stopped
from retrograd.tree import leaves

Floats = npt.NDArray[Any]  # float32 or float64, as the table that was given

_FEW_ROWS = 64
"""Below, every step sees all rows and none is held out: with so few, chance would decide."""


class Fitted(NamedTuple):
    """A trained network as plain data, which copies and pickles like any other."""

    architecture: dict[str, Any]
    arrays: dict[str, Array]
    epochs: int
    history: list[dict[str, float]]


class Scale(NamedTuple):
    """(value - shift) / scale, column by column."""

    shift: Floats
    scale: Floats

    def apply(self, values: Floats) -> Floats:
        """Return the values in deviations from the mean, in their own dtype."""
        scaled: Floats = ((values - self.shift) / self.scale).astype(values.dtype)
        return scaled


def fit_scale(values: Floats, weights: Floats | None) -> Scale:
    """Return the scale that gives mean 0 and deviation 1; a constant column keeps its unit.

    values (rows, columns), weights (rows,): how often each row counts.

    >>> fit_scale(np.array([[1.0], [3.0]]), None)
    Scale(shift=array([2.]), scale=array([1.]))
    """
    wide = values.astype(np.float64)
    # Largest first brought to 1, so that squares of huge values stay finite.
    unit = np.maximum(np.abs(wide).max(axis=0), np.finfo(np.float64).tiny)
    shift = np.average(wide / unit, axis=0, weights=weights)
    variance = np.average((wide / unit - shift) ** 2, axis=0, weights=weights)
    scale = np.sqrt(variance) * unit
    # Rounding alone makes a deviation of about 1e-16 of the values.
    is_constant = np.sqrt(variance) <= 1e-12
    return Scale(shift * unit, np.where(is_constant, 1.0, scale))


def train_arrays(
    config: Config, outputs: int, inputs: Floats, targets: Array, weights: Floats | None
) -> Fitted:
    """Return the network trained on standardised inputs.

    inputs (rows, features); targets (rows,) int64 or (rows, 1); weights (rows,) or None. Raises
    NonFiniteError if training breaks down.
    """
    rows = len(inputs)
    is_small = rows < _FEW_ROWS
    everything = Part(inputs, targets, weights)
    if is_small or config.data.validation == 0:
        config = _for_few_rows(config, rows) if is_small else config
        job = make_job(config, outputs, everything, None)
    else:
        labels = targets if targets.ndim == 1 else targets[:, 0].astype(np.float64)
        split = split_rows(
            labels, rows, seed=config.seed, validation=config.data.validation, test=0.0
        )
        train, validation = (_rows(everything, part) for part in (split.train, split.validation))
        job = make_job(config, outputs, train, validation)
    return _fitted(job)


def _for_few_rows(config: Config, rows: int) -> Config:
    """Return the config with whole batches and no dropout, unless they were chosen."""
    optimization, network = config.optimization, config.network
    return dataclasses.replace(
        config,
        optimization=dataclasses.replace(
            optimization, batch_size=optimization.batch_size or _FEW_ROWS
        ),
        network=dataclasses.replace(
            network, dropout=0.0 if network.dropout is None else network.dropout
        ),
    )


def _rows(part: Part, rows: Array) -> Part:
    weights = None if part.weights is None else part.weights[rows]
    return Part(part.inputs[rows], part.targets[rows], weights)


def _fitted(job: Job) -> Fitted:
    history: list[dict[str, float]] = []
    stopped: Stopped | None = None
    for event in run_job(job):
        if isinstance(event, EpochDone):
            history.append(dict(event.metrics))
        if isinstance(event, Stopped):
            stopped = event
    assert stopped is not None
    net = trained_network(job, stopped.state)
    arrays = {name: np.array(x.numpy()) for name, x in leaves(net).items()}
    return Fitted(encode(net), arrays, len(history), history)


def outputs_of_fitted(fitted: Fitted, inputs: Floats) -> Floats:
    """Return what the network gives for standardised inputs: (rows, classes) or (rows, 1)."""
    net = decode(fitted.architecture, fitted.arrays, "using a fitted estimator")
    dtype = next(iter(fitted.arrays.values())).dtype
    return finite_outputs(net, inputs.astype(dtype), "predicting")
