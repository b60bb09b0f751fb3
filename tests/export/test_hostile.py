"""ONNX files that lie, loop, point elsewhere or compute something else: one sentence each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.export.foreign import FEATURES, dense, node, numbers, save, sklearn_net, torch_net

from retrograd.cli.main import main
from retrograd.export import onnx_graph, onnx_reading
from retrograd.export.onnx_import import import_onnx
from retrograd.recipe.model import load_model
from retrograd.tensor.errors import FileFormatError

RELU = [node("Relu", "h", "a")]
W = {"w0": numbers(4, FEATURES), "b0": numbers(4)}
ONE = np.array(1, np.float32)


def first_weight(proto: Any) -> Any:
    return next(each for each in proto.graph.initializer if each.name == "w0")


def external(proto: Any) -> None:
    tensor = first_weight(proto)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")


def huge(proto: Any) -> None:
    first_weight(proto).dims[:] = [2**20, 2**10]


def absurd(proto: Any) -> None:
    first_weight(proto).dims[:] = [2**40, 2**40]


def negative(proto: Any) -> None:
    first_weight(proto).dims[:] = [-4, -5]


def strange_kind(proto: Any) -> None:
    first_weight(proto).data_type = TensorProto.COMPLEX64


def circle(proto: Any) -> None:
    proto.graph.node[0].input[0] = "a"


def crowd(proto: Any) -> None:
    proto.graph.node.extend([proto.graph.node[-1]] * 2001)


def within(proto: Any) -> None:
    inner = helper.make_graph([], "inner", [], [])
    proto.graph.node[1].attribute.append(helper.make_attribute("body", inner))


def functions(proto: Any) -> None:
    proto.functions.add(name="f", domain="d")


def held_in_a_node(proto: Any) -> None:
    tensor = numpy_helper.from_array(ONE, "v")
    tensor.dims[:] = [7]
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))


def two_inputs(proto: Any) -> None:
    proto.graph.input.append(helper.make_tensor_value_info("z", 1, ["n", 5]))


def no_columns(proto: Any) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[1].ClearField("dim_value")


def images(proto: Any) -> None:
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, ["n", 3, 8, 8]))


def texts_only(proto: Any) -> None:
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.STRING, None))


CHANGES: dict[str, Callable[[Any], None]] = {
    "the numbers of 'w0' are in another file; save it as one file": external,
    "'w0' claims 1,073,741,824 numbers and holds others; export it again": huge,
    r"'w0' claims the shape \[1099511627776, 1099511627776\]": absurd,
    r"'w0' claims the shape \[-4, -5\]": negative,
    "'w0' holds numbers of a kind that is not read; export it in float32": strange_kind,
    "Gemm reads 'a' before it is made: a circle": circle,
    "it has 2,004 nodes, more than 2,000": crowd,
    "Relu has a graph within itself": within,
    "it has functions or sparse tensors of its own": functions,
    "'v' claims 7 numbers and holds others": held_in_a_node,
    "it has 2 inputs, and a dense network has one": two_inputs,
    r"its input has the shape \[0, 0\], and rows are \[n, features\]": no_columns,
    r"its input has the shape \[0, 3, 8, 8\]": images,
    "it has no output of numbers": texts_only,
}


@pytest.mark.parametrize("words", CHANGES)
def test_a_file_that_lies(words: str, tmp_path: Path) -> None:
    path = torch_net(tmp_path / "t.onnx", RELU)
    proto = onnx.load(path)
    CHANGES[words](proto)
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(FileFormatError, match=words):
        import_onnx(path)


NETS: dict[str, dict[str, Any]] = {
    "it computes 'Conv', which is no part of a dense network": {
        "middle": [node("Conv", "h w0", "a")]
    },
    "LeakyRelu is none of the activations": {"middle": [node("LeakyRelu", "h", "a", alpha=0.3)]},
    "Add reads 'q', which is no constant of the file": {
        "middle": [node("RandomNormal", "", "q", shape=[4]), node("Add", "h q", "a")]
    },
    "it drops the part 2 of its units": {"middle": [node("Dropout", "h r", "a")],
                                         "constants": {"r": np.array(2, np.float32)}},
    "'h' goes several ways that do not meet in a sum with it": {
        "middle": [node("Concat", "h h", "a", axis=1)]
    },
    "a sum joins layers of different sizes": {
        "middle": [node("MatMul", "h v", "k"), node("Add", "h k", "a")],
        "constants": {"v": numbers(4, 1)},
    },
    "BatchNormalization does not fit 4 features": {
        "middle": [node("BatchNormalization", "h b0 b0 b0 b2", "a")],
        "constants": {"b2": numbers(3)},
    },
    "LayerNormalization is over other axes than the last": {
        "middle": [node("LayerNormalization", "h b0 b0", "a", axis=0)]
    },
    "Flatten changes the shape of rows": {"middle": [node("Flatten", "h", "a", axis=0)]},
    "Reshape changes the shape of rows": {
        "middle": [node("Reshape", "h s", "a")], "constants": {"s": np.array([2, -1])}
    },
    "it divides by its features, or by 0": {
        "middle": [node("Div", "b0 h", "a")]
    },
    "it scales numbers where no dense layer is next to it": {
        "middle": [node("Relu", "h", "r"), node("Mul", "r b0", "s"), node("Tanh", "s", "a")]
    },
    "Gemm multiplies something else than rows by a matrix": {
        "middle": [node("Gemm", "h w0", "a", transA=1)]
    },
    "MatMul takes 5 features and gets 4": {
        "middle": [node("MatMul", "h v", "a")], "constants": {"v": numbers(5, 4)}
    },
    "Gemm adds 5 numbers to 4": {
        "middle": [node("Gemm", "h v u", "a")],
        "constants": {"v": numbers(4, 4), "u": numbers(5)},
    },
    "its 3 outputs end in Sigmoid, which chooses no class": {
        "middle": RELU, "end": [node("Sigmoid", "y", "p")]
    },
}  # fmt: skip


@pytest.mark.parametrize("words", NETS)
def test_a_network_that_is_not_dense(words: str, tmp_path: Path) -> None:
    path = torch_net(tmp_path / "t.onnx", **dict(NETS[words]))
    with pytest.raises(FileFormatError, match=words):
        import_onnx(path)


def test_a_scaler_of_other_features(tmp_path: Path) -> None:
    path = sklearn_net(tmp_path / "s.onnx", [1, 2, 3])
    proto = onnx.load(path)
    proto.graph.node[0].attribute[0].floats.append(1.0)
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(FileFormatError, match="a Scaler has other features than the network"):
        import_onnx(path)


def test_names_that_are_no_texts(tmp_path: Path) -> None:
    path = sklearn_net(tmp_path / "s.onnx", ["cat", "dog", "eel"])
    data = path.read_bytes().replace(b"cat", b"\xff\xfe\xfd")
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="what it holds does not fit together; export or c"):
        import_onnx(path)


def test_a_graph_that_cannot_run_or_computes_otherwise(tmp_path: Path) -> None:
    training = [node("Dropout", "h r t", "a", seed=1)]
    constants = {"r": np.array(0.5, np.float32), "t": np.array(True)}
    path = torch_net(tmp_path / "t.onnx", training, constants=constants)
    with pytest.raises(FileFormatError, match="its layers do not compute what it computes"):
        import_onnx(path)
    deep = [node("Add", "h u", "a")]
    for shape in ((4, 1, 1), (4, 1)):
        path = torch_net(tmp_path / "v.onnx", deep, constants={"u": numbers(*shape)})
        with pytest.raises(FileFormatError, match="Add is none of the activations"):
            import_onnx(path)
    path = torch_net(tmp_path / "u.onnx", [node("Cast", "h", "a", to=999)])
    with pytest.raises(FileFormatError, match="it cannot be evaluated; export a plain dense"):
        import_onnx(path)


def test_files_that_end_nowhere(tmp_path: Path) -> None:
    path = save(tmp_path / "n.onnx", [node("Relu", "x", "y")], {}, "y")
    with pytest.raises(FileFormatError, match="it has no dense layer; export a plain dense"):
        import_onnx(path)
    path = save(tmp_path / "m.onnx", [dense(0, "x", "h")], W | {"y": numbers(4)}, "y")
    with pytest.raises(FileFormatError, match="nothing reads 'x' on the way to its output"):
        import_onnx(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no onnx", b"\x00" * 64])
def test_other_files(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(data)
    with pytest.raises(FileFormatError, match="it is damaged or no ONNX file; export or copy"):
        import_onnx(tmp_path / "a.onnx")
    with pytest.raises(FileFormatError, match="No such file"):
        import_onnx(tmp_path / "b.onnx")


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = torch_net(tmp_path / "t.onnx", RELU)
    monkeypatch.setattr(onnx_reading, "LARGEST", 100)
    with pytest.raises(FileFormatError, match="it is larger than 2 GB; export a smaller network"):
        import_onnx(path)
    assert onnx_graph.LARGEST > 2e9


def test_every_cut_and_many_changed_bytes_are_answered(tmp_path: Path) -> None:
    data = torch_net(tmp_path / "t.onnx", RELU).read_bytes()
    draw = np.random.default_rng(0)
    path = tmp_path / "c.onnx"
    for i in range(60):
        broken = bytearray(data[: len(data) - i * 7])
        for place in draw.integers(0, len(broken), i % 4):
            broken[place] ^= 1 << int(draw.integers(0, 8))
        path.write_bytes(bytes(broken))
        try:
            import_onnx(path)
        except FileFormatError as error:
            told = str(error)
        else:
            told = "importing it"
        assert told.startswith("importing")


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sklearn_net(tmp_path / "s.onnx", ["no", "yes"], is_two=True)
    to = tmp_path / "net.retro"
    names = ["--columns", "a,b,c,d, e", "--target", "bought"]
    assert main(["import", str(path), "--to", str(to), *names]) == 0
    said = capsys.readouterr().out
    assert "bought from 5 columns, the classes no, yes" in said
    assert "next: retrograd predict" in said
    assert load_model(to).preprocessor.feature_names == ("a", "b", "c", "d", "e")
    (tmp_path / "rows.csv").write_text("a,b,c,d,e\n1,2,3,4,5\n0,0,0,0,0\n")
    assert main(["predict", str(to), str(tmp_path / "rows.csv")]) == 0
    assert capsys.readouterr().out.startswith("bought,probability of no,probability of yes")
    assert main(["import", str(path), "--to", str(to)]) == 2
    assert "it exists already; choose another name, or give --replace" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "rows.csv"), "--to", str(to), "--replace"]) == 2
    assert "it is damaged or no ONNX file" in capsys.readouterr().err
