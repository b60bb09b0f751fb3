"""The network on its validation rows: what it says of each, and how wrong that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.data import Table, target_values
from retrograd.recipe.evaluate import Evaluation, evaluate_validation
from retrograd.recipe.intervals import Estimate, wilson
from retrograd.recipe.moment import cell
from retrograd.report.material import Material
from retrograd.tensor.types import Array

Floats = npt.NDArray[np.float64]
_BINS = 10


@dataclass(frozen=True, eq=False)
class Judged:
    """The validation rows.

    table: the rows themselves.  numbers (rows,): theirs in the source.  inputs (rows, features).
    targets (rows,): codes of classes, or amounts.  probabilities (rows, classes), None for amounts.
    values (rows,): predicted codes or amounts.  losses (rows,): log loss, or squared error.
    """

    evaluation: Evaluation
    table: Table
    numbers: Array
    inputs: Array
    targets: Array
    probabilities: Floats | None
    values: Array
    losses: Floats


def judge_validation(material: Material, table: Table) -> Judged:
    """Return the network's answers to the validation rows, of which there must be some."""
    model = material.model
    rows = table.take(material.split.validation)
    targets = target_values(rows, model.schema)
    found = model.predict(rows)
    if found.probabilities is None:
        values, losses = found.values, np.square(found.values - targets)
    else:
        code = {name: i for i, name in enumerate(found.classes)}
        values = np.array([code[str(value)] for value in found.values], np.int64)
        own = found.probabilities[np.arange(len(targets)), targets]
        losses = -np.log(np.maximum(own, 1e-300))
    return Judged(
        evaluation=evaluate_validation(model, table, material.split),
        table=rows,
        numbers=material.split.validation,
        inputs=model.preprocessor.transform(rows),
        targets=targets,
        probabilities=found.probabilities,
        values=values,
        losses=losses,
    )


class Bin(NamedTuple):
    """Rows whose predicted probability is alike: how many, what was said, and what came true."""

    rows: int
    said: float
    true: Estimate


def confusion(judged: Judged, classes: int) -> npt.NDArray[np.int64]:
    """Return how many rows of each class (down) were taken for which (across)."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (judged.targets, judged.values), 1)
    return counts


def reliability(judged: Judged) -> tuple[list[Bin], float]:
    """Return rows in bins of a tenth by probability, and the expected calibration error.

    The probability is that of the second of two classes, else that of the predicted one. The error
    is the mean distance of what was said from what came true, over the rows of all bins.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    assert judged.probabilities is not None
    if judged.probabilities.shape[1] == 2:
        said, came = judged.probabilities[:, 1], judged.targets == 1
    else:
        said, came = judged.probabilities.max(axis=1), judged.values == judged.targets
    place = np.minimum((said * _BINS).astype(int), _BINS - 1)
    bins, error = [], 0.0
    for i in range(_BINS):
        inside = place == i
        if count := int(inside.sum()):
            true = wilson(int(came[inside].sum()), count)
            bins.append(Bin(count, float(said[inside].mean()), true))
            error += count / len(said) * abs(bins[-1].said - true.value)
    return bins, error


class BadRow(NamedTuple):
    """A row that the network is most wrong about: its number, cells, label, and what was said."""

    number: int
    cells: tuple[str, ...]
    label: str
    said: str
    loss: float


def worst_rows(judged: Judged, material: Material, columns: list[str], count: int) -> list[BadRow]:
    """Return the rows with the largest losses, the worst first, with the cells of some columns."""
    classes = material.model.schema.classes
    rows = []
    for i in np.argsort(-judged.losses, kind="stable")[:count].tolist():
        said = judged.values[i]
        if judged.probabilities is None:
            label, words = f"{judged.targets[i]:.6g}", f"{said:.6g}"
        else:
            label = classes[judged.targets[i]]
            words = f"{classes[said]} ({100 * judged.probabilities[i, said]:.0f} %)"
        cells = tuple(cell(judged.table, name, i) for name in columns)
        rows.append(BadRow(int(judged.numbers[i]), cells, label, words, float(judged.losses[i])))
    return rows
