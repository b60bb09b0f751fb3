"""The sealed test: the rows set apart are opened, counted, and the network is judged on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.data import Split, Table, read_table, target_values
from retrograd.data.columns import Rows
from retrograd.recipe.baselines import (
    Baseline,
    boosted_baseline,
    linear_baseline,
    trivial_baseline,
)
from retrograd.recipe.config import Config
from retrograd.recipe.intervals import Estimate
from retrograd.recipe.judging import held_share, judge_amounts, judge_classes
from retrograd.recipe.ledger import record_opening
from retrograd.recipe.model import Model, load_model
from retrograd.recipe.predictions import finite_outputs
from retrograd.recipe.prepare import part_of, read_source
from retrograd.recipe.results import keep_result
from retrograd.recipe.run import read_split, require_same_data
from retrograd.recipe.toml import read_config
from retrograd.recipe.verdict import Comparison, judge
from retrograd.tensor.errors import DataError, FileFormatError
from retrograd.tensor.types import Array
from retrograd.train.directory import RunPaths

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """What the test rows say of a network.

    measure: the one that it is judged by: accuracy of classes, root mean squared error of amounts.
    estimates: every measure with its 95 % interval.  comparisons: one a baseline; none where there
    is no training part to fit them on.  openings: how often these rows have been looked at.
    coverage: how often the truth was in intervals or sets made for 90 %; None without them.
    """

    target: str
    rows: int
    measure: str
    estimates: dict[str, Estimate]
    comparisons: tuple[Comparison, ...]
    verdict: str
    openings: int | None = None
    notes: tuple[str, ...] = ()
    coverage: Estimate | None = None

    @property
    def estimate(self) -> Estimate:
        """The measure that the network is judged by."""
        return self.estimates[self.measure]

    @property
    def beats_baselines(self) -> bool:
        """Whether the network's estimate is better than every baseline's, by however little."""
        return all(c.difference.value > 0 for c in self.comparisons)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON; what is undefined is None."""
        return {
            "target": self.target,
            "rows": self.rows,
            "measure": self.measure,
            "estimates": {name: _plain(value) for name, value in self.estimates.items()},
            "baselines": [
                {
                    "name": c.name,
                    "description": c.description,
                    self.measure: _plain(c.estimate),
                    "difference": _plain(c.difference),
                    "result": c.result,
                }
                for c in self.comparisons
            ],
            "beats_baselines": self.beats_baselines if self.comparisons else None,
            "verdict": self.verdict,
            "openings": self.openings,
            "coverage": None if self.coverage is None else _plain(self.coverage),
            "notes": list(self.notes),
        }


def _plain(estimate: Estimate) -> dict[str, float | None]:
    parts = estimate._asdict().items()
    return {name: None if math.isnan(value) else value for name, value in parts}


def evaluate_run(directory: str | Path, table: Table | None = None) -> Evaluation:
    """Open the test part of a run, judge its network on it, and write the opening down.

    ``table`` is the run's own data where it was trained from a table in memory. The ledger is
    `ledger.jsonl` beside the run. Raises DataError if the data is not what it was, or the run has
    no test part; InputError and FileFormatError if the run's files are missing or damaged.
    """
    root = Path(directory)
    asked = f"testing {str(directory)!r}"
    model = load_model(RunPaths(root).model)
    config = read_config(RunPaths(root).config)
    split, record = read_split(root)
    if not len(split.test):
        raise DataError(asked, "the run has no test part", "train with test=0.15")
    table = read_source(config.data) if table is None else table
    require_same_data(table, record, asked)
    _require_own_model(model, config, record["data_digest"], asked)
    ledger = root.resolve().parent / "ledger.jsonl"
    test = table.take(split.test)
    inputs = model.preprocessor.transform(test)
    seen = np.sort(np.concatenate([split.train, split.validation]))
    rivals = rivals_of(model, table, seen, test, inputs)
    openings = record_opening(ledger, record["test_digest"], root.resolve().name, len(split.test))
    evaluation = _report(model, test, inputs, rivals, openings)
    keep_result(root, evaluation.to_dict())
    return evaluation


def evaluate_validation(model: Model, table: Table, split: Split) -> Evaluation:
    """Judge a network on the validation part beside baselines; nothing is opened or counted.

    Training chose its best epoch on these rows, so they flatter the network a little, and a note
    says so. Raises DataError for a split without a validation part.
    """
    if not len(split.validation):
        raise DataError(
            f"judging on {table.name!r}",
            "there is no validation part",
            "train with validation=0.15",
        )
    rows = table.take(split.validation)
    inputs = model.preprocessor.transform(rows)
    rivals = rivals_of(model, table, split.train, rows, inputs)
    found = _report(model, rows, inputs, rivals, None)
    note = "training chose its best epoch on these rows, which flatters the network a little"
    return replace(found, notes=(note, *found.notes))


def rivals_of(
    model: Model, table: Table, known: Rows, tested: Table, inputs: Array
) -> list[Baseline]:
    """Return the baselines, fitted on the known rows of a table and asked about others."""
    train, classes = part_of(table, model.preprocessor, known), model.schema.classes
    return [
        trivial_baseline(train, inputs, classes),
        linear_baseline(train, inputs, classes),
        boosted_baseline(table, known, tested, model.preprocessor),
    ]


def _require_own_model(model: Model, config: Config, data_digest: str, asked: str) -> None:
    """Raise FileFormatError for the model of another run: it may have trained on these test rows.

    Seed, data and shares make the split; a path may differ, since directories can move.
    """
    parts = (
        "validation",
        "test",
        "stratify",
        "target",
        "group",
        "time_column",
        "part_column",
        "folds",
        "fold",
    )
    own = [model.config.seed, *(getattr(model.config.data, part) for part in parts)]
    wanted = [config.seed, *(getattr(config.data, part) for part in parts)]
    if (model.data_digest, own) != (data_digest, wanted):
        raise FileFormatError(
            asked, "its model.retro is of another run", "bring the run's own model back, or resume"
        )


def evaluate_model(model: Model, table: Any) -> Evaluation:
    """Judge a network on labelled rows that it has never seen, and of which nobody counts openings.

    There are no baselines, since they need the training rows. Raises DataError for rows without a
    label, or whose columns do not fit.
    """
    rows = read_table(table, spellings=model.schema.spellings)
    return _report(model, rows, model.preprocessor.transform(rows), [], None)


def _report(
    model: Model, table: Table, inputs: Array, rivals: list[Baseline], openings: int | None
) -> Evaluation:
    judged = judge_classes if model.schema.classes else judge_amounts
    model.preprocessor.transform_target(table)  # refuses rows without a usable label
    targets = target_values(table, model.schema)
    outputs = finite_outputs(model.net, inputs, f"testing on {table.name!r}")
    measure, estimates, comparisons = judged(model, targets, outputs, rivals)
    notes = table.notes + model.preprocessor.notes(table)
    if openings is not None and openings > 1:
        notes = (
            f"these test rows were opened {openings} times: what was chosen by looking at them "
            "makes this estimate too good",
            *notes,
        )
    return Evaluation(
        target=model.schema.target,
        rows=table.n_rows,
        measure=measure,
        estimates=estimates,
        comparisons=comparisons,
        verdict=judge(measure, estimates[measure], comparisons),
        openings=openings,
        notes=notes,
        coverage=held_share(model, targets, outputs),
    )
