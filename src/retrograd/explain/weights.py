"""The gradient of one weight: the mean over the rows of what went in times what came back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd import nn
from retrograd.explain.capture import Numbers, Pass, Visit
from retrograd.explain.generic import penalty_gradient, weight_difference
from retrograd.explain.record import Formula, Numbers64, Term
from retrograd.explain.seen import Seen, evaluated, floor_of, product, short
from retrograd.tensor.errors import InputError

Index = tuple[int, ...]


@dataclass(frozen=True)
class Weight:
    """One number that is trained: its leaf ("layers.0.weight") and its place in it."""

    leaf: str
    index: Index

    @property
    def path(self) -> str:
        """The name that people write: "layers.0.weight[3,7]"."""
        return f"{self.leaf}[{','.join(map(str, self.index))}]"


def read_weight(text: str, params: Mapping[str, Any]) -> Weight:
    """Return the weight of a name such as "layers.0.weight[3,7]"; raises InputError."""
    found = re.fullmatch(r"\s*([\w.]+)\s*\[\s*(-?\d+(?:\s*,\s*-?\d+)*)?\s*\]\s*", text)
    leaf = found[1] if found else text
    if leaf not in params:
        names = ", ".join(list(params)[:6])
        raise InputError(
            f"explaining the weight {text!r}", "the network has no such leaf", f"use one of {names}"
        )
    shape = params[leaf].shape
    index = tuple(int(i) for i in (found[2] or "").split(",") if i) if found else ()
    if len(index) != len(shape) or any(not 0 <= i < n for i, n in zip(index, shape, strict=True)):
        last = ",".join(str(n - 1) for n in shape)
        raise InputError(
            f"explaining the weight {text!r}",
            f"{leaf} has the shape {shape}",
            f"write a place in it, up to {leaf}[{last}]",
        )
    return Weight(leaf, index)


def row_products(
    captured: Pass, visit: Visit, field: str, index: Index
) -> tuple[Numbers64, Numbers64, Numbers64] | None:
    """Return, row by row, what went in, the delta that came back, and their products.

    Rows with several places (a sequence, say) add up their places; the first two are then their
    means. None for a layer or leaf without a template.
    """
    ingoing = PARTS.get((type(visit.layer), field))
    if ingoing is None:
        return None
    deltas = captured.batch_size * np.asarray(visit.dy[..., index[-1]], np.float64)
    inputs = np.broadcast_to(ingoing(visit, index), deltas.shape)
    rows = captured.batch_size
    products = (inputs * deltas).reshape(rows, -1)
    flat = inputs.reshape(rows, -1), deltas.reshape(rows, -1)
    return flat[0].mean(1), flat[1].mean(1), products.sum(1)


def _input(visit: Visit, index: Index) -> Numbers:
    return np.asarray(visit.x[..., index[0]], np.float64)


def _one(visit: Visit, index: Index) -> Numbers:
    return np.ones(())


def _over_batch(visit: Visit, index: Index) -> Numbers:
    column = np.asarray(visit.x[..., index[-1]], np.float64)
    if column.size < 2:
        mean, variance = (
            float(visit.state[f"running_{what}"].numpy()[index[-1]])
            for what in ("mean", "variance")
        )
    else:
        mean, variance = float(column.mean()), float(column.var())
    return np.asarray((column - mean) / np.sqrt(variance + visit.layer.epsilon))


def _over_row(visit: Visit, index: Index) -> Numbers:
    x = np.asarray(visit.x, np.float64)
    centred = x - x.mean(-1, keepdims=True)
    root = np.sqrt((centred**2).mean(-1, keepdims=True) + visit.layer.epsilon)
    return np.asarray((centred / root)[..., index[-1]])


PARTS: Mapping[tuple[type, str], Callable[[Visit, Index], Numbers]] = {
    (nn.Linear, "weight"): _input,
    (nn.Linear, "bias"): _one,
    (nn.BatchNorm, "scale"): _over_batch,
    (nn.BatchNorm, "shift"): _one,
    (nn.LayerNorm, "scale"): _over_row,
    (nn.LayerNorm, "shift"): _one,
}
"""What goes into a weight, row by row; its gradient is the mean of that times delta."""


def visit_of(captured: Pass, leaf: str) -> tuple[Visit, str] | None:
    """Return the visit of the layer that holds a leaf, and the leaf's name there."""
    for visit in captured.visits:
        prefix = f"{visit.path}." if visit.path else ""
        if leaf.startswith(prefix) and not isinstance(visit.layer, nn.Residual):
            return visit, leaf[len(prefix) :]
    return None


def weight_formulas(seen: Seen, weight: Weight) -> list[Formula]:
    """Return a weight's gradient as the mean over the batch, and beside differences of the loss."""
    captured = seen.captured
    value = float(captured.grads[weight.leaf].numpy()[weight.index])
    found = visit_of(captured, weight.leaf)
    parts = None if found is None else row_products(captured, *found, weight.index)
    typical = max(abs(value), 1e-12)
    formulas = []
    if parts is not None and found is not None:
        typical = float(np.mean(np.abs(parts[2])))
        formulas.append(_mean_formula(seen, weight, value, parts))
    by_difference = weight_difference(captured, weight.leaf, weight.index)
    formulas.append(
        seen.formula(
            "backward",
            weight.path,
            "dL/dw",
            "(L(w+h) - L(w-h))/2h",
            [evaluated("(L(w+h) - L(w-h))/2h", by_difference.value, h=by_difference.h)],
            value,
            bound=1e-5 * typical + 3 * by_difference.error + by_difference.kink,
            bound_rule="1e-5 of the mean |a·δ|",
            of_row=None,
            words=by_difference.words or "the whole batch's loss, in float64",
        )
    )
    return formulas


def _mean_formula(
    seen: Seen, weight: Weight, value: float, parts: tuple[Numbers64, Numbers64, Numbers64]
) -> Formula:
    captured = seen.captured
    inputs, deltas, products = parts
    count = captured.batch_size
    is_bias = weight.leaf.endswith(("bias", "shift"))
    is_single = bool(np.allclose(inputs * deltas, products, rtol=1e-9, atol=0))

    def describe(n: int) -> Term:
        label = f"place {n} of the batch"
        if is_bias or not is_single:
            return Term(label, float(products[n]), index=n)
        return product(label, n, a=inputs[n], δ=deltas[n])

    extra = penalty_gradient(captured, weight.leaf, weight.index)
    bias = None if captured.penalty_function is None else extra * count
    every = captured.grads[weight.leaf].numpy()
    name = "dL/db_j = (1/B)·Σ_n δ_j" if is_bias else "dL/dw_ij = (1/B)·Σ_n a_i·δ_j"
    return seen.summed(
        "backward",
        weight.path,
        "dL/dw",
        name if bias is None else f"{name} + dpenalty/dw",
        products,
        describe,
        value,
        bias=bias,
        scale=(("1/B", 1 / count),),
        floor=floor_of(every) if every.size else 1.0,
        examples=tuple(products.tolist()),
        of_row=None,
        words=f"place {seen.place}, the explained row, gives {short(float(products[seen.place]))}",
    )
