"""What native code once got wrong, each the smallest program that shows it."""

import numpy as np
import pytest
from tests.compile.agreement import assert_graph_agrees, graph_of, targets, tensors

from retrograd import ops
from retrograd.compile.expressions import Interner
from retrograd.tensor.element import Const, Element, Var
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import DType

TARGETS = targets()


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("divisor", [2.0**-130, 2.0**-149, -(2.0**-126), 2.0**127, 0.25])
def test_division_by_powers_of_two(divisor: float, on: str) -> None:
    """One over a subnormal is infinite: not every power of two has a reciprocal."""
    x = np.array([2.0**-100, 2.0**-149, 0.0, 1.0, np.inf] * 5, np.float32)
    graph = graph_of(lambda x: x / divisor, *tensors([x]))
    assert_graph_agrees(graph, [x], TARGETS[on], 1)


@pytest.mark.parametrize("on", TARGETS)
def test_running_sums_of_two_dtypes_in_one_place(on: str) -> None:
    """Loads of what loops have stored so far are of another buffer in every kernel."""
    arrays = [np.ones((1,), dtype) for dtype in (np.float64, np.int32, np.float32)]
    graph = graph_of(lambda *xs: [ops.cumsum(x, 0) for x in xs], *tensors(arrays))
    assert_graph_agrees(graph, arrays, TARGETS[on], 1)


@pytest.mark.parametrize("on", TARGETS)
def test_a_running_sum_that_nobody_needs(on: str) -> None:
    """What reads it is 0 whatever it is: its kernel had no output left."""
    x = np.arange(5)

    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        y = ops.cumsum(x, 0)
        return (y + y) - y * 2, x

    graph = graph_of(function, *tensors([x]))
    assert_graph_agrees(graph, [x], TARGETS[on], 1)


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_extremes_of_integers(dtype: type, on: str) -> None:
    x = np.random.default_rng(0).integers(-1000, -1, (3, 37)).astype(dtype)

    def function(x: Tensor) -> list[Tensor]:
        return [ops.max(x, axis) for axis in (0, 1)] + [ops.min(-x, axis) for axis in (0, 1)]

    assert_graph_agrees(graph_of(function, *tensors([x])), [x], TARGETS[on], 1)


def test_comparisons_know_that_integers_wrap_around() -> None:
    interner = Interner()
    i = interner.variable(Var("i"), 10)
    number = lambda n: interner.constant(n, DType.int64)  # noqa: E731

    def is_positive(factor: int) -> Element:
        product = interner.call("multiply", (i, number(factor)), DType.int64)
        return interner.call("greater_equal", (product, number(0)), DType.bool)

    assert not isinstance(is_positive(2**62), Const), "2 * 2^62 is negative"
    assert is_positive(2**50) == Const(True, DType.bool)
