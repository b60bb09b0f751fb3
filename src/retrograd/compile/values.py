"""Values of native code: registers and constants with LLVM types, and how types are spelled."""

from __future__ import annotations

import struct
from typing import NamedTuple

from retrograd.tensor.types import DType


class Value(NamedTuple):
    """A register or a constant, with its LLVM type."""

    type: str
    name: str

    def __str__(self) -> str:
        """Return the value as an operand with its type."""
        return f"{self.type} {self.name}"


Integer = int | Value
"""An i64: a number known now, or one that the program computes."""

SCALARS = {
    DType.float32: "float",
    DType.float64: "double",
    DType.int32: "i32",
    DType.int64: "i64",
    DType.bool: "i1",
}
"""The type that a number has in a register; in memory a bool is a byte."""
MEMORY = {dtype: "i8" if dtype is DType.bool else scalar for dtype, scalar in SCALARS.items()}
"""The type that a number has in memory."""
BYTES = {dtype: 1 if dtype is DType.bool else dtype.numpy.itemsize for dtype in DType}


def vector(scalar: str, lanes: int) -> str:
    """Return the type of so many lanes; one lane is the scalar itself.

    >>> vector("float", 16), vector("float", 1)
    ('<16 x float>', 'float')
    """
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def lanes_of(type: str) -> int:
    """Return how many lanes a type has.

    >>> lanes_of("<16 x float>"), lanes_of("ptr")
    (16, 1)
    """
    return int(type[1:].split(" ", 1)[0]) if type.startswith("<") else 1


def scalar_of(type: str) -> str:
    """Return the type of one lane."""
    return type[1:-1].split(" x ", 1)[1] if type.startswith("<") else type


def literal(scalar: str, value: float) -> str:
    """Return a number as LLVM writes it: floats by the bits of the double that equals them.

    >>> literal("float", 1.0), literal("i1", True)
    ('0x3FF0000000000000', 'true')
    """
    if scalar == "i1":
        return "true" if value else "false"
    if scalar not in ("float", "double"):
        return str(int(value))
    if scalar == "float":
        (value,) = struct.unpack("f", struct.pack("f", value))
    return "0x" + struct.pack(">d", value).hex().upper()


def mangled(type: str) -> str:
    """Return the suffix that overloaded intrinsics carry for a type.

    >>> mangled("<16 x float>"), mangled("double"), mangled("<4 x i32>")
    ('v16f32', 'f64', 'v4i32')
    """
    scalar = {"float": "f32", "double": "f64"}.get(scalar_of(type), scalar_of(type))
    return f"v{lanes_of(type)}{scalar}" if type.startswith("<") else scalar
