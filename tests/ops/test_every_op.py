"""The battery: every property of every op that exists, on examples that the op itself draws.

A new op is tested by existing. The last test counts what the others did, so that an op or a
property that silently stops being tested is a failure.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ops.battery import CHECKS

from retrograd import ops
from retrograd.tensor.op import REGISTRY, spread
from retrograd.tensor.types import Array, DType, Shape

T = TypeVar("T")

NAMES = sorted(name for name, kind in REGISTRY.items() if kind.__module__.startswith("retrograd."))
PAIRS = [(name, check) for name in NAMES for check in CHECKS]
EXAMPLES = 15

NOT_FLOAT = "OneHot ArgMax ArgMin Uniform Split FoldIn LogicalAnd LogicalOr LogicalNot"
COMPARISONS = "Equal NotEqual Less LessEqual Greater GreaterEqual"
REDIRECTING = "StopGradient ReplaceGradient"
WITHOUT_DERIVATIVE = frozenset(f"{NOT_FLOAT} {COMPARISONS} {REDIRECTING}".split())
CONSTANT_IN_PIECES = frozenset(["Sign", "Floor", "FloorDivide"])
UNARY = "Absolute Negative Sign Floor Exp Expm1 Log Log1p Sqrt Rsqrt Sin Cos Tanh Sigmoid Erf Erfc"
BINARY = "Add Subtract Multiply Divide FloorDivide Remainder Power Maximum Minimum"
ELEMENTWISE = frozenset(f"{UNARY} {BINARY} {COMPARISONS}".split())

ran: Counter[tuple[str, str]] = Counter()
"""How many comparisons each check made for each op."""


class HypothesisDraw:
    """Choices from Hypothesis, so that what fails is made small."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def integer(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))

    def choice(self, options: Sequence[T]) -> T:
        return self._data.draw(st.sampled_from(options))

    def shape(self, min_rank: int = 0, max_rank: int = 3) -> Shape:
        lengths = st.lists(st.integers(1, 4), min_size=min_rank, max_size=max_rank)
        return tuple(self._data.draw(lengths))

    def array(self, shape: Shape, dtype: DType, low: float = -2.0, high: float = 2.0) -> Array:
        generator = np.random.default_rng(self._data.draw(st.integers(0, 2**16)))
        return spread(generator.random(math.prod(shape)), shape, dtype, low, high)

    def float_dtype(self) -> DType:
        return self.choice((DType.float64, DType.float32))


def applies(name: str, check: str) -> bool:
    """Whether the property says anything about the op: the exceptions are listed, not found."""
    if check == "special_values":
        return name in ELEMENTWISE
    if check == "second_order":
        return name not in WITHOUT_DERIVATIVE | CONSTANT_IN_PIECES
    return check not in ("vjp", "jvp", "float32") or name not in WITHOUT_DERIVATIVE


@pytest.mark.parametrize(("name", "check"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_every_op(name: str, check: str) -> None:
    fixed = check in ("docs", "special_values")  # the same for every example

    @settings(max_examples=1 if fixed else EXAMPLES)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        ran[name, check] += CHECKS[check](REGISTRY[name].example(HypothesisDraw(data)))

    run()
    assert (ran[name, check] > 0) == applies(name, check), f"{ran[name, check]} comparisons"


INTERNAL = {"Alias": "differentiation's own", "Slice": "x[...] and flip", "Scatter": "gather's vjp"}


@pytest.mark.parametrize("name", NAMES)
def test_every_op_has_a_documented_function(name: str) -> None:
    functions = {public.replace("_", ""): getattr(ops, public) for public in vars(ops)}
    if name in INTERNAL:
        assert name.lower() not in functions
        return
    function = functions[name.lower()]
    assert ">>> " in function.__doc__, "no example"
    assert len(function.__doc__.splitlines()[0]) >= 10


def test_every_public_function_is_documented() -> None:
    functions = [f for f in vars(ops).values() if callable(f)]
    assert len(functions) >= 70
    assert [f.__name__ for f in functions if ">>> " not in (f.__doc__ or "")] == []


def test_the_lists_of_exceptions_name_ops() -> None:
    assert WITHOUT_DERIVATIVE | CONSTANT_IN_PIECES | ELEMENTWISE | INTERNAL.keys() <= set(NAMES)
    listed = {n for n in NAMES if not REGISTRY[n].differentiable or REGISTRY[n].redirects_gradient}
    assert listed == WITHOUT_DERIVATIVE


def test_how_much_was_tested(request: pytest.FixtureRequest) -> None:
    """Runs last: every op by every property, and no fewer of either than there have been."""
    assert len(NAMES) >= 62
    assert len(CHECKS) >= 9
    collected = {
        tuple(item.callspec.id.split("-"))
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_every_op"
    }
    if request.config.getoption("keyword") or "::" in "".join(request.config.args):
        pytest.skip("a selection was asked for")
    assert collected == set(PAIRS)
    if not hasattr(request.config, "workerinput"):  # a worker of several sees only its share
        assert {pair for pair, count in ran.items() if count} == {p for p in PAIRS if applies(*p)}
