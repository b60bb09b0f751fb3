"""Cross-validation: a network for each fold, and one estimate over rows that each had not seen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrograd.data import Preprocessor, Table, target_values
from retrograd.recipe.baselines import Baseline
from retrograd.recipe.config import Config
from retrograd.recipe.evaluate import Evaluation, rivals_of
from retrograd.recipe.intervals import Estimate
from retrograd.recipe.judging import judge_amounts, judge_classes, measured
from retrograd.recipe.ledger import record_opening
from retrograd.recipe.model import Model, load_model
from retrograd.recipe.predictions import finite_outputs
from retrograd.recipe.prepare import read_source
from retrograd.recipe.run import read_split, require_same_data
from retrograd.recipe.toml import read_config
from retrograd.recipe.verdict import Comparison, judge
from retrograd.tensor.errors import InputError
from retrograd.tensor.types import Array
from retrograd.train.directory import RunPaths

_TRIVIAL = "what is commonest, or the mean, of each fold's training rows"
_SHARES = ("accuracy", "balanced_accuracy", "roc_auc")


class _Tested(NamedTuple):
    """One fold: its model, the labels of its test rows, what it and its baselines say of them."""

    model: Model
    targets: Array
    outputs: Array
    rivals: list[Baseline]
    openings: int


def fold_configs(config: Config) -> list[Config]:
    """Return the config of each fold's run; raises InputError for a config without folds.

    >>> from retrograd.recipe.config import configure
    >>> [each.data.fold for each in fold_configs(configure(folds=3))]
    [1, 2, 3]
    """
    folds = config.data.folds
    if folds is None:
        raise InputError("cross-validation", "the config names no folds", "give folds=5")
    parts = [dataclasses.replace(config.data, fold=i) for i in range(1, folds + 1)]
    return [dataclasses.replace(config, data=part) for part in parts]


def evaluate_folds(directories: Sequence[Path], table: Table | None = None) -> Evaluation:
    """Judge the networks of all folds together: each row by the one that had not seen it.

    The rows of different folds are not independent, since their networks share most of what they
    were trained on. So intervals are wider than those of as many rows of one test part, by
    sqrt(1 + k / (k - 1)) for k folds.
    Source: Nadeau & Bengio 2003, Inference for the Generalization Error, section 3; Bates, Hastie
    & Tibshirani 2024, Cross-Validation: What Does It Estimate, on intervals without it.

    Every fold's opening is written into the ledger. Raises InputError for fewer than two runs, and
    as `evaluate_run` does.
    """
    if len(directories) < 2:
        raise InputError("cross-validation", "fewer than two folds were trained", "train them all")
    tested = [_tested(Path(directory), table) for directory in directories]
    first, k = tested[0].model, len(tested)
    targets = np.concatenate([fold.targets for fold in tested])
    outputs = _together([(fold.model, fold.outputs) for fold in tested])
    rivals = [
        Baseline(
            rival.name,
            _TRIVIAL if rival.name == "trivial" else rival.description.partition(" on ")[0],
            _together([(fold.model, fold.rivals[i].predicted) for fold in tested]),
        )
        for i, rival in enumerate(tested[0].rivals)
    ]
    judged = judge_classes if first.schema.classes else judge_amounts
    measure, estimates, comparisons = judged(first, targets, outputs, rivals)
    estimates = {name: _widened(value, name, k) for name, value in estimates.items()}
    comparisons = tuple(
        Comparison(c.name, c.description, _widened(c.estimate, measure, k),
                   _widened(c.difference, "difference", k))
        for c in comparisons
    )  # fmt: skip
    return Evaluation(
        target=first.schema.target,
        rows=len(targets),
        measure=measure,
        estimates=estimates,
        comparisons=comparisons,
        verdict=judge(measure, estimates[measure], comparisons),
        openings=max(fold.openings for fold in tested),
        notes=_notes(tested, measure),
    )


def _tested(root: Path, table: Table | None) -> _Tested:
    """Open the test part of one fold's run."""
    asked = f"testing {str(root)!r}"
    model, config = load_model(RunPaths(root).model), read_config(RunPaths(root).config)
    split, record = read_split(root)
    table = read_source(config.data) if table is None else table
    require_same_data(table, record, asked)
    rows = table.take(split.test)
    inputs = model.preprocessor.transform(rows)
    outputs = finite_outputs(model.net, inputs, asked)
    seen = np.sort(np.concatenate([split.train, split.validation]))
    rivals = rivals_of(model, table, seen, rows, inputs)
    ledger = root.resolve().parent / "ledger.jsonl"
    openings = record_opening(ledger, record["test_digest"], root.resolve().name, len(split.test))
    return _Tested(model, target_values(rows, model.schema), outputs, rivals, openings)


def _together(parts: list[tuple[Model, Array]]) -> Array:
    """Return what several networks say of their rows, in the first one's units."""
    first = parts[0][0].preprocessor
    return np.concatenate([_in_units(first, model, outputs) for model, outputs in parts])


def _in_units(first: Preprocessor, model: Model, outputs: Array) -> Array:
    if first.classes:
        return outputs
    amounts = model.preprocessor.inverse_target(outputs)
    return np.asarray((amounts - first.shift) / first.scale)


def _widened(estimate: Estimate, name: str, folds: int) -> Estimate:
    """Return an estimate with its interval as wide as folds that share rows ask for.

    >>> print(_widened(Estimate(0.5, 0.4, 0.6), "accuracy", 5))
    0.5 [0.35, 0.65]
    """
    factor = math.sqrt(1 + folds / (folds - 1))
    low = estimate.value - factor * (estimate.value - estimate.low)
    high = estimate.value + factor * (estimate.high - estimate.value)
    if name not in ("r2", "difference"):
        low = max(low, 0.0)
    if name in _SHARES or name == "r2":
        high = min(high, 1.0)
    return Estimate(estimate.value, low, high)


def _notes(tested: list[_Tested], measure: str) -> tuple[str, ...]:
    """Return what every fold had, and that the estimate is of the recipe."""
    shown = ", ".join(f"{measured(f.model, f.targets, f.outputs):.4g}" for f in tested)
    share = f"{(len(tested) - 1) / len(tested):.0%}".replace("%", " %")
    return (
        f"{measure.replace('_', ' ')} of each fold: {shown}",
        f"this is the estimate of a network trained on {share} of the rows in this way, not of one "
        "of these networks; intervals allow for folds that share training rows",
    )
