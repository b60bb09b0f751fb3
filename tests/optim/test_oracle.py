"""Ours and PyTorch's: every one of 50 steps, every rate of 60, to 1e-10."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from retrograd import optim
from retrograd.autodiff import grad
from retrograd.optim import Optimizer, Schedule
from retrograd.tensor.tensor import Tensor, from_array

Walk = Callable[..., np.ndarray[Any, Any]]
Stored = Mapping[str, Any]

WALKS = {
    "sgd": optim.sgd(0.05),
    "momentum": optim.momentum(0.02),
    "nesterov": optim.nesterov(0.02),
    "weight_decay": optim.weight_decay(optim.momentum(0.02), 0.1),
    "adagrad": optim.adagrad(0.1),
    "adadelta": optim.adadelta(),
    "rmsprop": optim.rmsprop(0.01),
    "adam": optim.adam(0.02),
    "adam_weight_decay": optim.weight_decay(optim.adam(0.02), 0.1),
    "adamw": optim.adamw(0.02, weight_decay=0.1),
    "amsgrad": optim.amsgrad(0.1, (0.8, 0.9)),
    "nadam": optim.nadam(0.02),
    "radam": optim.radam(0.05),
    "clip_by_value": optim.clip_by_value(optim.sgd(0.1), 0.5),
}
RATES = {
    "constant": optim.constant(0.1),
    "step_decay": optim.step_decay(0.1, every=7, factor=0.5),
    "exponential": optim.exponential(0.1, factor=0.9),
    "cosine": optim.cosine(0.1, steps=60, final=0.01),
    "warm_restarts": optim.warm_restarts(0.1, steps=7, final=0.01),
    "warm_restarts_growing": optim.warm_restarts(0.1, steps=4, growth=2, final=0.01),
    "one_cycle": optim.one_cycle(0.1, steps=61),
    "polynomial": optim.polynomial(0.1, steps=50, power=2.0),
    "warm_up": optim.warm_up(optim.cosine(0.1, steps=70, final=0.01), 10),
}


def test_the_formula_is_the_gradient(
    start: dict[str, Tensor], loss: Callable[..., Tensor], gradients: Callable[..., Any]
) -> None:
    by_formula, by_walk = gradients(start), grad(loss)(start)
    for name in "ab":
        np.testing.assert_allclose(by_walk[name], by_formula[name], rtol=1e-13, atol=1e-14)


def test_everything_stored_is_compared(stored: Stored) -> None:
    tested_below = {"walk.muon", "walk.muon_tall", "walk.clip_by_global_norm"}
    named = {f"walk.{name}" for name in WALKS} | {f"rates.{name}" for name in RATES} | tested_below
    assert {name for name in stored if name.startswith(("walk.", "rates."))} == named


@pytest.mark.parametrize("name", WALKS)
def test_each_step_is_pytorchs(name: str, stored: Stored, walk: Walk) -> None:
    wanted = stored[f"walk.{name}"]
    assert wanted.shape == (50, 16)
    np.testing.assert_allclose(walk(WALKS[name]), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", RATES)
def test_each_rate_is_pytorchs(name: str, stored: Stored) -> None:
    schedule: Schedule = RATES[name]
    ours = [float(schedule(step)) for step in range(60)]
    np.testing.assert_allclose(ours, stored[f"rates.{name}"], rtol=1e-10, atol=1e-16)


def test_clipping_by_global_norm_is_pytorchs_but_for_its_epsilon(
    stored: Stored, walk: Walk
) -> None:
    """PyTorch divides by |g| + 1e-6: a relative 1e-6 a step, so not 1e-10 here."""
    ours = walk(optim.clip_by_global_norm(optim.sgd(0.1), 1.0))
    np.testing.assert_allclose(ours, stored["walk.clip_by_global_norm"], rtol=1e-4, atol=1e-5)


def transposed(optimizer: Optimizer, start: dict[str, Tensor], gradients: Any) -> np.ndarray:
    """The path with the matrix the other way: our weights are (in, out), PyTorch's (out, in)."""
    params = {"a": start["a"].T, "b": start["b"]}
    state, path = optimizer.init(params), []
    for _ in range(50):
        grads = gradients({"a": params["a"].T, "b": params["b"]})
        params, state = optimizer.update({**grads, "a": grads["a"].T}, state, params)
        path.append(np.concatenate([params["a"].numpy().T.ravel(), params["b"].numpy()]))
    return np.array(path)


def test_muon_is_pytorchs(stored: Stored, start: dict[str, Tensor], gradients: Any) -> None:
    others = optim.adamw(0.01, (0.9, 0.95), 1e-10, 0.0)
    ours = transposed(optim.muon(weight_decay=0.1, others=others), start, gradients)
    np.testing.assert_allclose(ours, stored["walk.muon"], rtol=1e-10, atol=1e-12)


def test_muon_of_a_matrix_with_more_outputs_than_inputs_is_pytorchs(
    stored: Stored, walk: Walk
) -> None:
    ours = walk(optim.muon(others=optim.sgd(0.0)))
    np.testing.assert_allclose(ours, stored["walk.muon_tall"], rtol=1e-10, atol=1e-12)


def test_reduce_on_plateau_is_pytorchs(stored: Stored) -> None:
    optimizer = optim.reduce_on_plateau(
        optim.sgd(1.0), factor=0.5, patience=2, threshold=0.01, cooldown=1, smallest=0.05
    )
    assert optimizer.observe is not None
    assert optimizer.learning_rate is not None
    state, ours = optimizer.init({"w": from_array(np.zeros(1))}), []
    for value in stored["plateau.losses"]:
        state = optimizer.observe(state, float(value))
        ours.append(float(optimizer.learning_rate(state)))
    assert len(set(ours)) > 4
    np.testing.assert_allclose(ours, stored["plateau.rates"], rtol=1e-12)


def test_minimise_ends_where_pytorchs_lbfgs_does(
    stored: Stored, start: dict[str, Tensor], loss: Callable[..., Tensor]
) -> None:
    found = optim.minimise(loss, start, tolerance=1e-10)
    assert found.is_converged
    np.testing.assert_allclose(found.losses[-1], stored["lbfgs.loss"], rtol=1e-12)
    ours = np.concatenate([found.params[name].numpy().ravel() for name in "ab"])
    np.testing.assert_allclose(ours, stored["lbfgs.params"], rtol=1e-7)
