"""Sums keep their digits along every axis and in every layout."""

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.tensor.summation import BLOCK, total
from retrograd.tensor.tensor import tensor

ROWS = (1000 + np.random.default_rng(0).random((300_001, 2, 3))).astype(np.float32)


@pytest.mark.parametrize(
    ("x", "axes"),
    [
        (ROWS, (0,)), (ROWS, (0, 1)), (ROWS, (0, 2)), (ROWS, (0, 1, 2)), (ROWS.T, (2,)),
        (ROWS.T, (0, 2)), (ROWS[::-2], (0,)), (ROWS.reshape(-1, 3).T, (0, 1)),
    ],
)  # fmt: skip
def test_sums_of_many_float32(x: np.ndarray, axes: tuple[int, ...]) -> None:
    exact = np.add.reduce(x.astype(np.float64), axis=axes)
    found = total(x, axes)
    assert (found.shape, found.dtype) == (exact.shape, x.dtype)
    np.testing.assert_allclose(found, exact, rtol=1e-6)


@pytest.mark.parametrize("n", [0, 1, BLOCK, BLOCK + 1, BLOCK * BLOCK, BLOCK * BLOCK + BLOCK + 1])
@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_every_length_is_summed_whole(n: int, dtype: type) -> None:
    x = np.arange(n * 2, dtype=dtype).reshape(n, 2)
    np.testing.assert_array_equal(total(x, (0,)), x.sum(0, dtype=dtype))
    assert total(x, (0, 1)).dtype == dtype
    assert ops.sum(tensor(x), 0).numpy().tolist() == x.sum(0, dtype=dtype).tolist()


@pytest.mark.parametrize(("mean", "deviation"), [(1e3, 1e-3), (1e5, 0.1), (0.0, 1.0)])
def test_normalisation_of_numbers_far_from_zero(mean: float, deviation: float) -> None:
    """Centring once leaves an error of a hundredth of a deviation here."""
    x = (mean + deviation * np.random.default_rng(1).standard_normal((5000, 3))).astype(np.float32)
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(0)) / exact.std(0)
    norm = nn.BatchNorm.init(3, epsilon=1e-12)
    y, state = norm.apply(tensor(x), nn.statistics(norm), ops.key(0))
    np.testing.assert_allclose(y, exact, atol=2e-6)
    np.testing.assert_allclose(state["running_mean"], x.mean(0, np.float64) * 0.1, rtol=1e-6,
                               atol=1e-6)  # fmt: skip
    rows = nn.LayerNorm.init(5000, epsilon=1e-12)(tensor(x.T.copy()))
    np.testing.assert_allclose(rows.numpy().T, exact, atol=2e-6)
