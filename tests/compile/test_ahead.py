"""What is written ahead of time: text that calls nobody, and arithmetic that stands in."""

import ctypes
import math

import numpy as np
import pytest

from retrograd import ops
from retrograd.compile import native
from retrograd.compile.ahead import write_ahead, write_text
from retrograd.compile.lacking import without
from retrograd.compile.simplify import simplify
from retrograd.compile.target import Target
from retrograd.compile.trace import trace
from retrograd.tensor.errors import CompileError
from retrograd.tensor.tensor import Tensor, from_array

PLAIN = Target("plain", "generic", "", 4, 4, 2, False)


def calculate(intrinsic: str, lacks: str, type: str, values: np.ndarray) -> np.ndarray:
    """Return what stands in for an intrinsic of one or three numbers, column by column."""
    scalar, count = type.split(" x ")[-1].strip(">"), len(values)
    loads = "".join(
        f"  %p{i} = getelementptr {scalar}, ptr %x, i64 {i * values.shape[1]}\n"
        f"  %x{i} = load {type}, ptr %p{i}, align 8\n"
        for i in range(count)
    )
    passed = ", ".join(f"{type} %x{i}" for i in range(count))
    text = (
        f"declare {type} @llvm.{intrinsic}({', '.join([type] * count)})\n"
        f"define void @f(ptr %x, ptr %y) #0 {{\n{loads}"
        f"  %r = call {type} @llvm.{intrinsic}({passed})\n"
        f"  store {type} %r, ptr %y, align 8\n  ret void\n}}\nattributes #0 = {{ nounwind }}\n"
    )
    written = without(text, [lacks])
    assert "llvm." not in written
    library = native.load(written.replace("define internal", "define"), native.host())
    result = np.empty(values.shape[1], values.dtype)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address("f"))
    function(values.ctypes.data, result.ctypes.data)
    return result


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floor_is_that_of_numpy(dtype: type) -> None:
    values = [0.0, 0.4, 0.5, 1.0, 1.5, -0.3, -1.0, -1.5, 2.0**22 + 0.5, -(2.0**40) - 0.25]
    values += [1e300, -1e30, 3e9, np.inf, -np.inf, np.nan]
    with np.errstate(over="ignore"):
        x = np.array([values], dtype)
    scalar, bits = ("float", 32) if dtype is np.float32 else ("double", 64)
    found = calculate(f"floor.v16f{bits}", "floor", f"<16 x {scalar}>", x)
    np.testing.assert_array_equal(found, np.floor(x[0]))


def test_a_fused_operation_keeps_the_digits_that_a_product_loses() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(2, 4)) * 10.0 ** draw.integers(-20, 20, (2, 4))
    z = -(x * y)  # what is left is the rounding of the product alone
    found = calculate("fma.v4f64", "wide_fma", "<4 x double>", np.array([x, y, z]))
    exact = [math.fsum([*_exactly(a, b), c]) for a, b, c in zip(x, y, z, strict=True)]
    np.testing.assert_array_equal(found, exact)
    assert np.any(found != 0)
    huge = np.array([[1e200, np.inf], [1e200, 1.0], [1.0, -1.0]])
    found = calculate("fma.v2f64", "wide_fma", "<2 x double>", huge)
    np.testing.assert_array_equal(found, [np.inf, np.inf])


def _exactly(x: float, y: float) -> list[float]:
    from fractions import Fraction

    product = Fraction(x) * Fraction(y)
    high = float(product)
    return [high, float(product - Fraction(high))]


def net(x: Tensor) -> Tensor:
    weight = from_array(np.arange(12, dtype=np.float32).reshape(4, 3))
    return ops.tanh(ops.matmul(x, weight) + 1.5)


def graphs() -> list[object]:
    return [simplify(trace(net, from_array(np.zeros((n, 4), np.float32))).graph) for n in (4, 1)]


def test_a_module_has_its_constants_once_and_nothing_that_waits() -> None:
    written = write_ahead({"net": graphs()}, PLAIN, pointer_bits=64, lacks=["wide_fma"])
    assert written.text.count("private unnamed_addr constant [48 x i8]") == 1
    assert "atomic" not in written.text
    assert "fence" not in written.text
    assert "@llvm.fma" not in written.text
    assert 0 < written.scratch < 10_000
    same = write_ahead({"net": graphs()}, PLAIN, pointer_bits=64, lacks=["wide_fma"])
    assert same == written


def test_objects_for_machines_that_llvm_knows() -> None:
    written = write_ahead({"net": graphs()}, PLAIN, pointer_bits=64, lacks=["wide_fma"])
    text = write_text("told", 'a "b" é') + written.text
    platform = native.Platform("x86_64-unknown-linux-gnu", "pic")
    data = native.assemble(text, PLAIN, platform)
    assert data[:4] == b"\x7fELF"
    assert 'a "b" é'.encode() + b"\0" in data
    assert native.assemble(text, PLAIN, platform) == data
    with pytest.raises(CompileError, match=r"compiling a native program: .*z80"):
        native.assemble(text, PLAIN, native.Platform("z80-none-none", "static"))


def test_an_llvmlite_that_cannot_be_loaded_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("libz.so.1: cannot open shared object file")

    monkeypatch.setattr(native, "_llvm_of_all", refuse)
    with pytest.raises(CompileError, match=r"compiling a native program: libz\.so\.1: cannot open"):
        native.assemble("", PLAIN, native.Platform("x86_64-unknown-linux-gnu", "pic"))
