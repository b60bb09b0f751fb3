"""Index arithmetic in normal form: whole-number combinations of variables, with their ranges.

Two indices that are equal are then the same object, and what an address needs (is it contiguous
along this variable, can it leave its buffer) can be read off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from retrograd.tensor.element import Element
from retrograd.tensor.types import DType

INT64 = (-(2**63), 2**63 - 1)
"""The smallest and the largest int64."""


@dataclass(frozen=True, slots=True)
class Affine(Element):
    """``constant`` plus each atom times its coefficient: an int64, modulo 2^64.

    Atoms are variables and whatever else is no sum itself, in the order in which they were made.
    """

    terms: tuple[tuple[Element, int], ...]
    constant: int
    dtype: DType = DType.int64


class Range(NamedTuple):
    """The smallest and the largest value that an index can have."""

    low: int
    high: int

    def __add__(self, other: object) -> Range:
        """Return the range of a sum."""
        assert isinstance(other, Range)
        return Range(self.low + other.low, self.high + other.high)

    def times(self, factor: int) -> Range:
        """Return the range of a multiple."""
        ends = (self.low * factor, self.high * factor)
        return Range(min(ends), max(ends))

    def within(self, low: int, high: int) -> bool:
        """Return whether it lies between two bounds, both included."""
        return low <= self.low and self.high <= high


class Sum(NamedTuple):
    """An affine index while it is worked on: (atom, coefficient) pairs and a constant."""

    terms: tuple[tuple[Element, int], ...]
    constant: int

    def combine(self, other: Sum, factor: int, number: Callable[[Element], int]) -> Sum:
        """Return this sum plus ``factor`` times the other, in the atoms' order."""
        merged: dict[int, tuple[Element, int]] = {number(a): (a, c) for a, c in self.terms}
        for atom, coefficient in other.terms:
            before = merged.get(number(atom), (atom, 0))[1]
            merged[number(atom)] = (atom, before + factor * coefficient)
        terms = tuple(merged[n] for n in sorted(merged) if merged[n][1])
        return Sum(terms, self.constant + factor * other.constant)

    def divided(self, divisor: int) -> tuple[Sum, Sum]:
        """Return the part whose coefficients are multiples of the divisor, divided, and the rest.

        The constant is cut so that the rest of it is not negative.
        """
        multiples = tuple((a, c // divisor) for a, c in self.terms if c % divisor == 0)
        rest = tuple((a, c) for a, c in self.terms if c % divisor)
        whole, left = divmod(self.constant, divisor)
        return Sum(multiples, whole), Sum(rest, left)


def range_of(sum: Sum, of_atom: Callable[[Element], Range | None]) -> Range | None:
    """Return the range of a sum, or None if one of its atoms has none."""
    total = Range(sum.constant, sum.constant)
    for atom, coefficient in sum.terms:
        own = of_atom(atom)
        if own is None:
            return None
        total += own.times(coefficient)
    return total


def signed64(value: int) -> int:
    """Return the int64 with the same bits.

    >>> signed64(2**63)
    -9223372036854775808
    """
    return (value + 2**63) % 2**64 - 2**63


def coefficient(index: Element, atom: Element) -> int:
    """Return the factor of an atom in an index; 0 where it does not stand by itself."""
    if index is atom:
        return 1
    terms: Iterable[tuple[Element, int]] = index.terms if isinstance(index, Affine) else ()
    return next((c for a, c in terms if a is atom), 0)
