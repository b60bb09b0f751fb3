"""Text becomes functions that can be called, or an error that says what is wrong with it."""

import ctypes
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.compile.fresh_process import run

from retrograd.compile import native
from retrograd.tensor.errors import CompileError, InputError

TRIPLE = """define void @program(i64 %thread, ptr %slots) {
  %x = mul i64 %thread, 3
  store i64 %x, ptr %slots
  ret void
}
define void @nothing() {
  ret void
}
"""

# Every target must run these, whatever it lacks: as instructions, or as calls of the C library.
SUPPORT = """
import ctypes, sys
from retrograd.compile import native
target = native.host()
text = f'''
declare <16 x float> @llvm.floor.v16f32(<16 x float>)
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
declare double @llvm.fma.f64(double, double, double)
declare <16 x float> @llvm.masked.load.v16f32.p0(ptr, i32, <16 x i1>, <16 x float>)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
define void @program(i64 %n, ptr %x) #0 {{
  %mask = insertelement <16 x i1> zeroinitializer, i1 true, i64 1
  %two = call <16 x float> @llvm.masked.load.v16f32.p0(
    ptr %x, i32 4, <16 x i1> %mask, <16 x float> splat (float 2.5))
  %product = call <16 x float> @llvm.fma.v16f32(<16 x float> %two, <16 x float> %two,
    <16 x float> splat (float 0.125))
  %whole = call <16 x float> @llvm.floor.v16f32(<16 x float> %product)
  store <16 x float> %whole, ptr %x, align 4
  %y = getelementptr i8, ptr %x, i64 64
  %d = load double, ptr %y
  %e = call double @llvm.fma.f64(double %d, double %d, double -1.0)
  store double %e, ptr %y
  %z = getelementptr i8, ptr %x, i64 72
  call void @llvm.memset.p0.i64(ptr %z, i8 7, i64 %n, i1 false)
  ret void
}}
attributes #0 = {{ nounwind "target-cpu"="{target.cpu}" "target-features"="{target.features}" }}
'''
library = native.load(text, target)
memory = (ctypes.c_float * 300)(*[1.5] * 16)
double = ctypes.c_double.from_buffer(memory, 64)
double.value = 1 + 2**-30
call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(library.address("program"))
call(1000, ctypes.addressof(memory))
assert list(memory[:16]) == [6.0, 2.0] + [6.0] * 14, list(memory[:16])
assert double.value == 2**-29 + 2**-60, double.value
assert bytes(memory)[72:1080] == b"\\7" * 1000 + bytes(8)
print(target.name, library.is_cached)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def call(library: native.Library, number: int) -> int:
    answer = ctypes.c_int64()
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(library.address("program"))
    function(number, ctypes.addressof(answer))
    return answer.value


def refused(text: str) -> str:
    with pytest.raises(CompileError, match="compiling a native program: ") as caught:
        native.load(text, native.host())
    return str(caught.value)


def test_functions_can_be_called() -> None:
    library = native.load(TRIPLE, native.host())
    assert library.names == ("program", "nothing")
    assert call(library, 14) == 42
    assert 0 < library.seconds < 60
    assert not library.is_cached
    assert library.address("nothing") != library.address("program")


def test_a_function_that_is_not_there() -> None:
    library = native.load(TRIPLE, native.host())
    with pytest.raises(CompileError, match="'other': the library defines program, nothing; ask"):
        library.address("other")


def test_what_llvm_refuses_is_said_in_its_words() -> None:
    message = refused("define void @f() {\n  ret i32 1\n}\n")
    assert "error: value doesn't match function result type 'void'" in message
    assert "run with RETROGRAD_BACKEND=numpy" in message
    branch = "define void @f(i1 %x) {\n  br i1 %x, label %a, label %a\na:\n  %y = add i64 %z, 1"
    unordered = f"{branch}\n  %z = add i64 %y, 1\n  ret void\n}}\n"
    assert "Instruction does not dominate all uses!" in refused(unordered)


@pytest.mark.parametrize(
    "line",
    [
        "@x = global i32 0",
        "@x = alias i32, ptr @f",
        "declare void @free(ptr)",
        'module asm "nop"',
        'call void asm "nop", ""()',
    ],
)
def test_only_plain_functions_and_intrinsics(line: str) -> None:
    assert f"more than plain functions and intrinsics: {line}" in refused(f"{line}\n{TRIPLE}")


def test_no_function_at_all() -> None:
    assert "no function is defined" in refused("; nothing\n")


def test_a_name_that_nobody_has_is_an_error_and_not_the_end_of_the_process() -> None:
    code = """
from retrograd.compile import native
text = "declare void @nobody_has_this()\\n"
text += "define void @f() {\\n  call void @nobody_has_this()\\n  ret void\\n}"
try:
    native._link(native._compile(text, "", ""), ("f",))
except RuntimeError as error:
    print(error)
"""
    assert run(code).startswith("Failed to materialize symbols: ")


def test_refusals_in_reference_cycles_end_cleanly() -> None:
    code = """
import gc
from retrograd.compile import native
from retrograd.tensor.errors import CompileError
text = "define void @f(i1 %x) {\\n  br i1 %x, label %a, label %a\\na:\\n  %y = add i64 %z, 1\\n"
text += "  %z = add i64 %y, 1\\n  ret void\\n}"
for _ in range(20):
    try:
        native.load(text, native.host())
    except CompileError as error:
        cycle = [error]
        cycle.append(cycle)
del cycle
gc.collect()
print("ended")
"""
    assert run(code) == "ended"


def test_threads_that_load_one_text_get_one_library(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    link = native._link
    monkeypatch.setattr(native, "_link", lambda *given: compiled.append(1) or link(*given))
    found: list[native.Library] = []
    threads = [
        threading.Thread(target=lambda: found.append(native.load(TRIPLE, native.host())))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(library) for library in found}) == len(compiled) == 1


def test_a_library_ends_with_its_last_user() -> None:
    library = native.load(TRIPLE, native.host())
    assert native.load(TRIPLE, native.host()) is library
    del library
    assert native.load(TRIPLE, native.host()).is_cached


@pytest.mark.parametrize("kind", ["", "avx512", "avx2", "plain"])
def test_what_a_target_lacks_is_called_also_out_of_the_cache(kind: str) -> None:
    try:
        name = kind or native.host().name
        if kind:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("RETROGRAD_CPU", kind)
                native.host()
    except InputError:
        pytest.skip(f"this CPU has no {kind}")
    assert run(SUPPORT, RETROGRAD_CPU=kind) == f"{name} False"
    assert run(SUPPORT, RETROGRAD_CPU=kind) == f"{name} True"


def test_another_cpu_does_not_take_what_was_compiled_for_this_one(place: Path) -> None:
    assert run(SUPPORT).endswith(" False")
    assert run(SUPPORT, RETROGRAD_CPU="plain") == "plain False"
    assert len(list(place.glob("*.object"))) == 2


def test_host_follows_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETROGRAD_CPU", "plain")
    assert native.host().name == "plain"
    monkeypatch.setenv("RETROGRAD_CPU", "abacus")
    with pytest.raises(InputError, match="RETROGRAD_CPU=abacus: there is no such kind; give one"):
        native.host()


def test_a_host_whose_features_are_unknown_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> None:
        raise RuntimeError("failed to get host cpu features")

    names = SimpleNamespace(get_host_cpu_features=unknown, get_host_cpu_name=lambda: "generic")
    monkeypatch.setattr(native, "_llvm", lambda: names)
    monkeypatch.delenv("RETROGRAD_CPU", raising=False)
    assert native._host.__wrapped__("").name == "plain"


def test_a_forked_child_compiles_too() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    code = f"""
import os
from retrograd.compile import native
first = native.load({TRIPLE!r}, native.host())
native._session().lock.acquire()  # as if another thread were compiling
child = os.fork()
if child == 0:
    again = native.load({TRIPLE!r}, native.host())
    os._exit(0 if again.is_cached and again is not first else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(code) == "0"
