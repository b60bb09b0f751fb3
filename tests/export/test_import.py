"""Dense networks come back from ONNX files, ours and others', and hostile files are refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from tests.export.foreign import FEATURES, dense, node, numbers, save, sklearn_net, torch_net
from tests.export.models import make_model, new_rows

from retrograd import nn
from retrograd.data import read_table
from retrograd.export.onnx_import import import_onnx
from retrograd.export.verify import export_model
from retrograd.recipe.model import load_model, save_model
from retrograd.recipe.names import ACTIVATIONS
from retrograd.tensor.errors import FileFormatError, InputError

ROWS = np.random.default_rng(5).normal(size=(20, FEATURES)).astype(np.float32)
COLUMNS = {f"x{i}": ROWS[:, i] for i in range(FEATURES)}


def own_outputs(path: Path, name: str) -> np.ndarray[Any, Any]:
    proto = onnx.load(path)
    nodes = [each for each in proto.graph.node if each.op_type != "ZipMap"]
    del proto.graph.output[:], proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    found: Any = ReferenceEvaluator(proto).run(None, {"x": ROWS})
    return np.asarray(found[0])


def kinds(net: Any) -> list[str]:
    return [getattr(layer, "__name__", type(layer).__name__) for layer in net.layers]


@pytest.mark.parametrize("target", ["sold", "price"])
def test_our_own_file_comes_back_whole(target: str, tmp_path: Path) -> None:
    model = make_model(target)
    export_model(model, tmp_path / "m.onnx")
    back = import_onnx(tmp_path / "m.onnx").model
    assert (back.schema, back.preprocessor) == (model.schema, model.preprocessor)
    one, other = model.predict(new_rows()), back.predict(new_rows())
    assert list(one) == list(other)
    assert (back.metrics, back.data_digest) == (model.metrics, model.data_digest)


def pieces(kind: str) -> list[Any]:
    """Nodes from h to a that spell an activation, as PyTorch writes them."""
    own = {
        "relu": ("Relu", {}), "sigmoid": ("Sigmoid", {}), "tanh": ("Tanh", {}),
        "leaky_relu": ("LeakyRelu", {"alpha": 0.01}), "elu": ("Elu", {}), "selu": ("Selu", {}),
        "softplus": ("Softplus", {}), "softsign": ("Softsign", {}), "mish": ("Mish", {}),
        "gelu": ("Gelu", {}), "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
        "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6}), "identity": ("Identity", {}),
    }  # fmt: skip
    if kind in own:
        name, attributes = own[kind]
        return [node(name, "h", "a", **attributes)]
    if kind == "silu":
        return [node("Sigmoid", "h", "s"), node("Mul", "h s", "a")]
    assert kind == "hard_tanh"
    return [node("Clip", "h low high", "a")]


@pytest.mark.parametrize("kind", sorted(ACTIVATIONS))
def test_activations_of_pytorch(kind: str, tmp_path: Path) -> None:
    ends = {"low": np.array(-1, np.float32), "high": np.array(1, np.float32)}
    path = torch_net(tmp_path / "t.onnx", pieces(kind), constants=ends)
    model = import_onnx(path).model
    wanted = ["Linear", kind, "Linear"] if kind != "identity" else ["Linear", "Linear"]
    assert kinds(model.net) in (wanted, ["Linear", "identity", "Linear"])
    logits = own_outputs(path, "y")
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = model.predict(COLUMNS)
    np.testing.assert_allclose(
        found.probabilities, powers / powers.sum(axis=1, keepdims=True), atol=1e-5
    )
    assert found.classes == ("0", "1", "2")


def test_activations_that_are_spelt_out(tmp_path: Path) -> None:
    constants = {
        "root": np.array(np.sqrt(2), np.float32), "one": np.array(1, np.float32),
        "half": np.array(0.5, np.float32),
    }  # fmt: skip
    gelu = [
        node("Div", "h root", "g0"), node("Erf", "g0", "g1"), node("Add", "g1 one", "g2"),
        node("Mul", "h g2", "g3"), node("Mul", "g3 half", "a"),
    ]  # fmt: skip
    path = torch_net(tmp_path / "t.onnx", gelu, constants=constants, opset=14)
    assert kinds(import_onnx(path).model.net) == ["Linear", "gelu", "Linear"]
    mish = [node("Softplus", "h", "m0"), node("Tanh", "m0", "m1"), node("Mul", "h m1", "a")]
    path = torch_net(tmp_path / "u.onnx", mish)
    assert kinds(import_onnx(path).model.net) == ["Linear", "mish", "Linear"]


def test_layers_between(tmp_path: Path) -> None:
    vectors = {"s": numbers(4) + 1, "t": numbers(4, seed=8), "m": numbers(4, seed=9)}
    vectors["v"] = np.abs(numbers(4, seed=10)) + 0.5
    middle = [
        node("BatchNormalization", "h s t m v", "n0", epsilon=1e-3, momentum=0.8),
        node("Relu", "n0", "n1"),
        node("Dropout", "n1", "n2", seed=3),
        node("Flatten", "n2", "n3"),
        node("LayerNormalization", "n3 s t", "n4", axis=-1),
        node("Gemm", "n4 w2 t", "n5", transB=1, alpha=0.5, beta=2.0),
        node("Tanh", "n5", "n6"),
        node("Add", "n4 n6", "a"),
    ]
    constants = vectors | {"w2": numbers(4, 4, seed=11)}
    path = torch_net(tmp_path / "t.onnx", middle, outputs=1, constants=constants)
    model = import_onnx(path, columns=list("abcde"), target="price").model
    first, batch, relu, drop, layer, residual, last = model.net.layers
    assert (relu, drop, type(last)) == (nn.relu, nn.Dropout(0.5), nn.Linear)
    assert (batch.epsilon, round(batch.momentum, 6)) == (pytest.approx(1e-3), 0.2)
    assert isinstance(layer, nn.LayerNorm)
    assert kinds(residual.inner) == ["Linear", "tanh"]
    assert first.weight.shape == (FEATURES, 4)
    found = model.predict(dict(zip("abcde", ROWS.T, strict=True)))
    np.testing.assert_allclose(list(found), own_outputs(path, "y")[:, 0], atol=1e-5)
    assert model.schema.target == "price"


@pytest.mark.parametrize("labels", [["cat", "dog", "eel"], [3, 5, 7], ["no", "yes"]])
def test_scikit_learn_s_classifiers(labels: list[Any], tmp_path: Path) -> None:
    path = sklearn_net(tmp_path / "s.onnx", labels, is_two=len(labels) == 2)
    found = import_onnx(path)
    assert found.model.schema.classes == tuple(map(str, labels))
    assert found.notes == ()
    assert kinds(found.model.net) == ["Linear", "relu", "Linear"]
    answers = found.model.predict(COLUMNS).probabilities
    np.testing.assert_allclose(answers, own_outputs(path, "probabilities"), atol=1e-5)


def test_an_imported_network_is_a_model_like_others(tmp_path: Path) -> None:
    model = import_onnx(sklearn_net(tmp_path / "s.onnx", ["no", "yes", "may be"])).model
    save_model(tmp_path / "net.retro", model)
    again = load_model(tmp_path / "net.retro")
    assert list(again.predict(COLUMNS)) == list(model.predict(COLUMNS))
    done = export_model(again, tmp_path / "again.onnx")
    assert done.difference <= 1.0
    table = read_table({**COLUMNS, "x0": [None, 1e9, *ROWS[2:, 0].tolist()]})
    assert len(again.predict(table)) == len(ROWS)


def test_classes_without_names_are_numbers(tmp_path: Path) -> None:
    path = torch_net(tmp_path / "t.onnx", pieces("relu"))
    assert import_onnx(path).notes == (
        "its classes have no names in it, so they are called 0, 1, ...",
    )
    found = import_onnx(path, classes=["a", "b", "c"])
    assert (found.model.schema.classes, found.notes) == (("a", "b", "c"), ())


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"classes": ["a"]}, "it has 3 classes, not 1; name each once"),
        ({"classes": ["a", "b", "a"]}, "two classes have one name; name each once"),
        ({"columns": ["a"]}, "it takes 5 columns, and 1 names were given, or one twice; name each"),
        ({"target": "x1"}, "name each once, and none 'x1'"),
    ],
)
def test_names_that_do_not_fit(names: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = torch_net(tmp_path / "t.onnx", pieces("relu"))
    with pytest.raises(InputError, match=words):
        import_onnx(path, **names)
    amounts = torch_net(tmp_path / "u.onnx", pieces("relu"), outputs=1)
    with pytest.raises(InputError, match="its one output is an amount; leave the classes out"):
        import_onnx(amounts, classes=["a", "b"])


def test_our_file_needs_no_names(tmp_path: Path) -> None:
    export_model(make_model(), tmp_path / "m.onnx")
    with pytest.raises(InputError, match="it says itself what its columns and classes are; leave"):
        import_onnx(tmp_path / "m.onnx", target="z")


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    proto = onnx.load(path)
    change(proto)
    path.write_bytes(proto.SerializeToString())
    return path


def test_a_changed_file_of_ours_is_refused(tmp_path: Path) -> None:
    def weights(proto: Any) -> None:
        held = next(each for each in proto.graph.initializer if each.name == "layers.2.bias")
        held.raw_data = np.array([5, -5], np.float32).tobytes()

    def node_of(proto: Any) -> None:
        next(each for each in proto.graph.node if each.op_type == "Tanh").op_type = "Sin"

    def entry(key: str, value: str) -> Callable[[Any], None]:
        def change(proto: Any) -> None:
            next(e for e in proto.metadata_props if e.key == f"retrograd.{key}").value = value

        return change

    cases = {
        "its graph is not that of the model in its metadata; export it again": node_of,
        "its metadata cannot be read; export it again": entry("weights", "[1]"),
        "layers that files cannot name; build it anew in Python": entry("model", ""),
    }
    for words, change in cases.items():
        export_model(make_model(), tmp_path / "m.onnx", replace=True)
        with pytest.raises(FileFormatError, match=words):
            import_onnx(changed(tmp_path / "m.onnx", change))
    export_model(make_model(), tmp_path / "m.onnx", replace=True)
    assert import_onnx(changed(tmp_path / "m.onnx", weights)).model.net.layers[2].bias.shape == (2,)
    export_model(make_model(), tmp_path / "m.onnx", replace=True)
    with pytest.raises(FileFormatError):
        import_onnx(changed(tmp_path / "m.onnx", entry("model", json.dumps({"a": 1}))))


def test_a_file_of_another_version_is_believed(tmp_path: Path) -> None:
    export_model(replace(make_model(), version="0.0.9"), tmp_path / "m.onnx")
    path = changed(tmp_path / "m.onnx", lambda proto: proto.graph.node.pop())
    found = import_onnx(path)
    assert (found.difference, found.notes) == (None, ("version 0.0.9 wrote it",))
    assert list(found.model.predict(new_rows())) == list(make_model().predict(new_rows()))


def test_a_wide_scale_after_a_layer_and_doubles(tmp_path: Path) -> None:
    constants = {"k": numbers(4) + 2, "w0": numbers(FEATURES, 4), "w1": numbers(4, 1, seed=2)}
    nodes = [
        node("MatMul", "x w0", "h"), node("Mul", "h k", "h2"), node("Sub", "k h2", "h3"),
        node("Relu", "h3", "a"), node("Div", "a k", "a2"), node("MatMul", "a2 w1", "y"),
    ]  # fmt: skip
    doubles = {name: array.astype(np.float64) for name, array in constants.items()}
    path = save(tmp_path / "d.onnx", nodes, doubles, "y", kind=TensorProto.DOUBLE)
    model = import_onnx(path).model
    assert kinds(model.net) == ["Linear", "relu", "Linear"]
    x = ROWS.astype(np.float64)
    h = np.maximum(doubles["k"] - x @ doubles["w0"] * doubles["k"], 0) / doubles["k"]
    np.testing.assert_allclose(list(model.predict(COLUMNS)), (h @ doubles["w1"])[:, 0], atol=1e-5)
    assert dense(0, "x", "h").op_type == "Gemm"
