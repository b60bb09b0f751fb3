"""Run: a trained network with its directory, and everything that can be asked of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrograd.data import Batch, Table
from retrograd.recipe.evaluate import Evaluation, evaluate_model, evaluate_run
from retrograd.recipe.model import Model, load_model
from retrograd.recipe.moment import moment_of
from retrograd.recipe.predictions import Predictions
from retrograd.recipe.prepare import Prepared
from retrograd.recipe.run import read_history, reopen, resume
from retrograd.tensor.errors import InputError
from retrograd.train.directory import RunPaths
from retrograd.train.events import Event

if TYPE_CHECKING:
    from retrograd.diagnose import GradientReport
    from retrograd.explain import Explanation

_CHECKED_ROWS = 32


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network and the directory that holds everything about it.

    ``table`` is the data, for runs trained from a table in memory; else it is read again from its
    source when it is needed.
    """

    directory: Path
    model: Model
    table: Table | None = None

    def __repr__(self) -> str:
        """Return it in one line, without its numbers."""
        return f"Run({str(self.directory)!r}, {self.model!r})"

    @functools.cached_property
    def history(self) -> dict[str, list[float]]:
        """The metrics of every epoch: a list for each of loss, validation_loss, accuracy ..."""
        rows = read_history(self.directory)
        names = [name for name in rows[0] if name != "step"] if rows else []
        return {name: [row.get(name, float("nan")) for row in rows] for name in names}

    def predict(
        self,
        table: Any,
        *,
        coverage: float | None = None,
        costs: Mapping[str, float] | None = None,
    ) -> Predictions:
        """Return predictions for a table, or whatever `read_table` reads, or a row as a dict.

        ``coverage`` and ``costs`` are those of `Model.predict`.
        """
        return self.model.predict(table, coverage=coverage, costs=costs)

    def predict_proba(self, table: Any) -> npt.NDArray[np.float64]:
        """Return probabilities (rows, classes), in the order of ``model.schema.classes``.

        Raises InputError for a network that predicts amounts.
        """
        found = self.model.predict(table).probabilities
        if found is None:
            raise InputError(
                "predict_proba", f"{self.model.schema.target!r} is an amount", "use predict"
            )
        return found

    def test(self, table: Any = None) -> Evaluation:
        """Judge the network on the test rows: estimates with 95 % intervals beside baselines.

        Every call opens the sealed part and is counted in the ledger beside the runs. With
        ``table``, other labelled rows are used and nothing is counted.
        """
        if table is not None:
            return evaluate_model(self.model, table)
        return evaluate_run(self.directory, self.table)

    def explain(
        self,
        row: int | None = None,
        *,
        step: int | None = None,
        unit: str | None = None,
        weight: str | None = None,
        layer: str | None = None,
    ) -> Explanation:
        """Explain a training step in true numbers, from one of its rows.

        ``row`` is a training row's number in the data, from 0. Without ``step``, it is the step
        that would come next; with it, from 1, the run is replayed. ``unit`` ("layers.2[3]"),
        ``weight`` ("layers.2.weight[7,3]") and ``layer`` choose what is shown.
        """
        from retrograd.explain import explain_step

        moment = moment_of(reopen(self.directory, self.table), row, step)
        job, preprocessor = moment.job, self.model.preprocessor
        return explain_step(
            job.net,
            job.loss,
            job.optimizer,
            moment.state,
            moment.batch,
            moment.place,
            unit=unit,
            weight=weight,
            layer=layer,
            row=moment.row,
            feature_names=preprocessor.feature_names,
            class_names=preprocessor.classes,
            source_values=moment.source_values,
            exact=moment.origin,
            where=moment.where,
            notes=moment.notes,
        )

    def check(self, *, rows: int = _CHECKED_ROWS, seed: int = 0) -> GradientReport:
        """Compare the network's gradients on its first training rows with finite differences.

        Raises InputError for fewer than one row.
        """
        from retrograd.diagnose import check_gradients

        if rows < 1:
            raise InputError(f"checking {rows} rows", "there is nothing to check on", "give rows=1")
        job = reopen(self.directory, self.table).job
        part = job.train
        batch = Batch(part.inputs[:rows], part.targets[:rows])
        return check_gradients(self.model.net, job.loss, batch, seed=seed)

    def resume(
        self,
        *,
        listen: Callable[[Prepared | Event], None] | None = None,
        should_stop: Callable[[], str | None] | None = None,
        **limits: Any,
    ) -> Run:
        """Go on training from the newest checkpoint, with new limits if given, and return the run.

        Raises InputError if another process writes to it, DataError if the data changed.
        """
        outcome = resume(
            self.directory, self.table, listen=listen, should_stop=should_stop, **limits
        )
        return Run(outcome.directory, outcome.model, self.table)


def open_run(directory: Path) -> Run:
    """Return the run of a directory; raises FileFormatError if it has no whole model."""
    return Run(directory, load_model(RunPaths(directory).model))
