"""What the tests of layers and losses share: PyTorch's numbers, and finite differences."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrograd.autodiff import grad, vjp
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array

Oracle = dict[str, Array]
STEP = 1e-6


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    """What tests/oracles/make_nn.py stored."""
    file = Path(__file__).parent.parent / "oracles" / "nn.npz"
    with np.load(file, allow_pickle=False) as stored:
        return dict(stored)


def _slope(function: Callable[[Tensor], Tensor], x: Array, direction: Array) -> Array:
    """The change of the function along a direction, by central differences."""
    ahead, behind = (function(from_array(x + s * direction)).numpy() for s in (STEP, -STEP))
    return (ahead - behind) / (2 * STEP)


@pytest.fixture
def check_derivatives() -> Callable[[Callable[[Tensor], Tensor], Array], None]:
    """A check that first and second derivatives agree with central differences in float64."""

    def check(function: Callable[[Tensor], Tensor], x: Array) -> None:
        draw = np.random.default_rng(7)
        direction = draw.normal(0, 1, x.shape)
        out, pullback = vjp(function, from_array(x))
        cotangent = draw.normal(0, 1, out.shape)
        (g,) = pullback(from_array(cotangent))
        by_differences = (cotangent * _slope(function, x, direction)).sum()
        np.testing.assert_allclose((g.numpy() * direction).sum(), by_differences, 1e-6, 1e-8)

        def weighed(at: Tensor) -> Tensor:
            from retrograd import ops

            return ops.sum(function(at) * from_array(cotangent))

        first = grad(weighed)
        _, second = vjp(first, from_array(x))
        (curvature,) = second(from_array(direction))
        expected = _slope(first, x, direction)
        np.testing.assert_allclose(curvature.numpy(), expected, 1e-5, 1e-7)

    return check
