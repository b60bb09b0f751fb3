"""Small networks, batches and states to explain."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.compile import compile
from retrograd.data.batches import Batch
from retrograd.explain import Explanation, explain_step
from retrograd.explain.capture import Pass, capture
from retrograd.explain.seen import Seen
from retrograd.optim import Optimizer, adam
from retrograd.train.batch import as_tensors
from retrograd.train.state import TrainState
from retrograd.train.step import initial_state, make_step


@dataclass(frozen=True)
class Case:
    """Everything that one step needs."""

    net: Any
    loss: Callable[..., Any]
    optimizer: Optimizer
    state: TrainState
    batch: Batch
    penalty: Any = None

    def explain(self, place: int = 0, **options: Any) -> Explanation:
        return explain_step(
            self.net, self.loss, self.optimizer, self.state, self.batch, place,
            penalty=self.penalty, **options,
        )  # fmt: skip

    def capture(self) -> Pass:
        return capture(
            self.net, self.loss, self.optimizer, self.state, self.batch, penalty=self.penalty
        )

    def seen(self, place: int = 0) -> Seen:
        return Seen(self.capture(), place, place)

    def metrics(self) -> dict[str, Any]:
        step = make_step(self.net, self.loss, self.optimizer, penalty=self.penalty)
        return compile(step)(self.state, as_tensors(self.batch))[1]


def targets_for(loss: Any, rows: int, outputs: int, generator: np.random.Generator) -> Any:
    """Targets that a loss takes, for predictions (rows, outputs)."""
    loss = getattr(loss, "func", loss)
    if loss in (nn.cross_entropy, nn.hinge):
        return generator.integers(0, outputs, rows).astype(np.int64)
    if loss is nn.binary_cross_entropy:
        return generator.integers(0, 2, (rows, outputs)).astype(np.float32)
    if loss is nn.poisson:
        return generator.poisson(2.0, (rows, outputs)).astype(np.float32)
    if loss is nn.kl_divergence:
        return generator.dirichlet(np.ones(outputs), rows).astype(np.float32)
    return generator.normal(size=(rows, outputs)).astype(np.float32)


def make_case(
    net: Any = None,
    loss: Any = nn.cross_entropy,
    optimizer: Optimizer | None = None,
    *,
    inputs: int = 5,
    outputs: int = 3,
    rows: int = 7,
    seed: int = 0,
    warm: int = 2,
    weighted: bool = False,
    penalty: Any = None,
) -> Case:
    """A network after ``warm`` steps, so that the optimizer's memory is not empty."""
    generator = np.random.default_rng(seed)
    if net is None:
        net = nn.mlp(ops.key(seed), (inputs, 6, outputs), activation=nn.tanh)
    chosen = adam(1e-3) if optimizer is None else optimizer
    x = generator.normal(size=(rows, inputs)).astype(np.float32)
    weights = generator.uniform(0.5, 2.0, rows).astype(np.float32) if weighted else None
    batch = Batch(x, targets_for(loss, rows, outputs, generator), weights)
    state = initial_state(net, chosen, ops.key(seed + 1))
    step = make_step(net, loss, chosen, penalty=penalty)
    for _ in range(warm):
        state, _ = step(state, as_tensors(batch))
    return Case(net, loss, chosen, state, batch, penalty)


@pytest.fixture(scope="session")
def case() -> Case:
    return make_case()
