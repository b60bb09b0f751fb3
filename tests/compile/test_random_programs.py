"""Random whole programs: native code agrees with NumPy, whatever is fused with whatever."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compile.agreement import (
    SUMMED,
    assert_agrees,
    graph_of,
    run_both,
    targets,
    tensors,
)
from tests.compile.random_programs import inputs_of, program

from retrograd import ops
from retrograd.autodiff import value_and_grad
from retrograd.compile.graph import Graph
from retrograd.compile.machine import Machine
from retrograd.compile.program import Program
from retrograd.compile.simplify import drop_dead
from retrograd.tensor.op import RandomDraw
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import Array

TARGETS = list(targets().values())
SEEDS = st.integers(0, 2**32)
HEALTH = list(HealthCheck)
DERANDOMIZED = settings(derandomize=True, max_examples=20, suppress_health_check=HEALTH)
MANY = settings(max_examples=400, suppress_health_check=HEALTH)


class Drawn:
    """Choices from Hypothesis, so that what fails is made small."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def integer(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))


def made(data: st.DataObject, exact: bool) -> tuple[Graph, list[Array]]:
    """A random program with some of its values as outputs, and inputs for it."""
    draw = Drawn(data)
    arrays = inputs_of(draw, exact, draw.integer(0, 2**16))
    graph = graph_of(program(draw, draw.integer(5, 40), exact), *tensors(arrays))
    return some_outputs(graph, {draw.integer(0, len(graph.outputs) - 1) for _ in range(3)}), arrays


def some_outputs(graph: Graph, kept: set[int]) -> Graph:
    """The graph with its last output and some others."""
    chosen = sorted({*kept, len(graph.outputs) - 1})
    return drop_dead(graph._replace(outputs=tuple(graph.outputs[i] for i in chosen)))


def check_whole_numbers(data: st.DataObject) -> None:
    graph, arrays = made(data, exact=True)
    for a, b in zip(*run_both(graph, arrays, data.draw(st.sampled_from(TARGETS)), 1), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b, str(graph))


def check_smooth(graph: Graph, arrays: list[Array], found: list[Array]) -> None:
    """Fail unless the numbers are NumPy's; where there is float32 anywhere, to its precision."""
    narrow = any(graph.type_of(v).dtype.numpy == np.float32 for v in range(_values(graph)))
    for a, b in zip(found, Program.of(graph)(arrays), strict=True):
        size = max(1.0, float(np.max(np.abs(b), initial=0)))
        widened = 2.0**29 if narrow and b.dtype == np.float64 else 1.0
        assert_agrees(a, b, SUMMED, 4000, size * widened)


def _values(graph: Graph) -> int:
    return graph.first_node + len(graph.nodes)


@DERANDOMIZED
@given(st.data())
def test_whole_numbers_are_exact(data: st.DataObject) -> None:
    check_whole_numbers(data)


@pytest.mark.slow
@MANY
@given(st.data())
def test_many_programs_of_whole_numbers_are_exact(data: st.DataObject) -> None:
    check_whole_numbers(data)


@DERANDOMIZED
@given(st.data())
def test_smooth_programs_agree(data: st.DataObject) -> None:
    graph, arrays = made(data, exact=False)
    machine = Machine(graph, data.draw(st.sampled_from(TARGETS)), 1)
    check_smooth(graph, arrays, machine(arrays))


def seeded(seed: int, size: int) -> tuple[Graph, list[Array]]:
    draw = RandomDraw(seed)
    arrays = inputs_of(draw, False, seed)
    return graph_of(program(draw, size, exact=False), *tensors(arrays)), arrays


def assert_same_bits(found: list[Array], expected: list[Array], what: str) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.tobytes() == b.tobytes(), f"{what} changed the bits"


def check_other_outputs(seed: int) -> None:
    graph, arrays = seeded(seed, 5 + seed % 30)
    on, last = TARGETS[seed % len(TARGETS)], len(graph.outputs) - 1
    few = Machine(some_outputs(graph, {seed % (last + 1)}), on, 1)(arrays)
    every = Machine(graph, on, 1)(arrays)
    kept = sorted({seed % (last + 1), last})
    assert_same_bits([every[i] for i in kept], few, "an output that others added")


@pytest.mark.parametrize("seed", range(12))
def test_other_outputs_change_no_bit(seed: int) -> None:
    check_other_outputs(seed)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=HEALTH)
@given(SEEDS)
def test_other_outputs_change_no_bit_of_many_programs(seed: int) -> None:
    check_other_outputs(seed)


@pytest.mark.parametrize("seed", range(100, 104))
def test_threads_change_no_bit(seed: int) -> None:
    graph, arrays = seeded(seed, 25)
    on = TARGETS[seed % len(TARGETS)]
    alone = Machine(graph, on, 1)(arrays)
    check_smooth(graph, arrays, alone)
    for threads in (2, 3, 8):
        machine = Machine(graph, on, threads)
        for _ in range(2):
            assert_same_bits(machine(arrays), alone, f"{threads} threads")


@pytest.mark.parametrize("seed", range(200, 208))
def test_gradients_of_programs_agree(seed: int) -> None:
    draw = RandomDraw(seed)
    arrays = inputs_of(draw, False, seed)
    function = program(draw, 15, exact=False)

    def loss(first: Tensor, rest: list[Tensor]) -> Tensor:
        return ops.mean(ops.tanh(function(first, *rest)[-1]))

    first, *rest = tensors(arrays)
    graph = graph_of(value_and_grad(loss), first, rest)
    machine = Machine(graph, TARGETS[seed % len(TARGETS)], 1)
    check_smooth(graph, arrays, machine(arrays))
