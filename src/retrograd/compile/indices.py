"""Indices in native code: whole numbers lane by lane, their bounds, elements from anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrograd.compile.affine import Affine
from retrograd.compile.values import BYTES, MEMORY, Value, lanes_of, mangled, scalar_of, vector
from retrograd.tensor.element import COMPARISONS, Call, Element, Load, Var
from retrograd.tensor.types import DType

if TYPE_CHECKING:
    from retrograd.compile.emitter import Emitter


def whole_number(emitter: Emitter, e: Element, scalar: str = "i64") -> Value:
    """Return an index: a scalar, or one number a lane where it depends on the lanes."""
    text, s = emitter.text, emitter.interner.sum_of(e)
    total: Value | None = None
    lanes: Value | None = None
    for atom, coefficient in s.terms:
        if atom is emitter.vector:
            steps = [coefficient * lane for lane in range(emitter.target.lanes)]
            lanes = text.lanes(vector(scalar, emitter.target.lanes), steps)
        base = _atom(emitter, atom, scalar)
        if coefficient != 1:
            base = text.binary("mul", base, text.constant(base.type, coefficient))
        if total is not None and lanes_of(base.type) != lanes_of(total.type):
            base, total = emitter.splat(base), emitter.splat(total)
        total = base if total is None else text.binary("add", total, base)
    if total is None:
        return text.constant(scalar, s.constant)
    if s.constant:
        total = text.binary("add", total, text.constant(total.type, s.constant))
    return total if lanes is None else text.binary("add", emitter.splat(total), lanes)


def _atom(emitter: Emitter, atom: Element, scalar: str) -> Value:
    if isinstance(atom, Var):
        value = emitter.text.integer(emitter.variables[atom])
    else:
        value = emitter(atom)
    if scalar == "i64":
        return value
    if not value.name.startswith("%"):
        return emitter.text.constant(scalar, int(value.name))
    return emitter.text.convert("trunc", value, vector(scalar, lanes_of(value.type)))


def narrowed(emitter: Emitter, e: Call) -> tuple[Value, ...] | None:
    """Return the indices that a comparison is of as int32, where their ranges allow it.

    Twice as many fit into a vector: a label is compared with each of a thousand classes.
    """
    if e.function not in COMPARISONS or e.arguments[0].dtype is not DType.int64:
        return None
    if emitter.vector is None or emitter.vector not in emitter.interner.free(e):
        return None
    ranges = map(emitter.interner.range, e.arguments)
    if not all(r is not None and r.within(-(2**31), 2**31 - 1) for r in ranges):
        return None
    narrow = (
        whole_number(emitter, x, "i32") if isinstance(x, Var | Affine) else _cut(emitter, x)
        for x in e.arguments
    )
    return tuple(map(emitter.splat, narrow))


def _cut(emitter: Emitter, e: Element) -> Value:
    value = emitter(e)
    if not value.name.startswith("%"):
        return emitter.text.constant("i32", int(value.name))
    return emitter.text.convert("trunc", value, vector("i32", lanes_of(value.type)))


def checked_index(emitter: Emitter, e: Call) -> Value:
    """Return an index that is in bounds; what is not is reported and becomes 0."""
    text = emitter.text
    index, length = emitter.alike(e.arguments)
    wrong = text.compare("icmp uge", index, length)
    if emitter.taken is not None:
        taken = emitter.taken if lanes_of(wrong.type) == 1 else emitter.splat(emitter.taken)
        if lanes_of(taken.type) > lanes_of(wrong.type):
            taken = any_lane(emitter, taken)
        wrong = text.binary("and", wrong, taken)
    if lanes_of(wrong.type) > 1 and emitter.count is not None:
        wrong = text.binary("and", wrong, text.mask(emitter.target.lanes, emitter.count))
    zero = text.constant(index.type, 0)
    found = text.select(wrong, index, zero)
    text.when(any_lane(emitter, wrong), lambda: _report(emitter, found, length))
    return text.select(wrong, zero, index)


def any_lane(emitter: Emitter, x: Value) -> Value:
    """Return whether an i1 holds in any lane."""
    if lanes_of(x.type) == 1:
        return x
    return emitter.text.call(f"llvm.vector.reduce.or.{mangled(x.type)}", "i1", x)


def _report(emitter: Emitter, found: Value, length: Value) -> None:
    """Write that there was a wrong index, which one, and the bound."""
    text = emitter.text
    if lanes_of(found.type) > 1:
        # As unsigned numbers the negative ones are the largest: one of the wrong ones is told.
        scalar = scalar_of(found.type)
        name = f"llvm.vector.reduce.umax.{mangled(found.type)}"
        found, length = text.call(name, scalar, found), text.extract(length, 0)
    for place, value in enumerate((found, length), 1):
        wide = value if value.type == "i64" else text.convert("sext", value, "i64")
        text.store(wide, text.address(emitter.errors, place, "i64"), 8)
    text.do(f"store atomic i64 1, {emitter.errors} release, align 8")


def gather(emitter: Emitter, e: Load, position: Element, condition: Value | None) -> Value:
    """Return elements that lie anywhere, or those of some lanes only."""
    text, lanes, buffer = emitter.text, emitter.target.lanes, emitter.buffers[e.source]
    wide, pointers = vector(MEMORY[e.dtype], lanes), vector("ptr", lanes)
    if buffer.first_row == 0:
        start = buffer.pointer
    else:
        start = emitter.place(e.source, emitter.interner.constant(0, DType.int64))
    offsets = emitter.splat(whole_number(emitter, position))
    places = text.let(pointers, f"getelementptr {MEMORY[e.dtype]}, {start}, {offsets}")
    mask = text.mask(lanes, lanes if emitter.count is None else emitter.count)
    if condition is not None:
        mask = text.binary("and", mask, emitter.splat(condition))
    name = f"llvm.masked.gather.{mangled(wide)}.v{lanes}p0"
    align = Value("i32", str(BYTES[e.dtype]))
    return text.call(name, wide, places, align, mask, text.constant(wide, 0))
