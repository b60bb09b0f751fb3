"""Emitter: elements become instructions, one scalar or one vector of neighbours at a time.

A value that does not depend on the vector variable stays a scalar until a vector needs it. What
was computed is remembered in scopes, one a loop; what does not change in a loop is computed before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

from retrograd.compile import instructions
from retrograd.compile.affine import Affine
from retrograd.compile.expressions import Interner, below, parts
from retrograd.compile.functions import expand
from retrograd.compile.indices import any_lane, checked_index, gather, narrowed, whole_number
from retrograd.compile.inlining import Rebuilder
from retrograd.compile.products import flat_index
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import BYTES, MEMORY, SCALARS, Integer, Value, lanes_of, vector
from retrograd.tensor.element import Call, Cast, Const, Element, Fold, Load, Select, Var
from retrograd.tensor.types import DType, Shape


class Buffer(NamedTuple):
    """Where a value lies: its first element, the row that this is, and whether nobody reads it."""

    pointer: Value
    shape: Shape
    dtype: DType
    first_row: Integer = 0
    is_streamed: bool = False


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
        """Compute what depends on no variable that is still to come, and is needed in any case."""
        stack, seen = [(e, self.taken is None) for e in roots], set[int]()
        while stack:
            e, is_certain = stack.pop()
            if id(e) in seen or isinstance(e, Const | Var):
                continue
            seen.add(id(e))
            is_bound = self.interner.free(e) <= self.variables.keys()
            if not is_bound or (not is_certain and self.needs_care(e)):
                first = e.condition if isinstance(e, Select) else None
                stack.extend((x, is_certain and (first is None or x is first)) for x in parts(e))
            elif not isinstance(e, Affine):
                self(e)

    def needs_care(self, e: Element) -> bool:
        """Return whether an element may be wrong to compute where its side is not taken."""
        for x in below(e, lambda x: () if id(x) in self._careful else parts(x)):
            if id(x) not in self._careful:
                own = isinstance(x, Call) and x.function == "checked_index"
                own = own or (isinstance(x, Load) and not self._is_inside(x))
                self._careful[id(x)] = own or any(self._careful[id(part)] for part in parts(x))
        return self._careful[id(e)]

    def _is_inside(self, load: Load) -> bool:
        ranges = map(self.interner.range, load.index)
        shape = self.buffers[load.source].shape
        return all(r is not None and r.within(0, n - 1) for r, n in zip(ranges, shape, strict=True))

    # Values

    def __call__(self, e: Element) -> Value:
        """Return the value of an element, a scalar or a vector."""
        value = self._known(e)
        if value is None:
            # What it is made of comes first, in a loop: chains of thousands would end a recursion.
            for x in below(e, self._to_do):
                if self._known(x) is None:
                    self._scopes[-1][id(x)] = self._written(x)
            value = self._scopes[-1][id(e)]
        return value

    def _known(self, e: Element) -> Value | None:
        for scope in reversed(self._scopes):
            if id(e) in scope:
                return scope[id(e)]
        return None

    def _to_do(self, e: Element) -> tuple[Element, ...]:
        """Return what may be computed before an element, in its own scope and for all lanes."""
        if self._known(e) is not None:
            return ()
        match e:
            case Call():
                return e.arguments
            case Select():
                sides = (x for x in (e.then, e.otherwise) if not self.needs_care(x))
                return e.condition, *sides
            case Cast() if not isinstance(e.value, Var | Affine):
                return (e.value,)
            case _:
                return ()

    def splat(self, x: Value) -> Value:
        """Return a value in every lane, where there are lanes."""
        lanes = self.target.lanes if self.vector is not None else 1
        return x if lanes_of(x.type) == lanes else self.text.splat(x, lanes)

    def _written(self, e: Element) -> Value:
        match e:
            case Const():
                return self.text.constant(SCALARS[e.dtype], e.value)
            case Var() | Affine():
                return whole_number(self, e)
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

    def alike(self, elements: Iterable[Element]) -> tuple[Value, ...]:
        """Return values that are all scalars or all vectors."""
        values = tuple(map(self, elements))
        is_vector = any(lanes_of(x.type) > 1 for x in values)
        return tuple(map(self.splat, values)) if is_vector else values

    def _call(self, e: Call) -> Value:
        if e.function == "checked_index":
            return checked_index(self, e)
        expanded = expand(e.function, e.arguments)
        if expanded is not None:
            return self(Rebuilder(self.interner, self.interner.never)(expanded))
        values = narrowed(self, e) or self.alike(e.arguments)
        type = vector(SCALARS[e.dtype], lanes_of(values[0].type))
        return instructions.write(self.text, e.function, values, type)

    def _cast(self, e: Cast) -> Value:
        if e.dtype is DType.int32 and isinstance(e.value, Var | Affine):
            return whole_number(self, e.value, "i32")
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
                pointer = text.select(any_lane(self, condition), pointer, self.errors)
            value = text.load(memory, pointer, align)
        elif stride == 1 and condition is None:
            wide = vector(memory, self.target.lanes)
            value = text.load(wide, self.place(e.source, position), align, self.count)
        else:
            value = gather(self, e, position, condition)
        if dtype is DType.bool:
            return text.compare("icmp ne", value, text.constant(value.type, 0))
        return value

    def store(self, source: int, position: Element, value: Value) -> None:
        """Write a value where its lanes lie side by side, or a scalar."""
        buffer, lanes = self.buffers[source], lanes_of(value.type)
        if buffer.dtype is DType.bool:
            value = self.text.convert("zext", value, vector("i8", lanes))
        count, size = self.count if lanes > 1 else None, BYTES[buffer.dtype]
        self.text.store(value, self.place(source, position), size, count, buffer.is_streamed)
