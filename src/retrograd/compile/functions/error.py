"""erf and its tail erfc = e^(-x^2) times a smooth function of t = (x - K) / (x + K).

A float32 goes through float64, where x^2 is exact and erf up to 3.95, after which it is 1, is one
polynomial. In float64 the square keeps its rounding error as a second float. The polynomials are
minimax fits: Remez exchange in 200- to 300-bit arithmetic, relative error levelled.
"""

from __future__ import annotations

from retrograd.compile.functions.exponential import exp_of_pair, rough_exp
from retrograd.compile.functions.pieces import (
    Pair,
    at_least,
    at_most,
    double,
    fma,
    polynomial,
    quick_two_sum,
    sign_bit,
    single,
    two_product,
    two_sum,
    with_sign,
)
from retrograd.tensor.element import Element, call, constant, select
from retrograd.tensor.types import DType

_ERF = (
    1.128379165782908,
    -0.376126339682079,
    0.11283759901658129,
    -0.026865341261759473,
    0.005222813777426116,
    -0.0008538218822068036,
    0.0001199624631842685,
    -1.4680090652299152e-05,
    1.5708297842459317e-06,
    -1.460807716691053e-07,
    1.1625685194681252e-08,
    -7.739253448840281e-10,
    4.188046076811649e-11,
    -1.7790262072560295e-12,
    5.668323347594413e-14,
    -1.266721715573958e-15,
    1.763315562612957e-17,
    -1.1471404281223201e-19,
)
"""erf(x) / x as a polynomial in x^2, up to x = 3.95, to 2^-29."""

_ERF_64 = (
    0.1283791670955126,
    -0.3761263890318375,
    0.11283791670954885,
    -0.026866170645077875,
    0.005223977624828431,
    -0.0008548326981425542,
    0.0001205533113295582,
    -1.4925595772180906e-05,
    1.64610084778027e-06,
    -1.6350396222864617e-07,
    1.466032872274226e-08,
    -1.137495573607015e-09,
    5.960685338520971e-11,
)
"""erf(x) / x - 1 as a polynomial in x^2, up to x = 1, to 2^-62."""

_MIDDLE = 3.0
_TAIL = (
    0.17900115126477822,
    -0.32623356382795304,
    0.24560379756194325,
    -0.15011578180024346,
    0.0716658642051969,
    -0.0243942316476326,
    0.004268876082633999,
    0.0007157311357261035,
    -0.0005945694933810872,
    2.888022451274609e-05,
    5.59158510812445e-05,
)
_MIDDLE_64 = 3.75
_TAIL_64 = (
    1.2375126308378275,
    -0.140240598585547,
    0.0035854154854630046,
    0.08227673849014898,
    -0.10880393014166391,
    0.09230432116028549,
    -0.058693398591620684,
    0.028362277419711566,
    -0.009746579534142224,
    0.00175562585386027,
    0.0002937134970404189,
    -0.00029015413755354016,
    5.164984157185105e-05,
    2.238466722510343e-05,
    -1.144623715935022e-05,
    -9.75214155902586e-07,
    1.7553423461011559e-06,
    -5.344099086918797e-08,
    -2.6249538825472406e-07,
    1.8119793507381126e-08,
    4.0418855622404657e-08,
    1.2846257655440183e-10,
    -4.893945071834091e-09,
    -9.320550814773677e-10,
)
_TAIL_SLOPE = (-0.158, 0.044, 0.531, -0.707)
"""Roughly the derivative of that polynomial, to correct for the rounding of t."""


def erf(x: Element) -> Element:
    """Return the error function."""
    if x.dtype is DType.float32:
        within = at_most(at_least(double(x), -3.95), 3.95)
        return single(within * polynomial(within * within, _ERF))
    magnitude = call("absolute", x)
    is_small = call("less", magnitude, 1.0)
    return with_sign(select(is_small, _near_zero(magnitude), 1.0 - _tail(magnitude)), sign_bit(x))


def erfc(x: Element) -> Element:
    """Return 1 - erf(x), without the cancellation."""
    wide = double(x) if x.dtype is DType.float32 else x
    magnitude = call("absolute", wide)
    tail = _rough_tail(magnitude) if x.dtype is DType.float32 else _tail(magnitude)
    y = select(call("less", wide, 0.0), 2.0 - tail, tail)
    if x.dtype is DType.float32:
        return single(y)
    return select(call("less", magnitude, 0.5), 1.0 - _near_zero(x), y)


def _near_zero(x: Element) -> Element:
    """Return erf(x) of a float64, |x| < 1."""
    return fma(x, polynomial(x * x, _ERF_64), x)


def _rough_tail(x: Element) -> Element:
    """Return erfc(x) of a float32 x >= 0 in float64 arithmetic, to 2^-29."""
    within = at_most(x, 10.2)
    t = (within - _MIDDLE) / (within + _MIDDLE)
    return rough_exp(-(within * within)) * polynomial(t, _TAIL)


def _tail(x: Element) -> Element:
    """Return erfc(x) of a float64 x >= 0: its (1 + 2x) e^(x^2) multiple is near 1."""
    within = at_most(x, 27.3)
    t, t_low = _mapped(within)
    first, *rest = _TAIL_64
    over, over_low = quick_two_sum(constant(first, x.dtype), t * polynomial(t, rest))
    over_low = fma(t_low, polynomial(t, _TAIL_SLOPE), over_low)
    under, under_low = two_sum(constant(1.0, x.dtype), within + within)
    inverse = 1.0 / under
    quotient = over * inverse
    left_over = fma(-quotient, under, over) + fma(-quotient, under_low, over_low)
    square, lost = two_product(within, within)
    return exp_of_pair(-square, -lost, (quotient, left_over * inverse))


def _mapped(x: Element) -> Pair:
    """Return (x - K) / (x + K) in two floats; all the more exact the farther x is below K."""
    middle = constant(_MIDDLE_64, x.dtype)
    below, below_low = quick_two_sum(middle, -x)
    above, above_low = quick_two_sum(middle, x)
    inverse = 1.0 / above
    t = -(below * inverse)
    left_over = fma(t, above, below) + fma(t, above_low, below_low)
    return t, -(left_over * inverse)
