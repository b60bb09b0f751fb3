"""The small problem that PyTorch's optimizers were run on, and how ours run on it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd import ops
from retrograd.compile import compile
from retrograd.optim import Optimizer
from retrograd.tensor.tensor import Tensor, from_array

STORED = Path(__file__).parent.parent / "oracles" / "optim.npz"


@pytest.fixture(scope="session")
def stored() -> Mapping[str, Any]:
    """What tests/oracles/make_optim.py wrote."""
    with np.load(STORED, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="session")
def start(stored: Mapping[str, Any]) -> dict[str, Tensor]:
    """The parameters before the first step."""
    return {name: from_array(stored[f"problem.{name}"]) for name in "ab"}


@pytest.fixture(scope="session")
def loss(stored: Mapping[str, Any]) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """The loss that is minimised, as ops."""
    c, d, h = (from_array(stored[f"problem.{name}"]) for name in "cdh")

    def evaluate(params: Mapping[str, Tensor]) -> Tensor:
        a, b = params["a"], params["b"]
        return (
            ops.sum(h * ops.square(a - c)) / 2
            + ops.sum(ops.sin(a * 3.0)) / 3
            + ops.sum(ops.square(b - d)) / 2
            + ops.sum(ops.sin(b + ops.sum(a, axes=0)))
        )

    return evaluate


@pytest.fixture(scope="session")
def gradients(
    stored: Mapping[str, Any],
) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
    """Its gradient by formula, so that these tests blame optimizers and not autodiff."""
    c, d, h = (stored[f"problem.{name}"] for name in "cdh")

    def evaluate(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
        a, b = (params[name].numpy().astype(np.float64) for name in "ab")
        shared = np.cos(b + a.sum(0))
        exact = {"a": h * (a - c) + np.cos(3 * a) + shared, "b": b - d + shared}
        return {n: from_array(g.astype(params[n].dtype.numpy)) for n, g in exact.items()}

    return evaluate


Walk = Callable[..., np.ndarray[Any, Any]]


@pytest.fixture(scope="session")
def walk(start: dict[str, Tensor], gradients: Callable[..., dict[str, Tensor]]) -> Walk:
    """The path of an optimizer: (steps, 16), compiled or as it is."""

    def run(
        optimizer: Optimizer, steps: int = 50, is_compiled: bool = True
    ) -> np.ndarray[Any, Any]:
        params, state, path = start, optimizer.init(start), []
        update = compile(optimizer.update) if is_compiled else optimizer.update
        for _ in range(steps):
            params, state = update(gradients(params), state, params)
            path.append(np.concatenate([params[name].numpy().ravel() for name in "ab"]))
        return np.array(path)

    return run
