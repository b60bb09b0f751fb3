"""A small problem that every test of training can use: three clouds of points."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from retrograd import nn, ops, optim
from retrograd.data.batches import Batch, batches
from retrograd.train.evaluation import make_validate
from retrograd.train.metrics import classification_metrics
from retrograd.train.step import initial_state, make_step

CENTRES = np.array([[2.0, 0.0, 1.0, 0.0], [-2.0, 1.0, 0.0, 1.0], [0.0, -2.0, -1.0, 0.0]])


def clouds(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, rows)
    points = CENTRES[labels] + generator.normal(size=(rows, 4))
    return points.astype(np.float32), labels


def build_problem(*, optimizer: optim.Optimizer | None = None, rows: int = 96) -> SimpleNamespace:
    """A network with batch norm and dropout, so that statistics and keys matter to the bits."""
    chosen = optim.adam(0.01) if optimizer is None else optimizer
    layers = (
        nn.Linear.init(ops.key(1), 4, 16),
        nn.BatchNorm.init(16),
        nn.relu,
        nn.Dropout(0.1),
        nn.Linear.init(ops.key(2), 16, 3),
    )
    net = nn.Sequential(layers)
    inputs, labels = clouds(rows, 0)
    seen, truth = clouds(90, 1)

    def epoch_batches(epoch: int) -> Iterator[Batch]:
        return batches(inputs, labels, batch_size=16, seed=7, epoch=epoch)

    return SimpleNamespace(
        net=net,
        optimizer=chosen,
        step=make_step(net, nn.cross_entropy, chosen),
        state=initial_state(net, chosen, ops.key(3)),
        batches=epoch_batches,
        validate=make_validate(net, nn.cross_entropy, seen, truth, metrics=classification_metrics),
        inputs=inputs,
        labels=labels,
    )


@pytest.fixture
def problem() -> SimpleNamespace:
    return build_problem()


@pytest.fixture
def make_problem() -> Callable[..., SimpleNamespace]:
    return build_problem
