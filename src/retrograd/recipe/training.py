"""From arrays to a trained network: the job that both tables and estimators hand to `fit`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retrograd import ops, optim
from retrograd.compile.engines import Memory
from retrograd.compile.resident import Resident
from retrograd.compile.threads import one_blas_thread
from retrograd.data import Batch, batch_rows, batches
from retrograd.optim import Optimizer
from retrograd.recipe.config import Config, StoppingConfig, bytes_of, seconds
from retrograd.recipe.footprint import footprint, require_memory, state_bytes, step_room
from retrograd.recipe.network import (
    Loss,
    Size,
    build_loss,
    build_network,
    build_optimizer,
    choose,
    count_numbers,
)
from retrograd.tensor.errors import InputError
from retrograd.tensor.types import Array, dtype_of
from retrograd.train.batch import read_batch
from retrograd.train.checkpoint import Checkpoint, SavedCheckpoint
from retrograd.train.evaluation import make_validate
from retrograd.train.fit import Events, fit
from retrograd.train.metrics import classification_metrics, regression_metrics
from retrograd.train.plan import Validate
from retrograd.train.programs import Programs
from retrograd.train.state import TrainState
from retrograd.train.step import initial_state, make_step, network
from retrograd.train.stopping import (
    Best,
    Converged,
    Moment,
    NoImprovement,
    Rule,
    Steps,
    TimeBudget,
    read,
    until,
)

FOR_EVER = 10**9  # epochs of a run that something else ends
SAVE_SECONDS = 2.0  # between checkpoints: what a kill may cost; writing one takes about a hundredth


class Part(NamedTuple):
    """The rows of one part, as the network sees them.

    inputs (rows, features) float32 (float64 from estimators).  targets (rows,) int64 labels, or
    (rows, 1) amounts of the inputs' dtype.  weights (rows,) likewise, or None.  rows: their numbers
    in the source.
    """

    inputs: Array
    targets: Array
    weights: Array | None = None
    rows: Array | None = None


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that training takes, before its first step. ``config`` has no open choice."""

    config: Config
    size: Size
    train: Part
    validation: Part | None
    net: Any
    loss: Loss
    optimizer: Optimizer
    step: Callable[..., Any]
    state: TrainState
    programs: Programs

    @property
    def memory(self) -> Memory:
        """The bytes that a step works in, as its program is laid out; it is compiled for that.

        Raises LimitError if the config's memory is too small for it.
        """
        return self._program.memory

    @property
    def extra(self) -> float:
        """The share of a step's work that is done twice, so that it keeps to the memory."""
        machine = self._program.machine
        return 0.0 if machine is None else machine.signature.extra

    @property
    def _program(self) -> Resident:
        part, size = self.train, self.config.optimization.batch_size
        weights = None if part.weights is None else part.weights[:size]
        batch = Batch(part.inputs[:size], part.targets[:size], weights)
        return self.programs.find(read_batch(batch)[0], batch)


def make_job(
    config: Config, outputs: int, train: Part, validation: Part | None, *, norms: bool = False,
    data: int = 0, net: Any = None,
) -> Job:  # fmt: skip
    """Choose what is open, and make network, loss, optimizer, step and first state.

    ``net`` is the network to start from; by default a fresh one is built.

    ``outputs`` is the number of classes, or 1 for amounts; ``norms`` measures each layer's;
    ``data`` are the bytes of the data, which the config's memory has to hold as well.
    """
    rows, features = train.inputs.shape
    size = Size(rows, features, outputs, count_numbers(train.inputs))
    config = choose(config, size, is_validated=validation is not None)
    require_memory(footprint(config, size))
    if net is None:
        _refuse_init(config)
        net = build_network(config, size, dtype_of(train.inputs), train.inputs)
    loss = build_loss(config, size, train.targets)
    optimizer = build_optimizer(config.optimization, planned_steps(config, size.rows))
    state = initial_state(net, optimizer, ops.fold_in(ops.key(config.seed), 1))
    step = make_step(net, loss, optimizer, norms=norms)
    programs = Programs(step, state, _room(config, state, data))
    return Job(config, size, train, validation, net, loss, optimizer, step, state, programs)


def _refuse_init(config: Config) -> None:
    """Refuse a model to start from where there is no table whose columns it could know."""
    if config.network.init is not None:
        raise InputError(
            f"init={config.network.init!r}",
            "a model knows columns by their names, and arrays have none",
            "train on a table with retrograd.train",
        )


def _room(config: Config, state: TrainState, data: int) -> int | None:
    """Return the bytes of the config's memory that are left for a step's program, if limited."""
    limit = config.stopping.memory
    return None if limit is None else step_room(bytes_of(limit), state_bytes(state), data)


def planned_steps(config: Config, rows: int) -> int:
    """Return how many steps a run makes at most, as far as epochs and steps say; else 1."""
    assert config.optimization.batch_size is not None
    epochs, steps = config.stopping.epochs, config.stopping.steps
    in_epochs = epochs and epochs * math.ceil(rows / config.optimization.batch_size)
    return min((n for n in (in_epochs, steps) if n), default=1)


def run_job(
    job: Job,
    *,
    save: Callable[[Checkpoint], Path] | None = None,
    resume_from: SavedCheckpoint | None = None,
    should_stop: Callable[[], str | None] | None = None,
    feature_names: Sequence[str] = (),
) -> Events:
    """Yield the events of a job, as `retrograd.train.fit.fit` does, on one thread."""
    stopping, optimization = job.config.stopping, job.config.optimization
    assert optimization.batch_size is not None
    part, size, seed = job.train, optimization.batch_size, job.config.seed
    rows = np.arange(len(part.inputs)) if part.rows is None else part.rows

    def batches_of(epoch: int) -> Iterator[Batch]:
        return batches(
            part.inputs, part.targets, weights=part.weights, batch_size=size, seed=seed, epoch=epoch
        )

    def row_numbers(epoch: int, i: int) -> list[int]:
        cuts = batch_rows(len(rows), batch_size=size, seed=seed, epoch=epoch)
        found: list[int] = rows[cuts[i]].tolist()
        return found

    with one_blas_thread():
        yield from fit(
            job.step, job.state, batches_of,
            epochs=stopping.epochs or FOR_EVER,
            validate=_validation(job),
            stop=stopping_rules(stopping, is_validated=job.validation is not None),
            best=None if job.validation is None else Best("validation_loss"),
            observe=job.optimizer.observe,
            save=save,
            save_seconds=None if save is None else SAVE_SECONDS,
            resume_from=resume_from,
            should_stop=should_stop,
            feature_names=feature_names,
            row_numbers=row_numbers,
            programs=job.programs,
        )  # fmt: skip


def stopping_rules(stopping: StoppingConfig, *, is_validated: bool) -> list[Rule]:
    """Return the rules that a config asks for; the number of epochs is not among them."""
    watched = "validation_loss" if is_validated else "loss"
    return [
        *([Steps(stopping.steps)] if stopping.steps else []),
        *([TimeBudget(seconds(stopping.time))] if stopping.time else []),
        *([until(stopping.until)] if stopping.until else []),
        *([Converged("loss", stopping.tolerance)] if stopping.tolerance else []),
        *([NoImprovement(watched, stopping.patience)] if stopping.patience else []),
    ]


def require_known_metric(job: Job) -> None:
    """Raise InputError if training is to stop by a metric that no epoch will have."""
    text, validate = job.config.stopping.until, _validation(job)
    if text is not None:
        known = {"loss": 0.0, **(validate(job.state) if validate else {})}
        read(Moment(0, 0, 0.0, known), until(text).metric)


def _validation(job: Job) -> Validate | None:
    """Return what measures a state on the validation part, if there is one."""
    part = job.validation
    if part is None:
        return None
    metrics = classification_metrics if job.size.outputs > 1 else regression_metrics
    validate = make_validate(
        job.net, job.loss, part.inputs, part.targets, weights=part.weights, metrics=metrics
    )
    return lambda state: validate(_averaged(job, state))


def _averaged(job: Job, state: TrainState) -> TrainState:
    """Return the state that is judged and kept: with averaged weights, where they are wanted."""
    if job.config.optimization.ema is None:
        return state
    return state._replace(params=optim.ema_params(state.optimizer))


def trained_network(job: Job, state: TrainState) -> Any:
    """Return the network of a state: with the averaged weights, where they were asked for."""
    return network(job.net, _averaged(job, state))
