"""log and log1p: x = 2^e m with m near 1, then log x = e ln 2 + log m.

In float32 log m is f - f^2/2 + f^3 ..., f = m - 1, one polynomial, no division. In float64 it is
2 artanh(s), s = f / (2 + f), written as f - (f^2/2 - s (f^2/2 + R)) so that f enters exactly.
The polynomials are minimax fits: Remez exchange in 200-bit arithmetic, relative error levelled.
"""

from __future__ import annotations

import math

from retrograd.compile.functions.exponential import plan
from retrograd.compile.functions.pieces import (
    Pair,
    bits,
    bits_of,
    fma,
    form,
    polynomial,
    quick_two_sum,
    real,
    two_sum,
)
from retrograd.tensor.element import Element, call, constant, select
from retrograd.tensor.types import DType

_SINGLE = (
    -0.5,
    0.333332092,
    -0.249995068,
    0.200107709,
    -0.166895002,
    0.140008271,
    -0.120781735,
    0.140062258,
    -0.133116797,
)
_ROUGH = (
    -0.49999999947437207,
    0.3333333303660659,
    -0.2500001413173938,
    0.2000004370025663,
    -0.16665632462137794,
    0.14283508907907652,
    -0.1253178538461873,
    0.11162942866661983,
    -0.09534079909783189,
    0.0847536323931173,
    -0.11495297985109043,
    0.11193762500070831,
)
"""For float64 arithmetic on the way to a float32: to 2^-35."""
_DOUBLE = (
    0.6666666666666666,
    0.40000000000006286,
    0.2857142856907296,
    0.22222222648753934,
    0.18181775508099773,
    0.15387097674302128,
    0.13249961414469902,
    0.13252760972707153,
)


def log(x: Element) -> Element:
    """Return the natural logarithm."""
    e, m = split(x, keep_subnormals=True)
    return _with_ends(x, 0.0, sum_of_logs(e, m - 1.0))


def log1p(x: Element) -> Element:
    """Return log(1 + x): what 1 + x loses in rounding is added to m."""
    total, lost = two_sum(constant(1.0, x.dtype), x)
    e, m = split(total, keep_subnormals=False)
    exponent = bits(m) - bits(total)
    scale = real(exponent + bits_of(2.0, form(x))) * 0.5
    f, low = quick_two_sum(m - 1.0, lost * scale)
    y = sum_of_logs(e, f, low)
    return select(call("equal", x, 0.0), x, _with_ends(x, -1.0, y))


def rough_log(x: Element) -> Element:
    """Return log x to 2^-34 of itself, in float64 arithmetic; 0 and subnormals are not asked."""
    e, m = split(x, keep_subnormals=False, lowest=2.0 / 3.0)
    f = m - 1.0
    return fma(e, math.log(2.0), fma(f * f, polynomial(f, _ROUGH), f))


# The parts


def split(x: Element, keep_subnormals: bool, lowest: float | None = None) -> Pair:
    """Return e and m, x = 2^e m, with m from ``lowest`` up to twice that.

    The exponent of x / lowest is e: both are read off the bits of x less those of ``lowest``.
    """
    layout = form(x)
    if lowest is None:
        lowest = 2.0 / 3.0 if x.dtype is DType.float32 else math.sqrt(0.5)
    shift = layout.shifter + layout.bias
    offset: Element = constant(shift, x.dtype)
    if keep_subnormals:
        is_small = call("less", x, 2.0 ** (1 - layout.bias))
        x = select(is_small, x * 2.0**layout.fraction, x)
        offset = select(is_small, constant(shift + layout.fraction, x.dtype), offset)
    shifted = bits(x) + (bits_of(1.0, layout) - bits_of(lowest, layout))
    whole = call("logical_right_shift", shifted, layout.fraction)
    e = real(whole + bits_of(layout.shifter, layout)) - offset
    fraction = call("bitwise_and", shifted, (1 << layout.fraction) - 1)
    return e, real(fraction + bits_of(lowest, layout))


def sum_of_logs(e: Element, f: Element, low: Element | None = None) -> Element:
    """Return e ln 2 + log(1 + f) for an f that may be less than an ulp more, by ``low``.

    What is left of the first, exact, sum joins the small terms.
    """
    chosen = plan(f)
    if f.dtype is DType.float32:
        rest = fma(f * f, polynomial(f, _SINGLE), e * chosen.lower)
    else:
        s, half = f / (f + 2.0), f * f * 0.5
        z = s * s
        rest = fma(s, fma(z, polynomial(z, _DOUBLE), half), e * chosen.lower) - half
    if low is not None:
        rest = rest + low
    high, left_over = quick_two_sum(e * chosen.upper, f)
    return high + (left_over + rest)


def _with_ends(x: Element, pole: float, y: Element) -> Element:
    """Return y, but -inf at the pole, NaN below it, and inf and NaN for inf and NaN."""
    at_end = select(call("equal", x, pole), constant(-math.inf, x.dtype), math.nan)
    inside = select(call("less", x, math.inf), y, x)
    return select(call("greater", x, pole), inside, at_end)
