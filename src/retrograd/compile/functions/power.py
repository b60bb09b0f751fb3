"""x^y = e^(y log |x|), with the sign and the corners of C99's pow, which are NumPy's too.

float32 goes through float64. float64 needs log |x| to 2^-65, in two floats: y log |x| may be 700,
and every unit of its last place is one of the result's. There log m = 2 artanh(s), s = f / (2 + f).
The polynomial is a minimax fit: Remez exchange in 200-bit arithmetic, relative error levelled.
"""

from __future__ import annotations

import math

from retrograd.compile.functions.exponential import DOUBLE, exp_of_pair, rough_exp
from retrograd.compile.functions.logarithm import rough_log, split
from retrograd.compile.functions.pieces import (
    Pair,
    at_least,
    at_most,
    double,
    fma,
    form,
    polynomial,
    quick_two_sum,
    sign_bit,
    single,
    two_product,
    with_sign,
)
from retrograd.tensor.element import Element, call, constant, select
from retrograd.tensor.types import DType

_THIRD, _THIRD_LOW = 1.0 / 3.0, 1.850371707708594e-17
_ARTANH = (
    0.1999999999999999,
    0.1428571428572261,
    0.11111111108755213,
    0.09090909436756593,
    0.07692278326285414,
    0.06668162915321944,
    0.05837323793637062,
    0.05995219052254586,
)
"""(artanh(s) - s - s^3/3) / s^5 as a polynomial in s^2, to 2^-73 of artanh(s)."""


def power(x: Element, y: Element) -> Element:
    """Return x^y."""
    magnitude = call("absolute", x)
    small = x.dtype is DType.float32
    core = _single(magnitude, y) if small else _double(magnitude, y)
    return _with_corners(x, y, magnitude, core)


def _single(x: Element, y: Element) -> Element:
    wide = double(x)
    exponent = at_most(at_least(double(y), -(2.0**80)), 2.0**80)
    logarithm = select(call("less", wide, math.inf), rough_log(wide), wide)
    product = exponent * logarithm
    return single(rough_exp(at_most(at_least(product, -200.0), 200.0)))


def _double(x: Element, y: Element) -> Element:
    exponent = at_most(at_least(y, -(2.0**80)), 2.0**80)
    high, low = _log_pair(x)
    high = select(call("less", x, math.inf), high, x)
    product, lost = two_product(exponent, high)
    lost = fma(exponent, low, lost)
    is_inside = call("less", call("absolute", product), 800.0)
    return exp_of_pair(product, select(is_inside, lost, 0.0))


def _log_pair(x: Element) -> Pair:
    """Return log x in two floats."""
    e, m = split(x, keep_subnormals=True)
    f = m - 1.0
    under, under_low = quick_two_sum(constant(2.0, x.dtype), f)
    inverse = 1.0 / under
    s = f * inverse
    s_low = fma(-s, under_low, fma(-s, under, f)) * inverse
    z, z_low = two_product(s, s)
    z_low = fma(s + s, s_low, z_low)
    w, w_low = quick_two_sum(constant(_THIRD, x.dtype), z * polynomial(z, _ARTANH))
    w_low = w_low + _THIRD_LOW
    v, v_low = two_product(z, w)
    v_low = fma(z, w_low, fma(z_low, w, v_low))
    t, t_low = two_product(s, v)
    t_low = fma(s, v_low, fma(s_low, v, t_low))
    total, rest = quick_two_sum(s, t)
    rest = rest + (t_low + s_low)
    high, low = quick_two_sum(e * DOUBLE.upper, total + total)
    return quick_two_sum(high, low + fma(e, DOUBLE.lower, rest + rest))


def _with_corners(x: Element, y: Element, magnitude: Element, core: Element) -> Element:
    """Return x^y where ``core`` is |x|^y for |x| neither 0 nor inf."""
    none, one = constant(0.0, x.dtype), constant(1.0, x.dtype)
    inverse = select(call("equal", magnitude, 0.0), constant(math.inf, x.dtype), none)
    at_edge = select(call("less", y, 0.0), inverse, y)
    at_edge = select(call("greater", y, 0.0), magnitude, at_edge)
    is_edge = call("equal", magnitude + magnitude, magnitude)
    size = select(is_edge, at_edge, core)
    half = y * 0.5
    is_whole = call("equal", call("floor", y), y)
    is_even = call("equal", call("floor", half), half)
    plus = constant(0, form(x).integer)
    signed = with_sign(size, select(is_even, plus, sign_bit(x)))
    is_finite = call("less", magnitude, math.inf)
    root = select(call("less", x, 0.0), select(is_finite, constant(math.nan, x.dtype), size), size)
    y_decides = select(is_whole, signed, root)
    powered = select(call("equal", y, 0.0), one, y_decides)
    return select(call("equal", x, 1.0), one, powered)
