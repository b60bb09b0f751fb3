"""What checking gradients finds: one row a direction, one row a leaf, each with its verdict."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["ok", "kink", "inconclusive", "wrong"]

TOLERANCE = 1e-6
"""Largest relative error of a right gradient in float64: far below a bug, far above noise."""


@dataclass(frozen=True)
class DirectionCheck:
    """The derivative along one random direction through all parameters.

    ``errors`` are those of plain central differences at ``steps``, each half of the one before;
    ``order`` is the power of the step by which they fall: 2 for a true derivative, 0 for a wrong
    one, NaN where all errors are rounding already.
    """

    derivative: float
    difference: float
    steps: tuple[float, ...]
    errors: tuple[float, ...]
    order: float
    relative_error: float
    kinks: int
    verdict: Verdict


@dataclass(frozen=True)
class LeafCheck:
    """The verdict on one leaf: sampled weights one by one, and float32 against float64.

    ``worst_relative_error`` is relative to the larger of the weight's and the leaf's typical
    gradient. ``float32_error`` is the largest difference of the two gradients, and
    ``float32_allowed`` what rounding explains. ``kinks`` counts weights that stand on a kink and
    were checked a hair beside it.
    """

    leaf: str
    shape: tuple[int, ...]
    samples: int
    kinks: int
    worst_index: tuple[int, ...]
    worst_gradient: float
    worst_difference: float
    worst_relative_error: float
    float32_error: float
    float32_allowed: float
    verdict: Verdict


@dataclass(frozen=True)
class GradientReport:
    """All checks of one network on one batch; ``ok`` if nothing is wrong."""

    loss: float
    rows: int
    parameters: int
    seed: int
    directions: tuple[DirectionCheck, ...]
    leaves: tuple[LeafCheck, ...]
    tolerance: float = TOLERANCE

    @property
    def ok(self) -> bool:
        """Whether no check found a wrong gradient."""
        verdicts = [row.verdict for row in self.directions] + [row.verdict for row in self.leaves]
        return "wrong" not in verdicts

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON; NaN and infinities become text."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain | {"ok": self.ok}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
