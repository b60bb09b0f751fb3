"""Values and gradients of every activation, loss and layer against PyTorch's, in float64."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.autodiff import grad, value_and_grad, vjp
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, DType
from retrograd.tree import leaves, with_leaves

Oracle = dict[str, Array]
KEY = ops.key(0)

ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu_02": partial(nn.leaky_relu, negative_slope=0.2),
    "elu_05": partial(nn.elu, alpha=0.5),
} | {
    name: getattr(nn, name)
    for name in (
        *("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu"),
        *("softplus", "softsign", "mish", "hard_sigmoid", "hard_tanh"),
    )
}

# Where PyTorch is the less exact one: the range in which both agree, and to what.
DEPARTURES = {
    # Above 20 its softplus is x itself, and mish with it.
    "softplus": (-np.inf, 20.0, 1e-9),
    "mish": (-np.inf, 20.0, 1e-9),
    # 1 + erf(x) and 1 + tanh(x) lose the digits of the tail.
    "gelu": (-5.0, np.inf, 1e-9),
    "gelu_tanh": (-4.0, np.inf, 1e-9),
    # It rounds 1/6 to float32 in the derivative.
    "hard_sigmoid": (-np.inf, np.inf, 1e-7),
}


def assert_close(found: Tensor, expected: Array) -> None:
    # What cancels in PyTorch's own formulas leaves an absolute error of some 1e-16.
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-15)


def pulled(function: Callable[[Tensor], Tensor], x: Array, cotangent: Array) -> tuple[Tensor, ...]:
    out, pullback = vjp(function, from_array(x))
    return out, *pullback(from_array(cotangent))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_activation(oracle: Oracle, name: str) -> None:
    grid = oracle["grid"]
    low, high, rtol = DEPARTURES.get(name, (-np.inf, np.inf, 1e-9))
    same = (grid > low) & (grid < high)
    value, slope = pulled(ELEMENTWISE[name], grid, np.ones_like(grid))
    np.testing.assert_allclose(value.numpy()[same], oracle[f"{name}/value"][same], rtol, 1e-15)
    np.testing.assert_allclose(slope.numpy()[same], oracle[f"{name}/grad_x"][same], rtol, 1e-15)


def test_the_documented_departures_from_pytorch(oracle: Oracle) -> None:
    lowest, highest = oracle["grid"].argmin(), oracle["grid"].argmax()
    assert oracle["softplus/value"][highest] == oracle["grid"][highest] == 30
    assert nn.softplus(from_array(np.array(30.0))).item() == 30 + math.exp(-30) > 30
    assert oracle["gelu/value"][lowest] == 0
    exact = -30 * math.erfc(30 / math.sqrt(2)) / 2
    assert nn.gelu(from_array(np.array(-30.0))).item() == pytest.approx(exact, rel=1e-12)
    assert oracle["gelu_tanh/grad_x"][0] == 0
    assert grad(nn.gelu_tanh)(from_array(oracle["grid"][0])).item() < 0
    assert (oracle["hard_sigmoid/grad_x"] == float(np.float32(1) / np.float32(6))).any()


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(oracle: Oracle, name: str, axis: int) -> None:
    function = partial(getattr(nn, name), axis=axis)
    value, slope = pulled(function, oracle["rows"], oracle["rows_cotangent"])
    assert_close(value, oracle[f"{name}_{axis}/value"])
    assert_close(slope, oracle[f"{name}_{axis}/grad_x"])


Loss = Callable[..., Tensor]
WEIGHTS = np.array([0.5, 2.0, 1.25, 0.75])
LOSSES: dict[str, tuple[Loss, str, str]] = {
    "mean_squared_error": (nn.mean_squared_error, "predictions", "targets"),
    "mean_absolute_error": (nn.mean_absolute_error, "predictions", "targets"),
    "huber": (nn.huber, "predictions", "targets"),
    "huber_04": (partial(nn.huber, delta=0.4), "predictions", "targets"),
    "log_cosh": (nn.log_cosh, "predictions", "targets"),
    "quantile_09": (partial(nn.quantile, level=0.9), "predictions", "targets"),
    "poisson": (nn.poisson, "rates", "counts"),
    "gaussian_nll": (nn.gaussian_nll, "moments", "rates"),
    "binary_cross_entropy": (nn.binary_cross_entropy, "scores", "probabilities"),
    "hinge_multiclass": (nn.hinge, "logits", "labels"),
    "cross_entropy": (nn.cross_entropy, "logits", "labels"),
    "cross_entropy_smooth": (partial(nn.cross_entropy, label_smoothing=0.1), "logits", "labels"),
    "cross_entropy_classes": (
        partial(nn.cross_entropy, class_weights=from_array(WEIGHTS)),
        *("logits", "labels"),
    ),
    "cross_entropy_both": (
        partial(nn.cross_entropy, label_smoothing=0.1, class_weights=from_array(WEIGHTS)),
        *("logits", "labels"),
    ),
    "kl_divergence": (nn.kl_divergence, "logits", "distribution"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(oracle: Oracle, name: str) -> None:
    loss, source, wanted = LOSSES[name]
    given, targets = from_array(oracle[source]), from_array(oracle[wanted])
    weights = from_array(oracle["weights"])
    rows = loss(given, targets, reduction="none")
    assert_close(rows, oracle[f"{name}/rows"])
    assert_close(loss(given, targets, reduction="sum"), oracle[f"{name}/rows"].sum())
    value, g = value_and_grad(lambda x: loss(x, targets, weights=weights))(given)
    assert_close(value, oracle[f"{name}/weighted"])
    assert_close(g, oracle[f"{name}/grad"])
    if "class" not in name and "both" not in name:
        assert_close(loss(given, targets), oracle[f"{name}/rows"].mean())


def test_class_weighted_mean(oracle: Oracle) -> None:
    loss = LOSSES["cross_entropy_both"][0]
    found = loss(from_array(oracle["logits"]), from_array(oracle["labels"]))
    assert_close(found, oracle["cross_entropy_both/mean"])


def test_hinge_of_two_classes(oracle: Oracle) -> None:
    scores = from_array(oracle["scores"])
    labels = from_array((oracle["probabilities"] > 0.5).astype(np.int64))
    assert_close(nn.hinge(scores, labels, reduction="none"), oracle["hinge/rows"])
    value, g = value_and_grad(lambda x: nn.hinge(x, labels, weights=from_array(oracle["weights"])))(
        scores
    )
    assert_close(value, oracle["hinge/weighted"])
    assert_close(g, oracle["hinge/grad"])


def test_layer_norm(oracle: Oracle) -> None:
    layer = with_leaves(nn.LayerNorm.init(3, dtype=DType.float64), affine(oracle))
    check_layer(oracle, "layer_norm", layer, lambda net, x: net(x))


def test_batch_norm_in_inference(oracle: Oracle) -> None:
    check_layer(oracle, "batch_norm_infer", batch_norm(oracle), lambda net, x: net(x))


def test_batch_norm_in_training(oracle: Oracle) -> None:
    net = batch_norm(oracle)
    state = nn.statistics(net)
    check_layer(oracle, "batch_norm_train", net, lambda net, x: net.apply(x, state, KEY)[0])
    _, after = net.apply(from_array(oracle["layer/x"]), state, KEY)
    assert_close(after["running_mean"], oracle["batch_norm_train/mean"])
    assert_close(after["running_variance"], oracle["batch_norm_train/variance"])


def affine(oracle: Oracle) -> dict[str, Tensor]:
    return {name: from_array(oracle[f"layer/{name}"]) for name in ("scale", "shift")}


def batch_norm(oracle: Oracle) -> nn.BatchNorm:
    running = {f"running_{name}": oracle[f"layer/{name}"] for name in ("mean", "variance")}
    start = nn.BatchNorm.init(3, dtype=DType.float64)
    return with_leaves(start, affine(oracle) | {name: from_array(x) for name, x in running.items()})


def check_layer(
    oracle: Oracle, name: str, net: nn.Layer, call: Callable[[nn.Layer, Tensor], Tensor]
) -> None:
    x, cotangent = from_array(oracle["layer/x"]), from_array(oracle["layer/cotangent"])
    assert_close(call(net, x), oracle[f"{name}/value"])
    sources = {"x": x, **nn.parameters(net)}

    def weighed(at: dict[str, Tensor]) -> Tensor:
        params = {k: v for k, v in at.items() if k != "x"}
        return ops.sum(call(with_leaves(net, params), at["x"]) * cotangent)

    _, found = value_and_grad(weighed)(sources)
    for part, g in found.items():
        np.testing.assert_allclose(g.numpy(), oracle[f"{name}/grad_{part}"], 1e-9, 1e-13)


def test_network(oracle: Oracle) -> None:
    net = nn.mlp(
        KEY, (5, 8, 4), activation=nn.gelu, normalization=nn.BatchNorm.init, dtype=DType.float64
    )
    state = nn.statistics(net)
    params = {name: from_array(oracle[f"network/{name}"]) for name in nn.parameters(net)}
    assert params.keys() | state.keys() == leaves(net).keys()
    sources = {"x": from_array(oracle["network/x"]), **params}
    labels = from_array(oracle["labels"])

    def loss(at: dict[str, Tensor]) -> Tensor:
        trained = with_leaves(net, {name: at[name] for name in params})
        return nn.cross_entropy(trained.apply(at["x"], state, KEY)[0], labels)

    value, found = value_and_grad(loss)(sources)
    assert_close(value, oracle["network/loss"])
    for name, g in found.items():
        np.testing.assert_allclose(g.numpy(), oracle[f"network/grad/{name}"], 1e-9, 1e-13)
