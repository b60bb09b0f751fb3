"""exp and expm1: x = k ln 2 + r with k whole and |r| <= ln 2 / 2, then 2^k times a polynomial in r.

The polynomials q, with e^r = 1 + r + r^2 q(r), are minimax fits: Remez exchange in 200-bit
arithmetic, weighted so that the relative error of e^r - 1 is levelled (of e^r in float32).
"""

from __future__ import annotations

from typing import NamedTuple

from retrograd.compile.functions.pieces import (
    Pair,
    at_least,
    at_most,
    bits,
    double,
    fma,
    form,
    left,
    polynomial,
    quick_two_sum,
    real,
    sign_bit,
    single,
    two_sum,
    with_sign,
)
from retrograd.tensor.element import Call, Element, call, constant, select
from retrograd.tensor.types import DType

INVERSE_LN2 = 1.4426950408889634


class _Plan(NamedTuple):
    """Below ``low`` e^x is 0, above ``high`` inf; ``upper`` times any k is exact."""

    low: float
    high: float
    upper: float
    lower: float
    q: tuple[float, ...]


SINGLE = _Plan(
    -104.0,
    89.0,
    0.693145751953125,
    1.4286068203094173e-06,
    (0.49999994, 0.166665196, 0.0416683927, 0.00836877991, 0.00138144963),
)
DOUBLE = _Plan(
    -746.0,
    710.0,
    0.6931471805598903,
    5.497923018708371e-14,
    (
        0.5,
        0.16666666666666677,
        0.0416666666666667,
        0.008333333333321532,
        0.0013888888888866568,
        0.0001984126988640145,
        2.480158736105145e-05,
        2.755724391131056e-06,
        2.7557242356578675e-07,
        2.5109147519163957e-08,
        2.0924563681111986e-09,
    ),
)
_ROUGH = (
    0.5000000046662546,
    0.16666666818179027,
    0.041666353537452586,
    0.00833327276939911,
    0.00139411025998162,
    0.00019914334090117975,
)
"""For float64 arithmetic on the way to a float32: to 2^-32 of e^r - 1."""


def plan(x: Element) -> _Plan:
    """Return the constants for the dtype of x."""
    return SINGLE if x.dtype is DType.float32 else DOUBLE


def exp(x: Element) -> Element:
    """Return e^x."""
    layout, chosen = form(x), plan(x)
    within = at_most(at_least(x, chosen.low), chosen.high)
    shifted, k = nearest(within, 2 * layout.bias)
    r = remainder(within, k, chosen)
    return scaled(one_plus(r, chosen.q), shifted)


def exp_of_pair(x: Element, low: Element, times: Pair | None = None) -> Element:
    """Return e^(x + low) in float64, by a factor in two floats if one is given.

    ``low`` is at most a few ulps of x where |x| is below 800, and small everywhere.
    """
    within = at_most(at_least(x, DOUBLE.low), DOUBLE.high)
    shifted, k = nearest(within, 2 * form(x).bias)
    r, lost = _remainder_pair(within, k)
    r, low = quick_two_sum(r, low + lost)
    high, rest = quick_two_sum(constant(1.0, x.dtype), r)
    rest = rest + fma(r * r, polynomial(r, DOUBLE.q), fma(low, r, low))
    if times is None:
        return scaled(high + rest, shifted)
    product = fma(high, times[0], fma(high, times[1], rest * times[0]))
    return scaled(product, shifted)


def rough_exp(x: Element) -> Element:
    """Return e^x to 2^-31 in float64 arithmetic; |x| is at most 700."""
    shifted, k = nearest(x, form(x).bias)
    p = one_plus(fma(k, -(DOUBLE.upper + DOUBLE.lower), x), _ROUGH)
    return p * power_of_two(shifted)


def expm1(x: Element) -> Element:
    """Return e^x - 1 without cancellation. A float32 goes through float64."""
    if x.dtype is DType.float32:
        wide = at_most(at_least(double(x), -40.0), 100.0)
        shifted, k = nearest(wide, form(wide).bias)
        r = fma(k, -(DOUBLE.upper + DOUBLE.lower), wide)
        p = fma(r * r, polynomial(r, _ROUGH), r)
        scale = power_of_two(shifted)
        return with_sign(single(fma(scale, p, scale - 1.0)), sign_bit(x))
    high, low = expm1_pair(at_most(at_least(x, -50.0), DOUBLE.high), 1)
    is_tiny = call("less", call("absolute", x), 2.0**-60)
    return select(is_tiny, x, (high + low) * 2.0)


def expm1_pair(x: Element, halvings: int) -> Pair:
    """Return (e^x - 1) / 2^halvings in float64 with a few more digits than one float has."""
    shifted, k = nearest(x, form(x).bias - halvings)
    r, lost = _remainder_pair(x, k)
    rest = fma(r * r, polynomial(r, DOUBLE.q), fma(lost, r, lost))
    scale = power_of_two(shifted)
    high, low = two_sum(scale - 2.0**-halvings, scale * r)
    return quick_two_sum(high, fma(scale, rest, low))


# The parts


def nearest(x: Element, offset: int) -> Pair:
    """Return k, the whole number nearest to x / ln 2: as k + offset in the low bits, and as float.

    Adding 1.5 times 2^fraction leaves no room for a fraction. No conversion to integers is needed.
    """
    shifter = constant(form(x).shifter + offset, x.dtype)
    shifted = fma(x, INVERSE_LN2, shifter)
    return shifted, shifted - shifter


def remainder(x: Element, k: Element, chosen: _Plan) -> Element:
    """Return r = x - k ln 2; the first step is exact."""
    return fma(k, -chosen.lower, fma(k, -chosen.upper, x))


def _remainder_pair(x: Element, k: Element) -> Pair:
    """Return r in two floats, in float64."""
    upper, lower = fma(k, -DOUBLE.upper, x), k * DOUBLE.lower
    r = upper - lower
    return r, (upper - r) - lower


def one_plus(r: Element, q: tuple[float, ...]) -> Element:
    """Return 1 + r + r^2 q(r)."""
    return polynomial(r, (1.0, 1.0, *q))


def power_of_two(shifted: Element) -> Element:
    """Return 2^k from k + bias in the low bits."""
    return real(left(bits(shifted), form(shifted).fraction))


def scaled(p: Element, shifted: Element) -> Element:
    """Return p 2^k from k + 2 bias in the low bits, in two steps.

    Neither factor overflows or is subnormal, so that a subnormal result is rounded once, as it
    should be, and NaN stays NaN.
    """
    fraction, both = form(p).fraction, bits(shifted)
    half = Call("arithmetic_right_shift", (both, constant(1, both.dtype)), both.dtype)
    return p * real(left(half, fraction)) * real(left(both - half, fraction))
