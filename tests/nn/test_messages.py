"""What is refused, and the sentence that says what to write instead."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from retrograd import nn, ops
from retrograd.autodiff import grad
from retrograd.compile import compile
from retrograd.tensor.errors import (
    DataError,
    DTypeError,
    GradientError,
    InputError,
    RetrogradError,
    ShapeError,
)
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import DType

KEY = ops.key(0)
ROW, COLUMN, TABLE = ops.zeros((4,)), ops.zeros((4, 1)), ops.zeros((4, 3))
LABELS = tensor([0, 1, 2, 0])
PAIR = ops.zeros((4, 2))
DOUBLE = ops.zeros((4,), DType.float64)


def check(error: type[RetrogradError], call: Callable[[], Any], *parts: str) -> None:
    """The call raises that error, and its message holds the parts in order."""
    with pytest.raises(error) as caught:
        call()
    message, end = str(caught.value), 0
    for part in parts:
        assert part in message[end:], message
        end = message.index(part, end) + len(part)


REGRESSION = ("mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "quantile")


@pytest.mark.parametrize("name", [*REGRESSION, "poisson", "binary_cross_entropy"])
def test_shapes_that_would_be_stretched(name: str) -> None:
    loss = getattr(nn, name)
    check(
        *(ShapeError, lambda: loss(COLUMN, ROW)),
        f"{name} of predictions float32[4, 1] and targets float32[4]",
        *("each prediction would meet every target", f"nn.{name}(predictions[..., 0], targets)"),
    )
    check(ShapeError, lambda: loss(ROW, COLUMN), f"nn.{name}(predictions, targets[..., 0])")
    check(
        *(ShapeError, lambda: loss(TABLE, ROW), "there are 3 predictions for each target"),
        "end the network with one output",
        "nn.cross_entropy(logits, labels)",
    )
    check(ShapeError, lambda: loss(ROW, ops.zeros((5,))), "4 rows of predictions and 5 of targets")
    check(ShapeError, lambda: loss(TABLE, PAIR), "the shapes differ; give one target for each")
    check(ShapeError, lambda: compile(loss)(COLUMN, ROW), "predictions[..., 0]")


def test_dtypes_of_predictions_and_targets() -> None:
    check(DTypeError, lambda: nn.huber(LABELS, LABELS), "int64[4]", "predictions come first")
    check(
        *(DTypeError, lambda: nn.huber(ROW, DOUBLE), "float32 predictions and targets float64[4]"),
        "ops.cast(targets, DType.float32)",
    )
    assert nn.huber(ROW, LABELS).dtype is DType.float32


@pytest.mark.parametrize("name", ["cross_entropy", "hinge"])
def test_shapes_of_labels(name: str) -> None:
    loss = getattr(nn, name)
    check(
        ShapeError,
        lambda: loss(TABLE, ops.reshape(LABELS, (4, 1))),
        f"nn.{name}(logits, labels[..., 0])",
    )
    check(
        ShapeError, lambda: loss(TABLE, LABELS[:3]), "one label for each row; give one label a row"
    )
    check(ShapeError, lambda: loss(TABLE, TABLE), f"nn.{name}(logits, ops.argmax(labels, -1))")
    check(
        *(DTypeError, lambda: loss(TABLE, ROW), "labels are integers"),
        f"nn.{name}(logits, ops.cast(labels, DType.int64))",
    )
    alone = {"cross_entropy": "binary_cross_entropy", "hinge": "hinge"}[name]
    check(ShapeError, lambda: loss(COLUMN, LABELS), f"nn.{alone}(logits[..., 0], labels)")


def test_logits_of_one_axis() -> None:
    check(
        ShapeError, lambda: nn.cross_entropy(ROW, LABELS), "nn.binary_cross_entropy(logits, labels)"
    )


@pytest.mark.parametrize(
    ("labels", "found", "repair"),
    [
        ([0, 7, 1, 2], "row 1 has the label 7, outside 0..2", "give the network 8 outputs"),
        ([1, 2, 3, 3], "row 2 has the label 3", "nn.cross_entropy(logits, labels - 1)"),
        ([0, 1, 2, -1], "row 3 has the label -1", "leave out rows without a label"),
    ],
)
def test_labels_out_of_range(labels: list[int], found: str, repair: str) -> None:
    asked = "cross_entropy with labels for 3 classes"
    check(DataError, lambda: nn.cross_entropy(TABLE, tensor(labels)), asked, found, repair)
    check(DataError, lambda: nn.hinge(TABLE, tensor(labels)), found)


def test_targets_out_of_range() -> None:
    signs, counts = tensor([1.0, -1.0, 1.0, 1.0]), tensor([0.0, 1.0, 0.5, -2.0])
    name = "binary_cross_entropy"
    check(
        *(DataError, lambda: nn.binary_cross_entropy(ROW, signs)),
        *(f"{name} of targets from 0 to 1", "row 1 is -1", f"nn.{name}(logits, (targets + 1) / 2)"),
    )
    check(DataError, lambda: nn.hinge(ROW, signs), "nn.hinge(logits, (targets + 1) / 2)")
    check(DataError, lambda: nn.binary_cross_entropy(ROW, LABELS), "row 2 is 2", "cross_entropy")
    check(DataError, lambda: nn.poisson(ROW, counts), "row 3 is -2", "nn.mean_squared_error")
    check(DataError, lambda: nn.poisson(ROW, ROW + float("nan")), "row 0 is nan")


def test_targets_of_kl_divergence() -> None:
    check(ShapeError, lambda: nn.kl_divergence(TABLE, LABELS), "nn.cross_entropy(logits, labels)")
    check(DataError, lambda: nn.kl_divergence(TABLE, TABLE), "row 0 adds up to 0, not 1", "divide")
    check(DataError, lambda: nn.kl_divergence(TABLE, TABLE - 1.0), "row 0, 0 is -1", "divide")


def test_predictions_of_gaussian_nll() -> None:
    check(ShapeError, lambda: nn.gaussian_nll(ROW, ROW), "end the network with 2 outputs", "(4, 2)")


def test_weights() -> None:
    def loss(weights: Any, **keywords: Any) -> Tensor:
        return nn.cross_entropy(TABLE, LABELS, weights=weights, **keywords)

    wrong = tensor([1.0, -2.0, 1.0, 1.0])
    check(
        ShapeError,
        lambda: loss(ops.ones((3,))),
        "weights float32[3]",
        "one weight a row: shape (4,)",
    )
    check(ShapeError, lambda: loss(tensor(1.0)), "one weight a row")
    check(DataError, lambda: loss(wrong), "number 1 is -2", "finite weights of 0 or more")
    check(DataError, lambda: loss(wrong * float("inf")), "number 0 is inf")
    check(
        ShapeError,
        lambda: loss(None, class_weights=[1.0, 2.0]),
        "there are 3 classes",
        "shape (3,)",
    )
    check(
        DataError,
        lambda: loss(None, class_weights=[1.0, 2.0, -1.0]),
        "class weights: number 2 is -1",
    )


def test_settings_of_losses() -> None:
    smooth = partial(nn.cross_entropy, TABLE, LABELS, label_smoothing=1.0)
    check(InputError, smooth, "label_smoothing=1.0", "not in [0, 1)", "0.1")
    check(
        InputError, partial(nn.quantile, ROW, ROW, level=1.0), "level=1.0", "not in (0, 1)", "0.9"
    )
    check(InputError, partial(nn.huber, ROW, ROW, delta=0.0), "delta=0.0", "not above 0")
    unknown = partial(nn.huber, ROW, ROW, reduction="max")
    check(InputError, unknown, "reduction='max'", '"mean", "sum" or "none"')


@pytest.mark.parametrize("squash", [nn.softmax, nn.sigmoid])
@pytest.mark.parametrize("loss", [nn.cross_entropy, nn.hinge])
def test_probabilities_are_seen_in_the_making(
    loss: Callable[..., Tensor], squash: Callable[[Tensor], Tensor]
) -> None:
    def train(x: Tensor) -> Tensor:
        return loss(ops.reshape(squash(x), (4, 3)), LABELS)

    found = (f"{loss.__name__} of the output of a {squash.__name__}", "leave out the")
    check(InputError, lambda: grad(train)(TABLE), *found)
    check(InputError, lambda: compile(train)(TABLE), *found)
    assert grad(lambda x: loss(x / ops.sum(ops.exp(x)), LABELS))(TABLE).shape == (4, 3)


def test_sigmoid_before_binary_cross_entropy() -> None:
    def train(x: Tensor) -> Tensor:
        return nn.binary_cross_entropy(nn.sigmoid(x)[:, 0], tensor([0, 1, 1, 0]))

    check(InputError, lambda: grad(train)(TABLE), "output of a sigmoid")
    soft = ops.ones((4, 3)) / 3.0
    softmax_twice = grad(lambda x: nn.kl_divergence(nn.softmax(x), soft))
    check(InputError, lambda: softmax_twice(TABLE), "kl_divergence of the output of a softmax")


def test_networks_that_end_in_probabilities() -> None:
    net = nn.mlp(KEY, (3, 4, 3))
    for last in (nn.softmax, nn.log_softmax, nn.sigmoid, ops.sigmoid, partial(nn.softmax, axis=1)):
        inner = nn.Sequential((*net.layers, last, nn.Dropout(0.1)))
        check(
            InputError,
            partial(nn.check_output, nn.Sequential((inner,)), partial(nn.cross_entropy)),
            *("cross_entropy a network that ends in", "applies the softmax itself", "leave"),
        )
    ending = nn.Sequential((net, nn.sigmoid))
    check(
        InputError, lambda: nn.check_output(ending, nn.binary_cross_entropy), "the sigmoid itself"
    )
    nn.check_output(net, nn.cross_entropy)
    nn.check_output(ending, nn.mean_squared_error)
    nn.check_output(nn.Sequential(()), nn.cross_entropy)


def test_parameters_out_of_reach() -> None:
    @dataclass(frozen=True, eq=False)
    class Forgetful:
        used: nn.Linear
        forgotten: nn.Linear

        def __call__(self, x: Tensor) -> Tensor:
            return self.used(x) + ops.stop_gradient(self.forgotten.weight[0])

    net = Forgetful(nn.Linear.init(KEY, 3, 1), nn.Linear.init(KEY, 3, 1))
    from retrograd.tree import with_leaves

    def loss(params: dict[str, Tensor]) -> Tensor:
        return nn.mean_squared_error(with_leaves(net, params)(TABLE), COLUMN)

    check(
        *(GradientError, lambda: nn.check_reachable(loss, nn.parameters(net))),
        "forgotten.weight, forgotten.bias",
        *("does not depend on them", "leave it out of the parameters"),
    )
    used = {name: x for name, x in nn.parameters(net).items() if name.startswith("used")}
    nn.check_reachable(loss, used)


def test_layers_that_cannot_be_made() -> None:
    check(InputError, lambda: nn.Linear.init(KEY, 0, 3), "Linear.init(key, 0, 3)", "one input")
    for rate in (1.0, -0.1, float("nan")):
        check(InputError, partial(nn.Dropout, rate), f"Dropout({rate})", "[0, 1)", "Dropout(0.2)")
    check(InputError, lambda: nn.BatchNorm.init(0), "BatchNorm.init(0)", "at least one feature")
    check(InputError, lambda: nn.BatchNorm.init(3, momentum=2.0), "momentum=2.0", "[0, 1]", "0.1")
    check(
        InputError, lambda: nn.LayerNorm.init(3, epsilon=0.0), "epsilon=0.0", "divide by 0", "1e-5"
    )
    check(InputError, lambda: nn.mlp(KEY, (3,)), "mlp of sizes (3,)", "(64, 128, 10)")
    check(
        InputError,
        lambda: nn.Sequential((nn.relu, 3)),
        "layers.1 of a Sequential",
        "cannot be called",
    )
    check(InputError, lambda: nn.Sequential((nn.Linear,)), "Linear is a class", "Linear.init(...)")
    check(
        InputError, lambda: nn.Residual(nn.Dropout), "inner of a Residual", "make one: Dropout(...)"
    )

    @dataclass(frozen=True)
    class Waves:
        def __call__(self, x: Tensor) -> Tensor:
            return ops.sin(x)

    check(
        InputError, lambda: nn.Sequential((Waves(),)), "Waves does not say how it trains", "apply"
    )


def test_inputs_that_do_not_fit() -> None:
    net = nn.mlp(KEY, (3, 8, 2), normalization=nn.LayerNorm.init)
    wrong = nn.Sequential((nn.Flatten(), nn.Sequential((nn.relu, net.layers[-1]))))
    asked = "Linear with weight float32[8, 2] of an input float32[4, 3]"
    place = f"layers.1 > layers.1 (Linear): {asked}"
    check(ShapeError, lambda: wrong(TABLE), place, "not 8 long", "Linear.init(key, 3, 2)")
    check(ShapeError, lambda: wrong.apply(TABLE, {}, KEY), place)
    check(ShapeError, lambda: net.layers[0](tensor(1.0)), "of an input float32[]", "not 3 long")
    check(DTypeError, lambda: net(ops.zeros((4, 3), DType.float64)), "layers.0 (Linear)", "float64")
    check(ShapeError, lambda: nn.LayerNorm.init(2)(TABLE), "LayerNorm over 2", "LayerNorm.init(3)")
    check(ShapeError, lambda: nn.BatchNorm.init(4)(ROW), "BatchNorm over 4", "(n, 4)")
    check(ShapeError, lambda: nn.Flatten()(tensor(1.0)), "Flatten of a scalar", "(n, ...)")
    inner = nn.Residual(nn.Linear.init(KEY, 3, 2))
    check(ShapeError, lambda: inner(TABLE), "gives float32[4, 2]", "end the inner layer with 3")


def test_batch_norm_without_its_state() -> None:
    check(
        *(InputError, lambda: nn.BatchNorm.init(3).apply(TABLE, {}, KEY)),
        *("training a BatchNorm", "the state holds []", "nn.statistics(net)"),
    )


def test_initialisers_that_cannot_draw() -> None:
    check(
        ShapeError, lambda: nn.he_normal(KEY, (3,), DType.float32), "shape (3,)", "nn.normal(std)"
    )
    check(InputError, lambda: nn.normal(-1.0), "nn.normal(-1.0)", "0 or more")
    check(InputError, lambda: nn.uniform(float("inf")), "nn.uniform(inf)", "finite")
