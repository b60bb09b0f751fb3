"""Muon: momentum for matrices, made orthogonal before each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from retrograd import ops
from retrograd.optim.adam import adamw
from retrograd.optim.optimizer import (
    LearningRate,
    Optimizer,
    Params,
    first_step,
    for_each,
    rate_of,
    require_like,
    require_state,
    require_trainable,
    times,
    zeros_like,
)
from retrograd.optim.settings import require_count, require_fraction, require_not_negative
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of Jordan's quintic: they lift small singular values fastest, and settle near 1, not at 1."""


class MuonState(NamedTuple):
    """The number of updates done, the matrices' momentum, and the state for all else."""

    step: Tensor
    m: dict[str, Tensor]
    others: Any


def is_matrix(name: str, p: Tensor) -> bool:
    """Return whether a parameter has two axes: what Muon takes unless told otherwise."""
    return p.rank == 2


def muon(
    learning_rate: LearningRate = 0.02,
    *,
    momentum: float = 0.95,
    weight_decay: float = 0.0,
    iterations: int = 5,
    others: Optimizer | None = None,
    applies_to: Callable[[str, Tensor], bool] = is_matrix,
) -> Optimizer:
    """Return Muon: each weight matrix moves in all its directions equally.

    weight (in_features, out_features)
    m <- momentum m + (1 - momentum) g
    u = orthogonal((1 - momentum) g + momentum m)
    w <- w - learning_rate (sqrt(max(1, out_features / in_features)) u + weight_decay w)

    What ``applies_to(name, parameter)`` refuses (by default all but matrices) follows ``others``,
    by default ``adamw(3e-4, (0.9, 0.95), 1e-10, 0.0)``. The authors advise to leave embeddings and
    the last layer to it as well. Raises InputError for negative settings, a momentum outside [0,
    1), or ``applies_to`` that takes what is no matrix. Source: Jordan et al. 2024, Muon: An
    optimizer for hidden layers in neural networks, whose code has these defaults (and whose weights
    are (out, in)). PyTorch's are rate 0.001 and decay 0.1, and its iterations are in bfloat16, here
    in the weight's own dtype.

    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = muon(0.1), {"w": tensor([[0.0, 0.0]])}
    >>> moved = optimizer.update({"w": tensor([[3.0, 4.0]])}, optimizer.init(params), params)[0]
    >>> moved["w"].shape, bool(ops.sum(moved["w"]) < 0)
    ((1, 2), True)
    """
    require_fraction("muon", 0.95, momentum=momentum)
    require_not_negative("muon", 0.0, weight_decay=weight_decay)
    require_count("muon", 5, iterations=iterations)
    rate = rate_of("muon", MuonState, learning_rate)
    rest = adamw(3e-4, (0.9, 0.95), 1e-10, 0.0) if others is None else others

    def init(params: Params) -> MuonState:
        require_trainable("muon", params)
        matrices, left = _part(applies_to, params, params)
        return MuonState(first_step(), zeros_like(matrices), rest.init(left) if left else ())

    def update(
        grads: Params, state: MuonState, params: Params
    ) -> tuple[dict[str, Tensor], MuonState]:
        require_state("muon", MuonState, state)
        require_like("muon", "grads", grads, params)
        matrices, left = _part(applies_to, params, params)
        matrix_grads, left_grads = _part(applies_to, grads, params)
        require_like("muon", "state.m", state.m, matrices)
        size, moved, m, kept = rate(state), {}, {}, state.others
        if matrices:
            rule = _matrix_rule(size, momentum, weight_decay, iterations)
            moved, m = for_each(rule, matrices, matrix_grads, state.m)
        if left:
            left, kept = rest.update(left_grads, state.others, left)
        together = {**moved, **left}
        return {name: together[name] for name in params}, MuonState(state.step + 1, m, kept)

    return Optimizer(init, update, learning_rate=rate)


def _matrix_rule(
    size: Tensor, momentum: float, weight_decay: float, iterations: int
) -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return one matrix's step: its new value and momentum from itself, its g and its momentum."""

    def rule(p: Tensor, g: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        m = m * momentum + g * (1 - momentum)
        direction = orthogonal(g * (1 - momentum) + m * momentum, iterations)
        # A unit's output changes about as much, whatever the matrix's shape (in, out).
        scale = max(1.0, p.shape[1] / p.shape[0]) ** 0.5
        shrunk = times(1 - size * weight_decay, p) if weight_decay else p
        return shrunk - times(size * scale, direction), m

    return rule


def _part(
    applies_to: Callable[[str, Tensor], bool], tensors: Params, params: Params
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Part the tensors by what is said of the parameters of the same names."""
    chosen = [name for name, p in params.items() if applies_to(name, p)]
    for name in chosen:
        if params[name].rank != 2:
            raise InputError(
                f"muon: parameter {name!r}",
                f"it is a {params[name].type}, no matrix",
                "leave it to the others: applies_to must refuse it",
            )
    taken = {name: tensors[name] for name in chosen}
    return taken, {name: x for name, x in tensors.items() if name not in taken}


def orthogonal(x: Tensor, iterations: int = 5) -> Tensor:
    """Return about U V^T for x = U S V^T: the nearest matrix whose singular values are all 1.

    x (n, m) -> (n, m). Newton-Schulz: x <- a x + b (x x^T) x + c (x x^T)^2 x, from x / |x|. After 5
    iterations the singular values lie between about 0.7 and 1.2, which is as good for training.
    A zero matrix stays zero. Source: Jordan et al. 2024.

    >>> from retrograd.tensor.tensor import tensor
    >>> product = orthogonal(tensor([[3.0, 0.0], [0.0, -0.1]]))
    >>> bool(product[0, 0] > 0.6), bool(product[1, 1] < -0.6)
    (True, True)
    """
    a, b, c = COEFFICIENTS
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x  # the products are of the shorter side
    x = x / ops.maximum(ops.sqrt(ops.sum(ops.square(x))), 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = x * a + (gram * b + (gram @ gram) * c) @ x
    return x.T if is_tall else x
