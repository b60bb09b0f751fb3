"""A native library answers as its model, in one call for any number of rows, and calls nobody."""

import ctypes
import dataclasses
import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.export.models import make_model, new_rows, plain_net

from retrograd import nn
from retrograd.compile import native
from retrograd.compile.ahead import write_text
from retrograd.export import Request, elf, linking, native_library, targets
from retrograd.export.answering import answer
from retrograd.export.verify import export_model
from retrograd.recipe.names import ACTIVATIONS
from retrograd.tensor.errors import FileFormatError, InputError, RunError
from retrograd.tensor.tensor import from_array
from retrograd.tensor.types import DType

needs_linker = pytest.mark.skipif(
    not linking.linker_of(targets.cpu_named("x86-64")), reason="no linker is installed"
)
X86 = targets.cpu_named("x86-64")


def written(model: Any, folder: Path, name: str, target: str = "") -> Path:
    for file, data in native_library.write(Request(model, name, target)).files.items():
        (folder / file).write_bytes(data)
    return folder / name


@needs_linker
@pytest.mark.parametrize("target", ["sold", "price"])
@pytest.mark.parametrize("name", ["shop.so", "shop.o"])
def test_the_library_answers_as_the_model(tmp_path: Path, target: str, name: str) -> None:
    model, rows = make_model(target), new_rows()
    found = native_library.run(written(model, tmp_path, name), rows)
    expected = model.predict(rows)
    if expected.probabilities is None:
        assert found.probabilities is None
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-5)
    else:
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
        assert found.values.tolist() == expected.values.tolist()
    assert found.seconds is not None
    assert 0 <= found.seconds < 0.001


@needs_linker
def test_one_row_and_many_have_the_same_bits_on_any_thread(tmp_path: Path) -> None:
    def net(features: int, outputs: int) -> Any:
        from retrograd import ops

        return nn.mlp(ops.key(3), (features, 70, 33, outputs), activation=nn.gelu)

    model = make_model("sold", net)
    library = ctypes.CDLL(str(written(model, tmp_path, "shop.so")))
    about = json.loads(ctypes.string_at(ctypes.byref(ctypes.c_char.in_dll(library, "shop_about"))))
    x = np.random.default_rng(0).normal(size=(70, about["features"])).astype(np.float32)
    run = library.shop_run
    run.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]

    def outputs(step: int, shift: int) -> Any:
        y = np.zeros((len(x), about["outputs"]), np.float32)
        scratch = np.zeros(about["scratch"] + shift, np.uint8)
        for i in range(0, len(x), step):
            some = np.ascontiguousarray(x[i : i + step])
            place = y[i : i + step].ctypes.data
            assert run(some.ctypes.data, len(some), place, scratch.ctypes.data + shift) == 0
        return y

    expected = outputs(len(x), 0)
    np.testing.assert_allclose(expected, answer(model)(from_array(x)).numpy(), atol=1e-5)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda k=k: found.append(outputs(k, k)))
        for k in (1, 1, 3, 7, 8, 9, 69)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(threads)
    assert all((y == expected).all() for y in found)


@needs_linker
def test_null_pointers_are_refused_and_no_rows_are_fine(tmp_path: Path) -> None:
    library = ctypes.CDLL(str(written(make_model(), tmp_path, "shop.so")))
    nothing = ctypes.c_void_p(None)
    assert library.shop_run(nothing, ctypes.c_size_t(0), nothing, nothing) == 0
    assert library.shop_run(nothing, ctypes.c_size_t(3), nothing, nothing) == 1


@pytest.mark.parametrize("cpu", targets.CPUS, ids=lambda cpu: cpu.name)
def test_every_target_is_assembled_and_linked_and_calls_nobody(cpu: targets.Cpu) -> None:
    name = "shop.o" if cpu.is_bare or not linking.linker_of(cpu) else "shop.so"
    made = native_library.write(Request(make_model(), name, cpu.name))
    found = {s.name: s.is_defined for s in elf.symbols(made.files[name])}
    assert {"shop_run", "shop_layers", "shop_about"} <= {name for name, own in found.items() if own}
    assert [name for name, own in found.items() if not own] == []
    assert "it calls no other library" in made.notes
    assert made.is_runnable <= linking.is_own(cpu)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_on_every_target(tmp_path: Path, activation: Any) -> None:
    def net(features: int, outputs: int) -> Any:
        from retrograd import ops

        chosen = ACTIVATIONS[activation]
        return nn.mlp(ops.key(3), (features, 20, 9, outputs), activation=chosen)

    model, rows = make_model("sold", net), new_rows()
    for cpu in targets.CPUS:
        path = written(model, tmp_path, f"{cpu.name}.o", cpu.name)
        needed = [s.name for s in elf.symbols(path.read_bytes()) if not s.is_defined]
        assert cpu.is_bare or not needed
        if cpu.name == "cortex-m":  # as all of ARM's compilers call them
            assert all(name.startswith("__aeabi_") for name in needed)
        if cpu.name == "x86-64" and linking.is_own(cpu):
            found = native_library.run(path, rows).probabilities
            np.testing.assert_allclose(found, model.predict(rows).probabilities, atol=1e-6)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_sources_are_plain_c_whatever_columns_are_called(tmp_path: Path) -> None:
    written(make_model(), tmp_path, "2 int.o")
    (tmp_path / "use.c").write_text('#include "2 int.h"\n#include "2 int.h"\nint x;\n')
    flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-c", "-o", "made.o"]
    for source in ("use.c", "2 int_rows.c"):
        subprocess.run(["cc", *flags, source], cwd=tmp_path, check=True)
    names = {s.name for s in elf.symbols((tmp_path / "made.o").read_bytes()) if s.is_defined}
    assert names == {"x2_int_features", "x2_int_predict", "x2_int_classes"}


@needs_linker
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_c_program_predicts_a_row(tmp_path: Path) -> None:
    model = make_model("price")
    written(model, tmp_path, "shop.o")
    (tmp_path / "main.c").write_text(
        """#include <stdio.h>
        #include "shop.h"
        static unsigned char scratch[SHOP_SCRATCH];
        int main(void) {
          shop_row row = {.size = SHOP_MISSING, .colour = "caf\\303\\251", .code = "2"};
          row.new_ = row.sold = 1.0;
          row.day = SHOP_NO_DATE;
          float price;
          if (shop_predict(&row, 1, &price, scratch)) return 1;
          printf("%.9g", price);
          return 0;
        }"""
    )
    command = ["cc", "-Werror", "main.c", "shop_rows.c", "shop.o", "-o", "shop"]
    subprocess.run(command, cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "shop"], capture_output=True, text=True, check=True).stdout
    row = {"size": None, "colour": "café", "new": True, "day": None, "code": 2, "sold": "yes"}
    assert float(said) == pytest.approx(model.predict(row).values[0], rel=1e-5)


def ensemble(features: int, outputs: int) -> Any:
    from retrograd import ops

    embedding = nn.PiecewiseLinear.fit(np.random.default_rng(0).normal(size=(50, features)), 4)
    width = embedding(from_array(np.zeros((1, features), np.float32))).shape[1]
    layers = nn.ensemble(ops.key(1), (width, 16, 9, outputs), 3).layers
    return nn.Sequential((embedding, *layers))


@needs_linker
def test_ensembles_of_embedded_numbers(tmp_path: Path) -> None:
    model = make_model()
    net = ensemble(len(model.preprocessor.feature_names), 2)  # with indices that must not change
    model, rows = dataclasses.replace(model, net=net), new_rows()
    path = written(model, tmp_path, "shop.so")
    found, expected = native_library.run(path, rows), model.predict(rows)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    layers = native_library.stages(path, rows)
    assert layers["layers.2"].shape == (len(expected), 3, 16)
    made = native_library.write(Request(model, "shop.o", "cortex-m"))
    needed = [s.name for s in elf.symbols(made.files["shop.o"]) if not s.is_defined]
    assert set(needed) <= {"__aeabi_ldivmod"}


@needs_linker
def test_a_wrong_index_is_told(tmp_path: Path) -> None:
    def net(features: int, outputs: int) -> Any:
        from retrograd import ops

        table = from_array(np.array([[1.0], [2.0]], np.float32))
        return nn.Sequential((lambda x: ops.take(table, ops.cast(x[:, 0], DType.int64), 0),))

    path = written(make_model("price", net), tmp_path, "shop.so")
    with pytest.raises(RunError, match=r"calling 'shop.so': shop_predict answers 2"):
        native_library.run(path, new_rows(size=[1e9] * 40))


@needs_linker
def test_a_difference_is_found_at_its_layer_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, other = make_model(), make_model("sold", lambda f, o: _spoilt(plain_net(f, o)))
    compiled = native_library.compile_model
    monkeypatch.setattr(
        native_library, "compile_model", lambda _, name, cpu: compiled(other, name, cpu)
    )
    with pytest.raises(RunError, match=r"the first to differ is the layer layers\.2"):
        export_model(good, tmp_path / "shop.so")
    assert list(tmp_path.iterdir()) == []


def _spoilt(net: Any) -> Any:
    first, activation, last = net.layers
    return nn.Sequential((first, activation, nn.Linear(last.weight * 1.5, last.bias)))


def test_machines_that_cannot_be_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"there is no such target; give one of host, x86-64"):
        targets.cpu_named("z80")
    with pytest.raises(InputError, match=r"loads no shared libraries; name the file shop.o"):
        native_library.write(Request(make_model(), "shop.so", "thumbv7em-none-eabihf"))
    monkeypatch.setattr(linking, "linker_of", lambda cpu: ())
    with pytest.raises(RunError, match="there is no linker for it; pip install"):
        native_library.write(Request(make_model(), "shop.so", "x86-64"))
    (tmp_path / "shop.o").write_bytes(b"")
    with pytest.raises(RunError, match=r"calling 'shop\.o': there is no linker for it"):
        native_library.run(tmp_path / "shop.o", new_rows())
    monkeypatch.setattr("platform.machine", lambda: "sparc")
    with pytest.raises(InputError, match=r"it is sparc with .*, and libraries are made for Linux"):
        targets.cpu_named("host")


def test_without_a_compiler_the_library_has_no_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "compiler_of", lambda cpu: ())
    model, rows = make_model(), new_rows()
    made = native_library.write(Request(model, "shop.so", "x86-64"))
    assert any("no C compiler" in note for note in made.notes)
    if made.is_runnable:
        found = native_library.run(written(model, tmp_path, "shop.so", "x86-64"), rows)
        np.testing.assert_allclose(
            found.probabilities, model.predict(rows).probabilities, atol=1e-6
        )


def test_tools_that_fail_are_one_sentence() -> None:
    if linking.linker_of(X86):
        with pytest.raises(RunError, match=r"linking with .*; export the object file"):
            linking.link_shared(X86, [b"nothing"])
    with pytest.raises(FileFormatError, match=r"it is no ELF file .*; export it again"):
        elf.symbols(b"MZ and so on, which is more than sixteen bytes")


def object_of(text: str) -> bytes:
    return native.assemble(text, X86.target, X86.platform)


def test_code_that_calls_others_is_refused() -> None:
    text = "declare void @cbrtf()\ndefine void @f() {\n  call void @cbrtf()\n  ret void\n}\n"
    with pytest.raises(RunError, match="its code calls cbrtf, which that machine may not have"):
        native_library._check(object_of(text), X86, "f")


@needs_linker
@pytest.mark.skipif(not linking.is_own(X86), reason="code for another machine")
def test_libraries_that_are_not_ours_or_fail_end_nobody(tmp_path: Path) -> None:
    path, model = tmp_path / "odd.o", make_model()
    path.write_bytes(object_of("define void @f() {\n  ret void\n}\n"))
    with pytest.raises(FileFormatError, match="it is no library of ours"):
        native_library.run(path, new_rows())
    record = {"preprocessing": model.preprocessor.to_json(), "outputs": 2, "scratch": 8}
    for body, said in (("ret i32 2", "odd_run answers 2"), ("unreachable", "it ended with -")):
        trap = "  call void @llvm.trap()\n" if body == "unreachable" else ""
        run = f"define i32 @odd_run(ptr %a, i64 %b, ptr %c, ptr %d) {{\n{trap}  {body}\n}}\n"
        text = "declare void @llvm.trap()\n" + write_text("odd_about", json.dumps(record)) + run
        path.write_bytes(object_of(text))
        with pytest.raises(RunError, match=said):
            native_library.run(path, new_rows())
