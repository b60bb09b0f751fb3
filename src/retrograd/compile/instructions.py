"""Instructions: each scalar function of the element language as LLVM writes it, lane by lane."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from retrograd.compile.text import Text
from retrograd.compile.values import Value, lanes_of, mangled, scalar_of, vector

Instruction = Callable[..., Value]

_PREDICATES = {
    "equal": ("oeq", "eq"),
    "not_equal": ("une", "ne"),
    "less": ("olt", "slt"),
    "less_equal": ("ole", "sle"),
    "greater": ("ogt", "sgt"),
    "greater_equal": ("oge", "sge"),
}


def is_float(x: Value) -> bool:
    """Return whether a value holds floats."""
    return scalar_of(x.type) in ("float", "double")


def write(text: Text, function: str, arguments: tuple[Value, ...], type: str) -> Value:
    """Return a function of values that all have one type; ``type`` is the result's."""
    if function in _PREDICATES:
        return _compare(text, function, *arguments)
    if function == "bitcast":
        return text.convert("bitcast", arguments[0], type)
    return _TABLE[function](text, *arguments)


def _compare(text: Text, function: str, x: Value, y: Value) -> Value:
    floats, integers = _PREDICATES[function]
    if is_float(x):
        return text.compare(f"fcmp {floats}", x, y)
    # Bools are ordered as numbers: true is 1, and as a signed bit it would be -1.
    if scalar_of(x.type) == "i1":
        integers = integers.replace("s", "u")
    return text.compare(f"icmp {integers}", x, y)


def _either(floats: str, integers: str) -> Instruction:
    def written(text: Text, x: Value, y: Value) -> Value:
        return text.binary(floats if is_float(x) else integers, x, y)

    return written


def _extreme(predicate: str, integers: str) -> Instruction:
    """Return the larger or smaller of two; NaN wins. Of equal ones it is the second."""

    def written(text: Text, x: Value, y: Value) -> Value:
        if not is_float(x):
            return text.intrinsic(integers, x, y)
        # One instruction where the CPU has it, which gives y where either is NaN.
        chosen = text.select(text.compare(f"fcmp {predicate}", x, y), x, y)
        return text.select(text.compare("fcmp uno", x, x), x, chosen)

    return written


def _always(operation: str) -> Instruction:
    def written(text: Text, x: Value, y: Value) -> Value:
        return text.binary(operation, x, y)

    return written


def _intrinsic(name: str) -> Instruction:
    def written(text: Text, *arguments: Value) -> Value:
        return text.intrinsic(name, *arguments)

    return written


def _negative(text: Text, x: Value) -> Value:
    if is_float(x):
        return text.let(x.type, f"fneg {x}")
    return text.binary("sub", text.constant(x.type, 0), x)


def _absolute(text: Text, x: Value) -> Value:
    if is_float(x):
        return text.intrinsic("fabs", x)
    negative = text.compare("icmp slt", x, text.constant(x.type, 0))
    return text.select(negative, _negative(text, x), x)


def _sign(text: Text, x: Value) -> Value:
    """Return 1, -1 or 0 by the sign; NaN stays."""
    one, zero = text.constant(x.type, 1), text.constant(x.type, 0)
    above, below = (_compare(text, name, x, zero) for name in ("greater", "less"))
    rest = text.select(_compare(text, "equal", x, zero), zero, x)
    return text.select(above, one, text.select(below, text.constant(x.type, -1), rest))


def _invert(text: Text, x: Value) -> Value:
    return text.binary("xor", x, text.constant(x.type, 1 if scalar_of(x.type) == "i1" else -1))


def _whole_division(text: Text, x: Value, y: Value) -> tuple[Value, Value]:
    """Return quotient towards -inf and remainder with the divisor's sign; no divisor traps.

    By 0 both are 0; by -1 the quotient is -x, which wraps for the smallest integer.
    """
    zero, one = text.constant(x.type, 0), text.constant(x.type, 1)
    is_zero = text.compare("icmp eq", y, zero)
    is_minus = text.compare("icmp eq", y, text.constant(x.type, -1))
    safe = text.select(text.binary("or", is_zero, is_minus), one, y)
    quotient = text.binary("sdiv", x, safe)
    rest = text.binary("sub", x, text.binary("mul", quotient, safe))
    differs = text.compare("icmp slt", text.binary("xor", rest, safe), zero)
    is_off = text.binary("and", text.compare("icmp ne", rest, zero), differs)
    quotient = text.select(is_off, text.binary("sub", quotient, one), quotient)
    rest = text.select(is_off, text.binary("add", rest, safe), rest)
    quotient = text.select(is_minus, text.binary("sub", zero, x), quotient)
    rest = text.select(is_minus, zero, rest)
    return text.select(is_zero, zero, quotient), text.select(is_zero, zero, rest)


def _float_division(text: Text, x: Value, y: Value) -> tuple[Value, Value]:
    """Return NumPy's floor quotient and remainder, from the exact remainder of the division."""
    zero, one = text.constant(x.type, 0), text.constant(x.type, 1)
    cut = text.binary("frem", x, y)
    whole = text.binary("fdiv", text.binary("fsub", x, cut), y)
    differs = text.binary("xor", _compare(text, "less", y, zero), _compare(text, "less", cut, zero))
    is_off = text.binary("and", _compare(text, "not_equal", cut, zero), differs)
    rest = text.select(is_off, text.binary("fadd", cut, y), cut)
    whole = text.select(is_off, text.binary("fsub", whole, one), whole)
    signed_zero = text.intrinsic("copysign", zero, y)
    rest = text.select(_compare(text, "equal", cut, zero), signed_zero, rest)
    floor = text.intrinsic("floor", whole)
    above = text.compare("fcmp ogt", text.binary("fsub", whole, floor), text.constant(x.type, 0.5))
    floor = text.select(above, text.binary("fadd", floor, one), floor)
    ratio = text.binary("fdiv", x, y)
    nothing = text.intrinsic("copysign", zero, ratio)
    floor = text.select(_compare(text, "equal", whole, zero), nothing, floor)
    by_zero = _compare(text, "equal", y, zero)
    return text.select(by_zero, ratio, floor), text.select(by_zero, cut, rest)


def _floor_divide(text: Text, x: Value, y: Value) -> Value:
    return (_float_division if is_float(x) else _whole_division)(text, x, y)[0]


def _remainder(text: Text, x: Value, y: Value) -> Value:
    return (_float_division if is_float(x) else _whole_division)(text, x, y)[1]


def _fma(text: Text, x: Value, y: Value, z: Value) -> Value:
    if text.fused or scalar_of(x.type) == "double":
        return text.fma(x, y, z)
    # The product of two floats is exact as a double; only the sum is rounded twice.
    wide = vector("double", lanes_of(x.type))
    a, b, c = (text.convert("fpext", v, wide) for v in (x, y, z))
    exact = text.binary("fadd", text.binary("fmul", a, b), c)
    return text.convert("fptrunc", exact, x.type)


_TABLE: Mapping[str, Instruction] = {
    "add": _either("fadd", "add"),
    "subtract": _either("fsub", "sub"),
    "multiply": _either("fmul", "mul"),
    "product": _either("fmul", "mul"),
    "divide": _always("fdiv"),
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "negative": _negative,
    "absolute": _absolute,
    "sign": _sign,
    "maximum": _extreme("ogt", "smax"),
    "minimum": _extreme("olt", "smin"),
    "floor": _intrinsic("floor"),
    "sqrt": _intrinsic("sqrt"),
    "fma": _fma,
    "bitwise_and": _always("and"),
    "bitwise_or": _always("or"),
    "bitwise_xor": _always("xor"),
    "invert": _invert,
    "left_shift": _always("shl"),
    "logical_right_shift": _always("lshr"),
    "arithmetic_right_shift": _always("ashr"),
}


def cast(text: Text, x: Value, type: str) -> Value:
    """Return a value in another scalar type, as the element language says."""
    given, wanted = scalar_of(x.type), scalar_of(type)
    if given == wanted:
        return x
    if wanted == "i1":
        operation = "fcmp une" if is_float(x) else "icmp ne"
        return text.compare(operation, x, text.constant(x.type, 0))
    if given == "i1":
        return text.convert("uitofp" if wanted in ("float", "double") else "zext", x, type)
    if is_float(x):
        if wanted in ("float", "double"):
            return text.convert("fpext" if wanted == "double" else "fptrunc", x, type)
        return text.call(f"llvm.fptosi.sat.{mangled(type)}.{mangled(x.type)}", type, x)
    if wanted in ("float", "double"):
        return text.convert("sitofp", x, type)
    return text.convert("sext" if wanted == "i64" else "trunc", x, type)
