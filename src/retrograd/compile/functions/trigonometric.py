"""sin and cos, for every float up to the largest.

A quarter turn is pi/2, and x 2/pi is wanted modulo 4 quarters. The digits of 2/pi are cut into
pieces; a product of x and a piece that is a multiple of 4 drops out, so of the many pieces a few
matter, and which ones depends on x alone: they are chosen by selects. (The idea is Payne's and
Hanek's, "Radian reduction for trigonometric functions", SIGNUM Newsletter 1983; here the products
are floats, exact by their few digits or by fma.) float32 goes through float64.

The polynomials for an eighth of a turn on either side are minimax fits: Remez exchange in 200-bit
arithmetic, relative error levelled.
"""

from __future__ import annotations

from collections.abc import Sequence

from retrograd.compile.functions.pieces import (
    Pair,
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
    two_product,
    two_sum,
)
from retrograd.tensor.element import Element, call, constant, select
from retrograd.tensor.types import DType

_DIGITS = 1276
_TWO_OVER_PI = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e0"
    "06492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639835339f4"
    "9c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d"
    "7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6babf0cfbc209af4361",
    16,
)
"""The first digits of 2/pi after the binary point, as a whole number."""

_QUARTER, _QUARTER_LOW = 1.5707963267948966, 6.123233995736766e-17
_SIN = (-0.1666666664143853, 0.008333329363004956, -0.00019839327252961912, 2.7182377400455947e-06)
_COS = (0.041666646750332166, -0.0013887361568975542, 2.4437742413114587e-05)
_SIN_64 = (
    -0.16666666666666666,
    0.008333333333333323,
    -0.00019841269841254988,
    2.755731921414863e-06,
    -2.5052104900475173e-08,
    1.6058365184631193e-10,
    -7.57862506125513e-13,
)
_COS_64 = (
    0.0416666666666666,
    -0.001388888888887399,
    2.4801587289395018e-05,
    -2.755731432604957e-07,
    2.0875719560266215e-09,
    -1.135944871265548e-11,
)


def sin(x: Element) -> Element:
    """Return the sine of x in radians."""
    magnitude = call("absolute", x)
    quadrant, sine, cosine = _around(magnitude)
    y = real(call("bitwise_xor", bits(_turned(quadrant, sine, cosine)), sign_bit(_wide(x))))
    if x.dtype is DType.float32:
        return single(y)
    return select(call("less", magnitude, 2.0**-27), x, y)


def cos(x: Element) -> Element:
    """Return the cosine of x in radians."""
    quadrant, sine, cosine = _around(call("absolute", x))
    y = _turned(quadrant + 1, sine, cosine)
    return single(y) if x.dtype is DType.float32 else y


def _wide(x: Element) -> Element:
    return double(x) if x.dtype is DType.float32 else x


def _turned(quadrant: Element, sine: Element, cosine: Element) -> Element:
    """Return the sine of an angle that many quarter turns further."""
    is_odd = call("not_equal", call("bitwise_and", quadrant, 1), 0)
    flip = call("bitwise_and", left(quadrant, 62), form(sine).sign)
    return real(call("bitwise_xor", bits(select(is_odd, cosine, sine)), flip))


def _around(x: Element) -> tuple[Element, Element, Element]:
    """Return the quarter turns in x >= 0, in the last bits, and sine and cosine of what is left."""
    if x.dtype is DType.float32:
        quadrant, turn = _rough_turns(double(x))
        r = turn * _QUARTER
        u = r * r
        cosine = fma(fma(u, polynomial(u, _COS), -0.5), u, 1.0)
        return quadrant, fma(r * u, polynomial(u, _SIN), r), cosine
    quadrant, high, low = _turns(x)
    r, lost = two_product(high, _QUARTER)
    r, lost = quick_two_sum(r, lost + fma(high, _QUARTER_LOW, low * _QUARTER))
    u = r * r
    half = u * 0.5
    one_less = 1.0 - half
    sine = r + fma(r * u, polynomial(u, _SIN_64), lost * one_less)
    rest = fma(u * u, polynomial(u, _COS_64), ((1.0 - one_less) - half) - r * lost)
    return quadrant, sine, one_less + rest


# x 2/pi modulo 4


def _pieces(width: int, count: int) -> list[float]:
    """Return the digits of 2/pi, so many at a time, each piece as a number from 0 to 1."""
    cut = [_TWO_OVER_PI >> (_DIGITS - width * (i + 1)) for i in range(count)]
    return [(x % 2**width) / 2.0**width for x in cut]


def _window(
    x: Element, width: int, digits: int, count: int, steps: Sequence[int]
) -> tuple[list[Element], list[Element]]:
    """Return powers 2^(-width i) x and the pieces of 2/pi that matter for them.

    x has so many ``digits``. Where x 2^(-width b) times the next piece is a multiple of 4 still,
    b pieces are skipped, for each b in ``steps`` once.
    """
    known = _pieces(width, count + sum(steps))
    pieces: list[Element] = [constant(piece, x.dtype) for piece in known]
    for step in steps:
        skips = call("greater_equal", x, 2.0 ** (digits + 1 + width * step))
        x = select(skips, x * 2.0 ** (-width * step), x)
        both = zip(pieces[step:], pieces, strict=False)
        pieces = [select(skips, later, piece) for later, piece in both]
    return [x, *(x * 2.0 ** (-width * i) for i in range(1, count))], pieces


def _wrap(x: Element) -> Element:
    """Return x modulo 4, from -2 to 2, exactly: 2 less an ulp must not round up to 2."""
    turns = call("floor", fma(x, 0.25, 0.5 - 2.0**-54))
    return fma(turns, -4.0, x)


def _rough_turns(x: Element) -> Pair:
    """Return whole quarter turns (last bits) and the rest, for a float32 in float64.

    24 digits of x by 29 of a piece are a product without rounding.
    """
    powers, pieces = _window(x, 29, 24, 4, (2, 1))
    a, b, c, d = (power * piece for power, piece in zip(powers, pieces, strict=True))
    a, b = _wrap(a), _wrap(b)
    shifter = constant(form(x).shifter, x.dtype)
    shifted = (a + b) + shifter
    return bits(shifted), ((a - (shifted - shifter)) + b) + (c + d)


def _turns(x: Element) -> tuple[Element, Element, Element]:
    """Return whole quarter turns (last bits) and the rest in two floats, for a float64."""
    powers, pieces = _window(x, 53, 53, 5, (9, 5, 2, 1, 1))
    products = [two_product(a, b) for a, b in zip(powers[:4], pieces[:4], strict=True)]
    (a, b), (c, d), (e, f), (g, h) = products
    total = _wrap(a)
    lost = []
    for term in (_wrap(b), _wrap(c), d, e):
        total, rest = two_sum(total, term)
        lost.append(rest)
    shifter = constant(form(x).shifter, x.dtype)
    shifted = total + shifter
    total = total - (shifted - shifter)
    small, least = two_sum(f, g)
    least = least + fma(powers[4], pieces[4], h)
    for rest in lost:
        small, more = two_sum(small, rest)
        least = least + more
    total, rest = two_sum(total, small)
    return bits(shifted), *quick_two_sum(total, rest + least)
