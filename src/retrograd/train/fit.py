"""`fit`: the training loop as a generator of events. It tells what happens; listeners decide."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Generator, Sequence

from retrograd.compile import compile
from retrograd.tensor.errors import DataError
from retrograd.train.batch import as_tensors, count_rows
from retrograd.train.checkpoint import Checkpoint, Progress, SavedCheckpoint, restore
from retrograd.train.events import Checkpointed, Event, Started, StepDone, Stopped
from retrograd.train.nonfinite import Attempt, explain_failure
from retrograd.train.plan import (
    Batches,
    End,
    Observe,
    Plan,
    Save,
    Step,
    Validate,
    final_state,
    finish_epoch,
    judge,
    require_known_metrics,
)
from retrograd.train.state import TrainState, is_trustworthy
from retrograd.train.stopping import Best, Epochs, Rule, Verdict

Events = Generator[Event, str | None, None]


class _Saves:
    """When the last checkpoint was made, and of which place in the run."""

    def __init__(self, seconds: float, place: tuple[int, int] | None) -> None:
        self.seconds, self.place = seconds, place


def fit(
    step: Step,
    state: TrainState,
    batches: Batches,
    *,
    epochs: int,
    validate: Validate | None = None,
    stop: Sequence[Rule] = (),
    best: Best | None = None,
    observe: Observe | None = None,
    save: Save | None = None,
    save_seconds: float | None = None,
    resume_from: SavedCheckpoint | None = None,
    should_stop: Callable[[], str | None] | None = None,
    feature_names: Sequence[str] = (),
    row_numbers: Callable[[int, int], Sequence[int]] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Events:
    """Train: run ``step`` over the batches of each epoch, and yield what happens.

    ``batches(epoch)``, with epochs from 1, gives the same batches whenever it is called.
    ``validate(state)`` is called after each epoch, and its numbers join "loss" in the metrics that
    ``stop`` and ``best`` read. ``observe(optimizer state, value)`` is told the validation loss, or
    the loss if there is none. ``save`` gets a `Checkpoint` after each epoch, or whenever
    ``save_seconds`` have passed since the last one, and at the end. ``resume_from`` continues a
    saved run bit for bit, given the same arguments. ``should_stop`` is asked after each step: a
    word, such as "interrupted", ends training in order. So does a word sent with
    ``events.send("...")``; ``events.close()`` ends it at once.

    The last event is always `Stopped`. Raises NonFiniteError after it if the loss, the gradient or
    the weights got a NaN or an infinity, naming where it came from: ``feature_names`` are those of
    the input's columns, and ``row_numbers(epoch, i)`` the rows of the data in the epoch's i-th
    batch, from 0. Raises DataError for an epoch without batches, InputError for unknown metrics,
    and, before any training, whatever one trial step of the first batch raises.

    >>> import numpy as np
    >>> from retrograd.tensor.tensor import tensor
    >>> def step(state, batch):  # no learning, only counting down
    ...     left = state.params["left"] - batch["amount"]
    ...     return state._replace(params={"left": left}, step=state.step + 1), {"loss": left}
    >>> start = TrainState({"left": tensor(9.0)}, (), {}, tensor(0), tensor([0, 0], "int32"))
    >>> for event in fit(step, start, lambda epoch: [{"amount": np.float32(epoch)}], epochs=2):
    ...     print(type(event).__name__, event.state.params["left"])
    Started tensor(9., float32[])
    StepDone tensor(8., float32[])
    EpochDone tensor(8., float32[])
    StepDone tensor(6., float32[])
    EpochDone tensor(6., float32[])
    Stopped tensor(6., float32[])
    """
    at = restore(resume_from, state) if resume_from else Checkpoint(state, None, Progress())
    offset = at.progress.seconds - clock()
    plan = Plan(
        compile(step), batches, validate, (Epochs(epochs), *stop), best, observe, save,
        save_seconds, should_stop, feature_names, row_numbers, lambda: clock() + offset,
    )  # fmt: skip
    require_known_metrics(plan, at)
    _rehearse(step, at, batches)
    return _train(plan, at, resume_from is not None)


def _rehearse(step: Step, at: Checkpoint, batches: Batches) -> None:
    """Take one step and forget it, not compiled: losses check the values of labels only then."""
    for batch in itertools.islice(batches(at.progress.epoch), 1):
        step(at.state, as_tensors(batch))


def _train(plan: Plan, at: Checkpoint, is_resumed: bool) -> Events:
    saves = _Saves(at.progress.seconds, _place(at) if is_resumed else None)
    sent = yield Started(at.progress.epoch, at.progress.step, is_resumed, at.state)
    end = judge(plan, at, sent)
    while end is None:
        at, end = yield from _run_steps(plan, at, saves)
        if end is None:
            at, end = yield from _end_epoch(plan, at, saves)
    if end.error is None and plan.save is not None and saves.place != _place(at):
        yield _save(plan, at, saves)
    if at.progress.position and not end.is_interruption:
        # The checkpoint stays inside the epoch, so that a longer run can go on from it exactly.
        at, done = finish_epoch(plan, at)
        yield done
    progress = at.progress
    yield Stopped(
        *end.verdict, progress.epoch if progress.position else progress.epoch - 1, progress.step,
        progress.metrics, progress.best, end.is_interruption, plan.elapsed(), final_state(plan, at),
    )  # fmt: skip
    if end.error is not None:
        raise end.error


def _run_steps(
    plan: Plan, at: Checkpoint, saves: _Saves
) -> Generator[Event, str | None, tuple[Checkpoint, End | None]]:
    """Take the steps that are left of an epoch; return early if anyone says so."""
    epoch, first = at.progress.epoch, at.progress.position
    before: Attempt | None = None
    for i, given in enumerate(itertools.islice(plan.batches(epoch), first, None), first):
        trial = Attempt(at, as_tensors(given), i)
        after, metrics = plan.step(at.state, trial.batch)
        if not all(math.isfinite(float(value)) for value in metrics.values()):
            return _failed(plan, trial, before)
        rows = count_rows(trial.batch)
        progress = _add(at.progress, float(metrics["loss"]), rows)
        at, before = Checkpoint(after, at.best_state, progress), trial
        sent = yield StepDone(epoch, progress.step, rows, metrics, after)
        end = judge(plan, at, sent)
        is_due = plan.save_seconds is not None and _is_due(plan, saves)
        if (end or is_due) and not is_trustworthy(after):
            return _failed(plan, trial, None)
        if end is None and is_due:
            end = judge(plan, at, (yield _save(plan, at, saves)))
        if end is not None:
            return at, end
    if at.progress.rows == 0:
        raise DataError(
            f"training, epoch {epoch}", "there are no batches", "give data with at least one row"
        )
    if before is not None and not is_trustworthy(at.state):
        return _failed(plan, before, None)
    return at, None


def _add(progress: Progress, loss: float, rows: int) -> Progress:
    return dataclasses.replace(
        progress,
        position=progress.position + 1,
        step=progress.step + 1,
        loss_sum=progress.loss_sum + loss * rows,
        rows=progress.rows + rows,
    )


def _failed(plan: Plan, trial: Attempt, before: Attempt | None) -> tuple[Checkpoint, End]:
    """Return the last good place, and an error that says where the first bad number came from."""
    if before is not None and not is_trustworthy(trial.at.state):
        trial = before  # its update broke the weights, and the loss saw it only now
    error = explain_failure(plan.step, trial, plan.feature_names, plan.row_numbers)
    return trial.at, End(Verdict("non_finite", str(error)), is_interruption=True, error=error)


def _end_epoch(
    plan: Plan, at: Checkpoint, saves: _Saves
) -> Generator[Event, str | None, tuple[Checkpoint, End | None]]:
    at, done = finish_epoch(plan, at)
    sent = yield done
    if plan.save is not None and (plan.save_seconds is None or _is_due(plan, saves)):
        sent = (yield _save(plan, at, saves)) or sent
    return at, judge(plan, at, sent)


def _is_due(plan: Plan, saves: _Saves) -> bool:
    if plan.save is None or plan.save_seconds is None:
        return False
    return plan.elapsed() - saves.seconds >= plan.save_seconds


def _save(plan: Plan, at: Checkpoint, saves: _Saves) -> Checkpointed:
    """Save and say so, with the time as it is now, for time budgets of runs that are resumed."""
    assert plan.save is not None
    saves.seconds, saves.place = plan.elapsed(), _place(at)
    progress = dataclasses.replace(at.progress, seconds=saves.seconds)
    path = plan.save(at._replace(progress=progress))
    return Checkpointed(progress.epoch, progress.step, path)


def _place(at: Checkpoint) -> tuple[int, int]:
    return at.progress.epoch, at.progress.position
