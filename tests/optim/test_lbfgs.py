"""L-BFGS and its line search: known minima, hard valleys, ends and their reasons."""

import numpy as np
import pytest

from retrograd import ops, optim
from retrograd.optim.line_search import ENOUGH_DECREASE, ENOUGH_FLATTENING, Point, search
from retrograd.tensor.tensor import Tensor, from_array, tensor


def rosenbrock(w: Tensor) -> Tensor:
    return 100 * ops.square(w[1] - ops.square(w[0])) + ops.square(1 - w[0])


def test_rosenbrocks_valley() -> None:
    """From (-1.2, 1) scipy's L-BFGS-B takes some 45 looks; anything near is a working method."""
    found = optim.minimise(rosenbrock, from_array(np.array([-1.2, 1.0])))
    np.testing.assert_allclose(found.params, [1, 1], rtol=1e-7)
    assert found.is_converged
    assert found.reason == "no partial derivative exceeds 1e-08"
    assert found.gradient <= 1e-8
    assert found.evaluations < 80
    assert found.losses[0] == pytest.approx(24.2)
    assert all(np.diff(found.losses) <= 0)


def test_a_quadratic_ends_in_about_its_dimension() -> None:
    random = np.random.default_rng(5)
    root = random.normal(size=(8, 8))
    matrix, target = from_array(root @ root.T + np.eye(8)), random.normal(size=8)

    def loss(params: dict[str, Tensor]) -> Tensor:
        gap = params["w"] - from_array(target)
        return ops.sum(gap * (matrix @ gap))

    start = {"w": from_array(np.zeros(8))}
    found = optim.minimise(loss, start, history=20, loss_tolerance=0.0)
    np.testing.assert_allclose(found.params["w"], target, rtol=1e-6)
    assert len(found.losses) < 40


def test_a_tree_of_float32_keeps_its_types() -> None:
    start = {"layers": (tensor([[1.0, 2.0]]), tensor(5.0))}
    found = optim.minimise(
        lambda p: ops.sum(ops.square(p["layers"][0])) + ops.square(p["layers"][1] - 1), start
    )
    matrix, scalar = found.params["layers"]
    assert (matrix.type, scalar.type) == (start["layers"][0].type, start["layers"][1].type)
    np.testing.assert_allclose(matrix, 0, atol=1e-4)
    np.testing.assert_allclose(scalar, 1, atol=1e-4)


def test_iterations_can_be_used_up() -> None:
    found = optim.minimise(rosenbrock, tensor(np.array([-1.2, 1.0])), max_iterations=3)
    assert (found.reason, found.is_converged) == ("3 iterations are used up", False)
    assert len(found.losses) == 4


def test_a_loss_that_hardly_falls_is_an_end() -> None:
    found = optim.minimise(
        lambda w: ops.square(w) + 1e6, from_array(np.array(1.0)), tolerance=0.0, loss_tolerance=0.1
    )
    assert found.is_converged
    assert found.reason == "the loss falls by less than 0.1 of it"


def test_a_start_at_the_minimum_is_the_end() -> None:
    found = optim.minimise(lambda w: ops.square(w), from_array(np.array(0.0)))
    assert (len(found.losses), found.evaluations, found.is_converged) == (1, 1, True)


def test_a_wrong_gradient_is_told() -> None:
    def loss(w: Tensor) -> Tensor:
        return ops.replace_gradient(ops.square(w), lambda g, out, w: (-g,), w)

    found = optim.minimise(loss, from_array(np.array(1.0)))
    assert not found.is_converged
    assert found.reason == "no step lowers the loss: it is at rounding, or its gradient is wrong"
    assert found.params.item() == 1.0


def test_a_wall_of_nan_is_walked_around() -> None:
    """log is NaN below 0: the first trial lands there, and a shorter step is taken."""
    found = optim.minimise(lambda w: 0.1 * w - ops.log(w), from_array(np.array(100.0)))
    np.testing.assert_allclose(found.params, 10.0, rtol=1e-6)


@pytest.mark.parametrize("first", [1e-4, 0.1, 1.0, 7.0, 300.0])
def test_the_search_ends_at_the_strong_wolfe_conditions(first: float) -> None:
    """On a wavy slope, whatever is tried first."""

    def at(t: float) -> Point:
        loss = (t - 3) ** 2 / 4 + np.sin(2 * t) / 4
        slope = (t - 3) / 2 + np.cos(2 * t) / 2
        return Point(t, loss, slope, np.array([slope]))

    start = at(0.0)
    found, looks = search(at, start, first)
    assert found.loss <= start.loss + ENOUGH_DECREASE * found.t * start.slope
    assert abs(found.slope) <= ENOUGH_FLATTENING * abs(start.slope)
    assert looks <= 25


def test_the_search_of_a_slope_without_end_stops() -> None:
    found, looks = search(lambda t: Point(t, -t, -1.0, np.ones(1)), Point(0, 0, -1, np.ones(1)), 1)
    assert looks == 25
    assert found.loss < -1e6


def test_the_search_turns_back_after_stepping_over_the_minimum() -> None:
    """A sharp valley at 2: the first trial inside the bracket lands beyond it, still lower."""

    def at(t: float) -> Point:
        root = np.hypot(t - 2, 0.01)
        return Point(t, root, (t - 2) / root, np.ones(1))

    found, looks = search(at, at(0.0), 10.0)
    assert abs(found.slope) <= ENOUGH_FLATTENING
    assert looks < 25
