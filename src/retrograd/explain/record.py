"""The explain record: one formula with its true numbers, as data that adds up or says it does not.

A `Formula` is ``value = scale * (terms + rest + bias)``. Every number in it is the engine's own
from the pass that is explained, or a float64 evaluation of a shown expression of such numbers; its
`check` adds up what is shown, in float64, and compares with the engine's value. Terminal, page,
notebook and report lay out this one record.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Phase = Literal["batch", "forward", "loss", "backward", "update", "after"]
Named = tuple[tuple[str, float], ...]
Numbers64 = npt.NDArray[np.float64]

LARGEST = 6
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Term:
    """One summand: the factors that its value is the product of, or an expression and its value.

    ``function`` marks factors that are arguments of the expression in ``label``, not a product.
    """

    label: str
    value: float
    factors: Named = ()
    index: int | None = None
    function: bool = False

    @property
    def sum64(self) -> float:
        """What the shown factors give: their product, or the stated value of an expression."""
        if self.function or not self.factors:
            return self.value
        return math.prod(value for _, value in self.factors)


@dataclass(frozen=True)
class Rest:
    """The summands that are not shown one by one: how many, and their sum."""

    n: int
    value: float


@dataclass(frozen=True)
class Check:
    """What the shown numbers add up to, how far the engine's value is from it, and what is allowed.

    ``ok`` holds exactly if ``abs <= bound``; NaN is never ok.
    """

    sum64: float
    abs: float
    bound: float
    ok: bool


@dataclass(frozen=True, kw_only=True)
class Formula:
    """One substituted formula: ``value = scale * (sum of terms + rest + bias)``, checked.

    ``path`` names what is computed ("layers.2[3]", "layers.2.weight[7,3]"), ``symbol`` what of it
    ("z", "a", "dL/dz"), ``step`` in which step, from 1. ``examples`` holds one number for each row
    of the batch where the value is their mean. ``bound`` is what the check allows and
    ``bound_rule`` says where it comes from.
    """

    path: str
    step: int
    phase: Phase
    row: int | None
    symbol: str
    template: str
    terms: tuple[Term, ...]
    value: float
    bound: float
    rest: Rest | None = None
    bias: float | None = None
    scale: Named = ()
    examples: tuple[float, ...] = ()
    bound_rule: str = "1e-6 max(1, sum of |terms|)"
    exact: str = "exact"
    dtype: str = "float32"
    words: str = ""

    @property
    def check(self) -> Check:
        """Add up what is shown, in float64, and compare with the engine's value."""
        parts = [term.sum64 for term in self.terms]
        parts += [self.rest.value] if self.rest else []
        parts += [self.bias] if self.bias is not None else []
        total = exact_sum(parts) * math.prod(value for _, value in self.scale)
        difference = abs(total - self.value)
        return Check(total, difference, self.bound, difference <= self.bound)

    def to_dict(self) -> dict[str, Any]:
        """Return the formula with its check as plain data for JSON."""
        terms = [
            {"label": t.label}
            | ({} if t.index is None else {"i": t.index})
            | dict(t.factors)
            | {"value": t.value}
            for t in self.terms
        ]
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        rest = dataclasses.asdict(self.rest) if self.rest else None
        check = dataclasses.asdict(self.check)
        return _plain_record(
            plain | {"terms": terms, "rest": rest, "scale": dict(self.scale), "check": check}
        )


@dataclass(frozen=True)
class Audit:
    """One kind of number, checked for every unit or weight and not only for those shown.

    ``worst`` is the largest difference as a part of what its bound allows: at most 1 if all hold.
    """

    phase: Phase
    path: str
    what: str
    numbers: int
    failed: int
    worst: float

    @property
    def ok(self) -> bool:
        """Whether every number agrees with its formula."""
        return self.failed == 0


@dataclass(frozen=True)
class Feature:
    """One input of the explained row: what the network received, and what stood in the source."""

    name: str
    received: float
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One training step, seen from one row of its batch: every phase in true numbers.

    ``step`` is the step's number, from 1. ``row`` is the row's number in the user's data (its place
    in the batch if nobody said), and ``place`` its place in the batch. ``loss`` is the batch's;
    ``total`` adds the regulariser's part and ``total_after`` is the same after the update;
    ``predicted`` is the change that the gradient promises. ``where`` places the step ("batch 16 of
    44, epoch 2"). ``notes`` are sentences that its reader should see.
    """

    network: str
    step: int
    row: int
    place: int
    batch_size: int
    features: tuple[Feature, ...]
    target: str
    prediction: str
    formulas: tuple[Formula, ...]
    audits: tuple[Audit, ...]
    loss: float
    total: float
    total_after: float
    predicted: float
    exact: str = "exact"
    where: str = ""
    notes: tuple[str, ...] = ()

    @property
    def actual(self) -> float:
        """The change of the batch's loss that the update really made."""
        return self.total_after - self.total

    @property
    def prediction_agrees(self) -> bool:
        """Whether promised and real change of the loss are within 5 % of each other."""
        gap = abs(self.predicted - self.actual)
        rounding = 4 * float(np.finfo(np.float32).eps) * abs(self.total)
        return gap <= 0.05 * abs(self.predicted) + rounding

    @property
    def ok(self) -> bool:
        """Whether every check of the record holds."""
        return all(f.check.ok for f in self.formulas) and all(a.ok for a in self.audits)

    def phase(self, phase: Phase) -> tuple[Formula, ...]:
        """Return the formulas of one phase, in the order in which they were computed."""
        return tuple(f for f in self.formulas if f.phase == phase)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON; numbers that JSON lacks become text."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return _plain_record(
            plain
            | {
                "features": [dataclasses.asdict(f) for f in self.features],
                "formulas": [f.to_dict() for f in self.formulas],
                "audits": [dataclasses.asdict(a) | {"ok": a.ok} for a in self.audits],
                "actual": self.actual,
                "prediction_agrees": self.prediction_agrees,
                "ok": self.ok,
            }
        )


def largest_terms(
    values: Numbers64, describe: Callable[[int], Term], count: int = LARGEST
) -> tuple[tuple[Term, ...], Rest | None]:
    """Return the terms of largest magnitude, in that order, and what is left of the sum.

    ``describe(i)`` names term number i.

    >>> largest_terms(np.array([1.0, -5.0, 2.0]), lambda i: Term(f"x{i}", 0.0), 1)[1]
    Rest(n=2, value=3.0)
    """
    order = np.argsort(-np.abs(values), kind="stable")
    shown, hidden = order[:count], order[count:]
    rest = Rest(len(hidden), exact_sum(values[hidden].tolist())) if len(hidden) else None
    return tuple(describe(int(i)) for i in shown), rest


def bound_of(values: Sequence[float] | Numbers64, scale: float = 1.0, floor: float = 1.0) -> float:
    """Return what a sum of these terms may be off: 1e-6 max(floor, |scale| sum |terms|).

    The error of a sum in float32 grows with the sum of the magnitudes, not with the result, which
    may have cancelled. ``floor`` is 1, or less where all numbers of a tensor are smaller: a
    gradient of 1e-9 must not pass for one of 1e-7.
    """
    return TOLERANCE * max(floor, abs(scale) * float(np.sum(np.abs(np.asarray(values)))))


def exact_sum(values: Sequence[float]) -> float:
    """Return the sum in float64 without accumulated rounding; NaN if infinities oppose.

    >>> exact_sum([1e16, 1.0, -1e16])
    1.0
    """
    try:
        return math.fsum(values)
    except (ValueError, OverflowError):
        return math.nan


def _plain_record(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: plain_data(value) for name, value in fields.items()}


def plain_data(value: Any) -> Any:
    """Return nested tuples, dicts and numbers as JSON knows them; NaN and infinities become text.

    >>> plain_data({"a": (1, float("nan"))})
    {'a': [1, 'nan']}
    """
    if isinstance(value, dict):
        return {str(key): plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
