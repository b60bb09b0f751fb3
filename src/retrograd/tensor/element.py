"""The element language: what one element of an op's output is.

An op's ``lower`` answers in this language and never says how to loop. Inputs arrive as readers:
calling ``x(i, j)`` gives the element of ``x`` there, which is a `Load` from a buffer or, when a
compiler fuses, the producer's own element. Seven kinds of node, and a second form, are all there
is::

    Const Var Load Call Select Cast Fold      a value that an element has
    Loops(For, Store)                         the second form, for what no single element can say

`Select` is lazy: the side that is not taken is never read, so a load there may be out of range.
docs/element-language.md says what each node and each function means, to the last corner.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from retrograd.tensor.types import DType, TensorType

FoldKind = Literal["add", "multiply", "maximum", "minimum", "argmax", "argmin"]

COMPARISONS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})

OUTPUT = -1
"""The source of a `Load` that reads what `Loops` have stored so far."""

_serial = itertools.count()


class Element:
    """One scalar. Arithmetic on elements builds larger elements."""

    __slots__ = ()
    dtype: DType

    def __add__(self, other: Element | float) -> Element:
        """Return the sum."""
        return call("add", self, other)

    def __radd__(self, other: float) -> Element:
        """Return the sum."""
        return call("add", constant(other, self.dtype), self)

    def __sub__(self, other: Element | float) -> Element:
        """Return the difference."""
        return call("subtract", self, other)

    def __rsub__(self, other: float) -> Element:
        """Return the difference."""
        return call("subtract", constant(other, self.dtype), self)

    def __mul__(self, other: Element | float) -> Element:
        """Return the product."""
        return call("multiply", self, other)

    def __rmul__(self, other: float) -> Element:
        """Return the product."""
        return call("multiply", constant(other, self.dtype), self)

    def __truediv__(self, other: Element | float) -> Element:
        """Return the quotient of two floats."""
        return call("divide", self, other)

    def __rtruediv__(self, other: float) -> Element:
        """Return the quotient of two floats."""
        return call("divide", constant(other, self.dtype), self)

    def __neg__(self) -> Element:
        """Return the negative."""
        return call("negative", self)


@dataclass(frozen=True, slots=True)
class Const(Element):
    """A number known when the program is built."""

    value: float | int | bool
    dtype: DType


@dataclass(frozen=True, slots=True)
class Var(Element):
    """A loop variable: an int64 from 0 up to, not including, its extent."""

    name: str
    serial: int = field(default_factory=lambda: next(_serial))
    dtype: DType = DType.int64


@dataclass(frozen=True, slots=True)
class Load(Element):
    """The element of input number ``source`` at ``index``."""

    source: int
    index: tuple[Element, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Call(Element):
    """A scalar function of elements; `retrograd.tensor.interpret` defines each by name."""

    function: str
    arguments: tuple[Element, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Select(Element):
    """``then`` where the condition holds, else ``otherwise``; only the side taken is read."""

    condition: Element
    then: Element
    otherwise: Element
    dtype: DType


@dataclass(frozen=True, slots=True)
class Cast(Element):
    """The same value in another dtype; floats go to integers by cutting off the fraction."""

    value: Element
    dtype: DType


@dataclass(frozen=True, slots=True)
class Fold(Element):
    """The body for every value of the variables, combined into one.

    ``argmax`` and ``argmin`` have one variable and give its first value that wins; NaN wins.
    """

    kind: FoldKind
    variables: tuple[Var, ...]
    extents: tuple[int, ...]
    body: Element
    dtype: DType


@dataclass(frozen=True, slots=True)
class Store:
    """Write ``value`` to the output at ``index``, or add it to what stands there."""

    index: tuple[Element, ...]
    value: Element
    add: bool = False


@dataclass(frozen=True, slots=True)
class For:
    """Run the body for every value of the variable, in order."""

    variable: Var
    extent: int
    body: tuple[For | Store, ...]


@dataclass(frozen=True, slots=True)
class Loops:
    """The second form of a lowering: fill the output with ``initial``, then run the body in order.

    For what no element can say by itself: scattering, running sums.
    """

    initial: Const
    body: tuple[For | Store, ...]


Index = tuple[Element, ...]
Lowered = Element | Loops


class Reader(Protocol):
    """An input as a lowering sees it: call it with one element per axis."""

    @property
    def type(self) -> TensorType:
        """Shape and dtype of the input."""

    def __call__(self, *index: Element) -> Element:
        """Return the element there."""


@dataclass(frozen=True, slots=True)
class BufferReader:
    """A reader that loads from input number ``source``."""

    source: int
    type: TensorType

    def __call__(self, *index: Element) -> Element:
        """Return the load."""
        return Load(self.source, index, self.type.dtype)


def constant(value: float | int | bool, dtype: DType = DType.int64) -> Const:
    """Return a constant of that dtype.

    >>> constant(1, DType.float32).value
    1.0
    """
    python_type = float if dtype.is_float else bool if dtype is DType.bool else int
    return Const(python_type(value), dtype)


def as_element(value: Element | float, dtype: DType) -> Element:
    """Return the element itself, or a Python number as a constant of that dtype."""
    return value if isinstance(value, Element) else constant(value, dtype)


def call(function: str, first: Element, *rest: Element | float) -> Element:
    """Apply a scalar function; numbers take the dtype of the first argument."""
    arguments = (first, *(as_element(x, first.dtype) for x in rest))
    return Call(function, arguments, DType.bool if function in COMPARISONS else first.dtype)


def select(condition: Element, then: Element, otherwise: Element | float) -> Element:
    """Choose between two elements of one dtype."""
    return Select(condition, then, as_element(otherwise, then.dtype), then.dtype)


def fold(kind: FoldKind, extents: tuple[int, ...], body: Callable[..., Element]) -> Element:
    """Combine ``body(*variables)`` over all values of one fresh variable per extent."""
    variables = tuple(Var("k") for _ in extents)
    element = body(*variables)
    dtype = DType.int64 if kind in ("argmax", "argmin") else element.dtype
    return Fold(kind, variables, extents, element, dtype)


def loop(extents: tuple[int, ...], body: Callable[..., tuple[For | Store, ...]]) -> For | Store:
    """Nest one loop per extent around the statements of ``body(*variables)``.

    With no extents the body must be a single statement.
    """
    variables = tuple(Var("i") for _ in extents)
    statements = body(*variables)
    for variable, extent in zip(reversed(variables), reversed(extents), strict=True):
        statements = (For(variable, extent, statements),)
    (statement,) = statements
    return statement


def flat_index(index: Index, shape: tuple[int, ...]) -> Element:
    """Return the row-major position of ``index`` in ``shape``."""
    position: Element = constant(0)
    for i, length in zip(index, shape, strict=True):
        position = position * length + i
    return position


def unflatten(position: Element, shape: tuple[int, ...]) -> Iterator[Element]:
    """Yield the index in ``shape`` whose row-major position is ``position``."""
    for axis in range(len(shape)):
        inner = math.prod(shape[axis + 1 :])
        quotient = call("floor_divide", position, max(inner, 1))
        yield call("remainder", quotient, max(shape[axis], 1))
