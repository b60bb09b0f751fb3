"""Mathematical functions as elements made of machine instructions. The way in is `expand`.

How far from the true value they are at most, in units of the last place (float32: all floats were
tried, of power a million pairs; float64: tens of thousands), subnormal numbers included:

========  =======  =======
function  float32  float64
========  =======  =======
exp       0.91     0.79
expm1     0.51     0.91
log       0.92     0.81
log1p     1.17     0.73
tanh      0.99     0.63
sin       0.56     0.74
cos       0.56     0.69
erf       0.52     0.88
erfc      0.53     1.49
power     0.53     0.70
========  =======  =======
"""

from __future__ import annotations

from retrograd.compile.functions.error import erf, erfc
from retrograd.compile.functions.exponential import exp, expm1
from retrograd.compile.functions.hyperbolic import tanh
from retrograd.compile.functions.logarithm import log, log1p
from retrograd.compile.functions.power import power
from retrograd.compile.functions.trigonometric import cos, sin
from retrograd.tensor.element import Element

_OF_ONE = {
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "sin": sin,
    "cos": cos,
    "tanh": tanh,
    "erf": erf,
    "erfc": erfc,
}


def expand(function: str, arguments: tuple[Element, ...]) -> Element | None:
    """Return a float function of elements in arithmetic; None for every other function.

    Besides functions of the element language that are single instructions, the answer holds three
    that only a compiler has: ``fma``, ``bitcast`` and ``arithmetic_right_shift``. Its selects are
    lane by lane: nothing in them can fail. Order and rounding of every step count: whoever works
    on the answer must not reassociate, contract or cancel.

    >>> from retrograd.tensor.element import constant
    >>> from retrograd.tensor.types import DType
    >>> expand("exp", (constant(1, DType.float32),)).function
    'multiply'
    >>> expand("sqrt", (constant(1, DType.float32),)) is None
    True
    """
    if not arguments[0].dtype.is_float:
        return None
    if function == "power":
        return power(*arguments)
    written = _OF_ONE.get(function)
    return None if written is None else written(*arguments)
