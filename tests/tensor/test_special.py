"""erf and erfc against the C library's, over their whole range."""

import math

import numpy as np
import pytest

from retrograd.tensor import special
from retrograd.tensor.types import Array

RANDOM = np.random.default_rng(0)
BORDERS = np.array([0.0, 0.25, 0.84375, 1.25, 1 / 0.35, 6.0, 26.0, 28.0])
GRID = np.concatenate(
    [
        np.linspace(-30, 30, 20_001),
        RANDOM.normal(0, 3, 20_000),
        10 ** RANDOM.uniform(-320, 1.5, 10_000),
        -(10 ** RANDOM.uniform(-320, 1.5, 10_000)),
        BORDERS,
        -BORDERS,
        np.nextafter(BORDERS, 99),
        np.nextafter(BORDERS, -99),
    ]
)


def ulps(found: Array, expected: Array) -> float:
    spacing = np.spacing(np.maximum(np.abs(expected), np.finfo(expected.dtype).smallest_subnormal))
    return float(np.max(np.abs(found - expected) / spacing))


@pytest.mark.parametrize(("name", "limit"), [("erf", 2), ("erfc", 6)])
def test_float64(name: str, limit: float) -> None:
    expected = np.array([getattr(math, name)(x) for x in GRID])
    assert ulps(getattr(special, name)(GRID), expected) <= limit


@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_float32_is_the_rounded_value(name: str) -> None:
    narrow = GRID.astype(np.float32)
    found = getattr(special, name)(narrow)
    assert found.dtype == np.float32
    expected = np.array([getattr(math, name)(float(x)) for x in narrow])
    assert ulps(found, expected.astype(np.float32)) <= 1


def test_limits_and_signs() -> None:
    x = np.array([np.inf, -np.inf, np.nan, -0.0])
    np.testing.assert_array_equal(special.erf(x), [1, -1, np.nan, 0])
    np.testing.assert_array_equal(special.erfc(x), [0, 2, np.nan, 1])
    assert np.signbit(special.erf(x)[3])
    assert special.erfc(np.zeros((2, 0, 3))).shape == (2, 0, 3)
