"""Probabilities that mean what they say: a temperature fitted on validation rows, as a last layer.

The layer is part of the network, so whatever is made of the network (a file, an export, a server)
gives the same probabilities.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retrograd import nn
from retrograd.data import Preprocessor
from retrograd.recipe.conformal import Conformal, class_scores, conformal_of
from retrograd.recipe.predictions import Floats, class_probabilities, outputs_of
from retrograd.recipe.training import Part
from retrograd.tensor.types import Array

_FARTHEST = 3.0  # of the logarithm of the temperature, either way
_FEWEST_ROWS = 10
_MOST_ROWS = 20_000  # one number needs no more


def calibrated(net: Any, validation: Part | None) -> Any:
    """Return the network of a classifier with its temperature as last layer.

    It is the same network where there are fewer than 10 validation rows, or its outputs are not all
    finite. The rows also chose the best epoch, which one number more can hardly exploit.
    """
    if validation is None or len(validation.inputs) < _FEWEST_ROWS:
        return net
    step = -(-len(validation.inputs) // _MOST_ROWS)
    logits = outputs_of(net, validation.inputs[::step])
    if not np.isfinite(logits).all():
        return net
    layers = net.layers if isinstance(net, nn.Sequential) else (net,)
    temperature = fit_temperature(logits, validation.targets[::step])
    return nn.Sequential((*layers, nn.Temperature(temperature)))


def uncalibrated(net: Any) -> Any:
    """Return the network without the temperature that `calibrated` gave it: to train it further.

    >>> from retrograd import ops
    >>> net = nn.Sequential((nn.Linear.init(ops.key(0), 2, 2), nn.Temperature(2.0)))
    >>> len(uncalibrated(net).layers)
    1
    """
    if isinstance(net, nn.Sequential) and isinstance(net.layers[-1], nn.Temperature):
        return nn.Sequential(net.layers[:-1])
    return net


def fit_temperature(logits: Array, labels: Array) -> float:
    """Return the temperature T that makes softmax(logits / T) likeliest to give the labels.

    logits (rows, classes), labels (rows,) int64.  Minimises rows * log loss + (log T)^2 / 2 by
    golden section over log T in [-3, 3]: the second term, one row's worth, keeps T near 1 where a
    few rows without a mistake would make it vanish.

    >>> sure = np.array([[9.0, 0.0]] * 4 + [[0.0, 9.0]] * 4)
    >>> fit_temperature(sure, np.array([0, 0, 0, 1, 1, 1, 1, 0])) > 3
    True
    """
    scores = logits.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)

    def cost(far: float) -> float:
        shrunk = scores * math.exp(-far)
        own = shrunk[np.arange(len(labels)), labels]
        return float(np.sum(np.log(np.exp(shrunk).sum(axis=1)) - own)) + far * far / 2

    golden = (math.sqrt(5) - 1) / 2
    low, high = -_FARTHEST, _FARTHEST
    for _ in range(40):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if cost(left) <= cost(right) else (left, high)
    return math.exp((low + high) / 2)


def expected_calibration_error(probabilities: Floats, labels: Array, bins: int = 15) -> float:
    """Return how far, on average, the probability of what was predicted is from how often it holds.

    probabilities (rows, classes), labels (rows,).  Rows are binned by that probability.
    Source: Naeini et al. 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning.

    >>> expected_calibration_error(np.array([[0.25, 0.75]] * 4), np.array([1, 1, 1, 0]))
    0.0
    """
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, weights=right - sure, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def conformal_on(net: Any, validation: Part | None, preprocessor: Preprocessor) -> Conformal | None:
    """Return how far off a network is on the validation rows; None where there are none."""
    if validation is None or not len(validation.inputs):
        return None
    outputs = outputs_of(net, validation.inputs)
    if not np.isfinite(outputs).all():
        return None
    if preprocessor.classes:
        return conformal_of(class_scores(class_probabilities(outputs), validation.targets))
    amounts = (preprocessor.inverse_target(y[:, 0]) for y in (outputs, validation.targets))
    found, true = amounts
    return conformal_of(np.abs(found - true))
