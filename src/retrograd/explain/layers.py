"""What a layer computes forwards and hands back: one template for each class of layer.

A template is asked about one unit: the flat place of a number in the layer's output (forwards) or
input (backwards), row by row. A class that is in no table gets the panel of `generic`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from retrograd import nn, ops
from retrograd.explain.capture import Numbers, Visit
from retrograd.explain.record import Formula, Named, Numbers64
from retrograd.explain.seen import Seen, evaluated, floor_of, product, short
from retrograd.nn.containers import name_of
from retrograd.tensor.tensor import from_array

Template = Callable[[Seen, Visit, int], list[Formula]]

CURVES: Mapping[Callable[..., Any], str] = {
    nn.identity: "z",
    nn.relu: "max(0, z)",
    nn.leaky_relu: "z if z > 0 else slope·z",
    nn.elu: "z if z > 0 else α(e^z - 1)",
    nn.selu: "1.0507·elu(z, 1.6733)",
    nn.sigmoid: "1/(1 + e^-z)",
    nn.tanh: "tanh(z)",
    nn.gelu: "z·Φ(z)",
    nn.gelu_tanh: "z·sigmoid(1.5958(z + 0.0447z³))",
    nn.silu: "z·sigmoid(z)",
    nn.softplus: "ln(1 + e^z)",
    nn.softsign: "z/(1 + |z|)",
    nn.mish: "z·tanh(ln(1 + e^z))",
    nn.hard_sigmoid: "clip(z/6 + 1/2, 0, 1)",
    nn.hard_tanh: "clip(z, -1, 1)",
    ops.tanh: "tanh(z)",
    ops.sigmoid: "1/(1 + e^-z)",
}
"""Activations, which take each number by itself, and the formula of each."""


def curve_of(layer: Any) -> str | None:
    """Return the formula of an activation, None for anything else."""
    while isinstance(layer, functools.partial):
        layer = layer.func
    try:
        return CURVES.get(layer)
    except TypeError:  # a layer that cannot be hashed is no function
        return None


def is_elementwise(visit: Visit) -> bool:
    """Return whether each output is made of the input at the same place alone."""
    return isinstance(visit.layer, nn.Dropout) or curve_of(visit.layer) is not None


def position(batch: Numbers, unit: int) -> tuple[int, ...]:
    """Return the place of flat number ``unit`` within a row."""
    return tuple(int(i) for i in np.unravel_index(unit, batch.shape[1:]))


def weighted(seen: Seen, visit: Visit, unit: int) -> tuple[Numbers64, Numbers64]:
    """Return the inputs and weights whose products a unit of a dense layer adds up."""
    *lead, j = position(visit.y, unit)
    inputs = np.asarray(visit.x[(seen.place, *lead)], np.float64)
    return inputs, np.asarray(visit.layer.weight.numpy()[:, j], np.float64)


def dense_forward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """z_j = sum of a_i w_ij + b_j."""
    a, w = weighted(seen, visit, unit)
    j = position(visit.y, unit)[-1]
    bias = visit.layer.bias
    return [
        seen.summed(
            "forward",
            f"{visit.path}[{unit}]",
            "z",
            "z_j = Σ_i a_i·w_ij + b_j" if visit.source is not None else "z_j = Σ_i x_i·w_ij + b_j",
            a * w,
            lambda i: product(seen.input_name(visit, i), i, a=a[i], w=w[i]),
            seen.of_row(visit.y)[unit],
            bias=None if bias is None else float(bias.numpy()[j]),
        )
    ]


def dense_backward(
    seen: Seen, visit: Visit, unit: int, scale: Named = (), below: Visit | None = None
) -> list[Formula]:
    """delta_i = sum over j of delta_j w_ij, times the slopes that it crosses below."""
    *lead, i = position(visit.x, unit)
    deltas = seen.captured.batch_size * np.asarray(visit.dy[(seen.place, *lead)], np.float64)
    w = np.asarray(visit.layer.weight.numpy()[i], np.float64)
    reached = visit if below is None else below
    found = seen.delta(reached.dx)
    slopes = "".join(f"{name}·" for name, _ in scale)
    where = f"{reached.path}[{unit}]" if below else f"{visit.path} input {unit}"
    return [
        seen.summed(
            "backward",
            where,
            "δ",
            f"δ_i = {slopes}Σ_j δ_j·w_ij",
            deltas * w,
            lambda j: product(f"δ{j}", j, δ=deltas[j], w=w[j]),
            found[unit],
            scale=scale,
            floor=floor_of(found),
            words=f"handed back by the {len(w)} units of {visit.path}",
        )
    ]


def curve_forward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """A = f(z), and f'(z) beside differences of f."""
    z, a = seen.of_row(visit.x)[unit], seen.of_row(visit.y)[unit]
    slope = seen.of_row(visit.slope)[unit]
    name = name_of(visit.layer)
    path = f"{visit.path}[{unit}]"
    wide = float(_curve(visit.layer, z))
    label = f"{name}({short(z)})"
    formulas = [
        seen.formula(
            "forward",
            path,
            "a",
            "a_j = f(z_j), f(z) = " + str(curve_of(visit.layer)),
            [evaluated(label, wide, z=z)],
            a,
        )
    ]
    difference, h, is_kink = _curve_slope(visit.layer, z)
    words = f"slope of {name} at {short(z)}"
    if is_kink:
        difference = slope
        words = f"{name} has a kink at {short(z)}; its rule takes the slope {short(slope)}"
    expression = evaluated("(f(z+h) - f(z-h))/2h", difference, z=z, h=h)
    template = f"{name}'(z) = df/dz"
    formulas.append(
        seen.formula("backward", path, "f'(z)", template, [expression], slope, words=words)
    )
    return formulas


def _curve(layer: Callable[[Any], Any], z: float) -> float:
    return float(layer(from_array(np.array([z]))).numpy()[0])


def _curve_slope(layer: Callable[[Any], Any], z: float) -> tuple[float, float, bool]:
    """Return the slope by central differences, the step, and whether a kink lies within it."""
    h = 1e-6 * max(1.0, abs(z))
    if 1e-9 < abs(z) < 2 * h:
        h = abs(z) / 2
    low, here, high = (_curve(layer, z + k * h) for k in (-1.0, 0.0, 1.0))
    ahead, behind = (high - here) / h, (here - low) / h
    return (high - low) / (2 * h), h, abs(ahead - behind) > 1e-3


def dropout_forward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """Y = x m, with m = 1/(1 - rate) if the number was kept and 0 if it fell."""
    mask = seen.of_row(visit.slope)[unit]
    terms = [product("x·m", None, x=seen.of_row(visit.x)[unit], m=mask)]
    rate = visit.layer.rate
    words = f"kept: times 1/(1 - {rate:g})" if mask else "dropped in this step"
    path, value = f"{visit.path}[{unit}]", seen.of_row(visit.y)[unit]
    return [seen.formula("forward", path, "a", "a_j = x_j·m_j", terms, value, words=words)]


def slope_backward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """Delta at the input of an elementwise layer: its slope times what arrives."""
    found = seen.delta(visit.dx)
    slope, arriving = seen.of_row(visit.slope)[unit], seen.delta(visit.dy)[unit]
    terms = [product(f"{slope_name(visit)}·δ", None, slope=slope, δ=arriving)]
    template = f"δ_i = {slope_name(visit)}·δ above"
    path, floor = f"{visit.path}[{unit}]", floor_of(found)
    return [seen.formula("backward", path, "δ", template, terms, found[unit], floor=floor)]


def slope_name(visit: Visit) -> str:
    """Return what the slope of an elementwise layer is called."""
    return "m" if isinstance(visit.layer, nn.Dropout) else "f'(z)"


def nothing(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """Nothing is computed: numbers only change their places."""
    return []


def residual_forward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """Y = x + inner(x)."""
    x, y = seen.of_row(visit.x)[unit], seen.of_row(visit.y)[unit]
    inner = x if visit.inner_y is None else seen.of_row(visit.inner_y)[unit]
    terms = [evaluated("x", x), evaluated("inner(x)", inner)]
    path = f"{visit.path}[{unit}]"
    return [seen.formula("forward", path, "y", "y_j = x_j + inner(x)_j", terms, y)]


def residual_backward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """Delta at the input: what arrives goes round the inner layer and through it."""
    found = seen.delta(visit.dx)
    arriving = seen.delta(visit.dy)[unit]
    inner = arriving if visit.inner_dx is None else seen.delta(visit.inner_dx)[unit]
    terms = [evaluated("δ round", arriving), evaluated("δ through inner", inner)]
    path, floor = f"{visit.path} input {unit}", floor_of(found)
    template = "δ_i = δ above + δ from inner"
    return [seen.formula("backward", path, "δ", template, terms, found[unit], floor=floor)]
