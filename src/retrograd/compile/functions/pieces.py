"""What the mathematical functions are built of: fused products, polynomials, bits, exact sums.

Everything here is written with functions that a machine has as instructions, and with three that
the element language does not have: ``fma`` (a b + c, rounded once), ``bitcast`` (the bits of a
float as an integer, and back) and ``arithmetic_right_shift`` (copies of the sign move in).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import NamedTuple

from retrograd.tensor.element import Call, Cast, Element, as_element, call, constant, select
from retrograd.tensor.types import DType

Pair = tuple[Element, Element]
"""An unevaluated sum of two floats, the first of which is the sum rounded."""


class Form(NamedTuple):
    """How a float lies in its bits: an exponent less ``bias`` above ``fraction`` bits."""

    integer: DType
    fraction: int
    bias: int

    @property
    def sign(self) -> int:
        """Return the integer whose only bit is that of the sign."""
        return -1 << (31 if self.integer is DType.int32 else 63)

    @property
    def shifter(self) -> float:
        """Return the number to which adding x rounds x to whole, found in its last bits."""
        return 1.5 * 2.0**self.fraction


_SINGLE = Form(DType.int32, 23, 127)
_DOUBLE = Form(DType.int64, 52, 1023)


def form(x: Element) -> Form:
    """Return how a float element is laid out."""
    return _SINGLE if x.dtype is DType.float32 else _DOUBLE


def fma(a: Element, b: Element | float, c: Element | float) -> Element:
    """Return a b + c, rounded once."""
    return Call("fma", (a, as_element(b, a.dtype), as_element(c, a.dtype)), a.dtype)


def polynomial(x: Element, coefficients: Sequence[float]) -> Element:
    """Return c0 + c1 x + c2 x^2 + ..., by Horner's rule: the fewest instructions there are."""
    *rest, last = coefficients
    total: Element = constant(last, x.dtype)
    for c in reversed(rest):
        total = fma(total, x, c)
    return total


def at_most(x: Element, bound: float) -> Element:
    """Return the smaller one; NaN stays."""
    limit = constant(bound, x.dtype)
    return select(call("less", limit, x), limit, x)


def at_least(x: Element, bound: float) -> Element:
    """Return the greater one; NaN stays."""
    limit = constant(bound, x.dtype)
    return select(call("greater", limit, x), limit, x)


# Bits


def bits(x: Element) -> Element:
    """Return the bits of a float as a signed integer."""
    return Call("bitcast", (x,), form(x).integer)


def real(x: Element) -> Element:
    """Return the float that has these bits."""
    dtype = DType.float32 if x.dtype is DType.int32 else DType.float64
    return Call("bitcast", (x,), dtype)


def bits_of(value: float, layout: Form) -> int:
    """Return the bits of a known number.

    >>> hex(bits_of(1.0, _SINGLE))
    '0x3f800000'
    """
    codes = "fi" if layout.integer is DType.int32 else "dq"
    (integer,) = struct.unpack("=" + codes[1], struct.pack("=" + codes[0], value))
    return int(integer)


def left(x: Element, count: int) -> Element:
    """Return x shifted left."""
    return call("left_shift", x, count)


def sign_bit(x: Element) -> Element:
    """Return the sign of a float, alone in its place."""
    return call("bitwise_and", bits(x), form(x).sign)


def with_sign(magnitude: Element, sign: Element) -> Element:
    """Return a float without a sign of its own, with a sign from `sign_bit`."""
    return real(call("bitwise_or", bits(magnitude), sign))


def double(x: Element) -> Element:
    """Return a float32 as a float64."""
    return Cast(x, DType.float64)


def single(x: Element) -> Element:
    """Return a float64 rounded to float32."""
    return Cast(x, DType.float32)


# Exact sums and products


def quick_two_sum(a: Element, b: Element) -> Pair:
    """Return a + b exactly, if a is 0 or not smaller than b in magnitude. (Dekker 1971.)"""
    total = a + b
    return total, b - (total - a)


def two_sum(a: Element, b: Element) -> Pair:
    """Return a + b exactly. (Knuth, The Art of Computer Programming, volume 2, 4.2.2.)"""
    total = a + b
    taken = total - a
    return total, (a - (total - taken)) + (b - taken)


def two_product(a: Element, b: Element | float) -> Pair:
    """Return a b exactly."""
    product = a * b
    return product, fma(a, b, -product)


def trimmed(value: float, digits: int) -> float:
    """Return a number cut to so many binary digits after the point.

    >>> trimmed(0.7, 3)
    0.625
    """
    return math.floor(value * 2.0**digits) / 2.0**digits
