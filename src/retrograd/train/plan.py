"""What a training run was asked to do, and what follows from that at the end of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from retrograd.tensor.errors import InputError, NonFiniteError
from retrograd.tensor.tensor import Tensor
from retrograd.train.checkpoint import Checkpoint, Progress
from retrograd.train.events import BestSoFar, EpochDone
from retrograd.train.state import TrainState
from retrograd.train.stopping import Best, Memory, Moment, Rule, Verdict, is_better, read

Step = Callable[[TrainState, Any], tuple[TrainState, Mapping[str, Tensor]]]
Batches = Callable[[int], Iterable[Any]]
Validate = Callable[[TrainState], Mapping[str, float]]
Observe = Callable[[Any, float], Any]
Save = Callable[[Checkpoint], Path]


@dataclass(frozen=True)
class Plan:
    """The arguments of `fit`; ``elapsed`` counts from the run's first start."""

    step: Step
    batches: Batches
    validate: Validate | None
    rules: tuple[Rule, ...]
    best: Best | None
    observe: Observe | None
    save: Save | None
    save_seconds: float | None
    should_stop: Callable[[], str | None] | None
    feature_names: Sequence[str]
    row_numbers: Callable[[int, int], Sequence[int]] | None
    elapsed: Callable[[], float]


class End(NamedTuple):
    """Why training ends, whether before its time, and the error to raise after the last event."""

    verdict: Verdict
    is_interruption: bool = False
    error: NonFiniteError | None = None


def judge(plan: Plan, at: Checkpoint, sent: str | None) -> End | None:
    """Return why to stop here: a listener, whoever is asked between steps, or a rule."""
    return StepJudge(plan, at.progress, is_inside=at.progress.position > 0)(at.progress.step, sent)


class StepJudge:
    """Says whether to stop, after each of many steps whose progress differs in their number only.

    Inside an epoch only those rules are asked that want to be, and there are no metrics.
    """

    def __init__(self, plan: Plan, progress: Progress, *, is_inside: bool = True) -> None:
        """Take what the steps begin with."""
        self._plan, self._epoch = plan, progress.epoch - 1
        self._metrics = {} if is_inside else progress.metrics
        rules = [rule for rule in plan.rules if rule.asks_every_step or not is_inside]
        self._rules = [(rule, _memory(progress, rule)) for rule in rules]

    def __call__(self, step: int, sent: str | None) -> End | None:
        """Return why to stop after this step, or None."""
        if sent is not None:
            return End(Verdict("requested", str(sent)), is_interruption=True)
        plan = self._plan
        word = plan.should_stop() if plan.should_stop is not None else None
        if word is not None:
            return End(Verdict(word, f"training was {word}"), is_interruption=True)
        if not self._rules:
            return None
        moment = Moment(self._epoch, step, plan.elapsed(), self._metrics)
        for rule, memory in self._rules:
            found = rule.verdict(memory, moment)
            if found is not None:
                return End(found)
        return None


def finish_epoch(plan: Plan, at: Checkpoint) -> tuple[Checkpoint, EpochDone]:
    """Validate, tell the optimizer and the rules, and keep the state if it is the best."""
    progress, state = at.progress, at.state
    metrics = {"loss": progress.loss_sum / progress.rows, **_validated(plan, state)}
    seconds = plan.elapsed()
    moment = Moment(progress.epoch, progress.step, seconds, metrics)
    if plan.observe is not None:
        value = metrics.get("validation_loss", metrics["loss"])
        state = state._replace(optimizer=plan.observe(state.optimizer, value))
    memories = {_name(rule): rule.remember(_memory(progress, rule), moment) for rule in plan.rules}
    best = _best(plan.best, progress.best, moment)
    is_best = best is not progress.best
    after = Progress(
        epoch=progress.epoch + 1,
        step=progress.step,
        seconds=seconds,
        metrics=metrics,
        memories=memories,
        best=best,
    )
    done = EpochDone(progress.epoch, progress.step, metrics, is_best, seconds, state)
    return Checkpoint(state, state if is_best else at.best_state, after), done


def _validated(plan: Plan, state: TrainState) -> dict[str, float]:
    if plan.validate is None:
        return {}
    found = {name: float(value) for name, value in plan.validate(state).items()}
    if "loss" in found:
        raise InputError(
            "validating",
            "a metric is named 'loss', which is the training loss",
            "name it 'validation_loss'",
        )
    return found


def _best(wanted: Best | None, so_far: BestSoFar | None, moment: Moment) -> BestSoFar | None:
    value = read(moment, wanted.metric) if wanted else None
    if wanted is None or value is None:
        return so_far
    known = so_far.value if so_far and so_far.metric == wanted.metric else None
    if not is_better(value, known, wanted.direction):
        return so_far
    return BestSoFar(wanted.metric, value, moment.epoch, moment.step)


def final_state(plan: Plan, at: Checkpoint) -> TrainState:
    """Return the state that training ends with."""
    wanted = plan.best is not None and plan.best.restore
    return at.best_state if wanted and at.best_state is not None else at.state


def _name(rule: Rule) -> str:
    """Return what a rule's memory is kept under: its kind and metric, whatever its limit."""
    return f"{type(rule).__name__} {getattr(rule, 'metric', '')}".strip()


def _memory(progress: Progress, rule: Rule) -> Memory:
    return progress.memories.get(_name(rule), ())


def require_known_metrics(plan: Plan, at: Checkpoint) -> None:
    """Raise InputError now for a metric that would be found missing after the first epoch."""
    named = {getattr(rule, "metric", "loss") for rule in plan.rules}
    named |= {plan.best.metric} if plan.best else set()
    if named <= {"loss"}:
        return
    known = at.progress.metrics or {"loss": 0.0, **_validated(plan, at.state)}
    for metric in sorted(named):
        read(Moment(0, 0, 0.0, known), metric)
