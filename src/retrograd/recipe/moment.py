"""A step of a run, ready to be looked at: what it starts from, and the batch that it takes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.data import Batch, NumberColumn, Table, TextColumn, batch_rows
from retrograd.data.columns import is_missing
from retrograd.recipe.prepare import Prepared
from retrograd.recipe.training import Job, run_job
from retrograd.tensor.errors import FileFormatError, InputError
from retrograd.tensor.types import Array
from retrograd.train.checkpoint import SavedCheckpoint, load_newest, restore
from retrograd.train.directory import RunPaths
from retrograd.train.events import EpochDone, Started, StepDone
from retrograd.train.state import TrainState

_SPENT = 1e-3
"""A learning rate below this part of its peak is at its schedule's end."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A step before it is made, of a run that is over or goes on.

    prepared: the run, with network, loss and optimizer in `prepared.job`.  batch: arrays.
    row: the row's number in the source, at ``place`` in the batch.  origin: how the state was come
    by.  where: which batch it is.  source_values: what stood in the row's cell, for each feature.
    notes: sentences that whoever looks should see.
    """

    prepared: Prepared
    state: TrainState
    batch: Batch
    place: int
    row: int
    origin: str
    where: str
    source_values: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def job(self) -> Job:
        """The run's job."""
        return self.prepared.job


def last_state(prepared: Prepared) -> TrainState:
    """Return the state of a run's newest checkpoint; raises FileFormatError if it has none."""
    saved = _newest(prepared)
    if saved is None:
        raise FileFormatError(
            f"opening {str(prepared.directory)!r}",
            "it has no checkpoint yet",
            "wait for the first, or train it with resume",
        )
    return restore(saved, prepared.job.state).state


def _newest(prepared: Prepared) -> SavedCheckpoint | None:
    assert prepared.directory is not None
    return load_newest(RunPaths(prepared.directory).checkpoints)


def moment_of(prepared: Prepared, row: int | None = None, step: int | None = None) -> Moment:
    """Return a step of a run in which a training row takes part.

    Without ``step`` it is the one that would come after the newest checkpoint, with the batch that
    the row is in; with ``step``, from 1, the run is replayed up to it from its seed. ``row`` is the
    row's number in the source, from 0; by default the first of the batch.

    Raises InputError for a row that is not trained on, or not in that step's batch, and for a step
    that the run has not come to.
    """
    rows = prepared.split.train
    if row is not None and row not in rows:
        raise InputError(
            f"explaining row {row}",
            _whereabouts(prepared, row),
            f"choose a row of the training part, such as {rows[0]} or {rows[1]}",
        )
    return _next(prepared, row) if step is None else _replay(prepared, row, step)


def _next(prepared: Prepared, row: int | None) -> Moment:
    """Return the step after the newest checkpoint."""
    state = last_state(prepared)
    done = int(state.step.item())
    epoch, planned = _place_of(prepared, done + 1)
    i = planned if row is None else _batch_of(prepared, epoch, row)
    early = "" if i == planned else ", taken first"
    moment = _moment(prepared, state, (epoch, i), row, f"exact (after {done} steps)")
    notes = _notes_on_rate(prepared, state, row)
    return dataclasses.replace(moment, where=moment.where + early, notes=notes)


def _replay(prepared: Prepared, row: int | None, step: int) -> Moment:
    """Return a step from the middle of the run, by training anew up to it."""
    if step < 1:
        raise InputError(f"replaying step {step}", "steps count from 1", "give step=1 or more")
    saved = _newest(prepared)
    if saved is not None and step > saved.progress.step + 1:
        raise InputError(
            f"replaying step {step}",
            f"the run has made {saved.progress.step} steps",
            f"give a step from 1 to {saved.progress.step + 1}",
        )
    epoch, i = _place_of(prepared, step)
    if row is not None and (own := _batch_of(prepared, epoch, row)) != i:
        other = prepared.split.train[_cuts(prepared, epoch)[i]][0]
        raise InputError(
            f"explaining row {row} in step {step}",
            "that step's batch does not hold it",
            f"give step={step - i + own}, or row={other}",
        )
    state = _state_before(prepared, step, epoch)
    return _moment(prepared, state, (epoch, i), row, f"exact (replayed, {step - 1} steps)")


def _notes_on_rate(prepared: Prepared, state: TrainState, row: int | None) -> tuple[str, ...]:
    """Return a note if the schedule has come to its end, where a step moves nothing."""
    rate, peak = prepared.job.optimizer.learning_rate, prepared.config.optimization.learning_rate
    now = None if rate is None else float(rate(state.optimizer).item())
    if now is None or peak is None or now > peak * _SPENT:
        return ()
    middle = max(1, int(state.step.item()) // 2)
    choice = f"--step {middle}"
    if row is not None:
        epoch, i = _place_of(prepared, middle)
        choice = f"--row {row} --step {middle - i + _batch_of(prepared, epoch, row)}"
    return (
        f"The learning rate has run out ({now:.2g}), so this step moves next to nothing: "
        f"explain {choice} shows one from the middle of training.",
    )


def _whereabouts(prepared: Prepared, row: int) -> str:
    if not 0 <= row < prepared.table.n_rows:
        return f"the data has rows 0 to {prepared.table.n_rows - 1}"
    if row in prepared.split.test:
        return "it is in the test part, which stays sealed"
    if row in prepared.split.validation:
        return "it is in the validation part, which is not trained on"
    return "it has no label"


def _cuts(prepared: Prepared, epoch: int) -> list[Array]:
    config = prepared.config
    assert config.optimization.batch_size is not None
    size = config.optimization.batch_size
    return list(
        batch_rows(len(prepared.split.train), batch_size=size, seed=config.seed, epoch=epoch)
    )


def _place_of(prepared: Prepared, step: int) -> tuple[int, int]:
    """Return the epoch of a step, from 1, and the place of its batch there, from 0."""
    per_epoch = len(_cuts(prepared, 1))
    return (step - 1) // per_epoch + 1, (step - 1) % per_epoch


def _batch_of(prepared: Prepared, epoch: int, row: int) -> int:
    """Return the place of the batch that a training row is in, in an epoch."""
    rows, cuts = prepared.split.train, _cuts(prepared, epoch)
    return next(i for i, cut in enumerate(cuts) if row in rows[cut])


def _moment(
    prepared: Prepared, state: TrainState, at: tuple[int, int], row: int | None, origin: str
) -> Moment:
    """Return the step of a state with the batch at (epoch, place in it)."""
    epoch, i = at
    cuts = _cuts(prepared, epoch)
    cut = cuts[i]
    part, numbers = prepared.job.train, prepared.split.train[cut]
    place = 0 if row is None else int(np.flatnonzero(numbers == row)[0])
    weights = None if part.weights is None else part.weights[cut]
    batch = Batch(part.inputs[cut], part.targets[cut], weights)
    number = int(numbers[place])
    cells = tuple(
        cell(prepared.table, name, number) for name in prepared.preprocessor.feature_sources
    )
    where = f"batch {i + 1} of {len(cuts)}, epoch {epoch}"
    return Moment(prepared, state, batch, place, number, origin, where, cells)


def _state_before(prepared: Prepared, step: int, epoch: int) -> TrainState:
    """Return the state before a step of an epoch, by training anew."""
    job = prepared.job
    limits = dataclasses.replace(
        job.config.stopping, epochs=epoch, steps=None, time=None, until=None,
        patience=None, tolerance=None,
    )  # fmt: skip
    config = dataclasses.replace(job.config, stopping=limits)
    before: Started | StepDone | EpochDone | None = None
    for event in run_job(dataclasses.replace(job, config=config)):
        if isinstance(event, StepDone) and event.step == step:
            break
        if isinstance(event, Started | StepDone | EpochDone):
            before = event
    return job.state if before is None else before.state


def cell(table: Table, name: str, row: int) -> str:
    """Return what stands in a cell of a table, as text.

    >>> from retrograd.data import read_table
    >>> table = read_table({"size": [1.5, None], "colour": ["red", "blue"]})
    >>> cell(table, "size", 0), cell(table, "size", 1), cell(table, "colour", 1)
    ('1.5', 'missing', 'blue')
    """
    column: Any = table.columns[name]
    if is_missing(column)[row]:
        return "missing"
    if isinstance(column, TextColumn):
        return str(column.levels[column.codes[row]])
    value = column.values[row]
    return f"{value:.10g}" if isinstance(column, NumberColumn) else str(value)
