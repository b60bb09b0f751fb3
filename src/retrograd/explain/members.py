"""Layers of ensembles and of pieces: what a unit is made of, and the input that it belongs to."""

from __future__ import annotations

import numpy as np

from retrograd.explain.capture import Visit
from retrograd.explain.layers import position
from retrograd.explain.record import Formula, Numbers64
from retrograd.explain.seen import Seen, evaluated, product


def members_forward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """y_kj = x_j scale_kj + shift_kj, of member k."""
    place = position(visit.y, unit)
    x = seen.of_row(visit.x)[members_input(seen, visit, unit)]
    scale = float(visit.layer.scale.numpy()[place])
    terms = [product("x·scale", None, x=x, scale=scale)]
    return [
        seen.formula(
            "forward",
            f"{visit.path}[{unit}]",
            "y",
            "y_kj = x_j·scale_kj + shift_kj",
            terms,
            seen.of_row(visit.y)[unit],
            bias=float(visit.layer.shift.numpy()[place]),
            words=f"as member {place[0]} sees number {place[1]}",
        )
    ]


def members_input(seen: Seen, visit: Visit, unit: int) -> int:
    """Return the place of the number that a member scales."""
    return position(visit.y, unit)[-1] if visit.x.ndim == 2 else unit


def head_forward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """z_kj = sum of a_ki w_kij + b_kj, of member k."""
    k, j = position(visit.y, unit)
    a, w = _of_head(seen, visit, unit)
    return [
        seen.summed(
            "forward",
            f"{visit.path}[{unit}]",
            "z",
            "z_kj = Σ_i a_ki·w_kij + b_kj",
            a * w,
            lambda i: product(f"a{i}", i, a=a[i], w=w[i]),
            seen.of_row(visit.y)[unit],
            bias=float(visit.layer.bias.numpy()[k, j]),
            words=f"output {j} of member {k}",
        )
    ]


def head_input(seen: Seen, visit: Visit, unit: int) -> int:
    """Return the place of the member's own input whose product with its weight is largest."""
    a, w = _of_head(seen, visit, unit)
    return position(visit.y, unit)[0] * len(a) + int(np.argmax(np.abs(a * w)))


def _of_head(seen: Seen, visit: Visit, unit: int) -> tuple[Numbers64, Numbers64]:
    """Return a member's inputs, and its weights to one of its outputs."""
    k, j = position(visit.y, unit)
    inputs = np.asarray(visit.x[seen.place, k], np.float64)
    return inputs, np.asarray(visit.layer.weight.numpy()[k, :, j], np.float64)


def pieces_forward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """A piece is clip((x_f - start) slope, 0, 1); before the pieces stand the features, bounded."""
    features = visit.x.shape[-1]
    x = seen.of_row(visit.x)[pieces_input(seen, visit, unit)]
    name = seen.input_name(visit, pieces_input(seen, visit, unit))
    if unit < features:
        template = "y_f = x_f/√(1 + (x_f/3)²)"
        terms = [evaluated(f"bounded {name}", float(x / np.sqrt(1 + (x / 3) ** 2)), x=x)]
    else:
        start = float(visit.layer.start.numpy()[unit - features])
        slope = float(visit.layer.slope.numpy()[unit - features])
        template = "y_p = clip((x_f - start_p)·slope_p, 0, 1)"
        value = float(np.clip((x - start) * slope, 0, 1))
        terms = [evaluated(f"piece of {name}", value, x=x, start=start, slope=slope)]
    path, found = f"{visit.path}[{unit}]", seen.of_row(visit.y)[unit]
    return [seen.formula("forward", path, "y", template, terms, found)]


def pieces_input(seen: Seen, visit: Visit, unit: int) -> int:
    """Return the feature that a unit is cut from."""
    features = visit.x.shape[-1]
    return unit if unit < features else int(visit.layer.feature.numpy()[unit - features])
