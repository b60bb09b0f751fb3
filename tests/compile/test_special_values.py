"""Zeros, infinities, NaN, subnormals and the ends of the integers, through native code."""

import itertools

import numpy as np
import pytest
from tests.compile.agreement import EXACT, assert_agrees, precision, run_both, targets
from tests.ops.examples import type_of
from tests.ops.values import specials

from retrograd.compile.graph import Graph, Node
from retrograd.ops.choice import Maximum, Minimum, Where
from retrograd.ops.families import Binary, Comparison, Unary
from retrograd.ops.flow import Alias
from retrograd.ops.movement import Sum
from retrograd.ops.reduction import Max, Min, Prod
from retrograd.ops.scanning import ArgMax, ArgMin, CumSum
from retrograd.tensor.errors import InputError
from retrograd.tensor.op import REGISTRY, Op
from retrograd.tensor.types import Array, DType

TARGETS = targets()
SIGN_OF_ZERO_IS_OPEN = (Maximum, Minimum, Max, Min)
"""Of 0 and -0 NumPy gives either, as the CPU likes it; native code knows that 0 is larger."""
NAMES = sorted(
    name
    for name, kind in REGISTRY.items()
    if issubclass(kind, Unary | Binary | Comparison) and kind.__module__.startswith("retrograd.")
)


def one_program(uses: list[tuple[Op, tuple[Array, ...]]]) -> tuple[Graph, list[Array]]:
    """Every use a node of its own."""
    arrays = [x for _, inputs in uses for x in inputs]
    nodes, first = [], 0
    for op, inputs in uses:
        numbers = tuple(range(first, first + len(inputs)))
        nodes.append(Node(op, numbers, op.result_type(*map(type_of, inputs))))
        first += len(inputs)
    outputs = tuple(range(first, first + len(nodes)))
    return Graph(tuple(map(type_of, arrays)), (), tuple(nodes), outputs), arrays


def check(uses: list[tuple[Op, tuple[Array, ...]]], on: str) -> None:
    graph, arrays = one_program(uses)
    found, expected = run_both(graph, arrays, TARGETS[on], 1)
    for (op, inputs), value, a, b in zip(uses, graph.outputs, found, expected, strict=True):
        if isinstance(op, SIGN_OF_ZERO_IS_OPEN) and b.dtype.kind == "f":
            a, b = a + 0, b + 0  # -0 + 0 is 0
        try:
            assert_agrees(a, b, precision(graph, value), 4)
        except AssertionError as error:
            given = [list(x.ravel()[:400]) for x in inputs]
            raise AssertionError(f"{op!r} of {type_of(inputs[0])}: {error}\n{given}") from None


def takes(op: Op, *arrays: Array) -> bool:
    try:
        op.result_type(*map(type_of, arrays))
    except InputError:
        return False
    return True


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_elementwise(name: str, on: str) -> None:
    op, uses = REGISTRY[name](), []
    for dtype in DType:
        values = specials(dtype) if dtype is not DType.bool else np.array([False, True])
        pairs = np.array(list(itertools.product(values, values)), dtype.numpy)
        arrays = (values,) if isinstance(op, Unary) else (pairs[:, 0].copy(), pairs[:, 1].copy())
        if takes(op, *arrays):
            uses.append((op, arrays))
            uses.append((op, tuple(x[:1].copy() for x in arrays)))
    check(uses, on)


@pytest.mark.parametrize("on", TARGETS)
def test_casts(on: str) -> None:
    cast = REGISTRY["Cast"]
    uses = []
    for given, wanted in itertools.permutations(DType, 2):
        values = specials(given) if given is not DType.bool else np.array([False, True])
        if given.is_float:
            ends = [2.0**31, 2.0**31 - 1, -(2.0**31) - 1, 2.0**63, -(2.0**63), 0.99, -0.99, 3e9]
            values = np.append(values, np.array(ends, given.numpy))
        uses.append((cast(wanted), (values,)))
    check(uses, on)


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("length", [1, 3, 17, 40])
def test_folds_and_scans(on: str, length: int) -> None:
    """A NaN, an infinity or an end of the integers anywhere in a row."""
    uses: list[tuple[Op, tuple[Array, ...]]] = []
    generator = np.random.default_rng(length)
    for dtype in (DType.float32, DType.float64, DType.int32, DType.int64):
        x = generator.integers(-3, 4, (30, length)).astype(dtype.numpy)
        values = specials(dtype)
        rows, columns = np.arange(20), generator.integers(0, length, 20)
        x[rows, columns] = generator.choice(values, 20)
        for axis in (0, 1):
            for op in (Max((axis,)), Min((axis,)), ArgMax(axis), ArgMin(axis), CumSum(axis)):
                uses.append((op, (x,)))
        if not dtype.is_float:
            uses += [(Sum((0,)), (x,)), (Prod((1,)), (x,)), (Sum((0, 1)), (x,))]
    check(uses, on)


@pytest.mark.parametrize("on", TARGETS)
def test_the_side_that_is_not_taken_leaves_no_trace(on: str) -> None:
    x = np.array([0.0, -0.0, np.nan, np.inf, -1.0, 1e-310, 2.0] * 5)
    uses: list[tuple[Op, tuple[Array, ...]]] = [(Where(), (x > 0, x, -x)), (Alias(), (x,))]
    graph, arrays = one_program(uses)
    assert all(precision(graph, value) == EXACT for value in graph.outputs)
    check(uses, on)
    assert arrays[1] is x
