"""Metrics against scikit-learn's."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk

from retrograd.tensor.errors import ShapeError
from retrograd.train import metrics

CASES = [(seed, classes) for seed in range(4) for classes in (2, 3, 7)]


def labels_and_targets(seed: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, classes, 80)
    labels = np.where(generator.random(80) < 0.6, targets, generator.integers(0, classes, 80))
    return labels, targets


@pytest.mark.parametrize(("seed", "classes"), CASES)
def test_labels(seed, classes):
    labels, targets = labels_and_targets(seed, classes)
    average = "binary" if classes == 2 else "macro"
    assert metrics.accuracy(labels, targets) == pytest.approx(sk.accuracy_score(targets, labels))
    assert metrics.f1(labels, targets) == pytest.approx(
        sk.f1_score(targets, labels, average=average)
    )
    assert metrics.balanced_accuracy(labels, targets) == pytest.approx(
        sk.balanced_accuracy_score(targets, labels)
    )


@pytest.mark.parametrize(("seed", "classes"), CASES)
def test_logits(seed, classes):
    generator = np.random.default_rng(seed)
    _, targets = labels_and_targets(seed, classes)
    logits = generator.normal(size=(80, classes))
    logits[np.arange(80), targets] += 1
    found = metrics.classification_metrics(logits, targets)
    powers = np.exp(logits)
    probabilities = powers / powers.sum(1, keepdims=True)
    scores = probabilities[:, 1] if classes == 2 else probabilities
    assert found["log_loss"] == pytest.approx(sk.log_loss(targets, probabilities))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(targets, scores, multi_class="ovr"))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(targets, logits.argmax(1)))


@pytest.mark.parametrize(("seed", "classes"), CASES)
def test_area_with_ties(seed, classes):
    generator = np.random.default_rng(seed)
    _, targets = labels_and_targets(seed, classes)
    scores = generator.integers(1, 9, (80, classes)) / 1.0
    scores /= scores.sum(1, keepdims=True)
    given = scores[:, 1] if classes == 2 else scores
    expected = sk.roc_auc_score(targets, given, multi_class="ovr")
    assert metrics.roc_auc(scores, targets) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(60,), (60, 1)])
def test_binary_logits_of_one_column(shape):
    generator = np.random.default_rng(5)
    targets = generator.integers(0, 2, 60)
    logits = (generator.normal(size=60) + targets).astype(np.float32)
    found = metrics.classification_metrics(logits.reshape(shape), targets)
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(targets, logits > 0))
    assert found["log_loss"] == pytest.approx(sk.log_loss(targets, probability))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(targets, probability))


def test_confident_and_wrong_is_large_but_finite():
    found = metrics.classification_metrics(np.array([-1e30, 1e30]), np.array([1, 0]))
    assert found["log_loss"] == pytest.approx(-math.log(np.finfo(np.float64).eps))
    assert found["roc_auc"] == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_regression(seed):
    generator = np.random.default_rng(seed)
    targets = generator.normal(size=50).astype(np.float32)
    predictions = (targets + generator.normal(size=50)).astype(np.float32)[:, None]
    found = metrics.regression_metrics(predictions, targets)
    exact = targets.astype(np.float64), predictions.astype(np.float64)
    assert found["mean_absolute_error"] == pytest.approx(sk.mean_absolute_error(*exact))
    assert found["root_mean_squared_error"] == pytest.approx(sk.root_mean_squared_error(*exact))
    assert found["r2"] == pytest.approx(sk.r2_score(*exact))


def test_what_is_not_defined():
    zeros, none = np.zeros(3), np.zeros(0)
    assert math.isnan(metrics.roc_auc(np.array([0.1, 0.2]), np.array([1, 1])))
    assert math.isnan(metrics.roc_auc(np.array([0.1, math.nan]), np.array([0, 1])))
    assert math.isnan(metrics.roc_auc(np.full((2, 3), 0.3), np.array([1, 1])))
    assert metrics.r2(zeros, zeros) == sk.r2_score(zeros, zeros) == 1.0
    assert metrics.r2(zeros + 1, zeros) == sk.r2_score(zeros, zeros + 1) == 0.0
    assert math.isnan(metrics.r2(zeros[:1], zeros[:1]))
    for metric in (metrics.accuracy, metrics.balanced_accuracy, metrics.f1, metrics.roc_auc):
        assert math.isnan(metric(none, none))
    assert math.isnan(metrics.log_loss(np.zeros((0, 2)), none))
    assert math.isnan(metrics.mean_absolute_error(none, none))


def test_other_numbers_of_rows_are_refused():
    with pytest.raises(
        ShapeError, match=r"r2 of predictions \(3,\) and targets \(2,\): there is not"
    ):
        metrics.r2(np.zeros(3), np.zeros(2))
    with pytest.raises(ShapeError, match="give targets of shape"):
        metrics.classification_metrics(np.zeros((3, 2)), np.zeros((3, 2)))


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e200, 1e300])
def test_sizes_whose_squares_no_number_holds(size):
    predictions, targets = np.array([1.0, 2.0, 4.0]) * size, np.array([1.0, 3.0, 2.0]) * size
    found = metrics.regression_metrics(predictions, targets)
    assert found["root_mean_squared_error"] / size == pytest.approx(np.sqrt(5 / 3))
    assert found["r2"] == pytest.approx(-1.5)
