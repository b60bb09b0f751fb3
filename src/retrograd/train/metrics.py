"""Metrics by the names the field uses, in NumPy, in float64, over all rows at once.

Arguments come as in the losses: predictions first, then targets. What is not defined (the area
under a curve when only one class is there) is NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.tensor.errors import ShapeError
from retrograd.tensor.types import Array

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def accuracy(labels: Array, targets: Array) -> float:
    """Return the share of rows whose label is right.  labels (n,), targets (n,)

    >>> accuracy(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]))
    0.75
    """
    _check_rows("accuracy", labels, targets)
    return float(np.mean(labels == targets)) if len(targets) else math.nan


def balanced_accuracy(labels: Array, targets: Array) -> float:
    """Return the mean over the classes of the share of their rows that are right.

    labels (n,), targets (n,). Classes that no target has are left out.

    >>> balanced_accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]))
    0.5
    """
    _check_rows("balanced_accuracy", labels, targets)
    recalls = [np.mean(labels[targets == label] == label) for label in np.unique(targets)]
    return float(np.mean(recalls)) if recalls else math.nan


def f1(labels: Array, targets: Array) -> float:
    """Return 2 precision recall / (precision + recall).  labels (n,), targets (n,)

    Of class 1 if all labels are 0 and 1, else the mean over all classes seen ("macro"). A class
    that is never predicted right counts 0.
    Source: van Rijsbergen 1979, Information Retrieval, chapter 7.

    >>> f1(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]))
    0.6666666666666666
    """
    _check_rows("f1", labels, targets)
    classes = np.unique(np.concatenate([labels, targets]))
    wanted = [1] if set(classes.tolist()) <= {0, 1} else classes.tolist()
    scores = []
    for label in wanted:
        right = np.sum((labels == label) & (targets == label))
        either = np.sum(labels == label) + np.sum(targets == label)
        scores.append(2 * right / either if either else 0.0)
    return float(np.mean(scores)) if len(targets) else math.nan


def log_loss(probabilities: Array, targets: Array) -> float:
    """Return the mean of -log p[target].  probabilities (n, k), targets int (n,)

    Probabilities are kept at least the type's smallest step away from 0.
    Source: Good 1952, Rational Decisions.

    >>> round(log_loss(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])), 4)
    0.4904
    """
    _check_rows("log_loss", probabilities, targets)
    if not len(targets):
        return math.nan
    chosen = probabilities[np.arange(len(targets)), targets.astype(np.int64)]
    floor = np.finfo(probabilities.dtype).eps
    return float(-np.mean(np.log(np.clip(chosen.astype(np.float64), floor, 1.0))))


def roc_auc(scores: Array, targets: Array) -> float:
    """Return the area under the ROC curve.  scores (n,) or (n, k), targets int (n,)

    It is the chance that a row of class 1 has a higher score than one of class 0, ties counted
    half. For k classes it is the mean over the classes, each against the rest, of those that both
    have rows and do not have all. NaN if only one class is there.
    Source: Hanley & McNeil 1982, section on the Wilcoxon statistic.

    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    0.75
    """
    _check_rows("roc_auc", scores, targets)
    if scores.ndim == 1:
        return _area(scores, targets == 1)
    if scores.shape[1] == 2:
        return _area(scores[:, 1], targets == 1)
    areas = [_area(scores[:, label], targets == label) for label in range(scores.shape[1])]
    known = [area for area in areas if not math.isnan(area)]
    return float(np.mean(known)) if known else math.nan


def _area(scores: Array, is_positive: Array) -> float:
    positives = int(np.sum(is_positive))
    negatives = len(is_positive) - positives
    if positives == 0 or negatives == 0 or np.isnan(scores).any():
        return math.nan
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # The mean rank of each group of ties, from 1.
    ranks = np.cumsum(counts) - (counts - 1) / 2
    wins = np.sum(ranks[place.reshape(-1)][is_positive]) - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def mean_absolute_error(predictions: Array, targets: Array) -> float:
    """Return the mean of |prediction - target|, in the target's unit.  both (n,) or (n, 1)

    >>> mean_absolute_error(np.array([1.0, 4.0]), np.array([2.0, 2.0]))
    1.5
    """
    return _mean(np.abs(_errors("mean_absolute_error", predictions, targets)))


def root_mean_squared_error(predictions: Array, targets: Array) -> float:
    """Return the root of the mean squared error, in the target's unit.  both (n,) or (n, 1)

    >>> root_mean_squared_error(np.array([3.0, 4.0]), np.array([0.0, 0.0])) ** 2
    12.5
    """
    errors = _errors("root_mean_squared_error", predictions, targets)
    unit = _unit(errors)
    return math.sqrt(_mean(np.square(errors / unit))) * unit


def r2(predictions: Array, targets: Array) -> float:
    """Return 1 - squared errors / squared deviations from the mean.  both (n,) or (n, 1)

    1 is perfect, 0 is as good as the mean, below 0 is worse. If all targets are equal it is 1 for
    a perfect prediction and else 0; NaN for fewer than two rows.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    0.7857142857142857
    """
    errors = _errors("r2", predictions, targets)
    if len(errors) < 2:
        return math.nan
    deviations = _flat(targets) - np.mean(_flat(targets))
    unit = _unit(np.concatenate([errors, deviations]))
    total = float(np.sum(np.square(deviations / unit)))
    left = float(np.sum(np.square(errors / unit)))
    if total == 0.0:
        return 1.0 if left == 0.0 else 0.0
    return 1.0 - left / total


def classification_metrics(logits: Array, targets: Array) -> dict[str, float]:
    """Return every metric of a classifier.  logits (n,) or (n, 1) of class 1, or (n, k); int (n,)

    >>> found = classification_metrics(np.array([-1.0, 2.0]), np.array([0, 1]))
    >>> sorted(found)
    ['accuracy', 'balanced_accuracy', 'f1', 'log_loss', 'roc_auc']
    """
    scores = logits.astype(np.float64)
    if scores.ndim == 1 or scores.shape[1] == 1:
        scores = np.stack([np.zeros(len(scores)), scores.reshape(-1)], axis=1)
    _check_rows("classification_metrics", scores, targets)
    labels = np.argmax(scores, axis=1)
    probabilities = _softmax(scores)
    return {
        "accuracy": accuracy(labels, targets),
        "balanced_accuracy": balanced_accuracy(labels, targets),
        "f1": f1(labels, targets),
        "log_loss": log_loss(probabilities, targets),
        "roc_auc": roc_auc(probabilities, targets),
    }


def regression_metrics(predictions: Array, targets: Array) -> dict[str, float]:
    """Return every metric of a regression.  both (n,) or (n, 1)

    >>> sorted(regression_metrics(np.array([1.0, 2.0]), np.array([1.0, 3.0])))
    ['mean_absolute_error', 'r2', 'root_mean_squared_error']
    """
    return {
        "mean_absolute_error": mean_absolute_error(predictions, targets),
        "root_mean_squared_error": root_mean_squared_error(predictions, targets),
        "r2": r2(predictions, targets),
    }


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    result: Floats = powers / powers.sum(axis=1, keepdims=True)
    return result


def _errors(asked: str, predictions: Array, targets: Array) -> Floats:
    _check_rows(asked, predictions, targets)
    return _flat(predictions) - _flat(targets)


def _unit(values: Floats) -> float:
    """Return a power of two near the largest size, whose division keeps bits and squares finite."""
    largest = float(np.max(np.abs(values), initial=0.0))
    if largest == 0.0 or not math.isfinite(largest):
        return 1.0
    return math.ldexp(1.0, math.frexp(largest)[1] - 1)


def _flat(values: Array) -> Floats:
    return values.astype(np.float64).reshape(-1)


def _mean(values: Floats) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _check_rows(asked: str, predictions: Any, targets: Any) -> None:
    """Raise ShapeError unless both have the same number of rows and the targets are one number."""
    per_row = math.prod(targets.shape[1:])
    if targets.ndim == 0 or len(predictions) != len(targets) or per_row != 1:
        raise ShapeError(
            f"{asked} of predictions {predictions.shape} and targets {targets.shape}",
            "there is not one target a row",
            "give targets of shape (n,) and predictions of as many rows",
        )
