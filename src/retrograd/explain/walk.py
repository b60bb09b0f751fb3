"""The walk along a route: what each unit is made of, and what is handed back to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from retrograd import nn
from retrograd.explain import generic, layers, members, norms
from retrograd.explain.capture import Visit
from retrograd.explain.layers import Template
from retrograd.explain.record import Formula
from retrograd.explain.route import Route, input_unit
from retrograd.explain.seen import Seen

FORWARD: Mapping[type, Template] = {
    nn.Linear: layers.dense_forward,
    nn.Dropout: layers.dropout_forward,
    nn.Flatten: layers.nothing,
    nn.Residual: layers.residual_forward,
    nn.BatchNorm: norms.batch_forward,
    nn.LayerNorm: norms.layer_forward,
    nn.PiecewiseLinear: members.pieces_forward,
    nn.Members: members.members_forward,
    nn.MemberLinear: members.head_forward,
    nn.Average: layers.nothing,
}
"""What a unit of a layer is, by the layer's class; activations are in `layers.CURVES`."""

BACKWARD: Mapping[type, Template] = {
    nn.Linear: layers.dense_backward,
    nn.Dropout: layers.slope_backward,
    nn.Flatten: layers.nothing,
    nn.Residual: layers.residual_backward,
    nn.BatchNorm: norms.batch_backward,
    nn.LayerNorm: norms.layer_backward,
}
"""What a layer hands back to one of its inputs, by the layer's class."""


def forward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """Return what a unit is made of, for activations with the slope that goes back through it."""
    if layers.curve_of(visit.layer) is not None:
        return [f for f in layers.curve_forward(seen, visit, unit) if f.phase == "forward"]
    template = FORWARD.get(type(visit.layer))
    return [] if template is None else template(seen, visit, unit)


def backward(seen: Seen, chosen: Route) -> list[Formula]:
    """Return what comes back along the route, from the last layer to the first."""
    visits = seen.captured.visits
    formulas: list[Formula] = []
    done: set[int] = set()
    for number in sorted(chosen, reverse=True):
        if number in done:
            continue
        visit = visits[number]
        unit = _input_unit(seen, visit, number, chosen)
        if isinstance(visit.layer, nn.Linear):
            crossed = _crossed(seen, visit, chosen)
            done |= set(crossed)
            if visit.source is None:
                continue  # nothing below the network's input waits for a delta
            for below in crossed:
                if layers.curve_of(visits[below].layer) is not None:
                    curve = layers.curve_forward(seen, visits[below], chosen[below])
                    formulas += [f for f in curve if f.phase == "backward"]
            scale = tuple(
                (layers.slope_name(visits[b]), float(seen.of_row(visits[b].slope)[chosen[b]]))
                for b in crossed
            )
            last = visits[crossed[-1]] if crossed else None
            formulas += layers.dense_backward(seen, visit, unit, scale, last)
        else:
            formulas += _handed_back(seen, visit, unit)
    return formulas


def _handed_back(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    if layers.curve_of(visit.layer) is not None:
        curve = layers.curve_forward(seen, visit, unit)
        slopes = [f for f in curve if f.phase == "backward"]
        return slopes + layers.slope_backward(seen, visit, unit)
    return BACKWARD.get(type(visit.layer), generic.backward)(seen, visit, unit)


def _input_unit(seen: Seen, visit: Visit, number: int, chosen: Route) -> int:
    """Return the place of the visit's input that the route goes on with."""
    if visit.source is not None and visit.source in chosen:
        return chosen[visit.source]
    return input_unit(seen, visit, chosen[number])


def _crossed(seen: Seen, visit: Visit, chosen: Route) -> list[int]:
    """Return the elementwise layers right below a dense one that its deltas alone come through."""
    visits = seen.captured.visits
    crossed: list[int] = []
    above = visit
    while above.source is not None and above.source in chosen:
        below = visits[above.source]
        # Where another branch hands something back too, this sum is not all that arrives.
        if not layers.is_elementwise(below) or not np.array_equal(below.dy, above.dx):
            break
        crossed.append(above.source)
        above = below
    return crossed
