"""Exported files answer as the model does, on cells of every kind, or are not left behind."""

import json
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.export.models import columns, exported, make_model, new_rows, request

from retrograd import nn, ops
from retrograd.data import read_table
from retrograd.data.encodings import NumberEncoding
from retrograd.export import (
    format_of,
    numpy_file,
    onnx_file,
    onnx_graph,
    spelling_notes,
)
from retrograd.export.onnx_import import import_onnx
from retrograd.export.program import stages_of
from retrograd.export.verify import TOLERANCE, compare, first_difference
from retrograd.recipe.config import configure
from retrograd.recipe.model import Model
from retrograd.recipe.names import ACTIVATIONS
from retrograd.tensor.errors import InputError, RunError
from retrograd.tensor.tensor import Tensor, from_array, tensor

OURS = ("onnx", "numpy")


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("target", ["sold", "price"])
def test_new_rows_get_the_model_s_answers(tmp_path: Path, name: str, target: str) -> None:
    model = make_model(target)
    path, kind, done = exported(model, tmp_path, name)
    assert done.notes == ()
    assert (done.files, done.size, done.rows) == ((path,), path.stat().st_size, 64)
    assert done.seconds is not None
    assert 0 < done.seconds < 1
    assert done.difference <= 1.0
    rows = new_rows()
    answers, expected = kind.run(path, rows), model.predict(rows)
    assert compare(answers, model, rows).max() <= 1.0
    if target == "price":
        np.testing.assert_allclose(answers.values, expected.values, rtol=TOLERANCE)
        return
    assert answers.values.tolist() == expected.values.tolist()
    assert answers.probabilities is not None
    np.testing.assert_allclose(answers.probabilities, expected.probabilities, atol=TOLERANCE)


@pytest.mark.parametrize("name", OURS)
def test_costs_decide(tmp_path: Path, name: str) -> None:
    model = make_model()
    costly = replace(model, config=configure(target="sold", costs={"false_negative": 9.0}))
    rows = new_rows()
    path, kind, done = exported(costly, tmp_path, name)
    assert done.difference <= 1.0
    found = kind.run(path, rows).values.tolist()
    assert found == list(costly.predict(rows))
    assert found != list(model.predict(rows))
    if name == "onnx":
        assert list(import_onnx(path).model.predict(rows)) == found


def test_features_are_the_same_numbers(tmp_path: Path) -> None:
    model, rows = make_model(), new_rows()
    expected = model.preprocessor.transform(rows)
    for name, room in (("numpy", 0.0), ("onnx", 3e-7)):
        path, kind, _ = exported(model, tmp_path, name)
        found = kind.stages(path, rows)
        assert np.abs(found["features"] - expected).max() <= room
        assert set(found) == {"features", "layers.0", "layers.1", "layers.2"}


def deep(activation: Callable[[Tensor], Tensor]) -> Callable[[int, int], Any]:
    def net(features: int, outputs: int) -> Any:
        inner = nn.Sequential((nn.Linear.init(ops.key(2), 6, 6), activation, nn.LayerNorm.init(6)))
        return nn.Sequential(
            (
                nn.Linear.init(ops.key(0), features, 6),
                nn.BatchNorm.init(6),
                activation,
                nn.Dropout(0.2),
                nn.Residual(inner),
                nn.Sequential((nn.Linear.init(ops.key(1), 6, outputs), nn.identity)),
            )
        )

    return net


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_and_layer(activation: Any, tmp_path: Path) -> None:
    model = make_model("sold", deep(ACTIVATIONS[activation]))
    rows = new_rows()
    path, kind, _ = exported(model, tmp_path, "onnx")
    assert compare(kind.run(path, rows), model, rows).max() <= 1.0
    source = numpy_file.write(request(model)).files["model.py"]
    (tmp_path / "exported.py").write_bytes(source)
    names = runpy.run_path(str(tmp_path / "exported.py"))
    features = model.preprocessor.transform(rows)
    logits = stages_of(model.net, from_array(features))["layers.5.layers.0"].numpy()
    np.testing.assert_allclose(names["network"](features), logits, rtol=1e-5, atol=1e-5)


@dataclass(frozen=True, eq=False)
class Chosen:
    """A layer that reads some features, whose numbers are leaves."""

    places: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return ops.take(x, self.places, 1)

    def apply(self, x: Tensor, state: Any, key: Tensor) -> Any:
        return self(x), state


def heads(features: int, outputs: int) -> Any:
    """An ensemble of two, attention between three parts of a row, and a mean over both."""
    chosen = Chosen(tensor([i % 7 for i in range(features)]))
    weights = from_array(np.linspace(-1, 1, 2 * features * 6, dtype=np.float32).reshape(2, -1, 6))

    def members(x: Tensor) -> Tensor:
        return ops.stack([x, x * 0.5], 0) @ weights  # (2, n, 6)

    def attention(x: Tensor) -> Tensor:
        parts = ops.reshape(ops.transpose(x, (1, 0, 2)), (x.shape[1], 2, 3, 2))
        scores = nn.softmax(parts @ ops.transpose(parts))
        return ops.reshape(ops.mean(scores @ parts, 1), (x.shape[1], 6))

    return nn.Sequential((chosen, members, attention, nn.Linear.init(ops.key(1), 6, outputs)))


@pytest.mark.parametrize("name", OURS)
def test_layers_that_nobody_named(tmp_path: Path, name: str) -> None:
    model, rows = make_model("sold", heads), new_rows()
    path, kind, done = exported(model, tmp_path, name)
    assert done.rows == 64
    assert compare(kind.run(path, rows), model, rows).max() <= 1.0


def test_onnx_says_what_it_is(tmp_path: Path) -> None:
    path, _, _ = exported(make_model(), tmp_path, "onnx")
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.ir_version == 10
    assert {each.domain: each.version for each in proto.opset_import} == {"": 21, "ai.onnx.ml": 3}
    kinds = {each.name: each.type.tensor_type.elem_type for each in proto.graph.input}
    kind = onnx.TensorProto
    assert kinds == {
        "size": kind.DOUBLE, "price": kind.DOUBLE, "colour": kind.STRING, "new": kind.STRING,
        "day": kind.INT64, "code": kind.STRING,
    }  # fmt: skip
    assert [each.name for each in proto.graph.output] == ["prediction", "probabilities"]
    said = onnx_file.metadata_of(proto)
    assert (said["target"], json.loads(said["classes"])) == ("sold", ["no", "yes"])
    assert json.loads(said["schema"])["target"] == "sold"
    assert "config" not in said


def test_columns_may_be_called_like_outputs(tmp_path: Path) -> None:
    rows = columns()
    rows["prediction"] = rows.pop("size")
    rows["/features"] = rows.pop("colour")
    model = renamed(rows)
    path, kind, _ = exported(model, tmp_path, "onnx")
    names = [each.name for each in onnx.load(path).graph.output]
    assert names == ["prediction/2", "probabilities"]
    table = read_table(rows)
    assert compare(kind.run(path, table), model, table).max() <= 1.0


def renamed(rows: dict[str, list[Any]]) -> Model:
    from retrograd.data import fit_preprocessor, infer_schema

    table = read_table(rows)
    schema = infer_schema(table, "sold")
    preprocessor = fit_preprocessor(table, schema, np.arange(60))
    net = nn.Sequential((nn.Linear.init(ops.key(0), len(preprocessor.feature_names), 2),))
    return replace(make_model(), net=net, schema=schema, preprocessor=preprocessor)


def test_hostile_names_stay_texts(tmp_path: Path) -> None:
    rows = columns(60)
    rows['x"""\nraise SystemExit(9)\n"""'] = rows.pop("size")
    rows["sold"] = ["'''" if each == "yes" else 'no"""\\' for each in rows["sold"]]
    model = renamed(rows)
    for name in OURS:
        path, kind, _ = exported(model, tmp_path, name)
        table = read_table(rows)
        assert compare(kind.run(path, table), model, table).max() <= 1.0


def test_too_many_numbers_for_one_onnx_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "LARGEST", 100)
    with pytest.raises(InputError, match=r"its numbers take more than .* GB, and one file"):
        onnx_file.write(request(make_model()))


def faulty(module: Any, monkeypatch: pytest.MonkeyPatch, layer: str) -> None:
    """Let a format write other numbers than the model's, from a layer on."""
    real = module.program_of

    def program_of(net: Any, features: int) -> Any:
        program = real(net, features)
        name = f"{layer}.bias"
        return replace(program, weights=program.weights | {name: program.weights[name] + 1e-3})

    monkeypatch.setattr(module, "program_of", program_of)


@pytest.mark.parametrize(("name", "module"), [("onnx", onnx_file), ("numpy", numpy_file)])
def test_a_mismatch_names_the_layer_and_leaves_nothing(
    name: str, module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty(module, monkeypatch, "layers.2")
    words = r"differs from the model's in row \d+ of 64 .*; the first to differ is the layer lay"
    with pytest.raises(RunError, match=rf"{words}ers\.2; nothing was written"):
        exported(make_model("price"), tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_mismatch_of_preprocessing_names_the_feature(tmp_path: Path) -> None:
    model = make_model()
    first = model.preprocessor.encodings[0]
    assert isinstance(first, NumberEncoding)
    other = (replace(first, shift=first.shift + 1), *model.preprocessor.encodings[1:])
    changed = replace(model, preprocessor=replace(model.preprocessor, encodings=other))
    path, kind, _ = exported(changed, tmp_path, "onnx")
    found = kind.stages(path, new_rows())
    assert first_difference(found, model, new_rows()) == "the preprocessing of 'size'"
    same = kind.stages(path, new_rows())
    assert first_difference(same, changed, new_rows()) == "what is made of the last layer's output"
    cut = {name: x[:, :1] for name, x in same.items()}
    assert first_difference(cut, changed, new_rows()) == "the preprocessing"
    assert compare(kind.run(path, new_rows()), model, new_rows()).max() > 1.0


def test_formats_are_chosen_by_suffix_or_name() -> None:
    assert format_of(Path("a.ONNX")).name == "onnx"
    assert format_of(Path("a.txt"), "numpy").name == "numpy"
    with pytest.raises(InputError, match=r"no format has the suffix '.pkl'; choose one of .onnx"):
        format_of(Path("a.pkl"))
    with pytest.raises(InputError, match="no format is called 'pickle'; choose one of"):
        format_of(Path("a.onnx"), "pickle")


def test_without_onnx_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match="the package onnx is not installed; pip install onnx"):
        onnx_file.write(request(make_model()))


def test_without_onnxruntime_onnx_itself_evaluates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = make_model()
    path, kind, done = exported(model, tmp_path, "onnx")
    assert done.difference <= 1.0
    assert 'pip install "retrograd[verify]"' in done.notes[0]
    rows = new_rows()
    assert compare(kind.run(path, rows), model, rows).max() <= 1.0


def test_an_encoding_without_translation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unheard:
        column = "size"

    model = make_model()
    other = (Unheard(), *model.preprocessor.encodings[1:])
    strange = replace(model.preprocessor, encodings=other)
    with pytest.raises(InputError, match="column 'size' is prepared by Unheard, which has no tran"):
        onnx_file.inputs_of(onnx_graph.Graph(), strange)
    with pytest.raises(InputError, match="column 'size' is prepared by Unheard, which has no tran"):
        numpy_file.functions_for(strange, {})


def test_columns_that_were_spelt_otherwise_are_named() -> None:
    model = make_model()
    assert spelling_notes(model) == ()
    first, *others = model.schema.columns
    columns = (replace(first, spelling="1.234,5"), *others)
    spelt = replace(model, schema=replace(model.schema, columns=columns))
    assert onnx_file.write(request(spelt)).notes == (
        f"give {first.name!r} in the plain form: 1234.5 and 2026-03-01",
    )
