"""The network and how it is trained, for a table of this size: what is chosen where nobody chose.

docs/decisions holds why the defaults are these, and what was tried.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from retrograd import nn, ops, optim
from retrograd.optim import LearningRate, Optimizer, Schedule
from retrograd.recipe.config import (
    Config,
    NetworkConfig,
    OptimizationConfig,
    ScheduleName,
    StoppingConfig,
)
from retrograd.recipe.names import ACTIVATIONS, LOSSES, OPTIMIZERS
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import Array, DType

Loss = Callable[..., Tensor]


class Size(NamedTuple):
    """What a network is chosen for: training rows, features, and outputs (classes, or 1).

    ``numbers`` are the features with three different values or more, which can be cut into pieces.
    """

    rows: int
    features: int
    outputs: int
    numbers: int = 0


def choose(config: Config, size: Size, *, is_validated: bool) -> Config:
    """Return the config with every open choice made, so that it repeats the run by itself.

    >>> choose(Config(), Size(1257, 64, 10), is_validated=True).network.activation
    'relu'
    """
    network, stopping, is_classes = config.network, config.stopping, size.outputs > 1
    is_rich = is_rich_by_default(config.network, size)
    optimization = _choose_optimization(config.optimization, stopping, size)
    assert optimization.batch_size is not None
    epochs = stopping.epochs
    if epochs is None and stopping.steps is None and stopping.time is None:
        epochs = default_epochs(size.rows, optimization.batch_size)
    patience = max(20, (epochs or 0) // 5) if is_validated else None
    return dataclasses.replace(
        config,
        network=dataclasses.replace(
            network,
            hidden=_or(network.hidden, default_hidden(size)),
            members=_or(network.members, 8 if is_rich else 1),
            pieces=_or(network.pieces, default_pieces(size) if is_rich else 0),
            activation=_or(network.activation, "relu"),
            dropout=_or(network.dropout, 0.2 if is_classes else 0.1),
            normalization=_or(network.normalization, "none"),
        ),
        optimization=optimization,
        stopping=dataclasses.replace(
            stopping, epochs=epochs, patience=_or(stopping.patience, patience)
        ),
    )


def _choose_optimization(
    given: OptimizationConfig, stopping: StoppingConfig, size: Size
) -> OptimizationConfig:
    is_classes = size.outputs > 1
    optimizer = _or(given.optimizer, "adamw")
    # Of a run that only time ends nobody knows the length, which a cycle would have to fit.
    is_open = stopping.epochs is None and stopping.steps is None and stopping.time is not None
    return dataclasses.replace(
        given,
        optimizer=optimizer,
        learning_rate=_or(given.learning_rate, default_rate(optimizer)),
        schedule=_or(given.schedule, "reduce_on_plateau" if is_open else "one_cycle"),
        warm_up=_or(given.warm_up, 0.1),
        weight_decay=_or(given.weight_decay, 0.3 if is_classes else 0.1),
        batch_size=_or(given.batch_size, default_batch_size(size.rows)),
        label_smoothing=_or(given.label_smoothing, 0.05 if is_classes else 0.0),
        loss=_or(given.loss, None if is_classes else "mean_squared_error"),
    )


def is_rich_by_default(network: NetworkConfig, size: Size) -> bool:
    """Return whether a network gets members and pieces where nobody chose.

    Not with few rows, of which pieces would learn chance; not with many numbers, which are many
    weak clues like pixels; and not where its layers are given: what is described is what is made.

    >>> is_rich_by_default(NetworkConfig(), Size(4000, 20, 2, numbers=12))
    True
    """
    return network.hidden is None and size.rows >= 500 and 1 <= size.numbers < 48


def default_pieces(size: Size) -> int:
    """Return into how many pieces a number is cut: fewer where there are many numbers.

    >>> default_pieces(Size(4000, 20, 2, numbers=12)), default_pieces(Size(4000, 40, 2, numbers=40))
    (16, 6)
    """
    return max(2, min(16, 256 // max(size.numbers, 1)))


def count_numbers(inputs: Array) -> int:
    """Return how many features (rows, features) have three different values or more.

    >>> count_numbers(np.array([[0.0, 1.0], [1.0, 2.0], [1.0, 3.0]]))
    1
    """
    if not len(inputs):
        return 0
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    return int(((inputs != low) & (inputs != high)).any(axis=0).sum())


def _or(given: Any, default: Any) -> Any:
    return default if given is None else given


def default_hidden(size: Size) -> tuple[int, ...]:
    """Return the sizes of the hidden layers: more for more rows, so that few rows do not overfit.

    >>> default_hidden(Size(100, 4, 3)), default_hidden(Size(30_000, 26, 1))
    ((32, 16), (128, 64))
    """
    if size.rows < 500:
        return (32, 16)
    if size.rows < 5000:
        return (64, 32) if size.features < 32 else (128, 64)
    return (128, 64)


def default_batch_size(rows: int) -> int:
    """Return a power of two near rows / 40, from 16 to 256.

    >>> default_batch_size(100), default_batch_size(1257), default_batch_size(40_000)
    (16, 32, 256)
    """
    return int(min(256, max(16, 2 ** round(math.log2(max(rows, 1) / 40)))))


def default_epochs(rows: int, batch_size: int) -> int:
    """Return how many epochs make about 6,000 steps, from 30 to 200.

    >>> default_epochs(1257, 32), default_epochs(37_000, 256)
    (150, 41)
    """
    return int(min(200, max(30, 6000 // max(1, math.ceil(rows / batch_size)))))


def default_rate(optimizer: str) -> float:
    """Return the largest learning rate of an optimizer: its size of a step for weights near 1."""
    rates = {"sgd": 0.1, "momentum": 0.05, "nesterov": 0.05, "adagrad": 0.02, "adadelta": 1.0}
    return {**rates, "lion": 3e-4, "muon": 0.02}.get(optimizer, 0.003)


def build_network(
    config: Config, size: Size, dtype: DType = DType.float32, inputs: Array | None = None
) -> nn.Sequential:
    """Return the fresh network of a chosen config.  x (n, features) -> (n, outputs)

    ``inputs`` are the training rows, at whose quantiles numbers are cut into pieces.
    """
    network = config.network
    assert network.activation is not None
    key, activation = ops.fold_in(ops.key(config.seed), 0), ACTIVATIONS[network.activation]
    hidden, dropout = network.hidden or (), network.dropout or 0.0
    kinds: Mapping[str, Callable[..., nn.Layer]]
    kinds = {"batch": nn.BatchNorm.init, "layer": nn.LayerNorm.init}
    normalization = kinds.get(network.normalization or "none")
    embedding = _embedding(network, inputs, dtype)
    features = size.features if embedding is None else size.features + embedding.start.size
    if (network.members or 1) > 1:
        net = nn.ensemble(
            key, (features, *hidden, size.outputs), network.members or 1,
            activation=activation, dropout=dropout, normalization=normalization, dtype=dtype,
        )  # fmt: skip
    else:
        net = nn.mlp(
            key, (features, *hidden, size.outputs),
            activation=activation, dropout=dropout, normalization=normalization, dtype=dtype,
        )  # fmt: skip
    return net if embedding is None else nn.Sequential((embedding, *net.layers))


def _embedding(
    network: NetworkConfig, inputs: Array | None, dtype: DType
) -> nn.PiecewiseLinear | None:
    """Return the pieces of the training rows' numbers; None where there is nothing to cut."""
    if inputs is None or not network.pieces or not count_numbers(inputs):
        return None
    return nn.PiecewiseLinear.fit(inputs, network.pieces, dtype=dtype)


def build_loss(config: Config, size: Size, labels: Array) -> Loss:
    """Return the loss of a chosen config: ``loss(predictions, targets, *, weights=None)``.

    Classes: softmax cross-entropy of logits (n, classes), two classes included. Amounts: (n, 1).
    Balanced class weights are n / (classes * count of the class) over the training labels. Members
    have each their own.
    """
    loss = _single_loss(config.optimization, size, labels)
    is_shared = (config.network.members or 1) > 1
    return functools.partial(nn.loss_of_members, loss=loss) if is_shared else loss


def _single_loss(config: OptimizationConfig, size: Size, labels: Array) -> Loss:
    if size.outputs == 1:
        _refuse_class_options(config)
        return LOSSES[config.loss or "mean_squared_error"]
    if config.loss is not None:
        raise InputError(
            f"loss={config.loss!r} for classes", "it is a loss for amounts", "leave loss out"
        )
    weights = None
    if config.class_weights == "balanced":
        counts = np.maximum(np.bincount(labels, minlength=size.outputs), 1)
        weights = tensor((len(labels) / (size.outputs * counts)).astype(np.float32))
    smoothing = config.label_smoothing or 0.0
    if weights is None and not smoothing:
        return nn.cross_entropy
    return functools.partial(nn.cross_entropy, label_smoothing=smoothing, class_weights=weights)


def _refuse_class_options(config: OptimizationConfig) -> None:
    for name, is_set in (
        ("label_smoothing", bool(config.label_smoothing)),
        ("class_weights", config.class_weights != "none"),
    ):
        if is_set:
            raise InputError(f"{name} for amounts", "there are no classes", f"leave {name} out")


def build_optimizer(config: OptimizationConfig, steps: int) -> Optimizer:
    """Return the optimizer of a chosen config, for a run of at most this many steps.

    From the inside: the update with its schedule; decay, on weights and not on biases; L1; clipping
    of the gradient before these; plateau; averaging; accumulation.
    """
    assert config.optimizer is not None
    assert config.learning_rate is not None
    rate = config.learning_rate
    updates = max(1, steps // config.accumulate)
    schedule = build_schedule(config.schedule, rate, updates, config.warm_up or 0.0)
    made: Optimizer = OPTIMIZERS[config.optimizer](schedule)
    made = optim.decoupled_weight_decay(made, config.weight_decay or 0.0, _is_weight)
    made = optim.l1(made, config.l1, _is_weight) if config.l1 else made
    made = optim.clip_by_global_norm(made, config.clip) if config.clip else made
    if config.schedule == "reduce_on_plateau":
        made = optim.reduce_on_plateau(made, factor=0.3, patience=5)
    made = optim.ema(made, config.ema) if config.ema else made
    return optim.accumulate(made, config.accumulate) if config.accumulate > 1 else made


def _is_weight(name: str) -> bool:
    return name.rpartition(".")[2] == "weight"


def build_schedule(
    name: ScheduleName | None, rate: float, steps: int, warm_up: float
) -> LearningRate:
    """Return the learning rate over this many updates, whose part ``warm_up`` rises to ``rate``.

    A run of fewer than 8 updates has no room for a schedule and keeps its rate.

    >>> schedule = build_schedule("one_cycle", 0.1, 100, 0.1)
    >>> [round(float(schedule(step)), 3) for step in (0, 9, 99)]
    [0.004, 0.1, 0.0]
    """
    if name in (None, "constant", "reduce_on_plateau") or steps < 8:
        return rate
    if name == "one_cycle":
        return optim.one_cycle(rate, steps=steps, warm_fraction=min(max(warm_up, 2 / steps), 0.8))
    rise = int(warm_up * steps)
    left = max(1, steps - rise)
    cycle = max(1, left // 7)  # cycles of 1, 2 and 4 parts
    made: Mapping[str, Callable[[], Schedule]] = {
        "step": lambda: optim.step_decay(rate, every=max(1, left // 3)),
        "exponential": lambda: optim.exponential(rate, factor=0.01 ** (1 / left)),
        "cosine": lambda: optim.cosine(rate, steps=left),
        "warm_restarts": lambda: optim.warm_restarts(rate, steps=cycle, growth=2),
        "polynomial": lambda: optim.polynomial(rate, steps=left),
    }
    schedule = made[name]()
    return optim.warm_up(schedule, rise) if rise else schedule
