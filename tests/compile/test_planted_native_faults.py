"""Faults planted into the compiler are found by the battery."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.compile.battery import check_value

from retrograd.compile import emitter, folding, instructions, recall, rules
from retrograd.compile.affine import Sum
from retrograd.compile.text import Text
from retrograd.compile.values import Value

Planting = Callable[[pytest.MonkeyPatch], None]


def instruction(name: str, other: str) -> Planting:
    """One scalar function is written as another."""
    table: Any = instructions._TABLE
    return lambda patch: patch.setitem(table, name, table[other])


def predicate(name: str, other: str) -> Planting:
    table: Any = instructions._PREDICATES
    return lambda patch: patch.setitem(table, name, table[other])


def replaced(place: object, name: str, value: Any) -> Planting:
    return lambda patch: patch.setattr(place, name, value)


def one_lane_too_few(self: Text, lanes: int, count: int) -> Value:
    return self.lanes(f"<{lanes} x i1>", [i < count - 1 for i in range(lanes)])


def nothing_checked(e: emitter.Emitter, index: Any) -> Value:
    return e(index.arguments[1])


def rounded_up(self: Sum, divisor: int) -> tuple[Sum, Sum]:
    multiples = tuple((a, -(-c // divisor)) for a, c in self.terms)
    return Sum(multiples, self.constant // divisor), Sum((), self.constant % divisor)


FAULTS: dict[str, tuple[str, Planting]] = {
    "a wrong sign": ("Subtract", instruction("subtract", "add")),
    "a wrong sign in a formula": ("Sigmoid", instruction("divide", "multiply")),
    "a signed shift": ("Uniform", instruction("logical_right_shift", "arithmetic_right_shift")),
    "less for less or equal": ("LessEqual", predicate("less_equal", "less")),
    "NaN equal to itself": ("Min", replaced(folding, "_COMBINE", {"minimum": "maximum"})),
    "lanes past the end of a row": ("Max", replaced(folding._Fold, "_only", lambda s, x, *_: x)),
    "a lane too few at the end": ("Add", replaced(Text, "mask", one_lane_too_few)),
    "a maximum from 0": ("Max", replaced(folding, "identity", lambda kind, dtype: 0)),
    "a product from 0": ("Prod", replaced(folding, "identity", lambda kind, dtype: 0)),
    "nothing is 1": ("Sum", replaced(rules, "identity", lambda kind, dtype: 1)),
    "a wrong index in bounds": ("Take", replaced(emitter, "checked_index", nothing_checked)),
    "columns mixed up": ("Reshape", replaced(Sum, "divided", rounded_up)),
    "all reciprocals exact": ("Divide", replaced(rules, "simplified", lambda i, f, a: a[0])),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_battery_finds(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, plant = FAULTS[fault]
    monkeypatch.setattr(recall, "key_of", lambda *_: None)  # plan anew, though the graph is known
    check_value(name, "plain")
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check_value(name, "plain")
