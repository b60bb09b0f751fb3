"""Normalisation, forwards and backwards: each number meets the mean and spread of its company."""

from __future__ import annotations

import math

import numpy as np

from retrograd.explain.capture import Visit
from retrograd.explain.layers import position
from retrograd.explain.record import Formula, Numbers64, bound_of
from retrograd.explain.seen import Seen, evaluated, floor_of, product


def batch_forward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """Y = scale (x - mean)/sqrt(variance + epsilon) + shift over the rows of the batch."""
    feature = position(visit.y, unit)[-1]
    return [_forward(seen, visit, unit, feature, *_batch_company(visit, feature), "batch")]


def layer_forward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """Y = scale (x - mean)/sqrt(variance + epsilon) + shift over the features of the row."""
    feature = position(visit.y, unit)[-1]
    return [_forward(seen, visit, unit, feature, *_row_company(seen, visit, unit), "row")]


def _batch_company(visit: Visit, feature: int) -> tuple[float, float, int]:
    """Return mean and variance of a feature, and of how many; running ones for one row."""
    column = np.asarray(visit.x[..., feature], np.float64).ravel()
    if len(column) < 2:
        running = (visit.state[f"running_{what}"].numpy()[feature] for what in ("mean", "variance"))
        mean, variance = (float(x) for x in running)
        return mean, variance, 0
    return float(column.mean()), float(column.var()), len(column)


def _row_company(seen: Seen, visit: Visit, unit: int) -> tuple[float, float, int]:
    lead = position(visit.x, unit)[:-1]
    row = np.asarray(visit.x[(seen.place, *lead)], np.float64)
    return float(row.mean()), float(row.var()), len(row)


def _forward(
    seen: Seen,
    visit: Visit,
    unit: int,
    feature: int,
    mean: float,
    variance: float,
    count: int,
    company: str,
) -> Formula:
    layer, x = visit.layer, float(seen.of_row(visit.x)[unit])
    root = 1 / math.sqrt(variance + layer.epsilon)
    gamma, beta = (float(leaf.numpy()[feature]) for leaf in (layer.scale, layer.shift))
    term = product("γ(x-μ)/σ", None, γ=gamma, **{"x-μ": x - mean, "1/σ": root})
    whose = f"over {count} numbers of the {company}" if count else "running: the batch is one row"
    return seen.formula(
        "forward",
        f"{visit.path}[{unit}]",
        "y",
        "y_j = γ_j·(x_j - μ)/√(σ² + ε) + β_j",
        [term],
        seen.of_row(visit.y)[unit],
        bias=beta,
        # x - mean cancels: what float32 may be off grows with both, not with their difference.
        bound=bound_of([gamma * x * root, gamma * mean * root, beta]),
        words=f"mean {mean:.4g}, variance {variance:.4g} {whose}",
    )


def batch_backward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """delta_x = scale/sigma (delta - mean of delta - x^ mean of delta x^), means over the batch."""
    feature = position(visit.x, unit)[-1]
    mean, variance, count = _batch_company(visit, feature)
    root = 1 / math.sqrt(variance + visit.layer.epsilon)
    deltas = seen.captured.batch_size * np.asarray(visit.dy[..., feature], np.float64)
    hats = (np.asarray(visit.x[..., feature], np.float64) - mean) * root
    own = float(seen.delta(visit.dy)[unit])
    hat = (float(seen.of_row(visit.x)[unit]) - mean) * root
    gamma = float(visit.layer.scale.numpy()[feature])
    if not count:  # the running statistics are constants
        deltas = hats = np.zeros(1)
    return [_backward(seen, visit, unit, own, hat, deltas, hats, (("γ", gamma), ("1/σ", root)))]


def layer_backward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """delta_x = 1/sigma (d - mean of d - x^ mean of d x^), d = scale delta, means over the row."""
    *lead, feature = position(visit.x, unit)
    mean, variance, _ = _row_company(seen, visit, unit)
    root = 1 / math.sqrt(variance + visit.layer.epsilon)
    place = (seen.place, *lead)
    deltas = seen.captured.batch_size * np.asarray(visit.dy[place], np.float64)
    scaled = deltas * np.asarray(visit.layer.scale.numpy(), np.float64)
    hats = (np.asarray(visit.x[place], np.float64) - mean) * root
    own, hat = float(scaled[feature]), float(hats[feature])
    return [_backward(seen, visit, unit, own, hat, scaled, hats, (("1/σ", root),))]


def _backward(
    seen: Seen,
    visit: Visit,
    unit: int,
    own: float,
    hat: float,
    deltas: Numbers64,
    hats: Numbers64,
    scale: tuple[tuple[str, float], ...],
) -> Formula:
    along = float(np.mean(deltas * hats))
    terms = [
        evaluated("δ", own),
        evaluated("-mean of δ", -float(np.mean(deltas))),
        product("-x̂·mean of δx̂", None, **{"-x̂": -hat, "mean of δx̂": along}),
    ]
    found = seen.delta(visit.dx)
    template = "δ_i = " + "·".join(name for name, _ in scale) + "·(δ - mean(δ) - x̂·mean(δx̂))"
    factor = math.prod(value for _, value in scale)
    # Each mean is a float32 sum: it may be off by the size of what it adds up.
    sizes = [np.max(np.abs(deltas)), np.max(np.abs(hats), initial=1.0) * np.max(np.abs(deltas))]
    bound = bound_of([*(t.value for t in terms), *sizes], factor, floor_of(found))
    path = f"{visit.path} input {unit}"
    value = found[unit]
    return seen.formula("backward", path, "δ", template, terms, value, scale=scale, bound=bound)
