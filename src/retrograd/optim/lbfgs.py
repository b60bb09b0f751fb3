"""L-BFGS for small problems: many cheap looks at one loss, instead of many batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.autodiff import value_and_grad
from retrograd.compile import compile
from retrograd.optim.line_search import Point, search
from retrograd.optim.settings import require_count, require_not_negative
from retrograd.tensor.errors import DTypeError, InputError, NonFiniteError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tree import leaves, with_leaves

Vector = npt.NDArray[np.float64]


class Minimum(NamedTuple):
    """What `minimise` found, and why it ended.

    ``losses`` are those before each iteration and at the end; ``reason`` is a sentence;
    ``is_converged`` says whether it is one that was hoped for; ``gradient`` is the largest absolute
    partial derivative at the end; ``evaluations`` counts looks at the loss and its gradient.
    """

    params: Any
    losses: tuple[float, ...]
    reason: str
    is_converged: bool
    gradient: float
    evaluations: int


class Pair(NamedTuple):
    """What one iteration taught of the curvature: the move, and the change of the gradient."""

    move: Vector
    change: Vector
    scale: float  # 1 / (move . change)


def minimise(
    loss: Callable[[Any], Tensor],
    params: Any,
    *,
    max_iterations: int = 100,
    history: int = 10,
    tolerance: float = 1e-8,
    loss_tolerance: float = 1e-14,
) -> Minimum:
    """Return the parameters at a local minimum of ``loss(params) -> scalar``, found by L-BFGS.

    direction = -H g, H from the last ``history`` moves; w <- w + t direction with t that satisfies
    the strong Wolfe conditions (c1 = 1e-4, c2 = 0.9).

    ``params`` is any tree of float tensors; ``loss`` is traced once and must give the same answer
    for the same parameters: all data, no dropout. Vectors are float64 whatever the parameters are.
    It ends when no partial derivative exceeds ``tolerance``, when the loss falls by less than
    ``loss_tolerance`` of itself (or not at all, to rounding), or after ``max_iterations``. For
    float32 parameters the rounding comes first. Raises InputError for settings out of range and
    parameters that are none or no floats, NonFiniteError if the loss is not finite at the start.
    Source: Nocedal & Wright 2006, Numerical Optimization, algorithms 7.4, 7.5 (with equation 7.20),
    3.5 and 3.6. PyTorch's history is 100.

    >>> from retrograd import ops
    >>> from retrograd.tensor.tensor import tensor
    >>> found = minimise(lambda w: ops.sum(ops.square(w - 3.0)), tensor([0.0, 10.0]))
    >>> found.params, found.is_converged
    (tensor([3., 3.], float32[2]), True)
    """
    require_count("minimise", 10, max_iterations=max_iterations, history=history)
    require_not_negative("minimise", 1e-8, tolerance=tolerance, loss_tolerance=loss_tolerance)
    evaluate, here = _problem(loss, params)
    pairs: deque[Pair] = deque(maxlen=history)
    losses, looks, x, reason, is_converged = [here.loss], 1, _flatten(params), "", False
    while not reason:
        if float(np.abs(here.gradient).max()) <= tolerance:
            reason, is_converged = f"no partial derivative exceeds {tolerance:g}", True
        elif len(losses) > max_iterations:
            reason = f"{max_iterations} iterations are used up"
        else:
            direction = _direction(here.gradient, pairs)
            ray = _ray(evaluate, x, direction)
            start = here._replace(slope=float(here.gradient @ direction))
            first = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(here.gradient).sum()))
            there, asked = search(ray, start, first)
            looks += asked
            if there.t == 0:
                reason = "no step lowers the loss: it is at rounding, or its gradient is wrong"
                continue
            if there.loss >= here.loss - loss_tolerance * abs(here.loss):
                reason, is_converged = f"the loss falls by less than {loss_tolerance:g} of it", True
            x = x + there.t * direction
            _remember(pairs, there.t * direction, there.gradient - here.gradient)
            here = there._replace(t=0.0)
            losses.append(here.loss)
    largest = float(np.abs(here.gradient).max())
    return Minimum(_restore(params, x), tuple(losses), reason, is_converged, largest, looks)


def _problem(
    loss: Callable[[Any], Tensor], params: Any
) -> tuple[Callable[[Vector], tuple[float, Vector]], Point]:
    """Return the loss and gradient as a function of one vector, and its value at the start."""
    for name, p in leaves(params).items():
        if not p.dtype.is_float:
            raise DTypeError(
                f"minimise: training {name!r}", f"it is a {p.type}", "train floats only"
            )
    if not leaves(params):
        raise InputError("minimise: the parameters", "there are none", "give a tree of tensors")
    both = compile(value_and_grad(loss))

    def evaluate(x: Vector) -> tuple[float, Vector]:
        value, grads = both(_restore(params, x))
        return float(value), _flatten(grads)

    value, gradient = evaluate(_flatten(params))
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        raise NonFiniteError(
            "minimise: the loss at the start",
            f"it is {value}, or its gradient is not finite",
            "start from other parameters",
        )
    return evaluate, Point(0.0, value, 0.0, gradient)


def _flatten(tree: Any) -> Vector:
    return np.concatenate([x.numpy().ravel().astype(np.float64) for x in leaves(tree).values()])


def _restore(tree: Any, x: Vector) -> Any:
    """Return a tree like this one with the numbers of a vector."""
    given = leaves(tree)
    parts = np.split(x, np.cumsum([leaf.size for leaf in given.values()])[:-1])
    made = {
        name: from_array(part.reshape(leaf.shape).astype(leaf.dtype.numpy))
        for (name, leaf), part in zip(given.items(), parts, strict=True)
    }
    return with_leaves(tree, made)


def _ray(
    evaluate: Callable[[Vector], tuple[float, Vector]], x: Vector, direction: Vector
) -> Callable[[float], Point]:
    """Return the loss as a function of how far to go along the direction."""

    def at(t: float) -> Point:
        loss, gradient = evaluate(x + t * direction)
        return Point(t, loss, float(gradient @ direction), gradient)

    return at


def _direction(gradient: Vector, pairs: deque[Pair]) -> Vector:
    """Return -H g by the two loops of algorithm 7.4; steepest descent while nothing is known.

    Forgets the pairs if rounding has spoilt them.
    """
    q, shares = -gradient, []
    for pair in reversed(pairs):
        share = pair.scale * (pair.move @ q)
        q = q - share * pair.change
        shares.append(share)
    if pairs:
        newest = pairs[-1]
        q = q / (newest.scale * (newest.change @ newest.change))
    for pair, share in zip(pairs, reversed(shares), strict=True):
        q = q + pair.move * (share - pair.scale * (pair.change @ q))
    if q @ gradient >= 0:  # only by rounding: every pair kept has curvature
        pairs.clear()
        return -gradient
    return q


def _remember(pairs: deque[Pair], move: Vector, change: Vector) -> None:
    """Keep the newest pair, unless rounding has left it without curvature."""
    curvature = float(move @ change)
    if curvature > np.finfo(np.float64).eps * float(change @ change):
        pairs.append(Pair(move, change, 1.0 / curvature))
