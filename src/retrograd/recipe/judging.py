"""The measures of a network on labelled rows, and how baselines compare on the same rows."""

from __future__ import annotations

import numpy as np

from retrograd.recipe.baselines import Baseline
from retrograd.recipe.conformal import class_scores
from retrograd.recipe.intervals import (
    Estimate,
    area,
    bootstrap,
    mean_share,
    paired_difference,
    wilson,
)
from retrograd.recipe.model import Model
from retrograd.recipe.predictions import class_probabilities
from retrograd.recipe.threshold import cost_of, cost_vector, decide
from retrograd.recipe.verdict import Comparison
from retrograd.tensor.errors import InputError
from retrograd.tensor.types import Array
from retrograd.train.metrics import (
    log_loss,
    mean_absolute_error,
    r2,
    roc_auc,
    root_mean_squared_error,
)

COVERAGE = 0.9

Judged = tuple[str, dict[str, Estimate], tuple[Comparison, ...]]


def judge_classes(model: Model, targets: Array, outputs: Array, rivals: list[Baseline]) -> Judged:
    """Return the measures of a classifier, and how it compares in accuracy."""
    probabilities = class_probabilities(outputs)
    costs = cost_vector(model.config.data.costs, model.schema.classes)
    decided = decide(probabilities, costs)
    right = decided == targets
    by_class = [right[targets == label] for label in np.unique(targets)]
    estimates = {
        "accuracy": wilson(int(right.sum()), len(right)),
        "balanced_accuracy": mean_share([(int(part.sum()), len(part)) for part in by_class]),
        "log_loss": bootstrap(log_loss, [probabilities, targets]),
    }
    if len(model.schema.classes) == 2:
        positives = int((targets == 1).sum())
        score = roc_auc(probabilities[:, 1], targets)
        estimates["roc_auc"] = area(score, positives, len(targets) - positives)
    if model.config.data.costs:
        estimates["cost_of_a_row"] = bootstrap(np.mean, [cost_of(decided, targets, costs)])
        return "cost_of_a_row", estimates, _by_cost(decided, targets, costs, rivals)
    comparisons = []
    for rival in rivals:
        theirs = rival.predicted.argmax(axis=1) == targets
        gained, lost = int((right & ~theirs).sum()), int((theirs & ~right).sum())
        difference = paired_difference(gained, lost, len(right))
        share = wilson(int(theirs.sum()), len(theirs))
        comparisons.append(Comparison(rival.name, rival.description, share, difference))
    return "accuracy", estimates, tuple(comparisons)


def _by_cost(
    decided: Array, targets: Array, costs: Array, rivals: list[Baseline]
) -> tuple[Comparison, ...]:
    """Return how much less the network's decisions cost than those of baselines, by the same."""
    own, comparisons = cost_of(decided, targets, costs), []
    for rival in rivals:
        theirs = cost_of(decide(rival.predicted, costs), targets, costs)
        cost, less = bootstrap(np.mean, [theirs]), bootstrap(np.mean, [theirs - own])
        comparisons.append(Comparison(rival.name, rival.description, cost, less))
    return tuple(comparisons)


def judge_amounts(model: Model, targets: Array, outputs: Array, rivals: list[Baseline]) -> Judged:
    """Return the measures of a regression in the target's unit, and how its error compares."""
    found = model.preprocessor.inverse_target(outputs[:, 0])
    estimates = {
        "root_mean_squared_error": bootstrap(root_mean_squared_error, [found, targets]),
        "mean_absolute_error": bootstrap(mean_absolute_error, [found, targets]),
        "r2": bootstrap(r2, [found, targets]),
    }
    comparisons = []
    for rival in rivals:
        theirs = model.preprocessor.inverse_target(rival.predicted[:, 0])
        difference = bootstrap(
            lambda a, b, y: root_mean_squared_error(b, y) - root_mean_squared_error(a, y),
            [found, theirs, targets],
        )
        error = bootstrap(root_mean_squared_error, [theirs, targets])
        comparisons.append(Comparison(rival.name, rival.description, error, difference))
    return "root_mean_squared_error", estimates, tuple(comparisons)


def measured(model: Model, targets: Array, outputs: Array) -> float:
    """Return the measure that a network is judged by, without its interval."""
    if not model.schema.classes:
        return root_mean_squared_error(model.preprocessor.inverse_target(outputs[:, 0]), targets)
    costs = cost_vector(model.config.data.costs, model.schema.classes)
    decided = decide(class_probabilities(outputs), costs)
    if model.config.data.costs:
        return float(cost_of(decided, targets, costs).mean())
    return float((decided == targets).mean())


def held_share(model: Model, targets: Array, outputs: Array) -> Estimate | None:
    """Return how often the truth is in intervals or sets made for 90 %; None where none are."""
    if model.conformal is None:
        return None
    try:
        score = model.conformal.score(COVERAGE)
    except InputError:
        return None  # too few validation rows
    if model.schema.classes:
        scores = class_scores(class_probabilities(outputs), targets)
        first = outputs.argmax(axis=1) == targets  # the likeliest class is in every set
        held = (scores <= score) | first
    else:
        held = np.abs(model.preprocessor.inverse_target(outputs[:, 0]) - targets) <= score
    return wilson(int(held.sum()), len(held))
