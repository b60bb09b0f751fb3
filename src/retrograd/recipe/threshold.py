"""Decisions by stated costs: the class whose loss would be dearest, not merely the likeliest."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import as_levels
from retrograd.recipe.predictions import Predictions
from retrograd.tensor.errors import InputError

Floats = npt.NDArray[np.float64]


def cost_vector(costs: Mapping[str, float], classes: Sequence[str]) -> Floats:
    """Return (classes,) what it costs to take a row of each class for another; 1 if not said.

    Of two classes, `false_negative` is that of missing the second, `false_positive` that of missing
    the first.

    Raises InputError for amounts, and for a class that is not there.

    >>> cost_vector({"false_negative": 5}, ["no", "yes"]).tolist()
    [1.0, 5.0]
    """
    if not classes:
        raise InputError("costs of classes", "an amount is predicted", "leave the costs out")
    names = {label: code for code, label in enumerate(classes)}
    if len(classes) == 2:
        names = {"false_positive": 0, "false_negative": 1} | names
    vector = np.ones(len(classes))
    for label, cost in costs.items():
        if label not in names:
            near = difflib.get_close_matches(label, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(names)}"
            raise InputError(f"the cost of {label!r}", "there is no such class", hint)
        if not 0 < cost < float("inf"):
            raise InputError(f"the cost of {label!r}", f"{cost:g} is no cost", "give one above 0")
        vector[names[label]] = cost
    return vector


def decide(probabilities: Floats, costs: Floats) -> npt.NDArray[np.int64]:
    """Return (rows,) the class with the least expected cost.

    Taking j costs sum over k != j of p_k c_k, which is least where p_j c_j is greatest.
    Source: Elkan 2001, The Foundations of Cost-Sensitive Learning, section 1.

    >>> decide(np.array([[0.75, 0.25], [0.9, 0.1]]), np.array([1.0, 5.0])).tolist()
    [1, 0]
    """
    return np.asarray((probabilities * costs).argmax(axis=1))


def cost_of(decided: Any, labels: Any, costs: Floats) -> Floats:
    """Return (rows,) what each decision cost.

    >>> cost_of(np.array([0, 1]), np.array([1, 1]), np.array([1.0, 5.0])).tolist()
    [5.0, 0.0]
    """
    return np.where(decided == labels, 0.0, costs[labels])


def in_words(costs: Floats, classes: Sequence[str]) -> str:
    """Return when a class is chosen.

    >>> in_words(np.array([1.0, 5.0]), ["no", "yes"])
    "'yes' from a probability of 0.1667 on"
    """
    if len(classes) == 2:
        return f"{classes[1]!r} from a probability of {costs[0] / costs.sum():.4g} on"
    return "the class with the greatest probability times cost"


def with_costs(found: Predictions, costs: Mapping[str, float]) -> Predictions:
    """Return predictions decided by costs; raises InputError as `cost_vector` does."""
    vector = cost_vector(costs, found.classes)
    assert found.probabilities is not None
    labels = as_levels(found.classes)[decide(found.probabilities, vector)]
    return dataclasses.replace(found, values=np.asarray(labels))
