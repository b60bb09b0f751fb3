"""tanh.

In float32: x + x^3 q(x^2) below 1, from there on 1 - 2 / (e^(2|x|) + 1). The polynomial is a
minimax fit: Remez exchange in 200-bit arithmetic, relative error levelled. In float64: N / (N + 2)
with N = e^(2|x|) - 1, numerator and denominator in two floats, the quotient corrected once.
"""

from __future__ import annotations

from retrograd.compile.functions.exponential import (
    SINGLE,
    expm1_pair,
    nearest,
    one_plus,
    power_of_two,
    remainder,
)
from retrograd.compile.functions.pieces import (
    at_most,
    fma,
    form,
    polynomial,
    quick_two_sum,
    sign_bit,
    two_sum,
    with_sign,
)
from retrograd.tensor.element import Element, call, constant, select
from retrograd.tensor.types import DType

_SMALL = 1.0
_Q = (
    -0.333332986,
    0.133324116,
    -0.0538841113,
    0.0214994159,
    -0.00796523131,
    0.0023154763,
    -0.000362525432,
)


def tanh(x: Element) -> Element:
    """Return the hyperbolic tangent."""
    magnitude = call("absolute", x)
    y = _single(magnitude) if x.dtype is DType.float32 else _double(magnitude)
    return with_sign(y, sign_bit(x))


def _single(x: Element) -> Element:
    square = x * x
    small = fma(x * square, polynomial(square, _Q), x)
    within = at_most(x + x, 18.5)
    shifted, k = nearest(within, form(x).bias)
    p = one_plus(remainder(within, k, SINGLE), SINGLE.q)
    one = constant(1.0, x.dtype)
    large = one - constant(2.0, x.dtype) / fma(p, power_of_two(shifted), one)
    return select(call("less", x, _SMALL), small, large)


def _double(x: Element) -> Element:
    high, low = expm1_pair(at_most(x + x, 44.0), 0)
    under, more = two_sum(high, constant(2.0, x.dtype))
    under, more = quick_two_sum(under, more + low)
    inverse = 1.0 / under
    quotient = high * inverse
    left_over = fma(-quotient, under, high) + fma(-quotient, more, low)
    return select(call("less", x, 2.0**-30), x, fma(left_over, inverse, quotient))
