"""What every op does at ties, kinks, empty axes, NaN, inf and the edges of integers, by hand.

The battery's examples stay away from all of these, so it cannot see them.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from retrograd import ops
from retrograd.autodiff import grad, value_and_grad
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import Array, DType

inf, nan = math.inf, math.nan
SMALLEST = -(2**63)


def f64(values: Any) -> Tensor:
    return tensor(values, DType.float64)


def slope(function: Callable[..., Tensor], *inputs: Any, wrt: int = 0) -> Array:
    """The gradient of the sum of the outputs, at one of the inputs."""
    given = [f64(x) for x in inputs]

    def total(x: Tensor) -> Tensor:
        return ops.sum(function(*given[:wrt], x, *given[wrt + 1 :]))

    return grad(total)(given[wrt]).numpy()


def second(function: Callable[[Tensor], Tensor], x: float) -> float:
    return float(grad(grad(function))(f64(x)))


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_kinks() -> None:
    same(slope(ops.absolute, [-2.0, 0.0, 2.0]), [-1, 0, 1])
    same(slope(ops.sign, [-2.0, 0.0, 2.0]), [0, 0, 0])
    same(slope(ops.floor, [0.5, 1.0]), [0, 0])
    same(slope(ops.sqrt, [0.0, 4.0]), [inf, 0.25])
    same(slope(ops.rsqrt, [0.0]), [-inf])
    same(slope(ops.log, [0.0]), [inf])


def test_ties_of_two_share_the_gradient() -> None:
    for function in (ops.maximum, ops.minimum):
        same(slope(function, [1.0], [1.0]), [0.5])
        same(slope(function, [1.0], [1.0], wrt=1), [0.5])
        same(slope(function, [0.0], [-0.0]), [0.5])
    same(slope(ops.maximum, [1.0, 2.0], [2.0, 1.0]), [0, 1])
    same(slope(ops.minimum, [1.0, 2.0], [2.0, 1.0]), [1, 0])
    same(slope(lambda x: ops.maximum(x, 0.0), [-1.0, 0.0, 1.0]), [0, 0.5, 1])


def test_nan_wins_and_hands_the_gradient_on() -> None:
    for function in (ops.maximum, ops.minimum):
        assert np.isnan(function([nan, 1.0], [1.0, nan]).numpy()).all()
        same(slope(function, [nan], [1.0]), [1])
        same(slope(function, [nan], [1.0], wrt=1), [1])
    assert math.isnan(ops.max([1.0, nan, 3.0]).item())
    assert math.isnan(ops.min([1.0, nan, 3.0]).item())
    assert np.isnan(slope(ops.max, [1.0, nan, 3.0])).all()
    assert math.isnan(ops.sign([nan]).item())
    assert math.isnan(ops.clip([nan], 0.0, 1.0).item())


def test_ties_of_many_share_the_gradient() -> None:
    same(slope(ops.max, [3.0, 1.0, 3.0, 3.0]), [1 / 3, 0, 1 / 3, 1 / 3])
    same(slope(lambda x: ops.min(x, 1), [[1.0, 1.0], [2.0, 5.0]]), [[0.5, 0.5], [1, 0]])
    same(slope(ops.max, [inf, inf]), [0.5, 0.5])
    same(slope(lambda x: ops.max(x, ()), [2.0, 3.0]), [1, 1])


def test_clip_keeps_the_gradient_at_its_bounds() -> None:
    clipped = [-1.0, 0.0, 0.5, 1.0, 2.0]
    same(ops.clip(clipped, 0.0, 1.0), [0, 0, 0.5, 1, 1])
    same(slope(lambda x: ops.clip(x, 0.0, 1.0), clipped), [0, 1, 1, 1, 0])
    same(slope(lambda x, low: ops.clip(x, low, 9.0), [-1.0, 2.0], [0.0, 0.0], wrt=1), [1, 0])


def test_argmax_takes_the_first() -> None:
    same(ops.argmax([1.0, 3.0, 3.0]), 1)
    same(ops.argmin([1.0, 3.0, 1.0]), 0)
    same(ops.argmax([1.0, nan, 3.0, nan]), 1)
    same(ops.argmin([1.0, nan, 0.0]), 1)
    same(ops.argmax([[1, 9], [9, 1]]), 1)
    same(ops.argmax([0.0, -0.0]), 0)


def test_powers_at_zero() -> None:
    same(ops.power([0.0, 0.0, 2.0, -2.0], [0.0, 2.0, 0.0, 0.0]), [1, 0, 1, 1])
    same(ops.power([-2.0], [3.0]), [-8])
    assert math.isnan(ops.power([-2.0], [0.5]).item())
    x, y = [0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 2.0, 0.5]
    same(slope(ops.power, x, y), [0, 1, 0, inf])
    same(slope(ops.power, x, y, wrt=1), [0, 0, 0, 0])
    same(slope(ops.power, [0.0], [-1.0], wrt=1), [0])
    assert np.isnan(slope(ops.power, [-2.0], [2.0], wrt=1)).all()
    same(slope(ops.power, [-2.0], [3.0]), [12])
    assert second(lambda x: ops.power(x, 0.0), 0.0) == 0
    assert second(lambda x: ops.power(x, 1.0), 0.0) == 0
    assert second(lambda x: ops.power(x, f64(2.0)), 0.0) == 2
    assert second(lambda x: ops.power(x, f64(3.0)), 0.0) == 0
    # Towards x and y together: 3x^2 log(x) + x^2 at 0.
    assert second(lambda x: ops.power(x, f64(3.0) + x), 0.0) == 0


def test_an_exponent_of_two_squares() -> None:
    same(tensor([-3, 2]) ** 2, [9, 4])
    assert second(lambda x: x**2, -1.0) == 2
    same(slope(lambda x: x**2.0, [-3.0]), [-6])


def test_products_with_zeros() -> None:
    same(slope(ops.prod, [2.0, 3.0, 4.0]), [12, 8, 6])
    same(slope(ops.prod, [0.0, 3.0, 4.0]), [12, 0, 0])
    same(slope(ops.prod, [0.0, 3.0, 0.0]), [0, 0, 0])
    same(slope(ops.prod, [7.0]), [1])
    same(slope(lambda x: ops.prod(x, 0), np.zeros((0, 2))), np.zeros((0, 2)))
    two = grad(lambda x: ops.sum(grad(ops.prod)(x)[0:1]))(f64([0.0, 0.0, 5.0]))
    same(two, [0, 5, 0])  # d(x1 x2)/dx: exact though two elements are 0
    for n in range(1, 12):
        x = np.random.default_rng(n).uniform(0.5, 2, n)
        np.testing.assert_allclose(slope(ops.prod, x), np.prod(x) / x, rtol=1e-12)


def test_empty_axes() -> None:
    empty = np.zeros((0, 3))
    same(ops.sum(empty, 0), [0, 0, 0])
    same(ops.prod(empty, 0), [1, 1, 1])
    same(ops.logsumexp(empty, 0), [-inf] * 3)
    assert math.isnan(ops.mean(np.zeros(0)).item())
    assert ops.max(empty, 1).shape == (0,)
    assert ops.argmax(empty, 1).shape == (0,)
    assert ops.cumsum(empty, 0).shape == (0, 3)
    same(slope(lambda x: ops.logsumexp(x, 0), empty), empty)
    assert ops.matmul(np.zeros((2, 0)), np.zeros((0, 3))).numpy().tolist() == [[0] * 3] * 2
    assert ops.take(np.zeros((4, 0)), [1, 1]).shape == (2, 0)
    assert ops.take([1.0], np.zeros((0,), np.int64)).shape == (0,)
    same(ops.scatter_add([1.0, 2.0], np.zeros((0,), np.int64), np.zeros(0, np.float32)), [1, 2])
    assert ops.concatenate([empty, np.ones((2, 3))]).shape == (2, 3)
    assert ops.flip(empty).shape == (0, 3)
    assert ops.pad(empty, [(1, 1), (0, 0)]).shape == (2, 3)
    assert ops.one_hot(np.zeros(0, np.int64), 4).shape == (0, 4)


def test_logsumexp_of_any_size() -> None:
    same(ops.logsumexp(f64([1000.0, 1000.0])), 1000 + math.log(2))
    same(ops.logsumexp(f64([-1e308, -1e308])), -1e308)
    rows = [[-inf, -inf], [-inf, 2.0], [inf, 2.0]]
    same(ops.logsumexp(f64(rows), 1), [-inf, 2, inf])
    same(slope(lambda x: ops.logsumexp(x, 1), rows[:2]), [[0, 0], [0, 1]])
    assert math.isnan(ops.logsumexp([nan, 1.0]).item())
    found = slope(lambda x: ops.logsumexp(x, 1), [rows[2]])
    assert math.isnan(found[0][0])
    assert found[0][1] == 0
    row = f64([-inf, -inf])
    same(grad(lambda x: ops.sum(grad(ops.logsumexp)(x)))(row), [0, 0])


def test_where_blocks_what_is_not_taken() -> None:
    taken = tensor([True, False])
    same(ops.where(taken, [1.0, nan], [inf, 2.0]), [1, 2])
    same(slope(lambda x: ops.where(taken, x, ops.log(x)), [-1.0, 2.0]), [1, 0.5])
    same(slope(lambda x: ops.where(taken, x, 0.0 / x), [1.0, inf]), [1, -0.0])
    # The rule of thumb: make the input safe, not only the output.
    unsafe = slope(lambda x: ops.where(x > 0, ops.sqrt(x), 0.0), [0.0])
    assert math.isnan(unsafe[0])
    safe = slope(lambda x: ops.where(x > 0, ops.sqrt(ops.where(x > 0, x, 1.0)), 0.0), [0.0])
    same(safe, [0])


def test_integers_wrap_and_division_is_guarded() -> None:
    smallest = tensor([SMALLEST])
    same(smallest - 1, [2**63 - 1])
    same(-smallest, [SMALLEST])
    same(ops.absolute(smallest), [SMALLEST])
    same(ops.floor_divide([7, -7, 7, -7], [2, 2, -2, -2]), [3, -4, -4, 3])
    same(ops.remainder([7, -7, 7, -7], [2, 2, -2, -2]), [1, 1, -1, -1])
    same(ops.floor_divide([5, 0], 0), [0, 0])
    same(ops.remainder([5, 0], 0), [0, 0])
    same(ops.floor_divide(smallest, -1), [SMALLEST])
    same(ops.remainder(smallest, -1), [0])
    same(ops.sum(tensor([2**31 - 1, 1], DType.int32)), -(2**31))
    same(ops.cumsum(tensor([2**31 - 1, 1], DType.int32), 0), [2**31 - 1, -(2**31)])


def test_floats_divide_as_ieee_says() -> None:
    same(ops.divide([1.0, -1.0, 0.0], 0.0), [inf, -inf, nan])
    same(ops.floor_divide([1.0, -1.0, 0.0], 0.0), [inf, -inf, nan])
    assert math.isnan(ops.remainder([1.0], 0.0).item())
    same(slope(ops.remainder, [4.0], [2.0]), [1])
    same(slope(ops.remainder, [4.0], [2.0], wrt=1), [-2])


def test_curves_far_out() -> None:
    far = f64([-1000.0, -40.0, 40.0, 1000.0])
    same(ops.sigmoid(far), [0, math.exp(-40), 1, 1])
    same(ops.tanh(far), [-1, -1, 1, 1])
    same(ops.erf(far), [-1, -1, 1, 1])
    same(ops.erfc(far), [2, 2, 0, 0])
    same(slope(ops.sigmoid, [-1000.0, 1000.0]), [0, 0])
    same(ops.exp([1000.0, -1000.0, -inf]), [inf, 0, 0])
    same(ops.log1p([-1.0]), [-inf])
    assert math.isnan(ops.log([-1.0]).item())
    assert math.isnan(ops.sqrt([-1.0]).item())
    assert math.isnan(ops.sin([inf]).item())
    assert math.isnan(ops.sigmoid([nan]).item())
    assert ops.log1p(f64(1e-18)).item() == 1e-18
    assert ops.expm1(f64(1e-18)).item() == 1e-18
    assert ops.sigmoid(tensor([-100.0])).item() > 0  # subnormal in float32, but not 0


def test_a_cast_cuts_off_and_stops_gradients_at_integers() -> None:
    same(ops.cast([1.9, -1.9], DType.int32), [1, -1])
    same(ops.cast([0.0, 0.1, nan], DType.bool), [False, True, True])
    same(slope(lambda x: ops.cast(ops.cast(x, DType.int64), DType.float64), [1.5]), [0])
    value, found = value_and_grad(lambda x: ops.sum(ops.cast(x, DType.float64)))(tensor([1.5]))
    assert (value.dtype, found.dtype) == (DType.float64, DType.float32)


def test_repeated_indices_add_up() -> None:
    same(ops.scatter_add([1.0, 0.0, 0.0], [2, 0, 2], [1.0, 2.0, 3.0]), [3, 0, 4])
    same(slope(lambda x: ops.take(x, [1, 1, 1]), [5.0, 6.0]), [0, 3])
    rows = [[1.0, 2.0], [3.0, 4.0]]
    same(ops.gather(rows, [[1, 1], [0, 0]], 1), [[2, 2], [3, 3]])
    same(slope(lambda x: ops.gather(x, [[1, 1], [0, 0]], 1), rows), [[0, 2], [2, 0]])
    same(ops.take(rows, [[0], [1]], 1).shape, (2, 2, 1))
