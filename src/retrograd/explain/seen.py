"""One row of a captured pass, and how formulas about it are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.explain.capture import Numbers, Pass, Visit
from retrograd.explain.record import (
    Formula,
    Named,
    Numbers64,
    Phase,
    Term,
    bound_of,
    largest_terms,
)


@dataclass(frozen=True)
class Seen:
    """A pass seen from one row: its place in the batch, its number in the data, and names.

    ``features`` name the numbers that the network receives, ``classes`` its outputs.
    """

    captured: Pass
    place: int
    row: int
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def of_row(self, batch: Numbers) -> Numbers64:
        """Return this row's numbers of a batch, flat and in float64."""
        return np.asarray(batch[self.place], np.float64).ravel()

    def delta(self, gradients: Numbers) -> Numbers64:
        """Return delta of this row: batch size times the gradient of the batch's loss.

        So delta is what this row alone asks for, and a weight's gradient the mean over the rows.
        """
        return self.captured.batch_size * self.of_row(gradients)

    def input_name(self, visit: Visit, i: int) -> str:
        """Return what number i of a layer's input is called: a feature, or "a7" of a layer."""
        if visit.source is not None:
            return f"a{i}"
        return self.features[i] if i < len(self.features) else f"x{i}"

    def class_name(self, k: int) -> str:
        """Return what output k is called."""
        return self.classes[k] if k < len(self.classes) else str(k)

    def formula(
        self,
        phase: Phase,
        path: str,
        symbol: str,
        template: str,
        terms: Sequence[Term],
        value: float,
        **more: Any,
    ) -> Formula:
        """Return a formula of a few terms, all of them shown, allowed what `bound_of` says."""
        scale = float(np.prod([v for _, v in more.get("scale", ())]))
        parts = [t.value for t in terms] + [more.get("bias") or 0.0]
        more.setdefault("bound", bound_of(parts, scale, more.pop("floor", 1.0)))
        return Formula(
            path=path,
            step=self.captured.step,
            phase=phase,
            row=more.pop("of_row", self.row),
            symbol=symbol,
            template=template,
            terms=tuple(terms),
            value=float(value),
            dtype=self.captured.dtype,
            **more,
        )

    def summed(
        self,
        phase: Phase,
        path: str,
        symbol: str,
        template: str,
        values: Numbers64,
        describe: Callable[[int], Term],
        value: float,
        *,
        bias: float | None = None,
        scale: Named = (),
        floor: float = 1.0,
        **more: Any,
    ) -> Formula:
        """Return the formula of a long sum: its largest terms one by one, the others together."""
        shown, rest = largest_terms(values, describe)
        factor = float(np.prod([v for _, v in scale]))
        parts = np.append(values, 0.0 if bias is None else bias)
        bound = bound_of(parts, factor, floor)
        return self.formula(
            phase,
            path,
            symbol,
            template,
            shown,
            value,
            rest=rest,
            bias=bias,
            scale=scale,
            bound=bound,
            **more,
        )


def floor_of(*gradients: Numbers64) -> float:
    """Return the floor of a bound for gradients: the largest of them, but at most 1."""
    largest = max((float(np.max(np.abs(g), initial=0.0)) for g in gradients), default=0.0)
    return min(1.0, largest) or 1.0


def product(label: str, index: int | None, **factors: float) -> Term:
    """Return the term that is the product of its factors, in float64."""
    named = tuple((name, float(value)) for name, value in factors.items())
    return Term(label, float(np.prod([v for _, v in named])), named, index)


def evaluated(label: str, value: float, **arguments: float) -> Term:
    """Return the term that is an expression of its arguments, evaluated in float64."""
    named = tuple((name, float(v)) for name, v in arguments.items())
    return Term(label, float(value), named, function=True)


def short(value: float) -> str:
    """Return a number as people read it: 4 decimals, or 4 digits of what is small or large.

    >>> short(0.35), short(0.0039959), short(-1e-7), short(123456.0)
    ('0.3500', '0.003996', '-1e-07', '1.235e+05')
    """
    if value == 0 or 0.1 <= abs(value) < 1e4:
        return f"{value:.4f}"
    return f"{value:.4g}"
