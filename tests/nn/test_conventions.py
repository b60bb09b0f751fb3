"""What stands at kinks, ties, far ends and on rows that are masked, alone or absent."""

import math
from functools import partial

import numpy as np
import pytest
from tests.agreeing import assert_agree

from retrograd import nn, ops
from retrograd.autodiff import grad, hessian, value_and_grad
from retrograd.compile import compile
from retrograd.tensor.errors import IndexRangeError
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import DType

INF = math.inf


def slope(function: object, at: float) -> float:
    return float(grad(function)(tensor(at, DType.float64)))


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (nn.relu, 0.0, 0.0),
        (nn.leaky_relu, 0.0, 0.01),
        (partial(nn.elu, alpha=0.5), 0.0, 0.5),
        (nn.selu, 0.0, 1.7580993408473766),
        (nn.hard_tanh, 1.0, 1.0),
        (nn.hard_tanh, -1.0, 1.0),
        (nn.hard_sigmoid, 3.0, 1 / 6),
        (nn.hard_sigmoid, -3.0, 1 / 6),
        (nn.softsign, 0.0, 1.0),
        (nn.softplus, 0.0, 0.5),
        (nn.mish, 0.0, 0.6),
        (nn.softsign, 1e9, 1e-18),
        (nn.softplus, -700.0, math.exp(-700)),
    ],
)
def test_slopes_of_activations(function: object, at: float, expected: float) -> None:
    assert slope(function, at) == pytest.approx(expected, rel=1e-9)


def test_smooth_kinks_have_their_curvature() -> None:
    """Softplus and binary cross-entropy are chosen by sign; at 0 their second derivative is 1/4."""
    for function in (
        nn.softplus,
        lambda z: nn.binary_cross_entropy(z, ops.zeros(z.shape, z.dtype)),
    ):
        curved = hessian(lambda z, f=function: ops.sum(f(z)))(tensor([0.0], DType.float64))
        assert curved.item() == pytest.approx(0.25, rel=1e-12)


def test_gelu_keeps_the_digits_of_its_tail() -> None:
    for x in (-5.0, -9.0, -12.0):
        exact = x * math.erfc(-x / math.sqrt(2)) / 2
        assert nn.gelu(tensor(x)).item() == pytest.approx(exact, rel=3e-5)
        assert nn.gelu(tensor(x, DType.float64)).item() == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize(
    ("loss", "predictions", "targets", "expected"),
    [
        (nn.mean_absolute_error, [1.0], [1.0], [0.0]),
        (nn.quantile, [1.0], [1.0], [0.0]),
        (nn.huber, [2.0], [1.0], [1.0]),
        (nn.hinge, [1.0], [1], [0.0]),
        (nn.hinge, [[1.0, 0.0]], [0], [[0.0, 0.0]]),
        # Two rivals tie: they share the gradient.
        (nn.hinge, [[0.0, 0.0, 0.0]], [0], [[-1.0, 0.5, 0.5]]),
    ],
)
def test_slopes_of_losses(loss: object, predictions: list, targets: list, expected: list) -> None:
    g = grad(lambda x: loss(x, tensor(targets)))(tensor(predictions))
    assert g.numpy().tolist() == expected


def test_masked_rows_and_classes() -> None:
    rows = tensor([[-INF, -INF], [-INF, 1.0], [1e30, -1e30]])
    assert nn.softmax(rows).numpy().tolist() == [[0, 0], [0, 1], [1, 0]]
    assert nn.log_softmax(rows).numpy().tolist()[:2] == [[-INF, -INF], [-INF, 0]]
    value, g = value_and_grad(lambda x: nn.cross_entropy(x, tensor([1])))(
        tensor([[-INF, 2.0, 2.0]])
    )
    assert value.item() == pytest.approx(math.log(2))
    np.testing.assert_allclose(g.numpy(), [[0, -0.5, 0.5]], atol=1e-7)
    targets = tensor([[0.0, 0.5, 0.5]])
    value, g = value_and_grad(lambda x: nn.kl_divergence(x, targets))(tensor([[-INF, 2.0, 2.0]]))
    assert abs(value.item()) < 1e-7
    assert np.isfinite(g.numpy()).all()


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_losses_of_huge_logits_are_exact(size: float) -> None:
    ends, labels = tensor([size, -size]), tensor([1, 0])
    value, g = value_and_grad(lambda z: nn.binary_cross_entropy(z, labels))(ends)
    assert value.item() == 0
    assert g.numpy().tolist() == [0, 0]
    assert nn.binary_cross_entropy(ends, 1 - labels).item() == pytest.approx(size)
    both = tensor([[size, 0.0], [0.0, size]])
    assert nn.cross_entropy(both, tensor([0, 1])).item() == 0
    assert nn.cross_entropy(both, tensor([1, 0])).item() == pytest.approx(size)
    small = tensor([-20.0, 20.0])
    exact = math.log1p(math.exp(-20))
    assert nn.binary_cross_entropy(small, tensor([0, 1])).item() == pytest.approx(exact, rel=1e-6)


def test_log_cosh_is_exact_at_both_ends() -> None:
    errors = tensor([1e-12, 0.999999, 1.000001, 1e5])
    found = nn.log_cosh(errors, ops.zeros((4,)), reduction="none").numpy()
    expected = [5e-25, math.log(math.cosh(0.999999)), math.log(math.cosh(1.000001)), 1e5]
    np.testing.assert_allclose(found, [*expected[:3], 1e5 - math.log(2)], rtol=2e-6)


def test_compiled_losses_refuse_labels_out_of_range() -> None:
    for loss, scores in ((nn.cross_entropy, [[0.0, 0.0]]), (nn.hinge, [[0.0, 0.0]])):
        with pytest.raises(IndexRangeError, match=r"2: it is not in 0\.\.1"):
            compile(loss)(tensor(scores), tensor([2]))
    for loss in (nn.binary_cross_entropy, nn.hinge):
        with pytest.raises(IndexRangeError, match="index -1"):
            compile(loss)(tensor([0.0]), tensor([-1]))


def test_bools_are_labels() -> None:
    scores = tensor([0.3, -1.2])
    by_bool = nn.binary_cross_entropy(scores, tensor([True, False]))
    assert by_bool.item() == nn.binary_cross_entropy(scores, tensor([1, 0])).item()


def test_dropout_keeps_the_mean_and_obeys_its_key() -> None:
    x = ops.ones((200, 100))
    layer = nn.Dropout(0.25)
    y, _ = layer.apply(x, {}, ops.key(1))
    kept = y.numpy() != 0
    assert abs(kept.mean() - 0.75) < 4 * math.sqrt(0.75 * 0.25 / kept.size)
    assert np.allclose(y.numpy()[kept], 1 / 0.75)
    again, _ = layer.apply(x, {}, ops.key(1))
    other, _ = layer.apply(x, {}, ops.key(2))
    assert np.array_equal(y.numpy(), again.numpy())
    assert not np.array_equal(y.numpy(), other.numpy())
    assert nn.Dropout(0.0).apply(x, {}, ops.key(1))[0] is x
    g = grad(lambda x: ops.sum(layer.apply(x, {}, ops.key(1))[0]))(x)
    assert np.array_equal(g.numpy() != 0, kept)


def test_two_dropouts_of_one_network_differ() -> None:
    net = nn.Sequential((nn.Dropout(0.5), nn.Sequential((nn.Dropout(0.5),))))
    y, _ = net.apply(ops.ones((1000,)), {}, ops.key(0))
    assert 150 < np.count_nonzero(y.numpy()) < 350


def test_batch_norm_of_one_row_uses_the_running_statistics() -> None:
    layer = nn.BatchNorm.init(2)
    state = {"running_mean": tensor([1.0, 2.0]), "running_variance": tensor([4.0, 9.0])}
    y, after = layer.apply(tensor([[3.0, 5.0]]), state, ops.key(0))
    np.testing.assert_allclose(y.numpy(), [[1.0, 1.0]], rtol=1e-5)
    assert after == state


def test_batch_norm_survives_a_large_mean() -> None:
    x = tensor([[1e6], [1e6 + 1], [1e6 + 2]], DType.float32)
    layer = nn.BatchNorm.init(1)
    y, after = layer.apply(x, nn.statistics(layer), ops.key(0))
    np.testing.assert_allclose(y.numpy()[:, 0], [-1.2247, 0, 1.2247], atol=1e-4)
    assert after["running_variance"].item() == pytest.approx(0.9 + 0.1)


def test_state_of_strangers_is_handed_on() -> None:
    net = nn.Residual(nn.Sequential((nn.BatchNorm.init(2), nn.relu)))
    state: dict[str, Tensor] = {**nn.statistics(net), "other": tensor(1.0)}
    assert list(nn.statistics(net)) == [
        "inner.layers.0.running_mean",
        "inner.layers.0.running_variance",
    ]
    _, after = net.apply(tensor([[1.0, 2.0], [3.0, 4.0]]), state, ops.key(0))
    assert after.keys() == state.keys()
    assert after["inner.layers.0.running_mean"].numpy().tolist() == pytest.approx([0.2, 0.3])


def test_description_adds_up() -> None:
    net = nn.mlp(ops.key(0), (4, 8, 3), normalization=nn.BatchNorm.init, dropout=0.1)
    rows = nn.describe(nn.Sequential((nn.Residual(nn.relu), net, partial(nn.elu, alpha=2.0))))
    assert [(row.path, row.kind) for row in rows] == [
        ("layers.0.inner", "relu"),
        ("layers.1.layers.0", "Linear"),
        ("layers.1.layers.1", "BatchNorm"),
        ("layers.1.layers.2", "relu"),
        ("layers.1.layers.3", "Dropout"),
        ("layers.1.layers.4", "Linear"),
        ("layers.2", "elu"),
    ]
    assert sum(row.size for row in rows) == sum(x.size for x in nn.parameters(net).values())
    assert list(rows[2].statistics) == ["running_mean", "running_variance"]


def test_residual_of_a_function_trains() -> None:
    y, state = nn.Residual(nn.tanh).apply(tensor([0.0, 1.0]), {}, ops.key(0))
    assert y.numpy().tolist() == pytest.approx([0.0, 1.0 + math.tanh(1.0)])
    assert state == {}


def test_weights_inside_a_compiled_step() -> None:
    def loss(z: Tensor, y: Tensor, w: Tensor) -> Tensor:
        return nn.cross_entropy(z, y, weights=w, class_weights=w[:2])

    given = tensor([[0.3, -1.0], [2.0, 0.5]]), tensor([1, 0]), tensor([0.5, 2.0])
    assert_agree(compile(loss)(*given).numpy(), loss(*given).numpy())


def test_a_quotient_of_an_exponential_is_no_softmax_by_itself() -> None:
    others = ops.exp(tensor([[2.0, 1.0]]))
    g = grad(lambda x: nn.cross_entropy(ops.exp(x) / others, tensor([1])))(tensor([[0.0, 1.0]]))
    assert g.shape == (1, 2)
