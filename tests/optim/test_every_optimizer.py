"""What holds for every optimizer there is, found by what it returns: none needs to be listed."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from retrograd import optim
from retrograd.compile import compile
from retrograd.optim import Optimizer
from retrograd.tensor.errors import InputError, ShapeError
from retrograd.tensor.tensor import Tensor, from_array, tensor
from retrograd.tensor.types import DType
from retrograd.tree import leaves, structure, with_leaves


def makers() -> dict[str, Callable[..., Optimizer]]:
    """Every function of retrograd.optim that returns an optimizer."""
    functions = {n: f for n, f in vars(optim).items() if inspect.isfunction(f)}
    return {
        name: function
        for name, function in functions.items()
        if inspect.signature(function).return_annotation == "Optimizer"
    }


def is_wrapper(maker: Callable[..., Optimizer]) -> bool:
    return "optimizer" in inspect.signature(maker).parameters


OWN = {name: maker for name, maker in makers().items() if not is_wrapper(maker)}
# What a wrapper needs besides the optimizer.
SETTINGS: dict[str, tuple[float, ...]] = {
    "accumulate": (2,),
    "clip_by_global_norm": (1.0,),
    "clip_by_value": (0.5,),
    "decoupled_weight_decay": (0.01,),
    "ema": (0.9,),
    "l1": (0.01,),
    "max_norm": (3.0,),
    "reduce_on_plateau": (),
    "weight_decay": (0.01,),
}
# What it needs to go as far as the others: Muon's default for all but matrices is a small rate.
EXTRA: dict[str, dict[str, Any]] = {"muon": {"others": optim.adam(0.05)}}
RATES = {"adadelta": 30.0, "adagrad": 0.5}  # the others go far enough with 0.05


def build(name: str) -> Optimizer:
    if name in OWN:
        return OWN[name](RATES.get(name, 0.05), **EXTRA.get(name, {}))
    return makers()[name](optim.adam(0.05), *SETTINGS[name])


EVERY = pytest.mark.parametrize("name", makers())


def parameters(dtype: DType = DType.float64) -> dict[str, Tensor]:
    random = np.random.default_rng(0)
    shapes = {"layers.0.weight": (4, 3), "layers.0.bias": (3,), "scale": ()}
    arrays = {n: np.asarray(random.normal(size=shape)) for n, shape in shapes.items()}
    return {n: from_array(a.astype(dtype.numpy)) for n, a in arrays.items()}


def slope(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of sum((w - 1)^2) / 2."""
    return {name: p - 1.0 for name, p in params.items()}


def distance(params: Mapping[str, Tensor]) -> float:
    return float(sum(np.square(p.numpy() - 1).sum() for p in params.values()))


def equal(one: Any, other: Any) -> bool:
    ours, theirs = leaves(one), leaves(other)
    same = (np.array_equal(x.numpy(), theirs[n].numpy()) for n, x in ours.items())
    return ours.keys() == theirs.keys() and all(same)


def test_the_walk_finds_them() -> None:
    wanted = (
        "sgd momentum nesterov adagrad adadelta rmsprop adam adamw amsgrad nadam radam lion muon"
    )
    assert set(OWN) == set(wanted.split())
    assert set(makers()) - set(OWN) == set(SETTINGS)


@EVERY
def test_it_goes_down_a_parabola(name: str) -> None:
    optimizer, params = build(name), parameters()
    state, first = optimizer.init(params), distance(params)
    update = compile(optimizer.update)
    for _ in range(200):
        params, state = update(slope(params), state, params)
    assert distance(params) < first / 10


@EVERY
def test_compiled_is_eager_and_a_schedule_too(name: str) -> None:
    schedule = optim.warm_up(optim.cosine(0.1, steps=5, final=0.01), 2)
    optimizer = OWN[name](schedule) if name in OWN else build(name)
    eager = traced = (parameters(), optimizer.init(parameters()))
    update = compile(optimizer.update)
    for _ in range(6):
        eager = optimizer.update(slope(eager[0]), eager[1], eager[0])
        traced = update(slope(traced[0]), traced[1], traced[0])
        assert type(traced[1]) is type(eager[1])
        for path, x in leaves(eager).items():
            np.testing.assert_allclose(leaves(traced)[path], x, rtol=1e-14, atol=1e-15)


@EVERY
@pytest.mark.parametrize("dtype", [DType.float32, DType.float64])
def test_types_stay_what_they_were(name: str, dtype: DType) -> None:
    optimizer, params = build(name), parameters(dtype)
    state = optimizer.init(params)
    moved, later = optimizer.update(slope(params), state, params)
    assert {n: p.type for n, p in moved.items()} == {n: p.type for n, p in params.items()}
    assert list(moved) == list(params)
    assert structure(later) == structure(state)


@EVERY
def test_float32_follows_float64(name: str) -> None:
    ends = []
    for dtype in (DType.float32, DType.float64):
        optimizer, params = build(name), parameters(dtype)
        state = optimizer.init(params)
        for _ in range(5):
            params, state = optimizer.update(slope(params), state, params)
        ends.append(np.concatenate([p.numpy().ravel() for p in params.values()]))
    np.testing.assert_allclose(*ends, rtol=2e-4, atol=2e-5)


@EVERY
def test_the_state_survives_a_journey_by_leaves(name: str) -> None:
    optimizer, params = build(name), parameters()
    params, state = optimizer.update(slope(params), optimizer.init(params), params)
    saved = {path: np.array(x.numpy()) for path, x in leaves(state).items()}
    fresh = optimizer.init(parameters())
    restored = with_leaves(fresh, {path: from_array(x) for path, x in saved.items()})
    assert equal(restored, state)
    assert equal(
        optimizer.update(slope(params), restored, params),
        optimizer.update(slope(params), state, params),
    )


@EVERY
def test_nothing_given_is_changed(name: str) -> None:
    optimizer, params = build(name), parameters()
    grads, state = slope(params), optimizer.init(params)
    before = {path: np.array(x.numpy()) for path, x in leaves((grads, state, params)).items()}
    optimizer.update(grads, state, params)
    after = leaves((grads, state, params))
    assert all(np.array_equal(after[path].numpy(), x) for path, x in before.items())


@EVERY
def test_the_learning_rate_is_told(name: str) -> None:
    optimizer = build(name)
    assert optimizer.learning_rate is not None
    rate = optimizer.learning_rate(optimizer.init(parameters()))
    assert rate.dtype is DType.float64
    assert float(rate) == RATES.get(name, 0.05)


@EVERY
def test_another_state_is_refused(name: str) -> None:
    optimizer, params = build(name), parameters()
    other = optim.sgd() if name != "sgd" else optim.adam()
    kind = type(optimizer.init(params)).__name__
    wrong = type(other.init(params)).__name__
    with pytest.raises(InputError, match=rf"the state is a {wrong}, \w+ keeps a {kind}; pass what"):
        optimizer.update(slope(params), other.init(params), params)


@EVERY
def test_state_and_params_swapped_are_refused(name: str) -> None:
    optimizer, params = build(name), parameters()
    state = optimizer.init(params)
    with pytest.raises(InputError, match=r"the state is a dict, \w+ keeps a|params is a \w+State"):
        optimizer.update(slope(params), params, state)  # type: ignore[arg-type]


@EVERY
def test_grads_of_other_names_are_refused(name: str) -> None:
    optimizer, params = build(name), parameters()
    grads = {**slope(params), "extra": tensor(1.0)}
    del grads["scale"]
    message = r"grads: \['extra'\] without a parameter, \['scale'\] missing; take params, grads"
    with pytest.raises(InputError, match=message):
        optimizer.update(grads, optimizer.init(params), params)


@EVERY
def test_grads_of_other_types_are_refused(name: str) -> None:
    optimizer, params = build(name), parameters()
    grads = {**slope(params), "layers.0.bias": from_array(np.ones((3, 1)))}
    message = r"grads\['layers.0.bias'\]: it is float64\[3, 1\], the parameter is float64\[3\]"
    with pytest.raises(ShapeError, match=message):
        optimizer.update(grads, optimizer.init(params), params)
