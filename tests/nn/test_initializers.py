"""Initialisers: mean, spread and orthogonality, and signals that live through twenty layers."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.nn.initializers import Initializer, fans
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import DType

SHAPE = (200, 300)
EXPECTED_STD = {
    "glorot_uniform": math.sqrt(2 / 500),
    "glorot_normal": math.sqrt(2 / 500),
    "he_uniform": math.sqrt(2 / 200),
    "he_normal": math.sqrt(2 / 200),
    "lecun_normal": math.sqrt(1 / 200),
}


@pytest.mark.parametrize("name", EXPECTED_STD)
def test_moments(name: str) -> None:
    drawn = getattr(nn, name)(ops.key(5), SHAPE, DType.float64).numpy()
    check_moments(drawn, EXPECTED_STD[name])
    if name.endswith("uniform"):
        assert np.abs(drawn).max() <= math.sqrt(3) * EXPECTED_STD[name]
    else:
        # A normal law has the kurtosis 3.
        assert np.mean((drawn / EXPECTED_STD[name]) ** 4) == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize(
    ("initializer", "std"), [(nn.uniform(0.3), 0.3 / math.sqrt(3)), (nn.normal(0.02), 0.02)]
)
def test_moments_of_free_spreads(initializer: Initializer, std: float) -> None:
    check_moments(initializer(ops.key(1), (50_000,), DType.float64).numpy(), std)


def check_moments(drawn: np.ndarray, std: float) -> None:
    """Within four standard errors of theory; the spread's is at most std sqrt(1/2n)."""
    assert abs(drawn.mean()) < 4 * std / math.sqrt(drawn.size)
    assert abs(drawn.std() - std) < 4 * std / math.sqrt(2 * drawn.size)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (3, 3, 2, 8)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    drawn = nn.orthogonal(ops.key(2), shape, DType.float64).numpy().reshape(-1, shape[-1])
    inner = drawn @ drawn.T if drawn.shape[0] < drawn.shape[1] else drawn.T @ drawn
    np.testing.assert_allclose(inner, np.eye(len(inner)), atol=1e-12)


def test_orthogonal_draws_evenly() -> None:
    """Half of all even draws have determinant 1: without the settled signs it is none or all."""
    drawn = [nn.orthogonal(ops.key(i), (3, 3), DType.float64).numpy() for i in range(60)]
    turns = sum(np.linalg.det(q) > 0 for q in drawn)
    assert 15 < turns < 45
    assert abs(np.mean([q[0, 0] for q in drawn])) < 4 * math.sqrt(1 / 3 / 60)


def test_equal_keys_equal_weights() -> None:
    for name in (*EXPECTED_STD, "orthogonal"):
        draw = partial(getattr(nn, name), shape=(4, 3), dtype=DType.float32)
        assert np.array_equal(draw(ops.key(1)).numpy(), draw(ops.key(1)).numpy())
        assert not np.array_equal(draw(ops.key(1)).numpy(), draw(ops.key(2)).numpy())
        assert draw(ops.key(1)).dtype is DType.float32


def test_fans_of_kernels() -> None:
    assert fans((5, 5, 3, 16)) == (75, 400)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (nn.relu, "he_normal"),
        (partial(nn.leaky_relu, negative_slope=0.2), "he_normal"),
        (nn.gelu, "he_normal"),
        (nn.selu, "lecun_normal"),
        (nn.tanh, "glorot_uniform"),
        (nn.sigmoid, "glorot_uniform"),
        (nn.softmax, "glorot_uniform"),
        (nn.identity, "glorot_uniform"),
        (lambda x: x, "glorot_uniform"),
    ],
)
def test_the_fitting_initialiser(activation: Callable[[Tensor], Tensor], expected: str) -> None:
    assert nn.initializer_for(activation).__name__ == expected


@pytest.mark.parametrize("activation", [nn.relu, nn.selu])
def test_signals_live_through_twenty_layers(activation: Callable[[Tensor], Tensor]) -> None:
    """With the fitting start the size of signals stays; with Glorot's under relu it dies."""
    x = from_array(np.random.default_rng(0).normal(0, 1, (64, 256)))
    fitting = nn.mlp(ops.key(3), (256,) * 22, activation=activation, dtype=DType.float64)
    assert 0.4 < size_after_hidden(fitting, x) < 2.5
    if activation is nn.relu:
        glorot = nn.mlp(
            *(ops.key(3), (256,) * 22),
            initializer=nn.glorot_uniform,
            dtype=DType.float64,
        )
        assert size_after_hidden(glorot, x) < 1e-4


def size_after_hidden(net: nn.Sequential, x: Tensor) -> float:
    """The mean square of what twenty-one layers hand to the last, before its activation."""
    hidden = nn.Sequential(net.layers[:-2])(x).numpy()
    return float(np.mean(hidden**2)) / 2 if nn.relu in net.layers else float(np.mean(hidden**2))


def test_mlp_draws_by_layer() -> None:
    net = nn.mlp(ops.key(0), (100, 400, 100))
    first, last = (net.layers[i].weight.numpy() for i in (0, 2))
    check_moments(first, math.sqrt(2 / 100))
    check_moments(last, math.sqrt(2 / 500))
    assert all(not net.layers[i].bias.numpy().any() for i in (0, 2))
    alike = nn.mlp(ops.key(0), (5, 5, 5), initializer=nn.normal(1.0))
    assert not np.array_equal(alike.layers[0].weight.numpy(), alike.layers[2].weight.numpy())
