"""The data of a study, prepared once for all its trials: one split, with rows kept from choosing.

The validation part is cut in two. On one half trials are stopped, pruned and compared; the other
half judges the winner, and no trial sees it. The test part stays sealed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.data import Table, split_rows
from retrograd.recipe.config import Config
from retrograd.recipe.predictions import class_probabilities, finite_outputs
from retrograd.recipe.prepare import Prepared, prepare, read_source
from retrograd.recipe.training import Part
from retrograd.tensor.errors import DataError, InputError

_FEWEST = 20  # validation rows; half of them compare trials, half judge the winner
_JUDGING = 0.4  # share of the validation rows that no choice sees
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Material:
    """What all trials share.  choosing, judging: the halves of the validation part."""

    prepared: Prepared
    choosing: Part
    judging: Part

    @property
    def train(self) -> Part:
        """The training rows."""
        return self.prepared.job.train

    @property
    def outputs(self) -> int:
        """The number of classes, or 1."""
        return self.prepared.job.size.outputs

    @property
    def measure(self) -> str:
        """What is lowered: the log loss of classes, the root of the mean squared error else."""
        return "log_loss" if self.outputs > 1 else "root_mean_squared_error"

    def losses(self, net: Any, part: Part) -> Floats:
        """Return each row's loss: -log of its class's probability, or the squared error."""
        outputs = finite_outputs(net, part.inputs, "judging a trial")
        if self.outputs > 1:
            own = class_probabilities(outputs)[np.arange(len(outputs)), part.targets]
            return -np.log(np.maximum(own, 1e-15))
        back = self.prepared.preprocessor.inverse_target
        error = np.asarray(back(outputs[:, 0]) - back(part.targets[:, 0]), np.float64)
        return error * error

    def score(self, losses: Floats) -> float:
        """Return the measure of rows with these losses; lower is better."""
        mean = float(np.mean(losses))
        return mean if self.outputs > 1 else float(np.sqrt(mean))


def make_material(config: Config, table: Table | None = None) -> Material:
    """Read and prepare the data of a study.

    Raises InputError for folds, which have no one split, and DataError for a validation part with
    fewer than 20 rows.
    """
    if config.data.folds is not None:
        raise InputError("tuning with folds", "all trials share one split", "leave folds out")
    table = read_source(config.data) if table is None else table
    prepared = prepare(config, table)
    part = prepared.job.validation
    rows = 0 if part is None else len(part.inputs)
    if part is None or rows < _FEWEST:
        raise DataError(
            f"tuning on {table.name!r}",
            f"the validation part has {rows} rows, too few to compare trials on",
            f"give more rows, or a larger part with validation=0.3; {_FEWEST} rows are the fewest",
        )
    labels = part.targets if part.targets.ndim == 1 else part.targets[:, 0].astype(np.float64)
    halves = split_rows(labels, rows, seed=config.seed, validation=_JUDGING, test=0.0)
    return Material(prepared, _rows(part, halves.train), _rows(part, halves.validation))


def _rows(part: Part, rows: Any) -> Part:
    weights = None if part.weights is None else part.weights[rows]
    numbers = None if part.rows is None else part.rows[rows]
    return Part(part.inputs[rows], part.targets[rows], weights, numbers)
