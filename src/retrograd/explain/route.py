"""Which numbers of a pass are shown: from one output back along what weighs most."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

from retrograd import nn
from retrograd.explain import members
from retrograd.explain.capture import Pass, Visit
from retrograd.explain.layers import is_elementwise, position, weighted
from retrograd.explain.seen import Seen
from retrograd.explain.weights import Weight
from retrograd.tensor.errors import InputError

Route = dict[int, int]
"""The unit that is shown of each visit, by the visit's number."""


def default_output(seen: Seen) -> int:
    """Return the output to start from: that of the row's class, else the first."""
    width = int(np.prod(seen.captured.predictions.shape[1:], dtype=int))
    target = np.asarray(seen.captured.batch.targets)[seen.place]
    if width > 1 and target.ndim == 0 and target.dtype.kind in "iu" and 0 <= target < width:
        return int(target)
    return 0


def read_unit(text: str, captured: Pass) -> tuple[int, int]:
    """Return visit and unit of a name such as "layers.2[3]"; raises InputError."""
    found = re.fullmatch(r"\s*([\w.]*)\s*\[\s*(\d+)\s*\]\s*", text)
    paths = [visit.path for visit in captured.visits]
    if not found or found[1] not in paths:
        raise InputError(
            f"explaining the unit {text!r}",
            "the network has no such layer",
            f"write one of {', '.join(paths)}, with a place: {paths[-1]}[0]",
        )
    number, unit = paths.index(found[1]), int(found[2])
    width = int(np.prod(captured.visits[number].y.shape[1:], dtype=int))
    if unit >= width:
        raise InputError(
            f"explaining the unit {text!r}",
            f"{found[1]} has {width} units",
            f"write a place from 0 to {width - 1}",
        )
    return number, unit


def route(seen: Seen, unit: tuple[int, int] | None = None) -> Route:
    """Return one unit for each visit: each is the input that weighs most in the one after it.

    ``unit`` is a visit and a unit that the route shall pass; from the next layer that mixes units
    on, it is the default one again.
    """
    visits = seen.captured.visits
    chosen: Route = {}
    _walk(seen, len(visits) - 1, default_output(seen), chosen)
    if unit is not None:
        kept = {number: u for number, u in chosen.items() if number > unit[0]}
        chosen = {}
        _walk(seen, *unit, chosen)
        for number, above in sorted(kept.items()):
            visit = visits[number]
            below = None if visit.source is None else chosen.get(visit.source)
            chosen[number] = above if below is None or not _keeps_places(visit) else below
    return dict(sorted(chosen.items()))


def _keeps_places(visit: Visit) -> bool:
    """Return whether a unit of a layer is made of the input at its own place above all."""
    is_own = type(visit.layer) in BACK or isinstance(visit.layer, nn.Residual)
    return not is_own and visit.x[0].size == visit.y[0].size


def _walk(seen: Seen, number: int | None, unit: int, chosen: Route) -> None:
    while number is not None and number not in chosen:
        visit = seen.captured.visits[number]
        chosen[number] = unit
        if isinstance(visit.layer, nn.Residual):
            inner = _inner(seen.captured, number)
            if inner is not None:
                _walk(seen, inner, unit, chosen)
        unit = input_unit(seen, visit, unit)
        number = visit.source


def _inner(captured: Pass, number: int) -> int | None:
    """Return the visit whose output a residual adds to its input."""
    prefix = captured.visits[number].path
    before = number - 1
    inside = before >= 0 and captured.visits[before].path.startswith(f"{prefix}.inner".lstrip("."))
    return before if inside else None


def input_unit(seen: Seen, visit: Visit, unit: int) -> int:
    """Return the input of a layer that matters most to one of its units."""
    return BACK.get(type(visit.layer), _same_or_strongest)(seen, visit, unit)


def strongest_input(seen: Seen, visit: Visit, unit: int) -> int:
    """Return the input whose product with its weight is largest."""
    a, w = weighted(seen, visit, unit)
    lead = position(visit.y, unit)[:-1]
    place = (*lead, int(np.argmax(np.abs(a * w))))
    return int(np.ravel_multi_index(place, visit.x.shape[1:]))


def _same_or_strongest(seen: Seen, visit: Visit, unit: int) -> int:
    """Return the same place where shapes agree, else the input that the loss feels most."""
    width = int(np.prod(visit.x.shape[1:], dtype=int))
    if is_elementwise(visit) or visit.x[0].size == visit.y[0].size:
        return unit
    felt = np.abs(seen.of_row(visit.x) * seen.of_row(visit.dx))
    return int(np.argmax(felt)) if width else 0


BACK: Mapping[type, Callable[[Seen, Visit, int], int]] = {
    nn.Linear: strongest_input,
    nn.PiecewiseLinear: members.pieces_input,
    nn.Members: members.members_input,
    nn.MemberLinear: members.head_input,
}
"""How to go from a unit to the input of its layer that matters most; others keep the place."""


def default_weight(seen: Seen, chosen: Route) -> Weight | None:
    """Return the weight of the route's last dense unit whose a·delta of this row is largest."""
    for number in sorted(chosen, reverse=True):
        visit, unit = seen.captured.visits[number], chosen[number]
        if not isinstance(visit.layer, nn.Linear):
            continue
        *lead, j = position(visit.y, unit)
        inputs = np.abs(np.asarray(visit.x[(seen.place, *lead)], np.float64))
        leaf = f"{visit.path}.weight" if visit.path else "weight"
        return Weight(leaf, (int(np.argmax(inputs)), j))
    return next(
        (
            Weight(name, tuple(0 for _ in x.shape))
            for name, x in seen.captured.params.items()
            if x.size
        ),
        None,
    )
