"""Text: a native function being written, line by line, in LLVM's assembly language.

Explicit vector types everywhere, no flags that let LLVM reorder or drop: what is written is what
is computed. A value carries its type; whole-number constants fold while they are written, so that
an address which is known costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from retrograd.compile.lines import Lines
from retrograd.compile.values import (
    Integer,
    Value,
    lanes_of,
    mangled,
    scalar_of,
    vector,
)


class Text(Lines):
    """The body of one function. Methods write an instruction and return its result."""

    # Whole numbers

    def integer(self, x: Integer) -> Value:
        """Return an i64 as an operand."""
        return Value("i64", str(x)) if isinstance(x, int) else x

    def add(self, x: Integer, y: Integer) -> Integer:
        """Return x + y, folded where both are known."""
        if isinstance(x, int) and isinstance(y, int):
            return x + y
        if x == 0 or y == 0:
            return y if x == 0 else x
        return self.binary("add nsw", self.integer(x), self.integer(y))

    def multiply(self, x: Integer, y: Integer) -> Integer:
        """Return x * y, folded where both are known."""
        if isinstance(x, int) and isinstance(y, int):
            return x * y
        if x == 0 or y == 0:
            return 0
        if x == 1 or y == 1:
            return y if x == 1 else x
        return self.binary("mul nsw", self.integer(x), self.integer(y))

    def smaller(self, x: Integer, y: Integer) -> Integer:
        """Return the smaller of two, folded where both are known."""
        if isinstance(x, int) and isinstance(y, int):
            return min(x, y)
        return self.intrinsic("smin", self.integer(x), self.integer(y))

    # Arithmetic

    def binary(self, operation: str, x: Value, y: Value) -> Value:
        """Return an operation of two values of one type."""
        return self.let(x.type, f"{operation} {x}, {y.name}")

    def compare(self, predicate: str, x: Value, y: Value) -> Value:
        """Return ``icmp`` or ``fcmp`` with its predicate, lane by lane."""
        return self.let(vector("i1", lanes_of(x.type)), f"{predicate} {x}, {y.name}")

    def select(self, condition: Value, then: Value, otherwise: Value) -> Value:
        """Return one of two values, lane by lane."""
        return self.let(then.type, f"select {condition}, {then}, {otherwise}")

    def convert(self, operation: str, x: Value, type: str) -> Value:
        """Return ``trunc``, ``sext``, ``bitcast``, ... to another type."""
        return self.let(type, f"{operation} {x} to {type}")

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """Return x * y + z, rounded once."""
        return self.intrinsic("fma", x, y, z)

    def splat(self, x: Value, lanes: int) -> Value:
        """Return a scalar in every lane."""
        if lanes == 1:
            return x
        if not x.name.startswith("%"):
            return Value(vector(x.type, lanes), f"splat ({x})")
        type = vector(x.type, lanes)
        one = self.let(type, f"insertelement {type} poison, {x}, i64 0")
        zeros = f"<{lanes} x i32> zeroinitializer"
        return self.let(type, f"shufflevector {one}, {type} poison, {zeros}")

    def shuffle(self, x: Value, y: Value, places: Sequence[int]) -> Value:
        """Return lanes chosen from two vectors; places of y count on from those of x."""
        type = vector(scalar_of(x.type), len(places))
        chosen = ", ".join(f"i32 {i}" for i in places)
        return self.let(type, f"shufflevector {x}, {y}, <{len(places)} x i32> <{chosen}>")

    def extract(self, x: Value, lane: int) -> Value:
        """Return one lane."""
        return self.let(scalar_of(x.type), f"extractelement {x}, i64 {lane}")

    def insert(self, x: Value, y: Value, lane: int) -> Value:
        """Return a vector with one lane replaced."""
        return self.let(x.type, f"insertelement {x}, {y}, i64 {lane}")

    # Memory

    def address(self, pointer: Value, offset: Integer, unit: str = "i8") -> Value:
        """Return the pointer moved by so many units of a type."""
        if offset == 0:
            return pointer
        moved = f"getelementptr inbounds {unit}, {pointer}, {self.integer(offset)}"
        return self.let("ptr", moved)

    def load(self, type: str, pointer: Value, align: int, count: int | None = None) -> Value:
        """Return what lies there; with a count only the first lanes are read, the others are 0."""
        lanes = lanes_of(type)
        if count is None or count == lanes:
            return self.let(type, f"load {type}, {pointer}, align {align}")
        name = f"llvm.masked.load.{mangled(type)}.p0"
        passed = (pointer, Value("i32", str(align)), self.mask(lanes, count))
        return self.call(name, type, *passed, Value(type, "zeroinitializer"))

    def store(
        self,
        x: Value,
        pointer: Value,
        align: int,
        count: int | None = None,
        is_streamed: bool = False,
    ) -> None:
        """Write a value; with a count only its first lanes.

        Whole vectors are ``is_streamed`` past the caches, where they are large and not read again
        soon; they then lie at addresses that are multiples of their size, or of 64.
        """
        lanes = lanes_of(x.type)
        if count is not None and count < lanes:
            name = f"llvm.masked.store.{mangled(x.type)}.p0"
            self.call_void(name, x, pointer, Value("i32", str(align)), self.mask(lanes, count))
        elif is_streamed and lanes > 1:
            self.do(f"store {x}, {pointer}, align {min(64, lanes * align)}, !nontemporal !0")
        else:
            self.do(f"store {x}, {pointer}, align {align}")

    def prefetch(self, pointer: Value, size: int) -> None:
        """Ask for so many bytes from there on; addresses that do not exist do no harm."""
        for line in range(0, size, 64):
            given = (Value("i32", n) for n in ("0", "3", "1"))
            self.call_void("llvm.prefetch.p0", self.address(pointer, line), *given)

    def reserve(self, type: str, count: int) -> Value:
        """Return memory of the function's own, 64-byte aligned, made once at its entry."""
        result = self.new("ptr")
        self._reserved.append(f"  {result.name} = alloca [{count} x {type}], align 64")
        return result

    # Control

    def loop(
        self,
        start: Integer,
        stop: Integer,
        step: int,
        body: Callable[..., Sequence[Value] | None],
        carried: Sequence[Value] = (),
    ) -> list[Value]:
        """Write ``body(i, *carried)`` for i from start up to stop; return what it carried last.

        The body returns the next carried values. Bounds that are known need no test before the
        first turn, and a single turn is no loop.
        """
        is_known = isinstance(start, int) and isinstance(stop, int)
        if isinstance(start, int) and isinstance(stop, int):
            if start >= stop:
                return list(carried)
            if start + step >= stop:
                return list(body(start, *carried) or ())
        head, done = self._labels("loop", "done")
        before = self.block
        if is_known:
            self.do(f"br label %{head}")
        else:
            runs = self.compare("icmp slt", self.integer(start), self.integer(stop))
            self.do(f"br {runs}, label %{head}, label %{done}")
        self._start(head)
        i, place = self.new("i64"), len(self.lines)
        inside = [self.new(x.type) for x in carried]
        after = list(body(i, *inside) or ())
        following = self.let("i64", f"add nsw {i}, {step}")
        again = self.compare("icmp slt", following, self.integer(stop))
        latch = self.block
        self.do(f"br {again}, label %{head}, label %{done}")
        firsts, nexts = [self.integer(start), *carried], [following, *after]
        self.lines[place:place] = _phis([i, *inside], (before, firsts), (latch, nexts))
        self._start(done)
        if is_known:
            return after
        results = [self.new(x.type) for x in carried]
        self.lines += _phis(results, (before, carried), (latch, after))
        return results

    def repeat(
        self,
        body: Callable[..., tuple[Value, Sequence[Value]]],
        carried: Sequence[Integer] = (),
    ) -> None:
        """Write ``body(*carried)``, which says whether to go on, an i1, and the next carried i64s.

        It runs at least once.
        """
        head, done = self._labels("again", "done")
        before = self.block
        self.do(f"br label %{head}")
        self._start(head)
        place, inside = len(self.lines), [self.new("i64") for _ in carried]
        goes_on, after = body(*inside)
        latch = self.block
        self.do(f"br {goes_on}, label %{head}, label %{done}")
        firsts = [self.integer(x) for x in carried]
        self.lines[place:place] = _phis(inside, (before, firsts), (latch, after))
        self._start(done)

    def when(self, condition: Value, body: Callable[[], None]) -> None:
        """Write a body that runs only if the condition, an i1, holds."""
        inside, done = self._labels("then", "done")
        self.do(f"br {condition}, label %{inside}, label %{done}")
        self._start(inside)
        body()
        self.do(f"br label %{done}")
        self._start(done)

    def leave_when(self, condition: Value) -> None:
        """Return from the function if the condition, an i1, holds."""
        leaving, staying = self._labels("leave", "stay")
        self.do(f"br {condition}, label %{leaving}, label %{staying}")
        self.lines += [f"{leaving}:", "  ret void"]
        self._start(staying)

    def _labels(self, *names: str) -> list[str]:
        self._count += 1
        return [f"{name}{self._count}" for name in names]

    def _start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label


def _phis(
    results: Sequence[Value],
    before: tuple[str, Sequence[Value]],
    after: tuple[str, Sequence[Value]],
) -> list[str]:
    """Return the lines by which registers take their values from one of two blocks."""
    return [
        f"  {x.name} = phi {x.type} [ {a.name}, %{before[0]} ], [ {b.name}, %{after[0]} ]"
        for x, a, b in zip(results, before[1], after[1], strict=True)
    ]
