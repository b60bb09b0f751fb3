"""The error function, which NumPy lacks: erf within 1 ulp in float64, its tail erfc within 5.

Rational approximations on five ranges, with the coefficients of Sun's fdlibm (s_erf.c, 1993).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrograd.tensor.types import Array

# erf(x) = x + x P(x^2)/Q(x^2) on [0, 0.84375)
_P_SMALL = (1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
            -5.77027029648944159157e-03, -2.37630166566501626084e-05)  # fmt: skip
_Q_SMALL = (1.0, 3.97917223959155352819e-01, 6.50222499887672944485e-02,
            5.08130628187576562776e-03, 1.32494738004321644526e-04,
            -3.96022827877536812320e-06)  # fmt: skip
# erf(x) = _MIDDLE + P(x-1)/Q(x-1) on [0.84375, 1.25)
_MIDDLE = 8.45062911510467529297e-01
_P_MIDDLE = (-2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
             3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02,
             -2.16637559486879084300e-03)  # fmt: skip
_Q_MIDDLE = (1.0, 1.06420880400844228286e-01, 5.40397917702171048937e-01,
             7.18286544141962662868e-02, 1.26171219808761642112e-01, 1.36370839120290507362e-02,
             1.19844998467991074170e-02)  # fmt: skip
# erfc(x) = exp(-x^2 - 0.5625 + P(1/x^2)/Q(1/x^2)) / x, on [1.25, 1/0.35) and from there to 28
_P_TAIL = (-9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e01,
           -6.23753324503260060396e01, -1.62396669462573470355e02, -1.84605092906711035994e02,
           -8.12874355063065934246e01, -9.81432934416914548592e00)  # fmt: skip
_Q_TAIL = (1.0, 1.96512716674392571292e01, 1.37657754143519042600e02, 4.34565877475229228821e02,
           6.45387271733267880336e02, 4.29008140027567833386e02, 1.08635005541779435134e02,
           6.57024977031928170135e00, -6.04244152148580987438e-02)  # fmt: skip
_P_FAR = (-9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e01,
          -1.60636384855821916062e02, -6.37566443368389627722e02, -1.02509513161107724954e03,
          -4.83519191608651397019e02)  # fmt: skip
_Q_FAR = (1.0, 3.03380607434824582924e01, 3.25792512996573918826e02, 1.53672958608443695994e03,
          3.19985821950859553908e03, 2.55305040643316442583e03, 4.74528541206955367215e02,
          -2.24409524465858183362e01)  # fmt: skip


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def _tail(x: Any) -> Any:
    """Return erfc for x >= 1.25."""
    s = 1 / (x * x)
    near = x < 1 / 0.35
    ratio = np.where(
        near,
        _polynomial(_P_TAIL, s) / _polynomial(_Q_TAIL, s),
        _polynomial(_P_FAR, s) / _polynomial(_Q_FAR, s),
    )
    # x rounded to its high half squares without error, so exp(-x^2) keeps all its digits.
    high = (x.view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)
    return np.exp(-high * high - 0.5625) * np.exp((high - x) * (high + x) + ratio) / x


def _parts(magnitude: Any) -> tuple[Any, Any, Any, Any]:
    """Return erf as the sum of two on the small range, less M on the middle; erfc in the tail."""
    small = np.minimum(magnitude, 0.84375)
    square = small * small
    rest = small * (_polynomial(_P_SMALL, square) / _polynomial(_Q_SMALL, square))
    shifted = np.clip(magnitude, 0.84375, 1.25) - 1
    middle = _polynomial(_P_MIDDLE, shifted) / _polynomial(_Q_MIDDLE, shifted)
    tail = np.where(magnitude >= 28, 0.0, _tail(np.clip(magnitude, 1.25, 28.0)))
    return small, rest, middle, tail


def erf(x: Any) -> Array:
    """Return the error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    >>> float(erf(np.array(0.5)))
    0.5204998778130465
    """
    given = np.asarray(x)
    wide = np.asarray(given, np.float64)
    magnitude = np.abs(wide)
    small, rest, middle, tail = _parts(magnitude)
    value = np.where(magnitude < 1.25, _MIDDLE + middle, 1 - tail)
    value = np.where(magnitude < 0.84375, small + rest, value)
    value = np.where(np.isnan(wide), wide, np.copysign(value, wide))
    return np.asarray(value.astype(given.dtype))


def erfc(x: Any) -> Array:
    """Return 1 - erf(x) without the cancellation that loses every digit for large x.

    >>> float(erfc(np.array(10.0)))
    2.088487583762545e-45
    """
    given = np.asarray(x)
    wide = np.asarray(given, np.float64)
    magnitude = np.abs(wide)
    small, rest, middle, tail = _parts(magnitude)
    # Differences in this order are exact but for the last: x - 1/2 from 1/4 on, and 1 - M.
    near = np.where(magnitude < 0.25, 1 - (small + rest), 0.5 - (rest + (small - 0.5)))
    positive = np.where(magnitude < 1.25, (1 - _MIDDLE) - middle, tail)
    positive = np.where(magnitude < 0.84375, near, positive)
    negative = np.where(magnitude < 1.25, 1 + (_MIDDLE + middle), 2 - tail)
    negative = np.where(magnitude < 0.84375, 1 + (small + rest), negative)
    value = np.where(np.isnan(wide), wide, np.where(wide < 0, negative, positive))
    return np.asarray(value.astype(given.dtype))
