"""`fit`: the training loop as a generator of events. It tells what happens; listeners decide."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

from retrograd.tensor.errors import DataError
from retrograd.train.batch import as_tensors
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
    StepJudge,
    Validate,
    final_state,
    finish_epoch,
    judge,
    require_known_metrics,
)
from retrograd.train.programs import Programs
from retrograd.train.staging import Runner, Taken
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
    programs: Programs | None = None,
) -> Events:
    """Train: run ``step`` over the batches of each epoch, and yield what happens.

    ``batches(epoch)``, with epochs from 1, gives the same batches whenever it is called.
    ``validate(state)`` is called after each epoch, and its numbers join "loss" in the metrics that
    ``stop`` and ``best`` read. ``observe(optimizer state, value)`` is told the validation loss, or
    the loss if there is none. ``save`` gets a `Checkpoint` after each epoch, or whenever
    ``save_seconds`` have passed since the last one, and at the end. ``resume_from`` continues a
    saved run bit for bit, given the same arguments. ``should_stop`` is asked after each step: a
    word, such as "interrupted", ends training in order. So does a word sent with
    ``events.send("...")``; ``events.close()`` ends it at once. ``programs`` are those of the step,
    where they are compiled already.

    The state lies in the memory of the step's program, and short steps are taken many in a call:
    see `retrograd.train.staging`. What is told is as if they were taken one by one.

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
        step, batches, validate, (Epochs(epochs), *stop), best, observe, save,
        save_seconds, should_stop, feature_names, row_numbers, lambda: clock() + offset,
    )  # fmt: skip
    require_known_metrics(plan, at)
    _rehearse(step, at, batches)
    chosen = programs or Programs(step, at.state)
    runner = Runner(chosen.claim(at.state), batches)
    return _train(plan, at, resume_from is not None, runner)


def _rehearse(step: Step, at: Checkpoint, batches: Batches) -> None:
    """Take one step and forget it, not compiled: losses check the values of labels only then."""
    for batch in itertools.islice(batches(at.progress.epoch), 1):
        step(at.state, as_tensors(batch))


def _train(plan: Plan, at: Checkpoint, is_resumed: bool, runner: Runner) -> Events:
    saves = _Saves(at.progress.seconds, _place(at) if is_resumed else None)
    sent = yield Started(at.progress.epoch, at.progress.step, is_resumed, at.state)
    end = judge(plan, at, sent)
    while end is None:
        at, end = yield from _run_steps(plan, at, saves, runner)
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


class _Tally(NamedTuple):
    """What the steps of an epoch add up to; cheap, since it is made anew at every step."""

    position: int
    step: int
    loss_sum: float
    rows: int

    def add(self, taken: Taken) -> _Tally:
        loss = self.loss_sum + taken.metrics.loss * taken.rows
        return _Tally(self.position + 1, self.step + 1, loss, self.rows + taken.rows)


def _run_steps(
    plan: Plan, at: Checkpoint, saves: _Saves, runner: Runner
) -> Generator[Event, str | None, tuple[Checkpoint, End | None]]:
    """Take the steps that are left of an epoch; return early if anyone says so."""
    start = at.progress
    epoch, place = start.epoch, _place(at)
    runner.begin(place, at.state)
    tally = _Tally(start.position, start.step, start.loss_sum, start.rows)
    before: _Tally | None = None
    judged = StepJudge(plan, start)
    for taken in runner.steps(place):
        if not taken.is_finite:
            return _failed(plan, at, runner, tally, before)
        before, tally = tally, tally.add(taken)
        sent = yield StepDone(epoch, tally.step, taken.rows, taken.metrics, taken.snapshot)
        end = judged(tally.step, sent)
        is_due = plan.save_seconds is not None and _is_due(plan, saves)
        if end is None and not is_due:
            continue
        here = _reached(at, tally, taken.snapshot.read())
        if not is_trustworthy(here.state):
            return _failed(plan, at, runner, before, None)
        if end is None:
            end = judge(plan, here, (yield _save(plan, here, saves)))
        if end is not None:
            return here, end
    if tally.rows == 0:
        raise DataError(
            f"training, epoch {epoch}", "there are no batches", "give data with at least one row"
        )
    at_end = _reached(at, tally, runner.state_at((epoch, tally.position)))
    if before is not None and not is_trustworthy(at_end.state):
        return _failed(plan, at, runner, before, None)
    return at_end, None


def _reached(at: Checkpoint, tally: _Tally, state: TrainState) -> Checkpoint:
    progress = dataclasses.replace(at.progress, **tally._asdict())
    return Checkpoint(state, at.best_state, progress)


def _failed(
    plan: Plan, at: Checkpoint, runner: Runner, tally: _Tally, before: _Tally | None
) -> tuple[Checkpoint, End]:
    """Return the last good place, and an error that says where the first bad number came from."""
    epoch = at.progress.epoch
    state = runner.state_at((epoch, tally.position))
    if before is not None and not is_trustworthy(state):
        # The update broke the weights, and the loss saw it only now.
        tally, state = before, runner.state_at((epoch, before.position))
    batch = runner.batch((epoch, tally.position))
    trial = Attempt(_reached(at, tally, state), batch, tally.position)
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
