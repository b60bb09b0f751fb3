"""Elements made native in the smallest way there is, for tests: one loop over arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np

from retrograd.compile.modules import module
from retrograd.compile.native import host, load
from retrograd.compile.text import Text
from retrograd.compile.values import SCALARS, Value, vector
from retrograd.tensor.element import COMPARISONS, Call, Cast, Const, Element, Load, Select
from retrograd.tensor.types import DType

FLOATS = {
    "add": "fadd",
    "subtract": "fsub",
    "multiply": "fmul",
    "divide": "fdiv",
    "equal": "fcmp oeq",
    "not_equal": "fcmp une",
    "less": "fcmp olt",
    "less_equal": "fcmp ole",
    "greater": "fcmp ogt",
    "greater_equal": "fcmp oge",
}
INTEGERS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
    "left_shift": "shl",
    "logical_right_shift": "lshr",
    "arithmetic_right_shift": "ashr",
    "equal": "icmp eq",
    "not_equal": "icmp ne",
    "less": "icmp slt",
}
INTRINSICS = {"absolute": "fabs", "sqrt": "sqrt", "floor": "floor", "fma": "fma"}


def parts(element: Element) -> tuple[Element, ...]:
    """Return what an element is made of."""
    if isinstance(element, Call):
        return element.arguments
    if isinstance(element, Select):
        return element.condition, element.then, element.otherwise
    return (element.value,) if isinstance(element, Cast) else ()


def walk(element: Element, seen: dict[int, Element] | None = None) -> Iterator[Element]:
    """Yield every node once, what it is made of first."""
    seen = {} if seen is None else seen
    if id(element) not in seen:
        seen[id(element)] = element
        for part in parts(element):
            yield from walk(part, seen)
        yield element


def padded(x: np.ndarray) -> np.ndarray:
    """Return the array, repeated up to a multiple of 16 numbers."""
    return np.resize(x, -(-len(x) // 16) * 16)


class Native:
    """An element of loads as a function of arrays, one for each source."""

    def __init__(self, element: Element, sources: int) -> None:
        """Compile; arrays must hold a multiple of 16 numbers."""
        target = host()
        self.dtype = element.dtype.numpy
        names = [Value("ptr", f"%x{i}") for i in range(sources)]
        text = Text("program", [*names, Value("ptr", "%out"), Value("i64", "%count")])
        _write(text, element, target.lanes)
        self.library = load(module([text], target), target)
        kinds = [ctypes.c_void_p] * (sources + 1)
        self.function = ctypes.CFUNCTYPE(None, *kinds, ctypes.c_int64)(
            self.library.address("program")
        )

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        """Return the element everywhere."""
        count = len(arrays[0])
        assert count % 16 == 0
        out = np.empty(count, self.dtype)
        self.function(*(a.ctypes.data for a in arrays), out.ctypes.data, count)
        return out


def _write(text: Text, element: Element, lanes: int) -> None:
    *sources, out, count = text.parameters

    def body(i: Value) -> None:
        values: dict[int, Value] = {}
        for node in walk(element):
            type = vector(SCALARS[node.dtype], lanes)
            given = [values[id(part)] for part in parts(node)]
            if isinstance(node, Load):
                place = text.address(sources[node.source], i, SCALARS[node.dtype])
                values[id(node)] = text.load(type, place, 4)
            else:
                values[id(node)] = _instruction(text, node, type, given)
        text.store(values[id(element)], text.address(out, i, SCALARS[element.dtype]), 4)

    text.loop(0, count, lanes, body)


def _instruction(text: Text, node: Element, type: str, given: list[Value]) -> Value:
    if isinstance(node, Const):
        return text.constant(type, node.value)
    if isinstance(node, Select):
        return text.select(given[0], given[1], given[2])
    source = parts(node)[0].dtype
    if isinstance(node, Cast):
        return text.convert("fpext" if source is DType.float32 else "fptrunc", *given, type)
    assert isinstance(node, Call)
    if node.function == "bitcast":
        return text.convert("bitcast", *given, type)
    if node.function == "negative":
        return text.let(type, f"fneg {given[0]}")
    if node.function in INTRINSICS:
        return text.intrinsic(INTRINSICS[node.function], *given)
    operation = (FLOATS if source.is_float else INTEGERS)[node.function]
    write = text.compare if node.function in COMPARISONS else text.binary
    return write(operation, given[0], given[1])
