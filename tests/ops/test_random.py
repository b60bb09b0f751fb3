"""Random numbers: the published answers, independence of keys, distributions, any order."""

import math

import numpy as np
import pytest

from retrograd import ops
from retrograd.compile import compile
from retrograd.ops.threefry import block
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import Array, DType

ONES = 0xFFFFFFFF

# Random123's known answers for threefry2x32: rounds, counter, key, the two words.
KNOWN = [
    (13, (0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
    (13, (ONES, ONES), (ONES, ONES), (0xFD36D048, 0x2D17272C)),
    (13, (0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xBA3E4725, 0xF27D669E)),
    (20, (0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    (20, (ONES, ONES), (ONES, ONES), (0x1CB996FC, 0xBB002BE7)),
    (20, (0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("rounds", "counter", "key", "expected"), KNOWN)
def test_published_answers(
    rounds: int, counter: tuple[int, int], key: tuple[int, int], expected: tuple[int, int]
) -> None:
    low, high = counter
    found = block(np.uint32(key).view(np.int32), np.uint32(high), np.uint32(low), rounds)
    assert tuple(int(word[0]) for word in found) == expected


def numbers(key: Tensor, *shape: int) -> Array:
    return ops.uniform(key, shape, DType.float64).numpy()


def test_an_element_depends_on_its_number_only() -> None:
    key = ops.key(3)
    many = numbers(key, 1000)
    np.testing.assert_array_equal(numbers(key, 10), many[:10])
    np.testing.assert_array_equal(numbers(key, 10, 100).ravel(), many)
    np.testing.assert_array_equal(numbers(key, 1000), many)
    assert numbers(key).item() == many[0]
    assert numbers(key, 0).shape == (0,)


def test_traced_and_eager_numbers_are_the_same() -> None:
    draw = lambda key: ops.uniform(ops.fold_in(key, 7), (5, 3))  # noqa: E731
    np.testing.assert_array_equal(compile(draw)(ops.key(1)), draw(ops.key(1)))
    bell = lambda key: ops.normal(key, (5, 3))  # noqa: E731
    np.testing.assert_allclose(compile(bell)(ops.key(1)), bell(ops.key(1)), 1e-6)


def test_keys_differ() -> None:
    root = ops.key(0)
    made = [root, ops.key(1), ops.key(2**32), ops.key(2**63), ops.key(2**64 - 1)]
    made += list(ops.split(root, 100))
    made += [ops.fold_in(root, i) for i in (*range(100), -1, 2**32, 2**40, -(2**40))]
    made += [ops.fold_in(ops.fold_in(root, 1), 2), ops.fold_in(ops.fold_in(root, 2), 1)]
    assert len({tuple(key.numpy().tolist()) for key in made}) == len(made)
    drawn = np.stack([numbers(key, 1000) for key in made])
    assert len(np.unique(drawn)) == drawn.size
    correlations = np.corrcoef(drawn) - np.eye(len(made))
    assert np.abs(correlations).max() < 6 / math.sqrt(1000)


def test_splitting_more_keeps_the_first_keys() -> None:
    np.testing.assert_array_equal(ops.split(ops.key(5), 9)[:2], ops.split(ops.key(5)))


def test_folding_takes_tensors() -> None:
    for data in (tensor(9), tensor(9, DType.int32), 9):
        np.testing.assert_array_equal(
            ops.fold_in(ops.key(5), data), ops.fold_in(ops.key(5), tensor(9))
        )


@pytest.mark.parametrize("dtype", [DType.float32, DType.float64])
def test_uniform_numbers_are_uniform(dtype: DType) -> None:
    n = 200_000
    drawn = ops.uniform(ops.key(11), (n,), dtype).numpy()
    assert drawn.dtype == dtype.numpy
    assert 0 <= drawn.min() < 1e-4
    assert 1 - 1e-4 < drawn.max() < 1
    bits = 24 if dtype is DType.float32 else 53
    scaled = drawn.astype(np.float64) * 2.0**bits
    np.testing.assert_array_equal(scaled, np.floor(scaled))
    assert (scaled % 2).mean() == pytest.approx(0.5, abs=0.01)  # the last bit is used
    counts = np.histogram(drawn, 100, (0, 1))[0]
    chi_squared = np.sum((counts - n / 100) ** 2) / (n / 100)
    assert 45 < chi_squared < 170  # 99 degrees of freedom, 5 standard deviations
    pairs = np.histogram2d(drawn[::2], drawn[1::2], 10, [(0, 1), (0, 1)])[0]
    assert np.sum((pairs - n / 200) ** 2) / (n / 200) < 170


def test_uniform_between_bounds() -> None:
    drawn = ops.uniform(ops.key(1), (1000,), DType.float32, -3.0, 5.0).numpy()
    assert -3 <= drawn.min() < -2.9
    assert 4.9 < drawn.max() <= 5
    assert drawn.dtype == np.float32


@pytest.mark.parametrize("dtype", [DType.float32, DType.float64])
def test_normal_numbers_are_normal(dtype: DType) -> None:
    n = 200_000
    drawn = ops.normal(ops.key(2), (n,), dtype).numpy().astype(np.float64)
    assert np.isfinite(drawn).all()
    for power, moment, deviation in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs(np.mean(drawn**power) - moment) < 5 * math.sqrt(deviation / n)
    ranks = (np.arange(n) + 0.5) / n
    distribution = 0.5 * (1 + np.array([math.erf(x / math.sqrt(2)) for x in np.sort(drawn)]))
    assert np.abs(distribution - ranks).max() < 1.95 / math.sqrt(n)  # Kolmogorov-Smirnov, 0.1 %


def test_bernoulli() -> None:
    drawn = ops.bernoulli(ops.key(4), 0.3, (100_000,)).numpy()
    assert drawn.dtype == bool
    assert drawn.mean() == pytest.approx(0.3, abs=0.01)
    assert not ops.bernoulli(ops.key(4), 0.0, (1000,)).numpy().any()
    assert ops.bernoulli(ops.key(4), 1, (1000,)).numpy().all()
    chances = ops.bernoulli(ops.key(4), tensor([0.0, 1.0]), (50, 2)).numpy()
    assert not chances[:, 0].any()
    assert chances[:, 1].all()
