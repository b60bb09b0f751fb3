"""Training steps of many kinds: every activation, loss and optimizer of the library once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from retrograd import nn, ops, optim
from retrograd.data import Batch
from retrograd.recipe.names import ACTIVATIONS, OPTIMIZERS
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, DType
from retrograd.train.batch import as_tensors
from retrograd.train.step import initial_state, make_step

Loss = Callable[..., Tensor]


class Case(NamedTuple):
    """A network, its loss, what its targets are, and how it learns."""

    sizes: tuple[int, ...]
    activation: str
    loss: Loss
    targets: str
    optimizer: optim.Optimizer
    rows: int = 37
    dropout: float = 0.0
    normalization: Any = None
    is_weighted: bool = False


def with_class_weights(logits: Tensor, labels: Tensor, **given: Any) -> Tensor:
    """Cross-entropy of classes that count differently, with smoothed labels."""
    weights = np.linspace(0.5, 2.0, logits.shape[-1])
    return nn.cross_entropy(logits, labels, class_weights=weights, label_smoothing=0.1, **given)


def first_column(loss: Loss) -> Loss:
    """A loss of the first output."""
    return lambda predictions, targets, **given: loss(predictions[..., 0], targets, **given)


LOSSES: list[tuple[Loss, int, str]] = [
    (nn.cross_entropy, 7, "labels"),
    (first_column(nn.binary_cross_entropy), 1, "bits"),
    (nn.mean_squared_error, 3, "numbers"),
    (nn.huber, 5, "numbers"),
    (with_class_weights, 11, "labels"),
    (nn.kl_divergence, 6, "shares"),
    (nn.mean_absolute_error, 2, "numbers"),
    (nn.log_cosh, 2, "numbers"),
    (nn.hinge, 4, "labels"),
    (first_column(nn.quantile), 1, "number"),
    (first_column(nn.poisson), 1, "count"),
    (nn.gaussian_nll, 2, "number"),
    (nn.cross_entropy, 1009, "labels"),
]
"""Each with its number of outputs and its kind of targets."""

HIDDEN = [(), (13,), (64, 31), (17, 5, 23), (32, 32, 32, 32), (7, 11, 13, 8, 3), (131,), (257, 3)]
ROWS = (37, 1, 128, 3, 64, 33)


def cases() -> dict[str, Case]:
    """The cases by name: every list is gone round until the longest is through."""
    found = {}
    activations, optimizers = list(ACTIVATIONS), list(OPTIMIZERS)
    for i, activation in enumerate(activations):
        loss, outputs, targets = LOSSES[i % len(LOSSES)]
        optimizer: Any = OPTIMIZERS[optimizers[i % len(optimizers)]]
        made = optimizer(0.01)
        norms = (None, nn.BatchNorm.init, nn.LayerNorm.init)
        normalization, rows = norms[i % 3], ROWS[i % len(ROWS)]
        sizes = ((30, 19, 54)[i % 3], *HIDDEN[(i + 1) % len(HIDDEN)], outputs)
        name = f"{activation}-{targets}-{'x'.join(map(str, sizes))}-{optimizers[i % 13]}"
        found[name] = Case(
            sizes, activation, loss, targets,
            optim.clip_by_global_norm(made, 0.5) if i % 2 else made,
            max(rows, 2) if normalization is nn.BatchNorm.init else rows,
            0.25 if i % 4 == 1 else 0.0, normalization, i % 3 == 1,
        )  # fmt: skip
    return found


CASES = cases()


def targets_of(case: Case, random: np.random.Generator, dtype: Any) -> Array:
    """Return targets of the case's kind."""
    rows, outputs = case.rows, case.sizes[-1]
    if case.targets == "labels":
        return random.integers(0, outputs, rows)
    if case.targets == "bits":
        return random.integers(0, 2, rows).astype(dtype)
    if case.targets == "count":
        return random.integers(0, 9, rows).astype(dtype)
    if case.targets == "shares":
        shares = random.uniform(0.1, 1, (rows, outputs))
        return (shares / shares.sum(1, keepdims=True)).astype(dtype)
    shape = (rows,) if case.targets == "number" else (rows, outputs)
    return random.standard_normal(shape).astype(dtype)


class Recorded(NamedTuple):
    """An optimizer's state, and the gradients that it was given last."""

    inner: Any
    gradients: dict[str, Tensor]


def recording(optimizer: optim.Optimizer) -> optim.Optimizer:
    """Return the optimizer with the last gradients kept in its state."""

    def init(params: Any) -> Recorded:
        return Recorded(optimizer.init(params), dict(params))

    def update(gradients: Any, state: Recorded, params: Any) -> tuple[Any, Recorded]:
        after, inner = optimizer.update(gradients, state.inner, params)
        return after, Recorded(inner, gradients)

    return optim.Optimizer(init, update)


def made(case: Case, dtype: DType, seed: int = 0) -> tuple[Callable[..., Any], Any, Any]:
    """Return a case's step, its first state and a batch."""
    random = np.random.default_rng(seed)
    net = nn.mlp(
        ops.key(seed), case.sizes, activation=ACTIVATIONS[case.activation],  # type: ignore[index]
        dropout=case.dropout, normalization=case.normalization, dtype=dtype,
    )  # fmt: skip
    optimizer = recording(case.optimizer)
    x = random.standard_normal((case.rows, case.sizes[0])).astype(dtype.numpy)
    weights = random.uniform(0.5, 2, case.rows).astype(np.float32) if case.is_weighted else None
    batch = as_tensors(Batch(x, targets_of(case, random, dtype.numpy), weights))
    return make_step(net, case.loss, optimizer), initial_state(net, optimizer, ops.key(3)), batch


def optimizer_example(optimizer: optim.Optimizer) -> tuple[Callable[..., Any], list[Tensor]]:
    """Return three updates in a row as a function of gradients, none of them near 0."""
    random = np.random.default_rng(1)
    shapes = {"weight": (19, 7), "wide": (5, 37), "bias": (7,)}
    params = {
        name: from_array(random.standard_normal(shape).astype(np.float32))
        for name, shape in shapes.items()
    }

    def updates(*gradients: Tensor) -> Any:
        now, state = params, optimizer.init(params)
        for turn in (1.0, 0.5, -0.75):
            given = {n: g * turn for n, g in zip(params, gradients, strict=True)}
            now, state = optimizer.update(given, state, now)
        return now, state

    signs = {n: random.choice([-1.0, 1.0], shape) for n, shape in shapes.items()}
    sizes = {n: random.uniform(0.2, 2.0, shape) for n, shape in shapes.items()}
    return updates, [from_array((signs[n] * sizes[n]).astype(np.float32)) for n in shapes]
