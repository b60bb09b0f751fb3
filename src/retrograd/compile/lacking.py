"""Arithmetic in place of instructions that a CPU lacks, where nobody brings functions for them.

LLVM would call C's mathematical library. What is called instead is written into the module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from retrograd.compile.values import lanes_of, literal, scalar_of, vector

_WIDE_FMA = r"fma\.(?:v\d+)?f64"
_FLOOR = r"floor\.(?:v\d+)?f\d\d"


def without(text: str, lacks: Iterable[str]) -> str:
    """Return a module that uses no instruction of these names.

    ``wide_fma`` is x * y + z of doubles with one rounding, ``floor`` the next whole number below.
    """
    known = {"wide_fma": (_WIDE_FMA, _written_fma), "floor": (_FLOOR, _written_floor)}
    for name in lacks:
        text = _replaced(text, *known[name])
    return text


def _replaced(text: str, pattern: str, write: Callable[[str, str], str]) -> str:
    """Return the text with functions of its own in place of intrinsics."""
    for type, name in re.findall(rf"declare (\S.*) @llvm\.({pattern})\(.*\)\n", text):
        text = re.sub(rf"declare .* @llvm\.{re.escape(name)}\(.*\)\n", "", text)
        text = text.replace(f"@llvm.{name}(", f"@{name}(")
        text += write(type, f"@{name}")
    return text


def _constant(type: str, value: float) -> str:
    number = literal(scalar_of(type), value)
    return number if lanes_of(type) == 1 else f"splat ({scalar_of(type)} {number})"


def _written_fma(type: str, name: str) -> str:
    """Return x * y + z, wrong by little more than half a unit in the last place.

    A product is split into two doubles by Dekker's and Veltkamp's algorithms (1971), and the rest
    of the sum is Knuth's.
    """
    lines = [f"define internal {type} {name}({type} %x, {type} %y, {type} %z) #0 {{"]

    def let(register: str, operation: str, a: str, b: str) -> None:
        lines.append(f"  %{register} = f{operation} {type} %{a}, {b}")

    for v in "xy":
        let(f"{v}c", "mul", v, _constant(type, 2.0**27 + 1))
        let(f"{v}d", "sub", f"{v}c", f"%{v}")
        let(f"{v}h", "sub", f"{v}c", f"%{v}d")
        let(f"{v}l", "sub", v, f"%{v}h")
    let("p", "mul", "x", "%y")
    let("hh", "mul", "xh", "%yh")
    let("e0", "sub", "hh", "%p")
    for i, (a, b) in enumerate((("xh", "yl"), ("xl", "yh"), ("xl", "yl"))):
        let(f"m{i}", "mul", a, f"%{b}")
        let(f"e{i + 1}", "add", f"e{i}", f"%m{i}")
    let("s", "add", "p", "%z")
    let("b", "sub", "s", "%p")
    let("c", "sub", "s", "%b")
    let("d", "sub", "p", "%c")
    let("g", "sub", "z", "%b")
    let("h", "add", "d", "%g")
    let("low", "add", "h", "%e3")
    let("r", "add", "s", "%low")
    mask = vector("i1", lanes_of(type))
    lines += [
        f"  %finite = fcmp ord {type} %low, %low",  # an infinite product has no rest
        f"  %answer = select {mask} %finite, {type} %r, {type} %s",
        f"  ret {type} %answer",
        "}\n",
    ]
    return "\n".join(lines)


def _written_floor(type: str, name: str) -> str:
    """Return the largest whole number that is not above x: adding 2^52 leaves no fraction."""
    large = _constant(type, 2.0**52 if scalar_of(type) == "double" else 2.0**23)
    mask = vector("i1", lanes_of(type))
    return "\n".join([
        f"define internal {type} {name}({type} %x) #0 {{",
        f"  %is.below = fcmp olt {type} %x, {_constant(type, 0.0)}",
        f"  %mirrored = fneg {type} %x",
        f"  %size = select {mask} %is.below, {type} %mirrored, {type} %x",
        f"  %shifted = fadd {type} %size, {large}",
        f"  %near = fsub {type} %shifted, {large}",
        f"  %back = fneg {type} %near",
        f"  %signed = select {mask} %is.below, {type} %back, {type} %near",
        f"  %less = fsub {type} %signed, {_constant(type, 1.0)}",
        f"  %is.above = fcmp ogt {type} %signed, %x",
        f"  %floor = select {mask} %is.above, {type} %less, {type} %signed",
        f"  %has.fraction = fcmp olt {type} %size, {large}",
        f"  %answer = select {mask} %has.fraction, {type} %floor, {type} %x",
        f"  ret {type} %answer",
        "}\n",
    ])  # fmt: skip
