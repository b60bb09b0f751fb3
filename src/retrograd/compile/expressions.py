"""Elements that are equal become one object: sharing, index algebra and small simplifications.

Everything a kernel computes goes through one `Interner`. What it returns may be compared by
identity. It simplifies only what keeps every bit: index arithmetic, comparisons that their ranges
decide, selects of a constant, folds of one element.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator

import numpy as np

from retrograd.compile import rules
from retrograd.compile.affine import INT64, Affine, Range, Sum, range_of, signed64
from retrograd.tensor.conversion import cast_array
from retrograd.tensor.element import (
    Call,
    Cast,
    Const,
    Element,
    Fold,
    Load,
    Select,
    Var,
)
from retrograd.tensor.types import DType


class Interner:
    """The elements of one program, each once, numbered in the order in which they were made."""

    def __init__(self) -> None:
        """Start without elements."""
        self._known: dict[Hashable, Element] = {}
        self._numbers: dict[int, int] = {}
        self._free: dict[int, frozenset[Var]] = {}
        self._folding: set[int] = set()
        self._loads: dict[int, frozenset[int]] = {}
        self._extents: dict[Var, int] = {}
        self._consecutive: set[Var] = set()

    def number(self, e: Element) -> int:
        """Return the number of an element that this interner made."""
        return self._numbers[id(e)]

    def owns(self, e: Element) -> bool:
        """Return whether this interner made that very object."""
        return id(e) in self._numbers

    def free(self, e: Element) -> frozenset[Var]:
        """Return the variables that an element's value depends on."""
        return self._free[id(e)]

    def has_fold(self, e: Element) -> bool:
        """Return whether there is a fold in an element."""
        return id(e) in self._folding

    def load_numbers(self, e: Element) -> frozenset[int]:
        """Return the numbers of the loads in an element: `loads_in` without another walk."""
        return self._loads[id(e)]

    def extent(self, variable: Var) -> int:
        """Return how many values a variable has."""
        return self._extents[variable]

    def never(self, source: int, index: tuple[Element, ...]) -> Element:
        """Refuse to read: for elements that are made of interned ones alone."""
        raise TypeError(f"a load of {source} where none may be")

    def mark_consecutive(self, variable: Var) -> None:
        """Remember that a fold's variable runs along the last axis of what its op reads."""
        self._consecutive.add(variable)

    def is_consecutive(self, variable: Var) -> bool:
        """Return whether a fold's variable was so marked."""
        return variable in self._consecutive

    def _make(self, key: tuple[Hashable, ...], make: Callable[[], Element]) -> Element:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = make()
            self._numbers[id(known)] = len(self._numbers)
            self._free[id(known)] = self._free_of(known)
            made_of = parts(known)
            if isinstance(known, Fold) or any(id(x) in self._folding for x in made_of):
                self._folding.add(id(known))
            own = (self.number(known),) if isinstance(known, Load) else ()
            self._loads[id(known)] = frozenset(own).union(*(self._loads[id(x)] for x in made_of))
        return known

    def _free_of(self, e: Element) -> frozenset[Var]:
        if isinstance(e, Var):
            return frozenset((e,))
        below: frozenset[Var] = frozenset().union(*(self._free[id(x)] for x in parts(e)))
        return below.difference(e.variables) if isinstance(e, Fold) else below

    # Leaves

    def variable(self, v: Var, extent: int) -> Element:
        """Return a variable with so many values; one that has a single value is 0."""
        if extent == 1:
            return self.constant(0, DType.int64)
        self._extents[v] = extent
        return self._make(("var", v), lambda: v)

    def constant(self, value: float | int | bool, dtype: DType) -> Element:
        """Return a constant; NaNs and zeros are told apart by their bits."""
        number = dtype.numpy.type(value)
        key = ("const", dtype, number.tobytes())
        return self._make(key, lambda: Const(number.item(), dtype))

    def load(self, source: int, index: tuple[Element, ...], dtype: DType) -> Element:
        """Return the element of a buffer at an index."""
        # With the dtype: OUTPUT is another buffer in every kernel that has loops.
        key = ("load", source, dtype, *map(self.number, index))
        return self._make(key, lambda: Load(source, index, dtype))

    # Index arithmetic

    def sum_of(self, e: Element) -> Sum:
        """Return an int64 element as a sum."""
        match e:
            case Const():
                return Sum((), int(e.value))
            case Affine():
                return Sum(e.terms, e.constant)
            case _:
                return Sum(((e, 1),), 0)

    def affine(self, s: Sum) -> Element:
        """Return the element of a sum."""
        s = rules.rejoined(self, s)
        terms = tuple((a, signed64(c)) for a, c in s.terms if signed64(c))
        constant = signed64(s.constant)
        if not terms:
            return self.constant(constant, DType.int64)
        if constant == 0 and len(terms) == 1 and terms[0][1] == 1:
            return terms[0][0]
        key = ("affine", constant, *((self.number(a), c) for a, c in terms))
        return self._make(key, lambda: Affine(terms, constant))

    def range(self, e: Element) -> Range | None:
        """Return the range of an int64 element, or None if nothing is known of it."""
        match e:
            case Const():
                return Range(int(e.value), int(e.value))
            case Var():
                return Range(0, self._extents[e] - 1)
            case Affine():
                found = range_of(Sum(e.terms, e.constant), self.range)
                # Beyond the ends of int64 it wraps around, and nothing is known any more.
                return found if found is not None and found.within(*INT64) else None
            case Call(function="checked_index" | "remainder", arguments=(_, Const(value=n))):
                return Range(0, max(int(n) - 1, 0)) if n > 0 else None
            case Call(function="floor_divide", arguments=(x, Const(value=n))) if n > 0:
                given = self.range(x)
                return given and Range(given.low // int(n), given.high // int(n))
            case _:
                return None

    # Everything else

    def call(self, function: str, arguments: tuple[Element, ...], dtype: DType) -> Element:
        """Return a function of elements, simplified."""
        simple = rules.simplified(self, function, arguments)
        if simple is not None:
            return simple
        key = ("call", function, dtype, *map(self.number, arguments))
        return self._make(key, lambda: Call(function, arguments, dtype))

    def select(self, condition: Element, then: Element, otherwise: Element) -> Element:
        """Return a select; one side of it where the condition is known or both are equal."""
        if isinstance(condition, Const):
            return then if condition.value else otherwise
        if then is otherwise:
            return then
        key = ("select", *map(self.number, (condition, then, otherwise)))
        return self._make(key, lambda: Select(condition, then, otherwise, then.dtype))

    def cast(self, value: Element, dtype: DType) -> Element:
        """Return the value in another dtype."""
        if value.dtype is dtype:
            return value
        if isinstance(value, Const):
            given = np.asarray(value.value, value.dtype.numpy)
            with np.errstate(all="ignore"):
                return self.constant(cast_array(given, dtype).item(), dtype)
        key = ("cast", dtype, self.number(value))
        return self._make(key, lambda: Cast(value, dtype))

    def fold(self, fold: Fold, body: Element) -> Element:
        """Return a fold like ``fold`` over an interned body; of one element it is the body."""
        pairs = [p for p in zip(fold.variables, fold.extents, strict=True) if p[1] != 1]
        if 0 in fold.extents:
            return self.constant(rules.identity(fold.kind, fold.dtype), fold.dtype)
        if fold.kind in ("argmax", "argmin") and not pairs:
            return self.constant(0, fold.dtype)
        if not pairs:
            return body
        variables, extents = zip(*pairs, strict=True)
        one = rules.picked(self, fold.kind, variables, extents, body)
        if one is not None:
            return one
        key = ("fold", fold.kind, variables, extents, self.number(body))
        return self._make(key, lambda: Fold(fold.kind, variables, extents, body, fold.dtype))

    def with_variable(self, e: Element, variable: Var, value: Element) -> Element:
        """Return an element in which a variable is another element."""
        done: dict[int, Element] = {id(variable): value}

        def visit(x: Element) -> Element:
            if id(x) not in done:
                done[id(x)] = remake(self, x, visit) if variable in self.free(x) else x
            return done[id(x)]

        return visit(e)


def parts(e: Element) -> tuple[Element, ...]:
    """Return the elements that an element is made of."""
    match e:
        case Affine():
            return tuple(atom for atom, _ in e.terms)
        case Load():
            return e.index
        case Call():
            return e.arguments
        case Select():
            return e.condition, e.then, e.otherwise
        case Cast():
            return (e.value,)
        case Fold():
            return (e.body,)
        case _:
            return ()


def remake(interner: Interner, e: Element, visit: Callable[[Element], Element]) -> Element:
    """Return an element like ``e`` whose parts are what ``visit`` makes of them."""
    match e:
        case Affine():
            total = Sum((), e.constant)
            for atom, coefficient in e.terms:
                total = total.combine(interner.sum_of(visit(atom)), coefficient, interner.number)
            return interner.affine(total)
        case Load():
            return interner.load(e.source, tuple(map(visit, e.index)), e.dtype)
        case Call():
            return interner.call(e.function, tuple(map(visit, e.arguments)), e.dtype)
        case Select():
            return interner.select(visit(e.condition), visit(e.then), visit(e.otherwise))
        case Cast():
            return interner.cast(visit(e.value), e.dtype)
        case Fold():
            return interner.fold(e, visit(e.body))
        case _:
            return e


def walk(e: Element) -> list[Element]:
    """Return an element and all its parts, each once."""
    found: dict[int, Element] = {}
    stack = [e]
    while stack:
        x = stack.pop()
        if id(x) not in found:
            found[id(x)] = x
            stack.extend(reversed(parts(x)))
    return list(found.values())


def below(e: Element, parts: Callable[[Element], Iterable[Element]]) -> Iterator[Element]:
    """Yield what an element is made of, each once and after its own parts, and last itself."""
    seen: set[int] = set()
    stack = [(e, iter(parts(e)))]
    while stack:
        x, rest = stack[-1]
        part = next(rest, None)
        if part is None:
            stack.pop()
            yield x
        elif id(part) not in seen:
            seen.add(id(part))
            stack.append((part, iter(parts(part))))


def folds_in(e: Element) -> list[Fold]:
    """Return the folds in an element, each once."""
    return [x for x in walk(e) if isinstance(x, Fold)]


def loads_in(e: Element) -> list[Load]:
    """Return the loads in an element, each once."""
    return [x for x in walk(e) if isinstance(x, Load)]
