"""Every layer, activation and loss that `retrograd.nn` offers, walked: none is left out."""

import dataclasses
import inspect
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from tests.agreeing import assert_agree

from retrograd import nn, ops
from retrograd.autodiff import value_and_grad
from retrograd.compile import compile
from retrograd.nn import activations
from retrograd.nn.losses import classification, regression
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, DType, TensorType
from retrograd.tree import leaves, with_leaves

Check = Callable[[Callable[[Tensor], Tensor], Array], None]
DRAW = np.random.default_rng(3)
FLOATS = (DType.float32, DType.float64)


def public(module: object) -> list[str]:
    """The functions that are defined in a module and offered by nn."""
    return [
        name
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if value.__module__ == module.__name__ and hasattr(nn, name)  # type: ignore[attr-defined]
    ]


ACTIVATIONS, LOSSES = public(activations), public(classification) + public(regression)


def pieces(dtype: DType) -> nn.PiecewiseLinear:
    """Five pieces for three features: of two, two and one."""
    return nn.PiecewiseLinear(
        from_array(np.array([-1.0, 0.0, -0.5, 0.5, 0.0], dtype.numpy)),
        from_array(np.array([1.0, 2.0, 1.0, 1.0, 0.5], dtype.numpy)),
        from_array(np.array([0, 0, 1, 1, 2])),
    )


def layers(dtype: DType) -> dict[str, tuple[nn.Layer, tuple[int, ...]]]:
    """A use of every layer, with the shape of its input."""
    dense = partial(nn.Linear.init, ops.key(1), dtype=dtype)
    norm = nn.BatchNorm.init(3, dtype=dtype)
    deep = nn.Sequential((dense(3, 3), nn.tanh, norm, nn.Dropout(0.5)))
    return {
        "Linear": (dense(3, 2), (5, 3)),
        "Linear of axes": (dense(3, 2), (2, 5, 3)),
        "Dropout": (nn.Dropout(0.4), (5, 3)),
        "Temperature": (nn.Temperature(1.5), (5, 3)),
        "Flatten": (nn.Flatten(), (5, 3, 2)),
        "BatchNorm": (norm, (5, 3)),
        "BatchNorm of axes": (norm, (2, 4, 3)),
        "LayerNorm": (nn.LayerNorm.init(3, dtype=dtype), (5, 3)),
        "Sequential": (deep, (5, 3)),
        "Residual": (nn.Residual(deep), (5, 3)),
        "nested": (nn.Sequential((nn.Residual(deep), nn.Sequential((dense(3, 2),)))), (5, 3)),
        "PiecewiseLinear": (nn.Sequential((pieces(dtype), dense(8, 2))), (5, 3)),
        "Members": (nn.Members.init(3, 4, key=ops.key(7), dtype=dtype), (5, 3)),
        "Members of members": (nn.Members.init(3, 4, dtype=dtype), (5, 4, 3)),
        "MemberLinear": (nn.MemberLinear.init(ops.key(5), 4, 3, 2, dtype=dtype), (5, 4, 3)),
        "ensemble": (nn.ensemble(ops.key(2), (3, 8, 2), 4, dropout=0.2, dtype=dtype), (5, 3)),
        "mlp": (nn.mlp(ops.key(2), (3, 8, 2), dropout=0.2, dtype=dtype), (5, 3)),
    }


CASES = list(layers(DType.float64))


def test_the_walk_is_complete() -> None:
    offered = {
        value.__name__
        for value in vars(nn).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value)
    }
    used = [layer for layer, _ in layers(DType.float32).values()]
    used += [part for layer in used if isinstance(layer, nn.Sequential) for part in layer.layers]
    assert offered == {type(layer).__name__ for layer in used if dataclasses.is_dataclass(layer)}
    assert len(ACTIVATIONS) == 17
    assert len(LOSSES) == 11


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES)
def test_layer(case: str, dtype: DType) -> None:
    net, shape = layers(dtype)[case]
    x = from_array(DRAW.normal(0, 1, shape).astype(dtype.numpy))
    before = {name: leaf.numpy().copy() for name, leaf in leaves(net).items()}
    key, state, params = ops.key(9), nn.statistics(net), nn.parameters(net)
    assert params.keys() | state.keys() == before.keys()
    assert params.keys().isdisjoint(state)

    def train(params: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, dict[str, Tensor]]]:
        y, after = with_leaves(net, params).apply(x, state, key)
        return ops.sum(y * y * y), (y, after)

    y, after = net.apply(x, state, key)
    assert y.dtype is dtype
    assert after.keys() == state.keys()
    assert all(after[name].type == state[name].type for name in state)
    (_, (again, _)), grads = value_and_grad(train, has_aux=True)(params)
    assert np.array_equal(y.numpy(), again.numpy())
    assert np.array_equal(net(x).numpy(), net(x).numpy())
    for name, g in grads.items():
        assert g.type == params[name].type
        if name != "layers.0.bias" or case == "mlp":
            assert np.abs(g.numpy()).max() > 0, name
    unchanged = leaves(net).items()
    assert all(np.array_equal(leaf.numpy(), before[name]) for name, leaf in unchanged)


@pytest.mark.parametrize("case", CASES)
def test_compiled_layer_agrees_with_eager(case: str) -> None:
    net, shape = layers(DType.float64)[case]
    x, key = from_array(DRAW.normal(0, 1, shape)), ops.key(4)

    def both(net: nn.Layer, x: Tensor, key: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        return net(x), *net.apply(x, nn.statistics(net), key)

    eager, compiled = leaves(both(net, x, key)), leaves(compile(both)(net, x, key))
    assert eager.keys() == compiled.keys()
    for name, leaf in eager.items():
        assert_agree(compiled[name].numpy(), leaf.numpy())


@pytest.mark.parametrize("case", CASES)
def test_layer_takes_no_rows(case: str) -> None:
    net, (_, *rest) = layers(DType.float32)[case]
    x = ops.zeros((0, *rest), DType.float32)
    y, state = net.apply(x, nn.statistics(net), ops.key(0))
    assert y.shape == net(x).shape or case == "ensemble"  # whose members train apart
    assert y.shape[0] == net(x).shape[0] == 0
    assert all(np.isfinite(leaf.numpy()).all() for leaf in state.values())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_derivatives(name: str, check_derivatives: Check) -> None:
    check_derivatives(getattr(nn, name), DRAW.normal(0, 1.5, (4, 3)) + 0.013)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_keeps_type_and_stays_finite(name: str, dtype: DType) -> None:
    function = getattr(nn, name)
    far = np.array([[-1e4, -90.0, -1.0, 0.0, 1.0, 90.0, 1e4]], dtype.numpy)
    value, g = value_and_grad(lambda x: ops.sum(function(x)))(from_array(far))
    y = function(from_array(far))
    assert y.type == TensorType((1, 7), dtype)
    assert np.isfinite([value.item(), *y.numpy().ravel(), *g.numpy().ravel()]).all()
    assert_agree(compile(function)(from_array(far)).numpy(), y.numpy())
    assert np.isnan(function(from_array(np.full((1, 2), np.nan, dtype.numpy))).numpy()).all()
    assert function(from_array(np.zeros((0, 3), dtype.numpy))).shape == (0, 3)


def loss_arguments(name: str, rows: int = 6) -> tuple[Array, Array]:
    """Predictions and targets that fit a loss, in float64."""
    predictions, targets = DRAW.normal(0, 1.5, (rows, 4)), DRAW.normal(0, 1.5, (rows, 4))
    if name == "gaussian_nll":
        return predictions[:, :2], targets[:, 0]
    if name == "binary_cross_entropy":
        return predictions[:, 0], DRAW.random(rows)
    if name in ("cross_entropy", "hinge"):
        return predictions, DRAW.integers(0, 4, rows)
    if name == "kl_divergence":
        return predictions, nn.softmax(from_array(targets)).numpy()
    return predictions, np.floor(np.abs(targets)) if name == "poisson" else targets


@pytest.mark.parametrize("name", LOSSES)
def test_loss_derivatives(name: str, check_derivatives: Check) -> None:
    predictions, targets = loss_arguments(name)
    weights = from_array(DRAW.random(len(predictions)))
    for keywords in ({}, {"weights": weights}, {"weights": weights, "reduction": "none"}):
        loss = partial(getattr(nn, name), **keywords)
        check_derivatives(lambda x, loss=loss: loss(x, from_array(targets)), predictions)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_walk(name: str, dtype: DType) -> None:
    loss = getattr(nn, name)
    predictions, targets = loss_arguments(name)
    given = from_array(predictions.astype(dtype.numpy))
    wanted = from_array(targets if targets.dtype.kind == "i" else targets.astype(dtype.numpy))
    ones = ops.ones((len(predictions),), dtype)
    value = loss(given, wanted)
    assert value.type == TensorType((), dtype)
    assert_agree(compile(loss)(given, wanted).numpy(), value.numpy())
    np.testing.assert_allclose(loss(given, wanted, weights=ones).item(), value.item(), 1e-6)
    rows = loss(given, wanted, reduction="none")
    assert rows.shape[0] == len(predictions)
    np.testing.assert_allclose(rows.numpy().mean(), value.item(), 1e-5)
    nothing = loss(given, wanted, weights=ones * 0.0)
    assert nothing.item() == 0
    assert loss(given[:0], wanted[:0], reduction="none").shape[0] == 0
    assert loss(given[:0], wanted[:0], reduction="sum").item() == 0
    assert np.isnan(loss(given[:0], wanted[:0]).item())
