"""What `fit` tells: frozen records of what happened, each with a form that JSON takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from retrograd.tensor.tensor import Tensor
from retrograd.train.snapshot import Snapshot, StepMetrics
from retrograd.train.state import TrainState, count_parameters


class BestSoFar(NamedTuple):
    """The best value of the watched metric, and after which epoch and step it was reached."""

    metric: str
    value: float
    epoch: int
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class Started:
    """Training begins, or goes on after ``step`` steps; ``epoch`` (from 1) is the one to run."""

    epoch: int
    step: int
    is_resumed: bool
    state: TrainState


@dataclass(frozen=True, slots=True, eq=False)
class StepDone:
    """One step is done.  ``step`` counts from 1.

    The metrics are tensors; `numbers` gives them as Python floats. ``source`` is the state that the
    step returned, or what makes it: `state` reads it.
    """

    epoch: int
    step: int
    rows: int
    metrics: Mapping[str, Tensor]
    source: TrainState | Snapshot

    @property
    def state(self) -> TrainState:
        """The state that the step returned, whenever it is read.

        Nothing is copied for those who do not read it. Read before the next event it costs one
        copy, later the steps from the last copy on, which are taken again, to the same bits.
        """
        return self.source.read() if isinstance(self.source, Snapshot) else self.source

    def numbers(self) -> dict[str, float]:
        """Return the metrics that are scalars as Python floats."""
        if isinstance(self.metrics, StepMetrics):
            return self.metrics.numbers()
        return {name: float(value) for name, value in self.metrics.items() if not value.shape}


@dataclass(frozen=True, slots=True, eq=False)
class EpochDone:
    """An epoch is done, or as much of it as a limit on steps or time allowed.

    ``metrics`` holds "loss", the mean training loss over the epoch's rows as the steps saw it, and
    what ``validate`` returned. ``seconds`` counts from the start of the run, pauses not included.
    """

    epoch: int
    step: int
    metrics: Mapping[str, float]
    is_best: bool
    seconds: float
    state: TrainState


@dataclass(frozen=True, slots=True, eq=False)
class Checkpointed:
    """Everything up to ``step`` is safe in the file ``path``."""

    epoch: int
    step: int
    path: Path


@dataclass(frozen=True, slots=True, eq=False)
class Stopped:
    """Training is over: the last event, always.

    ``reason`` is a word for programs ("epochs", "no_improvement", "interrupted", "non_finite"...),
    ``message`` a sentence for people. ``state`` is the best one where one was asked to be restored,
    else the last; after a non-finite number, the last one whose numbers were all finite.
    ``is_resumable`` says whether going on with the same limits would train further.
    """

    reason: str
    message: str
    epoch: int
    step: int
    metrics: Mapping[str, float]
    best: BestSoFar | None
    is_resumable: bool
    seconds: float
    state: TrainState


Event = Started | StepDone | EpochDone | Checkpointed | Stopped


def to_record(event: Event) -> dict[str, Any]:
    """Return the event as JSON takes it: its name, its numbers, and no tensors.

    Numbers that are not finite become the text "nan", "inf" or "-inf", which JSON can hold.
    """
    match event:
        case Started(epoch, step, is_resumed, state):
            parts: dict[str, Any] = {
                "epoch": epoch, "step": step, "is_resumed": is_resumed,
                "parameters": count_parameters(state),
            }  # fmt: skip
        case StepDone():
            parts = {"epoch": event.epoch, "step": event.step, **plain(event.numbers())}
        case EpochDone(epoch, step, metrics, is_best, seconds):
            parts = {
                "epoch": epoch, "step": step, "is_best": is_best, "seconds": seconds,
                "metrics": plain(metrics),
            }  # fmt: skip
        case Checkpointed(epoch, step, path):
            parts = {"epoch": epoch, "step": step, "file": path.name}
        case Stopped():
            parts = {
                "reason": event.reason, "message": event.message, "epoch": event.epoch,
                "step": event.step, "is_resumable": event.is_resumable, "seconds": event.seconds,
                "metrics": plain(event.metrics),
                "best": plain(event.best._asdict()) if event.best else None,
            }  # fmt: skip
    return {"event": type(event).__name__, **parts}


def plain(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers as JSON takes them.

    >>> plain({"loss": float("nan"), "accuracy": 0.5})
    {'loss': 'nan', 'accuracy': 0.5}
    """
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }
