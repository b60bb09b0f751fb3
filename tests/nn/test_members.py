"""Pieces of columns, and members that share weights: what they compute and what they refuse."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.autodiff import grad
from retrograd.tensor.errors import InputError, ShapeError
from retrograd.tensor.tensor import Tensor, from_array, tensor
from retrograd.tensor.types import DType

KEY = ops.key(0)
DRAW = np.random.default_rng(0)


def pieces_of(column: Any, pieces: int) -> nn.PiecewiseLinear:
    return nn.PiecewiseLinear.fit(np.array(column)[:, np.newaxis], pieces, dtype=DType.float64)


def test_pieces_end_at_quantiles() -> None:
    layer = pieces_of(np.arange(101.0), 4)
    assert layer.start.numpy().tolist() == [0.0, 25.0, 50.0, 75.0]
    y = layer(from_array(np.array([[-9.0], [30.0], [100.0], [400.0]]))).numpy()[:, 1:]
    assert y.tolist() == [[0, 0, 0, 0], [1, 0.2, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_few_values_are_cut_at_each_and_two_not_at_all() -> None:
    inputs = np.array([[0, 1.0], [1, 7.0], [0, 3.0], [1, 3.0]])
    layer = nn.PiecewiseLinear.fit(inputs, 16)
    assert layer.feature.numpy().tolist() == [1, 1]
    assert layer.start.numpy().tolist() == [1.0, 3.0]
    np.testing.assert_allclose(layer.slope.numpy(), [0.5, 0.25])


def test_no_piece_is_a_jump() -> None:
    layer = pieces_of([0.0, 1e-9, 1.0, 1.0 + 1e-9, 2.0], 8)
    assert layer.slope.numpy().max() <= 1.0 + 1e-6
    heavy = pieces_of([0.0] * 90 + list(range(1, 11)), 4)
    assert heavy.start.size >= 1
    assert np.isfinite(heavy.slope.numpy()).all()


def test_the_bound_keeps_small_values_and_holds_far_ones() -> None:
    y = pieces_of([0.0, 1.0, 2.0], 2)(from_array(np.array([[0.01], [1e6]]))).numpy()[:, 0]
    np.testing.assert_allclose(y, [0.01, 3.0], rtol=1e-5)


def test_members_are_networks_of_their_own() -> None:
    """Each member of an ensemble is a dense network with its scales multiplied into its weights."""
    net = nn.ensemble(KEY, (3, 8, 6, 2), 4, activation=nn.tanh, dtype=DType.float64)
    x = DRAW.normal(0, 1, (5, 3))
    together, _ = net.apply(from_array(x), {}, KEY)
    parts: list[Any] = list(net.layers)
    for k in range(4):
        h = x
        for linear, members in ((parts[0], parts[1]), (parts[3], parts[4])):
            weight = linear.weight.numpy() * members.scale.numpy()[k]
            h = np.tanh(h @ weight + members.shift.numpy()[k])
        z = h @ parts[6].weight.numpy()[k] + parts[6].bias.numpy()[k]
        np.testing.assert_allclose(together.numpy()[:, k], z, rtol=1e-12, atol=1e-12)
    scores = together.numpy()
    shares = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    found = nn.softmax(net(from_array(x))).numpy()
    np.testing.assert_allclose(found, shares.mean(axis=1), rtol=1e-12)


def test_members_start_apart_and_an_amount_is_their_mean() -> None:
    net = nn.ensemble(KEY, (3, 1), 4)
    x = from_array(DRAW.normal(0, 1, (5, 3)).astype(np.float32))
    apart, _ = net.apply(x, {}, KEY)
    assert apart.shape == (5, 4, 1)
    assert np.ptp(apart.numpy(), axis=1).min() > 0
    np.testing.assert_allclose(net(x).numpy(), apart.numpy().mean(axis=1), rtol=1e-5)


def test_a_mean_of_certain_members_stays_finite() -> None:
    sure = tensor([[[1e4, 0.0], [1e4, 0.0]]])
    assert np.isfinite(nn.Average()(sure).numpy()).all()


@pytest.mark.parametrize("weights", [None, tensor([1.0, 3.0])])
def test_the_loss_of_members_is_the_mean_of_their_losses(weights: Tensor | None) -> None:
    scores = from_array(DRAW.normal(0, 1, (2, 3, 4)))
    labels = tensor([1, 3])
    given = None if weights is None else ops.cast(weights, DType.float64)
    wide = {} if given is None else {"weights": given}
    loss = partial(nn.loss_of_members, loss=partial(nn.cross_entropy, label_smoothing=0.1))
    each = [
        nn.cross_entropy(scores[:, k], labels, label_smoothing=0.1, **wide).item() for k in range(3)
    ]
    assert loss(scores, labels, weights=given).item() == pytest.approx(np.mean(each), rel=1e-12)
    alone = nn.cross_entropy(scores[:, 0], labels, label_smoothing=0.1, **wide).item()
    assert loss(scores[:, 0], labels, weights=given).item() == alone
    slopes = grad(lambda z: loss(z, labels, weights=given))(scores)
    assert slopes.shape == scores.shape


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.PiecewiseLinear.fit(np.ones((3, 1)), 0),
            InputError,
            "PiecewiseLinear.fit(inputs, 0): a feature has at least one piece; give for example 16",
        ),
        (
            lambda: nn.PiecewiseLinear.fit(np.ones((3, 1)), 4),
            InputError,
            "no feature has three different values; leave the layer out",
        ),
        (
            lambda: pieces_of([0.0, 1.0, 2.0], 2)(ops.zeros((3,), DType.float64)),
            ShapeError,
            "the input is no table of rows and features; put nn.Flatten() before it",
        ),
        (
            lambda: nn.Members.init(0, 4),
            InputError,
            "Members.init(0, 4): there is at least one feature and one member",
        ),
        (
            lambda: nn.Members.init(3, 4)(ops.zeros((5, 2, 3))),
            ShapeError,
            "4 Members of 3 features of an input float32[5, 2, 3]: the input is neither (n, 3) nor",
        ),
        (
            lambda: nn.MemberLinear.init(KEY, 4, 0, 2),
            InputError,
            "MemberLinear.init(key, 4, 0, 2): there is at least one member, one input and one",
        ),
        (
            lambda: nn.MemberLinear.init(KEY, 4, 3, 2)(ops.zeros((5, 3))),
            ShapeError,
            "of an input float32[5, 3]: the input is not (n, 4, 3); put nn.Members before it",
        ),
        (
            lambda: nn.Average()(ops.zeros((5, 3))),
            ShapeError,
            "Average of an input float32[5, 3]: the input has no axis of members",
        ),
        (
            lambda: nn.ensemble(KEY, (3,), 4),
            InputError,
            "ensemble of sizes (3,): a network has an input and an output size",
        ),
    ],
)
def test_what_is_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
