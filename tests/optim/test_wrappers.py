"""Wrappers: clipping, decay, limits, accumulation, averages, plateaus, and one inside another."""

from typing import Any

import numpy as np
import pytest

from retrograd import ops, optim
from retrograd.optim import Optimizer
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tree import leaves

Params = dict[str, Tensor]


def tensors(**arrays: Any) -> Params:
    return {name: from_array(np.array(values, np.float64)) for name, values in arrays.items()}


def once(optimizer: Optimizer, grads: Params, params: Params) -> Params:
    return optimizer.update(grads, optimizer.init(params), params)[0]


def test_clipping_scales_all_by_exactly_max_norm_over_norm() -> None:
    grads, zero = tensors(a=[[3.0, 0.0]], b=[4.0]), tensors(a=[[0.0, 0.0]], b=[0.0])
    moved = once(optim.clip_by_global_norm(optim.sgd(1.0), 2.5), grads, zero)
    assert np.array_equal(moved["a"].numpy(), [[-1.5, 0.0]])
    assert np.array_equal(moved["b"].numpy(), [-2.0])


@pytest.mark.parametrize("norm", [0.0, 0.5])
def test_clipping_leaves_short_gradients_bit_for_bit(norm: float) -> None:
    moved = once(optim.clip_by_global_norm(optim.sgd(1.0), 0.5), tensors(w=[norm]), tensors(w=[0]))
    assert moved["w"].item() == -norm


def test_clipping_a_float32_gradient_whose_square_overflows() -> None:
    grads = {"w": from_array(np.array([1e30, 0], np.float32))}
    zero = {"w": from_array(np.zeros(2, np.float32))}
    moved = once(optim.clip_by_global_norm(optim.sgd(1.0), 1.0), grads, zero)
    np.testing.assert_allclose(moved["w"], [-1, 0], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_clipping_does_not_hide_what_is_not_finite(value: float) -> None:
    grads = tensors(w=[value], b=[1.0])
    moved = once(optim.clip_by_global_norm(optim.sgd(1.0), 1.0), grads, tensors(w=[0], b=[0]))
    assert all(np.isnan(w.numpy()).all() for w in moved.values())


def test_clipping_by_value_does_not_hide_nan() -> None:
    moved = once(optim.clip_by_value(optim.sgd(1.0), 1.0), tensors(w=[np.nan]), tensors(w=[0]))
    assert np.isnan(moved["w"].item())


@pytest.mark.parametrize("maker", [optim.weight_decay, optim.l1, optim.decoupled_weight_decay])
def test_decay_spares_what_it_is_told_to(maker: Any) -> None:
    params, zero = tensors(weight=[2.0], bias=[2.0]), tensors(weight=[0], bias=[0])
    optimizer = maker(optim.sgd(1.0), 0.25, applies_to=lambda name: name == "weight")
    moved = once(optimizer, zero, params)
    assert moved["bias"].item() == 2.0
    assert moved["weight"].item() == {"l1": 1.75}.get(maker.__name__, 1.5)


@pytest.mark.parametrize("maker", [optim.weight_decay, optim.l1, optim.decoupled_weight_decay])
def test_no_decay_is_the_optimizer_itself(maker: Any) -> None:
    optimizer = optim.sgd(1.0)
    assert maker(optimizer, 0.0) is optimizer


def test_max_norm_shortens_long_columns_only() -> None:
    params = tensors(w=[[6.0, 0.3], [8.0, 0.4]], b=[100.0, 0.0])
    moved = once(optim.max_norm(optim.sgd(0.0), 5.0), params, params)
    np.testing.assert_allclose(moved["w"], [[3.0, 0.3], [4.0, 0.4]], rtol=1e-15)
    assert moved["b"].numpy()[0] == 100.0


def test_max_norm_of_a_column_of_zeros_is_zeros() -> None:
    params = tensors(w=[[0.0], [0.0]])
    assert np.all(once(optim.max_norm(optim.sgd(0.0), 5.0), params, params)["w"].numpy() == 0)


def test_accumulation_equals_one_big_batch() -> None:
    random = np.random.default_rng(3)
    grads = [tensors(w=random.normal(size=4)) for _ in range(12)]
    params = big = tensors(w=random.normal(size=4))
    optimizer = optim.accumulate(optim.adam(0.1), 4)
    state, inner = optimizer.init(params), optim.adam(0.1).init(params)
    for i, g in enumerate(grads):
        before, inside = params, state.inner
        params, state = optimizer.update(g, state, params)
        if i % 4 < 3:
            assert np.array_equal(params["w"].numpy(), before["w"].numpy())
            assert all(
                np.array_equal(x.numpy(), leaves(inside)[name].numpy())
                for name, x in leaves(state.inner).items()
            )
            continue
        mean = tensors(w=np.mean([h["w"].numpy() for h in grads[i - 3 : i + 1]], axis=0))
        big, inner = optim.adam(0.1).update(mean, inner, big)
        np.testing.assert_allclose(params["w"], big["w"], rtol=1e-14)
    assert int(state.inner.step) == 3


def test_accumulation_of_a_skipped_infinity_is_clean_afterwards() -> None:
    """Where, not a product with 0: what was accumulated does not come through again."""
    optimizer, params = optim.accumulate(optim.sgd(1.0), 1), tensors(w=[0.0])
    _, state = optimizer.update(tensors(w=[np.inf]), optimizer.init(params), params)
    assert np.all(state.total["w"].numpy() == 0)


def test_ema_is_its_formula() -> None:
    optimizer, params = optim.ema(optim.sgd(1.0), 0.75), tensors(w=[2.0])
    state, average = optimizer.init(params), 2.0
    for g in (1.0, -3.0, 0.5):
        params, state = optimizer.update(tensors(w=[g]), state, params)
        average = 0.75 * average + 0.25 * params["w"].item()
        assert optim.ema_params(state)["w"].item() == average


def test_ema_is_found_inside_other_wrappers() -> None:
    optimizer = optim.reduce_on_plateau(optim.accumulate(optim.ema(optim.sgd()), 2))
    params = tensors(w=[2.0])
    state = optim.clip_by_global_norm(optimizer, 1.0).init(params)
    assert optim.ema_params(state)["w"].item() == 2.0


def plateau(**settings: Any) -> tuple[Optimizer, Any]:
    optimizer = optim.reduce_on_plateau(optim.sgd(1.0), factor=0.5, **settings)
    return optimizer, optimizer.init(tensors(w=[1.0]))


def rates(optimizer: Optimizer, state: Any, losses: list[float]) -> list[float]:
    assert optimizer.observe is not None
    assert optimizer.learning_rate is not None
    seen = []
    for value in losses:
        state = optimizer.observe(state, value)
        seen.append(float(optimizer.learning_rate(state)))
    return seen


def test_a_plateau_halves_the_step() -> None:
    optimizer, state = plateau(patience=1)
    assert rates(optimizer, state, [3, 3, 3, 3, 3]) == [1, 1, 0.5, 0.5, 0.25]


def test_a_plateau_of_negative_losses_counts_small_gains_as_none() -> None:
    optimizer, state = plateau(patience=0, threshold=0.1)
    assert rates(optimizer, state, [-10, -10.5, -12]) == [1, 0.5, 0.5]


def test_an_infinite_loss_is_no_progress_and_the_first_finite_one_is() -> None:
    optimizer, state = plateau(patience=0)
    assert rates(optimizer, state, [np.inf, 3.0, 2.0]) == [0.5, 0.5, 0.5]


def test_a_plateau_scales_the_whole_move() -> None:
    optimizer, state = plateau(patience=0)
    assert optimizer.observe is not None
    state = optimizer.observe(optimizer.observe(state, 1.0), 1.0)
    moved, _ = optimizer.update(tensors(w=[4.0]), state, tensors(w=[1.0]))
    assert moved["w"].item() == 1.0 - 0.5 * 4.0


def test_what_is_observed_reaches_a_plateau_through_other_wrappers() -> None:
    within = optim.ema(optim.accumulate(optim.reduce_on_plateau(optim.sgd(1.0), patience=0), 1))
    state = within.init(tensors(w=[1.0]))
    assert rates(within, state, [5.0, 5.0]) == [1.0, 0.1]
    around = optim.reduce_on_plateau(within, patience=0)
    assert rates(around, around.init(tensors(w=[1.0])), [5.0, 5.0]) == pytest.approx([1.0, 0.01])


def test_wrappers_without_observation_have_none() -> None:
    assert optim.ema(optim.sgd()).observe is None
    assert optim.clip_by_value(optim.reduce_on_plateau(optim.sgd()), 1.0).observe is not None


def test_an_optimizer_of_ones_own_can_be_wrapped() -> None:
    own = Optimizer(lambda params: (), lambda g, state, p: (optim.sgd(0.1).update(
        g, optim.sgd().init(p), p)[0], state))  # fmt: skip
    optimizer = optim.ema(optim.reduce_on_plateau(optim.clip_by_global_norm(own, 1.0)))
    assert optimizer.learning_rate is None
    moved = once(optimizer, tensors(w=[10.0]), tensors(w=[1.0]))
    assert moved["w"].item() == pytest.approx(0.9)


def test_order_is_from_outside_in() -> None:
    clipped_then_decayed = optim.clip_by_value(optim.weight_decay(optim.sgd(1.0), 1.0), 1.0)
    decayed_then_clipped = optim.weight_decay(optim.clip_by_value(optim.sgd(1.0), 1.0), 1.0)
    grads, params = tensors(w=[5.0]), tensors(w=[3.0])
    assert once(clipped_then_decayed, grads, params)["w"].item() == 3 - (1 + 3)
    assert once(decayed_then_clipped, grads, params)["w"].item() == 3 - 1


def test_global_norm_of_both_dtypes() -> None:
    mixed = {"a": from_array(np.float32([3.0])), "b": from_array(np.float64([4.0]))}
    assert float(ops.square(optim.global_norm(mixed))) == 25.0
