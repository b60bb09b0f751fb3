"""Rules: what a function or a fold of elements becomes where that keeps every bit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from retrograd.compile.affine import Sum, range_of
from retrograd.tensor.element import COMPARISONS, Call, Const, Element, Select, Var
from retrograd.tensor.types import DType

if TYPE_CHECKING:
    from retrograd.compile.expressions import Interner

_ARITHMETIC = frozenset({"add", "subtract", "multiply", "negative"})


def identity(kind: str, dtype: DType) -> float | int:
    """Return what a fold of no elements is: the number that changes no other.

    >>> identity("multiply", DType.int64), identity("maximum", DType.float32)
    (1, -inf)
    """
    if kind in ("add", "multiply"):
        return 0 if kind == "add" else 1
    if dtype.is_float:
        return -math.inf if kind == "maximum" else math.inf
    limits = np.iinfo(dtype.name)
    return int(limits.min if kind == "maximum" else limits.max)


def simplified(interner: Interner, function: str, arguments: tuple[Element, ...]) -> Element | None:
    """Return the simpler element that a call becomes, or None if it stays what it is."""
    x, y = arguments[0], arguments[1] if len(arguments) == 2 else None
    if x.dtype is DType.int64:
        return _whole(interner, function, x, y)
    if x.dtype is DType.bool and y is not None:
        for one, other in ((x, y), (y, x)):
            if isinstance(one, Const) and function == "bitwise_and":
                return other if one.value else one
            if isinstance(one, Const) and function == "bitwise_or":
                return one if one.value else other
    if x.dtype.is_float and isinstance(y, Const):
        if function in ("multiply", "divide") and y.value == 1.0:
            return x
        if function == "divide" and _has_exact_reciprocal(y):
            reciprocal = interner.constant(1.0 / y.value, y.dtype)
            return interner.call("multiply", (x, reciprocal), x.dtype)
    return None


def _has_exact_reciprocal(y: Const) -> bool:
    """Return whether dividing by it is multiplying by another float, bit for bit.

    So it is for powers of two, but for subnormal ones: what is 1 over them is too large.
    """
    smallest = float(np.finfo(y.dtype.name).smallest_normal)
    return abs(math.frexp(y.value)[0]) == 0.5 and abs(y.value) >= smallest


def _whole(interner: Interner, function: str, x: Element, y: Element | None) -> Element | None:
    if function in _ARITHMETIC:
        return _arithmetic(interner, function, x, y)
    if y is None:
        return None
    if function in COMPARISONS:
        return _comparison(interner, function, x, y)
    if not isinstance(y, Const):
        return None
    n, own = int(y.value), interner.range(x)
    if function in ("floor_divide", "remainder"):
        return _division(interner, function, x, n)
    if function == "checked_index" and own is not None and own.within(0, n - 1):
        return x
    if function == "logical_right_shift" and own is not None and own.within(0, 2**n - 1):
        return interner.constant(0, DType.int64)
    return None


def _arithmetic(interner: Interner, function: str, x: Element, y: Element | None) -> Element | None:
    first = interner.sum_of(x)
    if y is None:
        return interner.affine(Sum((), 0).combine(first, -1, interner.number))
    second = interner.sum_of(y)
    if function != "multiply":
        return interner.affine(
            first.combine(second, 1 if function == "add" else -1, interner.number)
        )
    if isinstance(x, Const):
        first, second = second, first
    if second.terms:
        return None
    return interner.affine(Sum((), 0).combine(first, second.constant, interner.number))


def _division(interner: Interner, function: str, x: Element, divisor: int) -> Element | None:
    """Return a quotient or remainder by a positive constant, where ranges decide it."""
    if interner.range(x) is None or divisor <= 0:
        return None
    whole, rest = interner.sum_of(x).divided(divisor)
    left = range_of(rest, interner.range)
    if left is not None and left.within(0, divisor - 1):
        return interner.affine(whole if function == "floor_divide" else rest)
    return _division_by_parts(interner, function, x, divisor)


def _division_by_parts(
    interner: Interner, function: str, x: Element, divisor: int
) -> Element | None:
    """Return a quotient or remainder of g w + r by g m, with 0 <= r < g, as one of w by m.

    So the rows of a reshaped matrix are divided, and no longer the positions of its elements.
    """
    terms = interner.sum_of(x)
    for part in sorted({math.gcd(c, divisor) for _, c in terms.terms} - {1, divisor}, reverse=True):
        whole, rest = terms.divided(part)
        left = range_of(rest, interner.range)
        if left is None or not left.within(0, part - 1):
            continue
        inner = (interner.affine(whole), interner.constant(divisor // part, DType.int64))
        found = interner.call(function, inner, DType.int64)
        if function == "floor_divide":
            return found
        return interner.affine(rest.combine(interner.sum_of(found), part, interner.number))
    return None


def rejoined(interner: Interner, s: Sum) -> Sum:
    """Return a sum where n (x // n) + x % n is x again, as it is where a reshape meets strides."""
    for quotient, c in s.terms:
        match quotient:
            case Call(function="floor_divide", arguments=(x, Const(value=n))) if c % int(n) == 0:
                rest = interner.call("remainder", quotient.arguments, DType.int64)
                if (rest, c // int(n)) in s.terms:
                    left = tuple(t for t in s.terms if t[0] is not quotient and t[0] is not rest)
                    whole = Sum(left, s.constant)
                    return rejoined(
                        interner, whole.combine(interner.sum_of(x), c // int(n), interner.number)
                    )
    return s


def _comparison(interner: Interner, function: str, x: Element, y: Element) -> Element | None:
    """Return the answer where the range of x - y decides it."""
    first, second = interner.range(x), interner.range(y)
    if first is None or second is None:
        return None
    gap = range_of(
        interner.sum_of(x).combine(interner.sum_of(y), -1, interner.number), interner.range
    )
    assert gap is not None
    compare = getattr(np, function)
    if gap.low == gap.high or not gap.low <= 0 <= gap.high:
        return interner.constant(bool(compare(gap.low, 0)), DType.bool)
    if function in ("equal", "not_equal"):
        return None
    answers = {bool(compare(end, 0)) for end in (gap.low, 0, gap.high)}
    return interner.constant(answers.pop(), DType.bool) if len(answers) == 1 else None


def picked(
    interner: Interner,
    kind: str,
    variables: tuple[Var, ...],
    extents: tuple[int, ...],
    body: Element,
) -> Element | None:
    """Return the one term that a sum picks by its number, or None if it is no such sum.

    The sum over k of (f(k) where k is n, else 0) is f(n), if n is one of the numbers: so the loss
    of a label reads one logarithm, and not those of all classes. Adding 0 keeps the bits that a
    sum from 0 has.
    """
    is_negative = isinstance(body, Call) and body.function == "negative"
    inside = body.arguments[0] if isinstance(body, Call) and is_negative else body
    if kind != "add" or len(variables) != 1 or not isinstance(inside, Select):
        return None
    condition, zero = inside.condition, inside.otherwise
    if not isinstance(condition, Call) or condition.function != "equal":
        return None
    if not isinstance(zero, Const) or zero.value != 0 or not inside.dtype.is_float:
        return None
    (k,), (extent,) = variables, extents
    number = next((x for x in condition.arguments if x is not k), k)
    if not any(x is k for x in condition.arguments) or k in interner.free(number):
        return None
    bounds = interner.range(number)
    if bounds is None or not bounds.within(0, extent - 1):
        return None
    term = interner.with_variable(inside.then, k, number)
    if is_negative:
        term = interner.call("negative", (term,), term.dtype)
    return interner.call("add", (term, interner.constant(0, term.dtype)), term.dtype)
