"""What a network has to beat: a guess that ignores the columns, and a linear model of them."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.recipe.training import Part
from retrograd.tensor.types import Array

Floats = npt.NDArray[np.float64]
_MOST_ROWS = 50_000  # of training that the linear model sees; more hardly change it


class Baseline(NamedTuple):
    """A rival, in words, and what it says of the test rows.

    predicted: probabilities (rows, classes), or standardised amounts (rows, 1).
    """

    name: str
    description: str
    predicted: Floats


def trivial_baseline(train: Part, inputs: Array, classes: tuple[str, ...]) -> Baseline:
    """Return the guess of the most frequent training class, or of the mean training amount.

    The mean is the constant with the least squared error, as the most frequent class is the one
    with the best accuracy.
    """
    if classes:
        shares = np.bincount(train.targets, minlength=len(classes)) / len(train.targets)
        words = f"always {classes[int(shares.argmax())]!r}, the most frequent class"
        return Baseline("trivial", words, np.tile(shares, (len(inputs), 1)))
    mean = train.targets.astype(np.float64).mean()
    return Baseline("trivial", "always the training mean", np.full((len(inputs), 1), mean))


def linear_baseline(train: Part, inputs: Array, classes: tuple[str, ...]) -> Baseline:
    """Return logistic regression, or ridge regression, on the same prepared training rows.

    Fitted by scikit-learn with its own defaults, on at most 50,000 rows, evenly spread.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    step = -(-len(train.inputs) // _MOST_ROWS)
    x = train.inputs[::step].astype(np.float64)
    y = train.targets[::step]
    words = f"logistic regression on {len(x):,} rows" if classes else f"ridge on {len(x):,} rows"
    if not classes:
        fitted = Ridge().fit(x, y[:, 0].astype(np.float64))
        return Baseline("linear", words, fitted.predict(inputs)[:, np.newaxis])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it could still improve a little is no news here
        fitted = LogisticRegression(max_iter=1000).fit(x, y)
    return Baseline("linear", words, _all_classes(fitted, inputs, len(classes)))


def _all_classes(fitted: Any, inputs: Array, count: int) -> Floats:
    """Return probabilities with a column for each class, also for those it never saw."""
    found = np.zeros((len(inputs), count))
    found[:, fitted.classes_] = fitted.predict_proba(inputs.astype(np.float64))
    return found
