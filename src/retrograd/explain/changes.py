"""What wrappers of optimizers make of a gradient, substituted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from retrograd.explain.record import Term
from retrograd.explain.seen import evaluated, product, short
from retrograd.explain.weights import Weight
from retrograd.optim import clip_by_global_norm, clip_by_value, l1, weight_decay
from retrograd.tensor.tensor import Tensor

Params = Mapping[str, Tensor]


def settings_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what a function closes over, by name: the settings of an optimizer.

    >>> from retrograd.optim import momentum
    >>> settings_of(momentum(0.1, 0.8).update)["momentum"]
    0.8
    """
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None) or ()
    names = code.co_freevars if code is not None else ()
    return {name: cell.cell_contents for name, cell in zip(names, cells, strict=True)}


Change = tuple[str, list[Term], str]


def _clipped_norm(
    own: Mapping[str, Any], g: float, w: float, grads: Params, weight: Weight
) -> Change:
    squares = (float(np.sum(np.square(x.numpy().astype(np.float64)))) for x in grads.values())
    norm = math.sqrt(sum(squares))
    factor = min(1.0, own["max_norm"] / norm) if norm else 1.0
    words = f"|g| = {short(norm)} over all weights, limit {own['max_norm']:g}: factor {factor:.6g}"
    return "g ← g·min(1, limit/|g|)", [product("g·factor", None, g=g, factor=factor)], words


def _clipped_value(
    own: Mapping[str, Any], g: float, w: float, grads: Params, weight: Weight
) -> Change:
    limit = own["limit"]
    term = evaluated(f"clip({short(g)})", max(min(g, limit), -limit), g=g, limit=limit)
    return "g ← clip(g, -limit, limit)", [term], f"limit {limit:g}"


def _coupled_decay(
    own: Mapping[str, Any], g: float, w: float, grads: Params, weight: Weight
) -> Change:
    rate = own["rate"] if own["applies_to"](weight.leaf) else 0.0
    return "g ← g + λ·w", [Term("g", g), product("λ·w", None, λ=rate, w=w)], "weight decay"


def _absolute_decay(
    own: Mapping[str, Any], g: float, w: float, grads: Params, weight: Weight
) -> Change:
    rate = own["rate"] if own["applies_to"](weight.leaf) else 0.0
    sign = float(np.sign(w))
    terms = [Term("g", g), product("λ·sign(w)", None, **{"λ": rate, "sign(w)": sign})]
    return "g ← g + λ·sign(w)", terms, "L1"


CHANGES: Mapping[str, Callable[..., Change]] = {
    clip_by_global_norm.__name__: _clipped_norm,
    clip_by_value.__name__: _clipped_value,
    weight_decay.__name__: _coupled_decay,
    l1.__name__: _absolute_decay,
}
"""What wrappers make of a gradient, by the name that they were asked for."""
