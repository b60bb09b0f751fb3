"""Whether the gradients of a network are the derivatives of its loss: on its own rows, in numbers.

Three independent questions. Along random directions through all parameters: is the engine's
derivative what differences of the loss give, and does the error fall by 4 when the step is halved,
as it must for a true derivative? For sampled weights of every leaf: the same, one by one. And does
the float32 gradient, which training uses, agree with the float64 one within what rounding explains?
Steps that cross a kink (a relu that opens or closes) are recognised and not held against the rule.

Source: Griewank & Walther, Evaluating Derivatives (2nd ed.), section 3.1; Richardson's
extrapolation as in Press et al., Numerical Recipes, section 5.7.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from retrograd import nn, ops
from retrograd.autodiff import Rules, value_and_grad
from retrograd.data.batches import Batch
from retrograd.diagnose.comparing import (
    Generator,
    Numbers,
    Place,
    Places,
    Sample,
    compare_direction,
    compare_weights,
    typical,
    worst_of,
)
from retrograd.diagnose.differences import Loss, Params, evaluate, moved, widened
from retrograd.diagnose.gradient_report import GradientReport, LeafCheck
from retrograd.tensor.errors import GradientError
from retrograd.tensor.tensor import Tensor, as_tensor, from_array
from retrograd.tree import leaves, with_leaves

Penalty = Callable[[Params], Tensor]
FLOAT32 = float(np.finfo(np.float32).eps)
HAIR = 1e-3
GROWTH = 128.0
"""How often a rounding error of the forward pass may grow on its way to a gradient."""


def check_gradients(
    net: Any,
    loss: Callable[..., Tensor],
    batch: Batch,
    *,
    state: Mapping[str, Tensor] | None = None,
    seed: int = 0,
    samples: int = 6,
    directions: int = 3,
    penalty: Penalty | None = None,
    rules: Rules | None = None,
) -> GradientReport:
    """Compare the gradients of a network on a batch with finite differences in float64.

    ``state`` holds the batch statistics (those of the network if None). Dropout draws the same
    mask in every pass, from ``seed``. ``samples`` weights of each leaf are tried, half of them
    those with the largest gradient. ``rules`` are the replaced backward rules that training uses,
    if any. Raises GradientError if the loss is not finite on these rows.
    """
    generator, key = np.random.default_rng(seed), ops.key(seed)
    statistics = dict(nn.statistics(net) if state is None else state)
    params, wide_params = nn.parameters(net), widened(nn.parameters(net))
    narrow = _objective(net, loss, batch, statistics, key, penalty)
    wide_batch = Batch(*(_wide(part) for part in batch))
    wide_net = with_leaves(net, widened(leaves(net)))
    wide = _objective(wide_net, loss, wide_batch, widened(statistics), key, penalty)
    places = _places(wide, wide_params, rules, generator)
    rows = tuple(compare_direction(wide, places, generator) for _ in range(directions))
    noise = _echo(wide_net, wide_batch, widened(statistics), key, places[0], generator)
    allowed = _allowed(places[0].grads, noise, _shaken(wide, places[0], rules, generator))
    # Where rounding closes a relu that is open in float64, the two gradients rightly differ.
    is_same_side = evaluate(narrow, params).side == places[0].side
    found = _gradient(narrow, params, rules)[1] if is_same_side else {}
    checked = []
    for name, exact in places[0].grads.items():
        row = _row(name, compare_weights(wide, places, name, samples, generator), exact.shape)
        checked.append(_with_float32(row, exact, found.get(name), allowed[name]))
    size = sum(x.size for x in params.values())
    return GradientReport(places[0].value, len(batch.inputs), size, seed, rows, tuple(checked))


def _objective(
    net: Any,
    loss: Callable[..., Tensor],
    batch: Batch,
    statistics: Mapping[str, Tensor],
    key: Tensor,
    penalty: Penalty | None,
) -> Loss:
    """Return the loss of the batch as a function of the parameters alone."""
    inputs, targets = as_tensor(batch.inputs), as_tensor(batch.targets)
    weights = {} if batch.weights is None else {"weights": as_tensor(batch.weights)}

    def objective(params: Params) -> Tensor:
        placed = with_leaves(net, {**params, **statistics})
        value = loss(placed.apply(inputs, dict(statistics), key)[0], targets, **weights)
        return value if penalty is None else value + penalty(params)

    return objective


def _places(loss: Loss, params: Params, rules: Rules | None, generator: Generator) -> Places:
    hair = {
        name: generator.standard_normal(x.shape) * max(typical(x.numpy()), 0.01)
        for name, x in params.items()
    }
    return _place(loss, params, rules), _place(loss, moved(params, hair, HAIR), rules)


def _place(loss: Loss, params: Params, rules: Rules | None) -> Place:
    value, grads = _gradient(loss, params, rules)
    return Place(params, value, evaluate(loss, params).side, grads)


def _gradient(loss: Loss, params: Params, rules: Rules | None) -> tuple[float, dict[str, Numbers]]:
    value, grads = value_and_grad(loss, rules=rules)(dict(params))
    if not math.isfinite(value.item()):
        raise GradientError(
            "checking gradients",
            f"the loss is {value.item()} on these rows",
            "look for NaN and infinities in the rows and the weights first",
        )
    return float(value.item()), {name: g.numpy() for name, g in grads.items()}


def _echo(
    net: Any,
    batch: Batch,
    statistics: Mapping[str, Tensor],
    key: Tensor,
    place: Place,
    generator: Generator,
) -> dict[str, float]:
    """Return how large the gradients are that rounding at the predictions sends back.

    In float32 a prediction is off by its own rounding, and the loss's gradient there (p - y, say)
    by that of its terms, however small their difference is. A random such error, in units of the
    rounding, is walked back through the network.
    """
    inputs = as_tensor(batch.inputs)
    targets = np.asarray(batch.targets)
    amounts = np.abs(targets) if targets.dtype.kind == "f" else np.zeros(targets.shape)

    def echo(params: Params) -> Tensor:
        placed = with_leaves(net, {**params, **statistics})
        out = placed.apply(inputs, dict(statistics), key)[0]
        size = 1 + np.abs(out.numpy()) + (amounts if amounts.shape == out.shape else 0.0)
        signs = generator.choice((-1.0, 1.0), out.shape)
        return ops.sum(out * from_array(np.asarray(signs * size / len(inputs))))

    grads = value_and_grad(echo)(dict(place.params))[1]
    return {name: float(np.max(np.abs(g.numpy()), initial=0.0)) for name, g in grads.items()}


def _row(name: str, found: list[Sample], shape: tuple[int, ...]) -> LeafCheck:
    worst = worst_of(found)
    return LeafCheck(
        leaf=name,
        shape=shape,
        samples=len(found),
        kinks=sum(sample.on_kink for sample in found),
        worst_index=worst.index,
        worst_gradient=worst.derivative,
        worst_difference=worst.difference,
        worst_relative_error=worst.relative_error,
        float32_error=math.nan,
        float32_allowed=math.nan,
        verdict=worst.verdict,
    )


def _shaken(
    loss: Loss, place: Place, rules: Rules | None, generator: Generator
) -> dict[str, float]:
    """Return how much each leaf's gradient moves when every parameter moves by a rounding error.

    Where that is much, as behind a normalisation of numbers that hardly differ, no arithmetic in
    float32 could know the gradient better.
    """
    shifts = {
        name: generator.choice((-1.0, 1.0), x.shape) * np.abs(x.numpy())
        for name, x in place.params.items()
    }
    _, found = _gradient(loss, moved(place.params, shifts, FLOAT32), rules)
    return {
        name: float(np.max(np.abs(g - place.grads[name]), initial=0.0)) for name, g in found.items()
    }


def _allowed(
    exact: Mapping[str, Numbers], noise: Mapping[str, float], shaken: Mapping[str, float]
) -> dict[str, float]:
    """Return how far each leaf's float32 gradient may be off.

    A gradient may cancel to nothing, as that of a bias before a batch norm does, while the numbers
    that cancel are rounded: so the leaves of one layer share the size of the largest, and all have
    a tenth of the largest of the network.
    """
    sizes = {
        name: float(np.max(np.abs(g), initial=0.0)) + noise[name] + shaken[name] / FLOAT32
        for name, g in exact.items()
    }
    layers: dict[str, float] = {}
    for name, size in sizes.items():
        layer = name.rpartition(".")[0]
        layers[layer] = max(size, layers.get(layer, 0.0))
    everywhere = 0.1 * max(sizes.values(), default=0.0)
    return {
        name: GROWTH * FLOAT32 * max(layers[name.rpartition(".")[0]], everywhere) for name in sizes
    }


def _with_float32(
    row: LeafCheck, exact: Numbers, found: Numbers | None, allowed: float
) -> LeafCheck:
    """Add how far the float32 gradient is from the float64 one, and what rounding explains."""
    if found is None:
        return row
    error = float(np.max(np.abs(found.astype(np.float64) - exact), initial=0.0))
    verdict = row.verdict if error <= allowed else "wrong"
    return dataclasses.replace(row, float32_error=error, float32_allowed=allowed, verdict=verdict)


def _wide(part: Any) -> Any:
    """Return an array of the batch with floats in float64."""
    if part is None:
        return None
    array = np.asarray(part)
    return array.astype(np.float64) if array.dtype.kind == "f" else array
