"""When training ends: small rules, each a frozen record that judges what it is shown.

A rule keeps nothing. What it must remember from epoch to epoch is a value that `fit` hands back to
it and writes into checkpoints, so that a resumed run stops where an undisturbed one would.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Protocol

from retrograd.tensor.errors import InputError

Direction = Literal["min", "max"]
Memory = tuple[float, ...]
"""What a rule remembers: numbers, which JSON holds exactly."""


class Moment(NamedTuple):
    """What a rule is shown: epochs and steps done, time spent, the metrics of the last epoch.

    ``metrics`` is empty before the first epoch ends and between steps.
    """

    epoch: int
    step: int
    seconds: float
    metrics: Mapping[str, float]


class Verdict(NamedTuple):
    """Why training stops: a word for programs and a sentence for people."""

    reason: str
    message: str


class Rule(Protocol):
    """What a stopping rule answers."""

    @property
    def asks_every_step(self) -> bool:
        """Whether it is asked after every step, not only after every epoch."""

    def remember(self, memory: Memory, moment: Moment) -> Memory:
        """Return the memory, () at first, with this epoch's end added."""

    def verdict(self, memory: Memory, moment: Moment) -> Verdict | None:
        """Return why to stop now, or None."""


@dataclass(frozen=True)
class Epochs:
    """Stop after ``count`` epochs."""

    count: int
    asks_every_step: bool = False

    def remember(self, memory: Memory, moment: Moment) -> Memory:
        """Remember nothing."""
        return memory

    def verdict(self, memory: Memory, moment: Moment) -> Verdict | None:
        """Compare the count."""
        done = moment.epoch >= self.count
        return Verdict("epochs", f"all {self.count} epochs are done") if done else None


@dataclass(frozen=True)
class Steps:
    """Stop after ``count`` steps, wherever in an epoch that is."""

    count: int
    asks_every_step: bool = True

    def remember(self, memory: Memory, moment: Moment) -> Memory:
        """Remember nothing."""
        return memory

    def verdict(self, memory: Memory, moment: Moment) -> Verdict | None:
        """Compare the count."""
        done = moment.step >= self.count
        return Verdict("steps", f"all {self.count} steps are done") if done else None


@dataclass(frozen=True)
class TimeBudget:
    """Stop when training has taken ``seconds``, those before a resume included."""

    seconds: float
    asks_every_step: bool = True

    def remember(self, memory: Memory, moment: Moment) -> Memory:
        """Remember nothing."""
        return memory

    def verdict(self, memory: Memory, moment: Moment) -> Verdict | None:
        """Compare the clock."""
        done = moment.seconds >= self.seconds
        return Verdict("time", f"the time of {self.seconds:g} s is spent") if done else None


_RELATIONS: Final = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)


@dataclass(frozen=True)
class Until:
    """Stop after the epoch in which ``metric relation bound`` holds; `until` reads it from text."""

    metric: str
    relation: str
    bound: float
    asks_every_step: bool = False

    def remember(self, memory: Memory, moment: Moment) -> Memory:
        """Remember nothing."""
        return memory

    def verdict(self, memory: Memory, moment: Moment) -> Verdict | None:
        """Compare; raises InputError for a metric that there is not."""
        value = read(moment, self.metric)
        if value is None or not _RELATIONS[self.relation](value, self.bound):
            return None
        condition = f"{self.metric}{self.relation}{self.bound:g}"
        return Verdict("until", f"{condition} holds: {self.metric} is {value:.6g}")


def until(text: str) -> Until:
    """Return the rule that a condition says: a metric, one of < <= > >=, and a number.

    Raises InputError for anything else; nothing of the text is ever evaluated.

    >>> until("validation_loss <= 0.2")
    Until(metric='validation_loss', relation='<=', bound=0.2, asks_every_step=False)
    """
    number = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?"
    found = re.fullmatch(rf"\s*([A-Za-z_]\w*)\s*([<>]=?)\s*({number})\s*", text)
    if found is None or not math.isfinite(float(found[3])):
        raise InputError(
            f"until={text!r}",
            "it is not a condition on a metric",
            'write a metric, <, <=, > or >=, and a number, such as "loss<0.1" or "accuracy>0.9"',
        )
    return Until(found[1], found[2], float(found[3]))


@dataclass(frozen=True)
class Converged:
    """Stop when a metric's relative change over the last ``epochs`` is at most ``tolerance``.

    The change is (largest - smallest) / largest absolute value, among the last epochs + 1 values.
    """

    metric: str = "loss"
    tolerance: float = 1e-4
    epochs: int = 5
    asks_every_step: bool = False

    def remember(self, memory: Memory, moment: Moment) -> Memory:
        """Remember the last epochs + 1 values."""
        value = read(moment, self.metric)
        return memory if value is None else (*memory, value)[-self.epochs - 1 :]

    def verdict(self, memory: Memory, moment: Moment) -> Verdict | None:
        """Compare the spread; values that are not numbers are no convergence."""
        if len(memory) <= self.epochs or not all(map(math.isfinite, memory)):
            return None
        spread = max(memory) - min(memory)
        if spread > self.tolerance * max(map(abs, memory)):
            return None
        return Verdict(
            "converged",
            f"{self.metric} changed by {self.tolerance:g} of it at most in {self.epochs} epochs",
        )


@dataclass(frozen=True)
class NoImprovement:
    """Stop when a metric was not better than before for ``patience`` epochs in a row.

    Better means lower, or higher for ``direction="max"``, by more than ``minimum_change``. A value
    that is not a number is no improvement.
    Source: Prechelt 1998, Early Stopping - But When?, the UP class without strips.
    """

    metric: str = "validation_loss"
    patience: int = 10
    direction: Direction = "min"
    minimum_change: float = 0.0
    asks_every_step: bool = False

    def remember(self, memory: Memory, moment: Moment) -> Memory:
        """Remember (epochs without improvement, best value); only the former until there is one."""
        value = read(moment, self.metric)
        if value is None:
            return memory
        waited, *best = memory or (0.0,)
        if is_better(value, best[0] if best else None, self.direction, self.minimum_change):
            return (0.0, value)
        return (waited + 1, *best)

    def verdict(self, memory: Memory, moment: Moment) -> Verdict | None:
        """Compare the wait."""
        if not memory or memory[0] < self.patience:
            return None
        return Verdict("no_improvement", f"{self.metric} did not improve in {self.patience} epochs")


@dataclass(frozen=True)
class Best:
    """Which state is the best one: after which epoch ``metric`` was lowest, or highest.

    ``restore`` makes it the state that training ends with.
    """

    metric: str = "validation_loss"
    direction: Direction = "min"
    restore: bool = True


def is_better(
    value: float, best: float | None, direction: Direction, minimum_change: float = 0.0
) -> bool:
    """Return whether a value improves on the best so far; a NaN never does.

    >>> is_better(0.5, 0.6, "min"), is_better(0.5, None, "max"), is_better(math.nan, None, "min")
    (True, True, False)
    """
    if math.isnan(value):
        return False
    if best is None:
        return True
    return value < best - minimum_change if direction == "min" else value > best + minimum_change


def read(moment: Moment, metric: str) -> float | None:
    """Return a metric of the moment, or None if no epoch has ended.

    Raises InputError, naming the metrics that there are, if this one is not among them.
    """
    if not moment.metrics:
        return None
    if metric not in moment.metrics:
        raise InputError(
            f"stopping by {metric!r}",
            "there is no such metric",
            f"use one of {', '.join(sorted(moment.metrics))}",
        )
    return moment.metrics[metric]
