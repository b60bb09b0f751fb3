"""A WebAssembly module and its loader answer in Node as the model, from a row's own values."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.export.models import columns, make_model, new_rows

from retrograd import nn, ops
from retrograd.compile import native
from retrograd.data import read_table
from retrograd.export import Request, targets, wasm_calls, wasm_linking, web_assembly
from retrograd.export.verify import export_model
from retrograd.tensor.errors import InputError, RunError
from retrograd.tensor.tensor import from_array
from retrograd.tensor.types import DType

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")


def written(model: Any, folder: Path) -> Path:
    for file, data in web_assembly.write(Request(model, "shop.wasm")).files.items():
        (folder / file).write_bytes(data)
    return folder / "shop.wasm"


@needs_node
@pytest.mark.parametrize("target", ["sold", "price"])
def test_the_module_answers_as_the_model(tmp_path: Path, target: str) -> None:
    exported = export_model(make_model(target), tmp_path / "shop.wasm")
    assert [path.name for path in exported.files] == ["shop.wasm", "shop.mjs"]
    assert exported.rows >= 64
    assert exported.difference < 0.5
    assert exported.seconds is not None
    assert 0 < exported.seconds < 0.001


@needs_node
def test_layers_are_told_apart_for_any_number_of_rows(tmp_path: Path) -> None:
    model, rows = make_model(), read_table(columns(600, seed=3))
    found = web_assembly.stages(written(model, tmp_path), rows)
    assert list(found) == ["features", "layers.0", "layers.1", "layers.2"]
    features = model.preprocessor.transform(rows)
    np.testing.assert_allclose(found["features"], features, atol=1e-6)
    expected = model.net(from_array(features)).numpy()
    np.testing.assert_allclose(found["layers.2"], expected, rtol=1e-5, atol=1e-5)


CELLS: dict[str, list[Any]] = {
    "size": ["1e1", "-3.5", " 12 ", "NA", "inf", None, 7, 1e300],
    "price": [1, 2.5, "3", "4.", ".5", "?", "6e-3", -1e308],
    "colour": ["red", "café", "NULL", "", "pink", None, "green", "blue"],
    "new": ["yes", "NO", "True", "f", "1", "0", None, "perhaps"],
    "day": [
        "2020-02-29", "2020/02/28", "1969-12-31T23:59:59.999999", "2000-01-01 12:30",
        "1999-12-31T23:30:00-01:30", "2024-05-05T01:02:03Z", None, "nan",
    ],
    "code": ["0", "1", "2", "3", "4", None, "7", "NaN"],
}  # fmt: skip


@needs_node
def test_the_loader_reads_cells_as_tables_do(tmp_path: Path) -> None:
    model = make_model()
    rows = [dict(zip(CELLS, cells, strict=True)) for cells in zip(*CELLS.values(), strict=True)]
    found = wasm_calls.in_node(written(model, tmp_path), rows, "x => model.run(x)")
    texts = [{k: c if isinstance(c, str | None) else repr(c) for k, c in r.items()} for r in rows]
    tables = [read_table({name: [cell] for name, cell in row.items()}) for row in texts]
    expected = np.concatenate([model.preprocessor.transform(table) for table in tables])
    features = np.float32(found["features"]).reshape(expected.shape)
    np.testing.assert_allclose(features, expected, atol=1e-6)


@needs_node
def test_a_row_in_an_answer_out(tmp_path: Path) -> None:
    model = make_model()
    path = written(model, tmp_path)
    row = {"size": 11, "price": 30, "colour": "red", "new": True, "day": "2001-02-03", "code": 2}
    script = f"""
    const {{ load }} = await import({json.dumps(path.with_suffix(".mjs").as_uri())});
    const model = await load(), row = {json.dumps(row)};
    const [answer] = model.predict([row]);
    const [same] = model.predict([{{ ...row, day: new Date("2001-02-03"), extra: 1 }}]);
    console.log(JSON.stringify([answer, same]));
    """
    command = ["node", "--input-type=module", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer, same = json.loads(done.stdout)
    expected = model.predict({**row, "new": "true"})
    assert expected.probabilities is not None
    assert answer == same
    assert answer["value"] == expected.values[0]
    told = [answer["probabilities"][name] for name in model.schema.classes]
    np.testing.assert_allclose(told, expected.probabilities[0], atol=1e-6)


@needs_node
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"size": "large"}, r"reading column .*size.*: .*large.* is no number"),
        ({"size": True}, "true is no number"),
        ({"day": "2020-02-30"}, "is no date, and the network was trained with dates"),
        ({"price": ...}, r"preparing row 0: column .*price.* is missing"),
    ],
)
def test_the_loader_refuses_in_one_sentence(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    row = {"size": 1, "price": 2, "colour": "red", "new": True, "day": None, "code": 1} | changed
    row = {name: cell for name, cell in row.items() if cell is not ...}
    with pytest.raises(RunError, match=said):
        wasm_calls.in_node(written(make_model(), tmp_path), [row], "x => x")


def test_what_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="WebAssembly runs on every machine; leave the target out"):
        web_assembly.write(Request(make_model(), "shop.wasm", "arm64"))
    monkeypatch.setattr(wasm_calls, "runner", lambda: "")
    made = web_assembly.write(Request(make_model(), "shop.wasm"))
    assert not made.is_runnable
    assert made.notes == ("neither Node nor wasmtime is installed: the module was not tried",)
    with pytest.raises(RunError, match="neither Node nor wasmtime is installed; install Node, or"):
        web_assembly.run(written(make_model(), tmp_path), new_rows())


def test_without_node_the_module_is_tried_in_wasmtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wasmtime")
    monkeypatch.setattr("shutil.which", lambda name: None)
    exported = export_model(make_model(), tmp_path / "shop.wasm")
    assert exported.notes == ("Node is not installed: the module was tried without its loader",)
    assert exported.seconds is None
    assert exported.difference < 0.5
    found = web_assembly.stages(tmp_path / "shop.wasm", new_rows())
    assert found["layers.2"].shape == (40, 2)

    table = from_array(np.array([[1.0], [2.0]], np.float32))

    def looked_up(features: int, outputs: int) -> Any:
        index = lambda x: ops.take(table, ops.cast(x[:, 0], DType.int64), 0)  # noqa: E731
        return nn.Sequential((index,))

    path = written(make_model("price", looked_up), tmp_path)
    with pytest.raises(RunError, match=r"in wasmtime: it answers 2; export it again"):
        web_assembly.run(path, new_rows(size=[1e9] * 40))


def object_of(text: str) -> bytes:
    return native.assemble(text, targets.WASM.target, targets.WASM.platform)


def test_the_linker_refuses_what_it_cannot_link() -> None:
    calls = "declare void @other()\ndefine void @f() {\n  call void @other()\n  ret void\n}\n"
    with pytest.raises(RunError, match="its code calls other, which nobody provides"):
        wasm_linking.link(object_of(calls), ["f"])
    indirect = "define ptr @f() {\n  ret ptr @f\n}\n"
    with pytest.raises(RunError, match="its code needs a relocation of kind 1; report this"):
        wasm_linking.link(object_of(indirect), ["f"])


@needs_node
def test_the_linker_places_constants_where_they_are_aligned(tmp_path: Path) -> None:
    text = (
        '@a = private constant [3 x i8] c"\\01\\02\\03", align 1\n'
        "@b = private constant [2 x double] [double 5.0, double 7.0], align 64\n"
        "define double @f(i32 %i) {\n"
        "  %p = getelementptr i8, ptr @a, i32 %i\n  %x = load i8, ptr %p\n"
        "  %n = zext i8 %x to i32\n  %j = and i32 %n, 1\n"
        "  %q = getelementptr double, ptr @b, i32 %j\n  %y = load double, ptr %q\n"
        "  ret double %y\n}\n"
        "define ptr @g() {\n  ret ptr @b\n}\n"
    )
    (tmp_path / "m.wasm").write_bytes(wasm_linking.link(object_of(text), ["f", "g"]))
    script = """
    const bytes = (await import("node:fs")).readFileSync("m.wasm");
    const { exports } = (await WebAssembly.instantiate(bytes)).instance;
    const { f, g, memory, __heap_base: heap } = exports;
    console.log(f(0), f(1), f(2), g() % 64, g() >= 65536, heap.value - g());
    console.log(memory.buffer.byteLength);
    """
    command = ["node", "--input-type=module", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == ["7", "5", "7", "0", "true", "64", "131072"]
