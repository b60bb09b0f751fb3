"""Exact properties: what an optimizer or a wrapper does, to the last bits or by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from retrograd import ops, optim
from retrograd.compile import compile
from retrograd.optim import Optimizer
from retrograd.optim.adam import AdamState
from retrograd.optim.muon import orthogonal
from retrograd.tensor.tensor import Tensor, from_array, tensor
from retrograd.tensor.types import DType

Params = dict[str, Tensor]


def of(*values: float) -> Params:
    return {"w": from_array(np.array(values))}


def go(optimizer: Optimizer, params: Params, *grads: float | tuple[float, ...]) -> list[Any]:
    """The parameter after each gradient."""
    state, path = optimizer.init(params), []
    for g in grads:
        params, state = optimizer.update(of(*np.atleast_1d(g)), state, params)
        path.append(params["w"].numpy())
    return path


def test_lion_by_hand() -> None:
    """m: 0.02, 0.0168, ...; signs of 0.9 m + 0.1 g: +0.2, -0.012, +0.00512."""
    path = go(optim.lion(0.1, weight_decay=0.5), of(1.0), 2.0, -0.3, -0.1)
    np.testing.assert_allclose(np.ravel(path), [0.85, 0.9075, 0.762125], rtol=1e-15)


def test_lion_stays_where_no_gradient_is() -> None:
    assert go(optim.lion(0.1), of(1.0), 0.0)[0] == 1.0


@pytest.mark.parametrize("maker", [optim.adam, optim.amsgrad])
def test_the_first_step_is_the_rate_against_the_sign(maker: Callable[..., Optimizer]) -> None:
    grads = (3.0, -1e-3, 1e3, 0.0)
    moved = go(maker(0.125, epsilon=1e-12), of(0.0, 0.0, 0.0, 0.0), grads)[0]
    np.testing.assert_allclose(moved, -0.125 * np.sign(grads), rtol=1e-8)


@pytest.mark.parametrize(("maker", "worst"), [(optim.adam, True), (optim.amsgrad, False)])
def test_reddis_counter_example(maker: Callable[..., Optimizer], worst: bool) -> None:
    """Slope 4 every third step, else -1, on [-1, 1]: the best point is -1; Adam goes to 1.

    Reddi et al. 2018, theorem 1: beta1 = 0, beta2 = 1 / (1 + C^2), rate a / sqrt(t).
    """
    c = 4.0

    def falling(step: Tensor | int) -> Tensor:
        return 0.5 / ops.sqrt(ops.cast(step, DType.float64) + 1.0)

    optimizer, params = maker(falling, (0.0, 1 / (1 + c * c))), of(0.0)
    state, update = optimizer.init(params), compile(optimizer.update)
    for t in range(3000):
        params, state = update(of(c if t % 3 == 0 else -1.0), state, params)
        params = of(float(np.clip(params["w"].item(), -1, 1)))
    assert abs(params["w"].item() - (1.0 if worst else -1.0)) < 0.1


def test_radam_does_not_divide_at_first() -> None:
    """With beta2 = 0.999 the length passes 5 at step 6: five steps are the bare mean's."""
    g = 7.0
    path = np.ravel(go(optim.radam(0.1), of(0.0), *[g] * 6))
    np.testing.assert_allclose(np.diff([0.0, *path])[:5], -0.1 * g, rtol=1e-12)
    assert abs(path[5] - path[4]) < 0.1


def test_radam_with_a_small_beta2_never_divides() -> None:
    path = np.ravel(go(optim.radam(0.1, (0.9, 0.5)), of(0.0), *[7.0] * 30))
    np.testing.assert_allclose(np.diff(path), -0.7, rtol=1e-12)


def test_bias_corrections_are_float64_for_float32_parameters() -> None:
    """1 - 0.9999999 is 0 in float32's eyes after rounding up, and the step would be infinite."""
    optimizer, params = optim.adam(0.1, (0.9, 1 - 1e-9)), {"w": tensor([1.0])}
    moved, _ = optimizer.update({"w": tensor([5.0])}, optimizer.init(params), params)
    np.testing.assert_allclose(moved["w"], 0.9, rtol=1e-4)


def test_adagrad_starts_from_its_initial_sum() -> None:
    moved = go(optim.adagrad(1.0, initial=9.0), of(0.0), 4.0)[0]
    np.testing.assert_allclose(moved, -4 / 5, rtol=1e-9)


@pytest.mark.parametrize("shape", [(6, 6), (3, 8), (8, 3)])
def test_orthogonal_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(1).normal(size=shape) + 3 * np.eye(*shape)
    u, s, v = np.linalg.svd(x, full_matrices=False)
    assert s.max() / s.min() < 100
    made = orthogonal(from_array(x)).numpy()
    directions = u.T @ made @ v.T
    assert np.all((np.diag(directions) > 0.6) & (np.diag(directions) < 1.3))
    np.testing.assert_allclose(directions - np.diag(np.diag(directions)), 0, atol=1e-12)


def test_orthogonal_of_zero_is_zero() -> None:
    assert np.all(orthogonal(from_array(np.zeros((2, 3)))).numpy() == 0)


def test_muon_takes_what_it_is_told() -> None:
    params = {"embedding": from_array(np.ones((2, 2))), "w": from_array(np.ones((2, 2)))}
    optimizer = optim.muon(others=optim.sgd(0.5), applies_to=lambda name, p: name == "w")
    state = optimizer.init(params)
    assert list(state.m) == ["w"]
    moved, _ = optimizer.update(params, state, params)
    assert np.all(moved["embedding"].numpy() == 0.5)
    assert not np.any(moved["w"].numpy() == 0.5)


def test_muon_without_any_other_parameter_asks_nobody_else() -> None:
    params = {"w": from_array(np.eye(2))}
    optimizer = optim.muon()
    state = optimizer.init(params)
    assert state.others == ()
    assert optimizer.update(params, state, params)[1].others == ()


def test_adamw_keeps_adams_state() -> None:
    assert type(optim.adamw().init(of(1.0))) is AdamState


def test_a_schedule_counts_from_zero() -> None:
    seen = np.ravel(go(optim.sgd(lambda step: ops.cast(step, DType.float64)), of(0.0), 1.0, 1.0))
    np.testing.assert_array_equal(seen, [0.0, -1.0])


def test_a_schedule_may_return_a_number() -> None:
    assert go(optim.sgd(lambda step: 0.1), of(0.0), 1.0)[0] == -0.1  # type: ignore[arg-type]
