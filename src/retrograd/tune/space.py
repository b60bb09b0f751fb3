"""What is searched: dials, how their values become options of a run, and where the search starts.

Whatever the user gave is fixed and has no dial. Rates are searched as a factor on the reference
rate of the optimizer, since a good rate of one is useless for another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from retrograd.recipe.config import Config, option_homes
from retrograd.recipe.network import Size, default_rate
from retrograd.recipe.toml import to_plain

_OPTIMIZERS = ("adamw", "nadam", "nesterov", "lion")
_ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "leaky_relu", "selu")
_SCHEDULES = ("one_cycle", "cosine", "constant")
PLAIN_STEPS = ("sgd", "momentum", "nesterov")
"""Optimizers whose step is the gradient times the rate: the curvature bounds their rate."""

Value = float | int | str


class Dial(NamedTuple):
    """One thing that is searched: a range of numbers from low to high, or choices."""

    name: str
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_whole: bool = False
    choices: tuple[Value, ...] = ()

    def nearest(self, value: Any) -> Value:
        """Return the value of the dial that is nearest to one that it may not have."""
        if self.choices:
            return value if value in self.choices else self.choices[0]
        within = min(max(float(value), self.low), self.high)
        return round(within) if self.is_whole else within


class Space(NamedTuple):
    """The dials, and the learning rate that a factor of 1 means for each optimizer."""

    dials: tuple[Dial, ...]
    rates: dict[str, float]
    optimizer: str


def make_space(
    given: Mapping[str, Any], chosen: Config, size: Size, highest_rate: float, bound: float
) -> Space:
    """Return what to search around a chosen config.

    ``given`` are the options that the user fixed; ``highest_rate`` is where the range test saw the
    loss blow up, ``bound`` the largest stable step of plain gradient descent; infinity if unknown.
    """
    optimizer = str(chosen.optimization.optimizer)
    own = chosen.optimization.learning_rate or default_rate(optimizer)
    rates = {
        name: min(default_rate(name), bound / 2) if name in PLAIN_STEPS else default_rate(name)
        for name in (*_OPTIMIZERS, optimizer)
    }
    rates[optimizer] = own
    highest = 10.0
    if optimizer not in PLAIN_STEPS:
        highest = min(max(highest_rate / own, 2.0), 30.0)
    found = [*_update_dials(chosen, size, highest), *_network_dials(chosen, size)]
    fixed = set(given)
    if "learning_rate" in fixed:
        fixed |= {"rate", "optimizer"}
    if "hidden" in fixed:
        fixed |= {"width", "layers", "shape"}
    if "batch_size" in fixed:
        fixed.add("batch")
    return Space(tuple(dial for dial in found if dial.name not in fixed), rates, optimizer)


def _update_dials(chosen: Config, size: Size, highest: float) -> list[Dial]:
    optimization = chosen.optimization
    most = max(4, min(10, int(math.log2(max(size.rows // 8, 16)))))
    decay = optimization.weight_decay or 0.0
    dials = [
        Dial("rate", 0.03, highest, is_log=True),
        Dial("batch", 4, most, is_whole=True),
        Dial("optimizer", choices=_with(_OPTIMIZERS, optimization.optimizer)),
        Dial("schedule", choices=_with(_SCHEDULES, optimization.schedule)),
        Dial("weight_decay", 1e-4, max(2.0, decay), is_log=True),
    ]
    if size.outputs > 1:
        dials.append(Dial("label_smoothing", 0.0, 0.2))
    return dials


def _network_dials(chosen: Config, size: Size) -> list[Dial]:
    network, homes = chosen.network, option_homes()
    widest = 8 if size.rows < 5000 else 9
    dials = [
        Dial("width", 4, widest, is_whole=True),
        Dial("layers", 1, 4, is_whole=True),
        Dial("shape", choices=("halving", "equal")),
        Dial("activation", choices=_with(_ACTIVATIONS, network.activation)),
        Dial("dropout", 0.0, 0.5),
        Dial("normalization", choices=_with(("none", "layer", "batch"), network.normalization)),
    ]
    # Ensembles in one program and pieces of numbers, where the recipe has them.
    for name, values in (("members", (1, 8)), ("pieces", (0, 16))):
        if name in homes:
            dials.append(Dial(name, choices=_with(values, getattr(network, name))))
    return dials


def _with(choices: tuple[Value, ...], own: Any) -> tuple[Value, ...]:
    """Return the choices, the config's own first."""
    return choices if own is None else (own, *(each for each in choices if each != own))


def options_of(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run that the values of the dials mean.

    >>> space = Space((), {"adamw": 0.003}, "adamw")
    >>> options_of(space, {"rate": 2.0, "width": 6, "layers": 2, "shape": "halving", "batch": 5})
    {'learning_rate': 0.006, 'batch_size': 32, 'hidden': (64, 32)}
    """
    left = dict(values)
    options: dict[str, Any] = {}
    if "rate" in left:
        rate = space.rates[left.get("optimizer", space.optimizer)] * left.pop("rate")
        options["learning_rate"] = float(f"{rate:.6g}")
    if "batch" in left:
        options["batch_size"] = 2 ** int(left.pop("batch"))
    if "width" in left:
        width, shape = 2 ** int(left.pop("width")), left.pop("shape")
        cut = 2 if shape == "halving" else 1
        options["hidden"] = tuple(max(8, width // cut**i) for i in range(int(left.pop("layers"))))
    return options | left


def values_of(space: Space, config: Config, rate: float | None = None) -> dict[str, Value]:
    """Return the values of the dials that come nearest to a chosen config; ``rate`` instead."""
    optimization, network = config.optimization, config.network
    hidden = network.hidden or (16,)
    optimizer = str(optimization.optimizer)
    own = rate or optimization.learning_rate or default_rate(optimizer)
    found: dict[str, Any] = {
        "rate": own / space.rates.get(optimizer, own),
        "batch": math.log2(optimization.batch_size or 32),
        "width": math.log2(hidden[0]),
        "layers": len(hidden),
        "shape": "equal" if len(set(hidden)) == 1 and len(hidden) > 1 else "halving",
    }
    for dial in space.dials:
        if dial.name not in found:
            place = network if hasattr(network, dial.name) else optimization
            found[dial.name] = getattr(place, dial.name)
    return {dial.name: dial.nearest(found[dial.name]) for dial in space.dials}


def shown_options(space: Space, config: Config) -> dict[str, Any]:
    """Return a chosen config's own values of the options that the space searches."""
    homes, plain = option_homes(), to_plain(config)
    return {n: plain[homes[n]].get(n) for n in options_of(space, values_of(space, config))}
