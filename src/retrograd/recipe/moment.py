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
from retrograd.train.checkpoint import load_newest, restore
from retrograd.train.directory import RunPaths
from retrograd.train.events import EpochDone, Started, StepDone
from retrograd.train.state import TrainState


@dataclass(frozen=True, eq=False)
class Moment:
    """A step before it is made, of a run that is over or goes on.

    prepared: the run, with network, loss and optimizer in `prepared.job`.  batch: arrays.
    row: the row's number in the source, at ``place`` in the batch.  origin: how the state was come
    by.  source_values: what stood in the row's cell, for each feature.
    """

    prepared: Prepared
    state: TrainState
    batch: Batch
    place: int
    row: int
    origin: str
    source_values: tuple[str, ...]

    @property
    def job(self) -> Job:
        """The run's job."""
        return self.prepared.job


def last_state(prepared: Prepared) -> TrainState:
    """Return the state of a run's newest checkpoint; raises FileFormatError if it has none."""
    assert prepared.directory is not None
    saved = load_newest(RunPaths(prepared.directory).checkpoints)
    if saved is None:
        raise FileFormatError(
            f"opening {str(prepared.directory)!r}",
            "it has no checkpoint yet",
            "wait for the first, or train it with resume",
        )
    return restore(saved, prepared.job.state).state


def moment_of(prepared: Prepared, row: int | None = None, step: int | None = None) -> Moment:
    """Return a step of a run in which a training row takes part.

    Without ``step`` it is the one that would come after the newest checkpoint, with the batch that
    the row is in; with ``step``, from 1, the run is replayed up to it from its seed. ``row`` is the
    row's number in the source, from 0; by default the first of the batch.

    Raises InputError for a row that is not trained on, or not in that step's batch.
    """
    rows = prepared.split.train
    if row is not None and row not in rows:
        raise InputError(
            f"explaining row {row}",
            _whereabouts(prepared, row),
            f"choose a row of the training part, such as {rows[0]} or {rows[1]}",
        )
    if step is None:
        state = last_state(prepared)
        done = int(state.step.item())
        epoch = done // len(_cuts(prepared, 1)) + 1
        cuts = _cuts(prepared, epoch)
        i = 0 if row is None else next(i for i, cut in enumerate(cuts) if row in rows[cut])
        return _moment(prepared, state, cuts[i], row, f"exact (after {done} steps)")
    state, epoch, i = _replayed(prepared, step)
    cut = _cuts(prepared, epoch)[i]
    if row is not None and row not in rows[cut]:
        own = next(i for i, cut in enumerate(_cuts(prepared, epoch)) if row in rows[cut])
        raise InputError(
            f"explaining row {row} in step {step}",
            "that step's batch does not hold it",
            f"give step={step - i + own}, or row={rows[cut][0]}",
        )
    return _moment(prepared, state, cut, row, f"exact (replayed, {step - 1} steps)")


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


def _moment(
    prepared: Prepared, state: TrainState, cut: Array, row: int | None, origin: str
) -> Moment:
    part, numbers = prepared.job.train, prepared.split.train[cut]
    place = 0 if row is None else int(np.flatnonzero(numbers == row)[0])
    weights = None if part.weights is None else part.weights[cut]
    batch = Batch(part.inputs[cut], part.targets[cut], weights)
    number = int(numbers[place])
    cells = tuple(
        cell(prepared.table, name, number) for name in prepared.preprocessor.feature_sources
    )
    return Moment(prepared, state, batch, place, number, origin, cells)


def _replayed(prepared: Prepared, step: int) -> tuple[TrainState, int, int]:
    """Return the state before a step, its epoch, and its place in the epoch, by training anew."""
    per_epoch = len(_cuts(prepared, 1))
    if step < 1:
        raise InputError(f"replaying step {step}", "steps count from 1", "give step=1 or more")
    job = prepared.job
    limits = dataclasses.replace(
        job.config.stopping, epochs=-(-step // per_epoch), steps=None, time=None, until=None,
        patience=None, tolerance=None,
    )  # fmt: skip
    config = dataclasses.replace(job.config, stopping=limits)
    state = job.state
    for event in run_job(dataclasses.replace(job, config=config)):
        if isinstance(event, StepDone) and event.step == step:
            break
        if isinstance(event, Started | StepDone | EpochDone):
            state = event.state
    return state, (step - 1) // per_epoch + 1, (step - 1) % per_epoch


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
