"""Emitter: elements become instructions, one scalar or one vector of neighbours at a time.

A value that does not depend on the vector variable stays a scalar until a vector needs it. What
was computed is remembered in scopes, one a loop, so that nothing is computed twice; before a loop
opens, what does not change in it is computed outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

from retrograd.compile import instructions
from retrograd.compile.affine import Affine
from retrograd.compile.expressions import Interner, parts, walk
from retrograd.compile.functions import expand
from retrograd.compile.inlining import Rebuilder
from retrograd.compile.products import flat_index
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import SCALARS, Integer, Value, lanes_of, mangled, scalar_of, vector
from retrograd.tensor.element import Call, Cast, Const, Element, Fold, Load, Select, Var
from retrograd.tensor.types import DType, Shape

MEMORY = {dtype: "i8" if dtype is DType.bool else scalar for dtype, scalar in SCALARS.items()}
"""What a number is in memory."""
BYTES = {dtype: 1 if dtype is DType.bool else dtype.numpy.itemsize for dtype in DType}


class Buffer(NamedTuple):
    """Where a value lies: its first element, and the row that this is the first of."""

    pointer: Value
    shape: Shape
    dtype: DType
    first_row: Integer = 0


class Emitter:
    """Writes elements into a text. ``vector`` is the variable whose neighbours fill the lanes."""

    def __init__(
        self, text: Text, target: Target, interner: Interner, buffers: dict[int, Buffer],
        errors: Value, folds: Callable[[Emitter, Fold], Value],
    ) -> None:  # fmt: skip
        """Start outside of all loops. ``errors`` is where a wrong index is reported."""
        self.text, self.target, self.interner, self.buffers = text, target, interner, buffers
        self.errors, self._folds = errors, folds
        self.variables: dict[Var, Integer] = {}
        self.vector: Var | None = None
        self.count: int | None = None
        self.taken: Value | None = None
        self._scopes: list[dict[int, Value]] = [{}]
        self._careful: dict[int, bool] = {}
        self._flat: dict[int, Element] = {}

    # Scopes

    @contextmanager
    def scope(self, bound: Mapping[Var, Integer] | None = None) -> Iterator[None]:
        """Open a scope in which these variables have values."""
        before = self.variables
        self.variables = {**before, **(bound or {})}
        self._scopes.append({})
        try:
            yield
        finally:
            self._scopes.pop()
            self.variables = before

    @contextmanager
    def lanes_along(self, variable: Var | None, count: int | None = None) -> Iterator[None]:
        """Let the lanes be neighbours along a variable, the first ``count`` of them."""
        before = self.vector, self.count
        self.vector, self.count = variable, count
        try:
            yield
        finally:
            self.vector, self.count = before

    def lanes_as_is(self) -> AbstractContextManager[None]:
        """Leave the lanes as they are."""
        return nullcontext()

    def as_shape_of(self, e: Element, x: Value) -> Value:
        """Return a value in every lane if the element's value has lanes."""
        depends = self.vector is not None and self.vector in self.interner.free(e)
        return self.splat(x) if depends else x

    @contextmanager
    def lanes_times(self, factor: int) -> Iterator[None]:
        """Work with so many times the lanes of a vector: several vectors side by side."""
        before, self.target = self.target, self.target._replace(lanes=self.target.lanes * factor)
        try:
            yield
        finally:
            self.target = before

    def know(self, e: Element, value: Value) -> None:
        """Take a value as that of an element, in the innermost scope."""
        self._scopes[-1][id(e)] = value

    def hoist(self, roots: Iterable[Element]) -> None:
        """Compute what depends on no variable that is still to come."""
        stack, seen = list(roots), set[int]()
        while stack:
            e = stack.pop()
            if id(e) in seen or isinstance(e, Const | Var):
                continue
            seen.add(id(e))
            if self.interner.free(e) <= self.variables.keys() and not self.needs_care(e):
                if not isinstance(e, Affine):
                    self(e)
            else:
                stack.extend(parts(e))

    def needs_care(self, e: Element) -> bool:
        """Return whether an element may be wrong to compute where its side is not taken."""
        for x in reversed(walk(e)):
            if id(x) not in self._careful:
                own = isinstance(x, Call) and x.function == "checked_index"
                own = own or (isinstance(x, Load) and not self._is_inside(x))
                self._careful[id(x)] = own or any(self.needs_care(part) for part in parts(x))
        return self._careful[id(e)]

    def _is_inside(self, load: Load) -> bool:
        ranges = map(self.interner.range, load.index)
        shape = self.buffers[load.source].shape
        return all(r is not None and r.within(0, n - 1) for r, n in zip(ranges, shape, strict=True))

    # Values

    def __call__(self, e: Element) -> Value:
        """Return the value of an element, a scalar or a vector."""
        for scope in reversed(self._scopes):
            if id(e) in scope:
                return scope[id(e)]
        value = self._scopes[-1][id(e)] = self._written(e)
        return value

    def as_vector(self, e: Element) -> Value:
        """Return the value of an element in every lane."""
        return self.splat(self(e))

    def splat(self, x: Value) -> Value:
        """Return a value in every lane, where there are lanes."""
        lanes = self.target.lanes if self.vector is not None else 1
        return x if lanes_of(x.type) == lanes else self.text.splat(x, lanes)

    def _written(self, e: Element) -> Value:
        match e:
            case Const():
                return self.text.constant(SCALARS[e.dtype], e.value)
            case Var() | Affine():
                return self._whole_number(e)
            case Load():
                return self._load(e)
            case Call():
                return self._call(e)
            case Select():
                return self._select(e)
            case Cast():
                return self._cast(e)
            case Fold():
                return self._folds(self, e)
            case _:
                raise TypeError(f"{e!r} is no element")

    def _alike(self, elements: Iterable[Element]) -> tuple[Value, ...]:
        """Return values that are all scalars or all vectors."""
        values = tuple(map(self, elements))
        is_vector = any(lanes_of(x.type) > 1 for x in values)
        return tuple(map(self.splat, values)) if is_vector else values

    def _call(self, e: Call) -> Value:
        if e.function == "checked_index":
            return self._checked(e)
        expanded = expand(e.function, e.arguments)
        if expanded is not None:
            return self(Rebuilder(self.interner, self.interner.never)(expanded))
        values = self._alike(e.arguments)
        type = vector(SCALARS[e.dtype], lanes_of(values[0].type))
        return instructions.write(self.text, e.function, values, type)

    def _cast(self, e: Cast) -> Value:
        if e.dtype is DType.int32 and isinstance(e.value, Var | Affine):
            return self._whole_number(e.value, "i32")
        value = self(e.value)
        type = vector(SCALARS[e.dtype], lanes_of(value.type))
        return instructions.cast(self.text, value, type)

    def _select(self, e: Select) -> Value:
        condition = self(e.condition)
        sides = []
        for side, is_then in ((e.then, True), (e.otherwise, False)):
            sides.append(self._side(side, condition, is_then))
        if lanes_of(condition.type) == 1 and all(lanes_of(x.type) == 1 for x in sides):
            return self.text.select(condition, *sides)
        then, otherwise = map(self.splat, sides)
        return self.text.select(condition, then, otherwise)

    def _side(self, side: Element, condition: Value, is_then: bool) -> Value:
        """Return one side of a select, remembering where it is taken if that matters."""
        if not self.needs_care(side):
            return self(side)
        before = self.taken
        here = condition if is_then else instructions.write(
            self.text, "invert", (condition,), condition.type
        )  # fmt: skip
        if before is not None:
            if lanes_of(before.type) != lanes_of(here.type):
                before, here = self.splat(before), self.splat(here)
            here = self.text.binary("and", before, here)
        outer, self.taken = self.taken, here
        with self.scope():
            value = self(side)
        self.taken = outer
        return value

    # Indices

    def _whole_number(self, e: Element, scalar: str = "i64") -> Value:
        """Return an index: a scalar, or one number a lane where it depends on the lanes."""
        text, s = self.text, self.interner.sum_of(e)
        total: Value | None = None
        lanes: Value | None = None
        for atom, coefficient in s.terms:
            if atom is self.vector:
                steps = [coefficient * lane for lane in range(self.target.lanes)]
                lanes = text.lanes(vector(scalar, self.target.lanes), steps)
            base = self._atom(atom, scalar)
            if coefficient != 1:
                base = text.binary("mul", base, text.constant(base.type, coefficient))
            if total is not None and lanes_of(base.type) != lanes_of(total.type):
                base, total = self.splat(base), self.splat(total)
            total = base if total is None else text.binary("add", total, base)
        if total is None:
            return text.constant(scalar, s.constant)
        if s.constant:
            total = text.binary("add", total, text.constant(total.type, s.constant))
        return total if lanes is None else text.binary("add", self.splat(total), lanes)

    def _atom(self, atom: Element, scalar: str) -> Value:
        is_bound = isinstance(atom, Var)
        value = self.text.integer(self.variables[atom]) if is_bound else self(atom)
        if scalar == "i64":
            return value
        if not value.name.startswith("%"):
            return self.text.constant(scalar, int(value.name))
        return self.text.convert("trunc", value, vector(scalar, lanes_of(value.type)))

    def _checked(self, e: Call) -> Value:
        """Return an index that is in bounds; what is not is reported and becomes 0."""
        text = self.text
        index, length = self._alike(e.arguments)
        wrong = text.compare("icmp uge", index, length)
        if self.taken is not None:
            taken = self.taken if lanes_of(wrong.type) == 1 else self.splat(self.taken)
            if lanes_of(taken.type) > lanes_of(wrong.type):
                taken = self._any(taken)
            wrong = text.binary("and", wrong, taken)
        if lanes_of(wrong.type) > 1 and self.count is not None:
            wrong = text.binary("and", wrong, text.mask(self.target.lanes, self.count))
        zero = text.constant(index.type, 0)
        found = text.select(wrong, index, zero)
        text.when(self._any(wrong), lambda: self._report(found, length))
        return text.select(wrong, zero, index)

    def _any(self, x: Value) -> Value:
        if lanes_of(x.type) == 1:
            return x
        return self.text.call(f"llvm.vector.reduce.or.{mangled(x.type)}", "i1", x)

    def _report(self, found: Value, length: Value) -> None:
        """Write that there was a wrong index, which one, and the bound."""
        text = self.text
        if lanes_of(found.type) > 1:
            # As unsigned numbers the negative ones are the largest: one of the wrong ones is told.
            scalar = scalar_of(found.type)
            name = f"llvm.vector.reduce.umax.{mangled(found.type)}"
            found, length = text.call(name, scalar, found), text.extract(length, 0)
        for place, value in enumerate((found, length), 1):
            wide = value if value.type == "i64" else text.convert("sext", value, "i64")
            text.store(wide, text.address(self.errors, place, "i64"), 8)
        text.do(f"store atomic i64 1, {self.errors} release, align 8")

    # Memory

    def _position(self, load: Load) -> Element:
        if id(load) not in self._flat:
            shape = self.buffers[load.source].shape
            self._flat[id(load)] = flat_index(self.interner, shape, load.index)
        return self._flat[id(load)]

    def place(self, source: int, position: Element) -> Value:
        """Return the address of a position that is the same, or the first, in all lanes."""
        text, buffer = self.text, self.buffers[source]
        s = self.interner.sum_of(position)
        offset: Integer = s.constant
        for atom, coefficient in s.terms:
            known = self.variables[atom] if isinstance(atom, Var) else self(atom)
            offset = text.add(offset, text.multiply(known, coefficient))
        if buffer.first_row != 0:
            row = 1
            for length in buffer.shape[1:]:
                row *= length
            offset = text.add(offset, text.multiply(buffer.first_row, -row))
        return text.address(buffer.pointer, offset, MEMORY[buffer.dtype])

    def stride(self, position: Element) -> int | None:
        """Return how far neighbouring lanes are apart, or None if that is not the same."""
        if self.vector is None:
            return 0
        result = 0
        for atom, coefficient in self.interner.sum_of(position).terms:
            if atom is self.vector:
                result = coefficient
            elif self.vector in self.interner.free(atom):
                return None
        return result

    def _load(self, e: Load) -> Value:
        text, dtype = self.text, e.dtype
        position = self._position(e)
        stride = self.stride(position)
        condition = None if self._is_inside(e) else self.taken
        memory, align = MEMORY[dtype], BYTES[dtype]
        if stride == 0:
            pointer = self.place(e.source, position)
            if condition is not None:
                pointer = text.select(self._any(condition), pointer, self.errors)
            value = text.load(memory, pointer, align)
        elif stride == 1 and condition is None:
            wide = vector(memory, self.target.lanes)
            value = text.load(wide, self.place(e.source, position), align, self.count)
        else:
            value = self._gather(e, position, condition)
        if dtype is DType.bool:
            return text.compare("icmp ne", value, text.constant(value.type, 0))
        return value

    def _gather(self, e: Load, position: Element, condition: Value | None) -> Value:
        """Return elements that lie anywhere, or those of some lanes only."""
        text, lanes, buffer = self.text, self.target.lanes, self.buffers[e.source]
        wide, pointers = vector(MEMORY[e.dtype], lanes), vector("ptr", lanes)
        if buffer.first_row == 0:
            start = buffer.pointer
        else:
            start = self.place(e.source, self.interner.constant(0, DType.int64))
        offsets = self.splat(self._whole_number(position))
        places = text.let(pointers, f"getelementptr {MEMORY[e.dtype]}, {start}, {offsets}")
        mask = text.mask(lanes, lanes if self.count is None else self.count)
        if condition is not None:
            mask = text.binary("and", mask, self.splat(condition))
        name = f"llvm.masked.gather.{mangled(wide)}.v{lanes}p0"
        align = Value("i32", str(BYTES[e.dtype]))
        return text.call(name, wide, places, align, mask, text.constant(wide, 0))

    def store(self, source: int, position: Element, value: Value) -> None:
        """Write a value where its lanes lie side by side, or a scalar."""
        dtype = self.buffers[source].dtype
        if dtype is DType.bool:
            value = self.text.convert("zext", value, vector("i8", lanes_of(value.type)))
        pointer = self.place(source, position)
        count = self.count if lanes_of(value.type) > 1 else None
        self.text.store(value, pointer, BYTES[dtype], count)
