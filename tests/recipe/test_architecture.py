"""Architectures: every kind of layer survives being plain data, and foreign data is refused."""

import json
from typing import Any

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.recipe.architecture import decode, encode
from retrograd.recipe.names import ACTIVATIONS, LOSSES, OPTIMIZERS
from retrograd.tensor.errors import FileFormatError, InputError
from retrograd.tensor.tensor import from_array
from retrograd.tree import leaves

KEY = ops.key(0)


def every_layer() -> nn.Sequential:
    inner = nn.Sequential((nn.Linear.init(KEY, 4, 4, bias=False), nn.silu))
    return nn.Sequential(
        (
            nn.Flatten(),
            nn.PiecewiseLinear.fit(np.arange(12.0).reshape(4, 3), 2),
            nn.Linear.init(KEY, 9, 4),
            nn.BatchNorm.init(4, momentum=0.2),
            *ACTIVATIONS.values(),
            nn.Residual(inner),
            nn.Residual(nn.tanh),
            nn.LayerNorm.init(4, epsilon=1e-3),
            nn.Dropout(0.25),
            nn.Linear.init(KEY, 4, 2),
            nn.Members.init(2, 3, key=KEY),
            nn.MemberLinear.init(KEY, 3, 2, 2),
            nn.Average(),
            nn.Temperature(1.5),
        )
    )


def arrays_of(net: Any) -> dict[str, Any]:
    return {name: x.numpy() for name, x in leaves(net).items()}


def test_every_layer_survives() -> None:
    net = every_layer()
    record = json.loads(json.dumps(encode(net)))
    again = decode(record, arrays_of(net), "reading")
    x = from_array(np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3))
    assert encode(again) == record
    assert np.array_equal(net(x).numpy(), again(x).numpy())
    assert nn.statistics(again).keys() == nn.statistics(net).keys()


def test_the_codec_knows_every_layer_and_activation() -> None:
    classes = {x for x in vars(nn).values() if isinstance(x, type) and hasattr(x, "apply")}
    classes -= {nn.Layer}
    known = {type(layer) for layer in every_layer().layers}
    assert {c.__name__ for c in classes} <= {c.__name__ for c in known} | {"Sequential"}
    from retrograd.nn import activations

    functions = {
        name for name, x in vars(activations).items()
        if callable(x) and getattr(x, "__module__", "") == activations.__name__
        and not name.startswith("_")
    }  # fmt: skip
    assert functions - set(ACTIVATIONS) == {"softmax", "log_softmax"}


def test_the_table_of_names_is_complete() -> None:
    from typing import get_args

    from retrograd.recipe.config import ActivationName, LossName, OptimizerName

    assert set(OPTIMIZERS) == set(get_args(OptimizerName))
    assert set(ACTIVATIONS) == set(get_args(ActivationName))
    assert set(LOSSES) == set(get_args(LossName))


def test_what_has_no_name_is_not_saved() -> None:
    with pytest.raises(InputError, match="saving a network with <lambda>: a model file has no"):
        encode(nn.Sequential((lambda x: x,)))


LINEAR = {"kind": "linear", "bias": False}
WEIGHT = {"weight": np.ones((3, 2), np.float32)}


def nested(depth: int) -> dict[str, Any]:
    record: dict[str, Any] = {"kind": "relu"}
    for _ in range(depth):
        record = {"kind": "residual", "inner": record}
    return record


@pytest.mark.parametrize(
    ("record", "arrays", "message"),
    [
        ({"kind": "os.system"}, {}, "the network is of the unknown kind 'os.system'"),
        ([], {}, "the network has no kind"),
        ({"kind": 3}, {}, "the network has no kind"),
        ({"kind": "relu", "x": 1}, {}, "has ['kind', 'x'] instead of ['kind']"),
        ({"kind": "dropout"}, {}, "has ['kind'] instead of ['kind', 'rate']"),
        ({"kind": "dropout", "rate": "a"}, {}, "rate of the network is not a number"),
        ({"kind": "dropout", "rate": True}, {}, "rate of the network is not a number"),
        ({"kind": "dropout", "rate": float("nan")}, {}, "rate of the network is not a number"),
        ({"kind": "dropout", "rate": 1.5}, {}, "the network cannot be made (the rate is not in"),
        (LINEAR, {}, "the tensor 'weight' is missing"),
        ({"kind": "linear", "bias": 1}, WEIGHT, "the tensor 'bias' is missing"),
        (LINEAR, {"weight": np.ones(3, np.float32)}, "the tensor 'weight' is float32[3]"),
        (LINEAR, {"weight": np.ones((3, 2), np.int64)}, "the tensor 'weight' is int64[3, 2]"),
        (LINEAR, WEIGHT | {"extra": np.ones(1)}, "no layer has a tensor called 'extra'"),
        (
            {"kind": "linear", "bias": True},
            WEIGHT | {"bias": np.ones(1, np.float32)},
            "the tensors of the network do not fit each other",
        ),
        (
            {"kind": "members"},
            {"scale": np.ones((2, 3), np.float32), "shift": np.ones((1, 3), np.float32)},
            "the tensors of the network do not fit each other",
        ),
        (
            {"kind": "piecewise_linear"},
            {name: np.ones(2, np.float32) for name in ("start", "slope", "feature")},
            "the tensor 'feature' is float32[2]",
        ),
        ({"kind": "sequential", "layers": {}}, {}, "layers is not a list"),
        ({"kind": "sequential", "layers": [{"kind": "x"}]}, {}, "layers.0 is of the unknown kind"),
        ({"kind": "residual", "inner": [1]}, {}, "inner has no kind"),
        (nested(40), {}, "it has more than 16 layers in each other or 10000 in all"),
        (
            {"kind": "sequential", "layers": [{"kind": "relu"}] * 10_001},
            {},
            "it has more than 16 layers in each other or 10000 in all",
        ),
    ],
)
def test_foreign_records_are_refused(record: Any, arrays: Any, message: str) -> None:
    with pytest.raises(FileFormatError) as error:
        decode(record, arrays, "reading")
    assert message in str(error.value)
