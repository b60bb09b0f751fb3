"""The safety net: derivatives by differences in float64, for whatever has no template.

They call the network, a layer or the loss again, on the same batch with the same key, in float64.
Their numbers stand beside the engine's to check them and are never shown instead of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.autodiff import grad
from retrograd.explain.capture import Numbers, Pass, Visit
from retrograd.explain.record import Formula
from retrograd.explain.seen import Seen, evaluated, floor_of
from retrograd.nn.containers import is_layer, name_of
from retrograd.tensor.tensor import Tensor, as_tensor, from_array
from retrograd.tree import leaves, with_leaves

STEPS = (1e-3, 1e-4, 1e-5)


@dataclass(frozen=True)
class Difference:
    """A derivative by central differences: its value, how far it may be off, and its step.

    ``kink`` is the jump of the slope where the function stands on a kink, else 0.
    """

    value: float
    error: float
    h: float
    kink: float

    @property
    def words(self) -> str:
        """What a reader should know of it."""
        if self.kink:
            return (
                f"a kink: the slope jumps by {self.kink:.3g} here, and any slope between is right"
            )
        if self.error > 1e-3 * abs(self.value):
            return f"by differences, known to {self.error:.0e} only"
        return ""


def difference(function: Callable[[float], float], size: float = 1.0) -> Difference:
    """Return the derivative of ``function`` at 0, by Richardson's (4 D(h/2) - D(h))/3.

    Of several steps the estimate is taken that the next one confirms best: a step that crosses a
    kink is not confirmed. How far it is from the next one bounds its error.

    >>> difference(lambda x: 2.0 * x).value
    2.0
    """
    found = []
    for h in (size * step for step in STEPS):
        whole = (function(h) - function(-h)) / (2 * h)
        half = (function(h / 2) - function(-h / 2)) / h
        found.append((h, (4 * half - whole) / 3))
    here = abs(function(0.0))
    gaps = [
        abs(wide[1] - narrow[1]) + 1e-15 * here / wide[0]
        for wide, narrow in itertools.pairwise(found)
    ]
    best = int(np.argmin(gaps))
    h, value = found[best]
    return Difference(value, gaps[best], h, _kink(function, size))


def _kink(function: Callable[[float], float], size: float) -> float:
    """Return how much the slope jumps at 0: what of it stays when the step shrinks."""
    here = function(0.0)
    jumps = [abs(function(h) - 2 * here + function(-h)) / h for h in (1e-5 * size, 1e-6 * size)]
    noise = 1e-14 * max(abs(here), 1e-3) / (1e-6 * size)
    return jumps[1] if jumps[1] > max(0.5 * jumps[0], noise) else 0.0


def widened(tree: Any) -> Any:
    """Return a tree with every float tensor in float64."""
    return with_leaves(tree, {name: wide(x) for name, x in leaves(tree).items()})


def wide(x: Any) -> Tensor:
    """Return an array or tensor with floats in float64."""
    array = np.asarray(x)
    return from_array(array.astype(np.float64) if array.dtype.kind == "f" else array)


def total_loss(captured: Pass) -> Callable[[Mapping[str, Tensor]], float]:
    """Return the batch's loss with its penalty as a function of the parameters, in float64."""
    statistics = {name: wide(x) for name, x in captured.statistics.items()}
    inputs, targets = wide(captured.batch.inputs), wide(captured.batch.targets)
    weights = captured.batch.weights
    given = {} if weights is None else {"weights": wide(weights)}

    def at(params: Mapping[str, Tensor]) -> float:
        net = with_leaves(captured.net, {**params, **statistics})
        if not hasattr(net, "apply"):
            predictions = net(inputs)
        else:
            predictions, _ = net.apply(inputs, dict(statistics), captured.key)
        value = captured.loss_function(predictions, targets, **given)
        if captured.penalty_function is not None:
            value = value + captured.penalty_function(params)
        return float(value.item())

    return at


def weight_difference(captured: Pass, leaf: str, index: tuple[int, ...]) -> Difference:
    """Return dL/dw of one weight by differences of the whole batch's loss."""
    loss = total_loss(captured)
    params = {name: wide(x) for name, x in captured.params.items()}
    start = np.array(params[leaf].numpy())

    def at(h: float) -> float:
        moved = start.copy()
        moved[index] += h
        return loss({**params, leaf: from_array(moved)})

    return difference(at, max(1.0, abs(float(start[index]))))


def backward(seen: Seen, visit: Visit, unit: int) -> list[Formula]:
    """Delta at an input of any layer: what arrives, times how the outputs answer to it."""
    phi = _answer(visit)
    start = np.asarray(visit.x, np.float64)
    place = (seen.place, *(int(i) for i in np.unravel_index(unit, visit.x.shape[1:])))

    def at(h: float) -> float:
        moved = start.copy()
        moved[place] += h
        return phi(moved)

    by_difference = difference(at, max(1.0, abs(float(start[place]))))
    found = seen.delta(visit.dx)
    count = seen.captured.batch_size
    value, floor = found[unit], floor_of(found)
    error = count * (3 * by_difference.error + by_difference.kink)
    return [
        seen.formula(
            "backward",
            f"{visit.path} input {unit}",
            "δ",
            f"δ_i = Σ_k δ_k·∂y_k/∂x_i of {name_of(visit.layer)}",
            [evaluated("(φ(x+h) - φ(x-h))/2h", count * by_difference.value, h=by_difference.h)],
            value,
            bound=1e-5 * max(floor, abs(value)) + error,
            bound_rule="1e-5 of the largest δ",
            words=by_difference.words or "φ(x) = Σ_k y_k·dL/dy_k, in float64",
        )
    ]


def _answer(visit: Visit) -> Callable[[Numbers], float]:
    """Return the layer's outputs, weighted with what arrives at each, as one function of x."""
    arriving = np.asarray(visit.dy, np.float64)
    layer = widened(visit.layer) if is_layer(visit.layer) else visit.layer
    state = {name: wide(x) for name, x in visit.state.items()}

    def phi(x: Numbers) -> float:
        if visit.key is None:
            y = layer(from_array(x))
        else:
            y, _ = layer.apply(from_array(x), state, visit.key)
        return float(np.sum(y.numpy() * arriving))

    return phi


def penalty_gradient(captured: Pass, leaf: str, index: tuple[int, ...]) -> float:
    """Return what the regulariser adds to one weight's gradient."""
    if captured.penalty_function is None:
        return 0.0
    found = grad(captured.penalty_function)(dict(captured.params))
    return float(as_tensor(found[leaf]).numpy()[index])
