"""How far a result is from the true one, in units of its last place, and true results."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np

from retrograd.tensor import special


def ulps(got: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return |got - true| in units of the last place that the true value has in got's dtype.

    Of a wider dtype the true value is. NaN for NaN and an infinity, or a zero, of the right sign
    count 0; any other of these counts inf.
    """
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = true.astype(got.dtype)
        right = (np.isnan(got) & np.isnan(true)) | (
            (got == rounded) & ((got == 0) | np.isinf(got)) & (np.signbit(got) == np.signbit(true))
        )
        _, exponent = np.frexp(true)
        unit = np.ldexp(true.dtype.type(1), np.clip(exponent - 1, info.minexp, None) - info.nmant)
        error = np.abs(got.astype(true.dtype) - true) / unit
        over = np.isinf(got) != np.isinf(rounded)
        limit = np.ldexp(true.dtype.type(1), info.maxexp)
        beyond = np.abs(np.where(np.isinf(got), np.copysign(limit, got), got) - true) / unit
        error = np.where(over, beyond, error)
    return np.where(right, 0, np.where(np.isnan(error), np.inf, error))


def true_error_function(x: float) -> tuple[np.longdouble, np.longdouble]:
    """Return erf and erfc in extended precision, from the power series in enough digits.

    erf(x) = 2/sqrt(pi) e^(-x^2) sum over n of 2^n x^(2n+1) / (1 3 5 ... (2n+1)).
    """
    with localcontext() as context:
        context.prec = 60 + int(x * x)
        exact = Decimal(x)
        square = exact * exact
        term = total = exact
        n = 0
        while abs(term) > abs(total) * Decimal(10) ** -context.prec:
            n += 1
            term = term * 2 * square / (2 * n + 1)
            total += term
        value = total * 2 * (-square).exp() / _pi().sqrt()
        return np.longdouble(f"{value:.30e}"), np.longdouble(f"{1 - value:.30e}")


def _pi() -> Decimal:
    """Return pi by Machin's formula, in the digits of the context."""

    def arctan_of_inverse(n: int) -> Decimal:
        term = Decimal(1) / n
        total, k = term, 1
        while abs(term) > Decimal(10) ** -(_digits() + 5):
            term = -term / (n * n)
            k += 2
            total += term / k
        return total

    return 16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)


def _digits() -> int:
    with localcontext() as context:
        return context.prec


ONE_ARGUMENT: dict[str, Any] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "erf": special.erf,
    "erfc": special.erfc,
}
"""The functions in float64 (all) and extended precision (all but the last two)."""

HAS_EXTENDED = np.finfo(np.longdouble).nmant > 60
