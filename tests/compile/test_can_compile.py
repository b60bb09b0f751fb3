"""Where native code cannot work, one sentence says why, and the process lives."""

from types import SimpleNamespace

import pytest
from tests.compile.fresh_process import run

from retrograd.compile import native


def test_native_code_works_here() -> None:
    assert native.can_compile() is None


def test_why_not_without_llvmlite() -> None:
    code = "import sys\nsys.modules['llvmlite.binding'] = None\n"
    code += "from retrograd.compile import native\nprint(native.can_compile())"
    assert run(code).startswith("llvmlite cannot be used here: ")


def test_why_not_with_an_llvmlite_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    llvm = native._llvm()
    names = {name: getattr(llvm, name) for name in dir(llvm) if name != "create_lljit_compiler"}
    monkeypatch.setattr(native, "_llvm", lambda: SimpleNamespace(**names))
    reason = native.can_compile.__wrapped__()
    assert reason is not None
    assert reason.startswith("this llvmlite does not compile: ")


def test_why_not_where_code_computes_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_PROBE", native._PROBE.replace("42", "41"))
    assert native.can_compile.__wrapped__() == "native code computes wrongly here"


def test_why_not_on_a_system_that_forbids_executable_memory() -> None:
    """The kernel's own switch, as systemd's MemoryDenyWriteExecute sets it."""
    code = """
import ctypes, sys
try:
    is_set = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0
except (AttributeError, TypeError, OSError):
    is_set = False
from retrograd.compile import native
print(native.can_compile() if is_set else "no switch")
"""
    said = run(code)
    if said == "no switch":
        pytest.skip("this kernel cannot be told to refuse")
    assert said == "this system forbids executable memory: Permission denied"


def test_why_not_where_the_system_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(1, "cannot allocate executable memory")

    monkeypatch.setattr(native._llvm(), "check_jit_execution", refuse)
    said = native.can_compile.__wrapped__()
    assert said == "this system forbids executable memory: Operation not permitted"
