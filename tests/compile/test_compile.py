"""A compiled function answers as the function does, and each stage keeps its contract."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from retrograd import ops
from retrograd.autodiff import checkpoint, grad, hvp, value_and_grad
from retrograd.compile import compile
from retrograd.compile.graph import Graph, Node, verify
from retrograd.compile.program import Program
from retrograd.compile.simplify import simplify
from retrograd.compile.trace import trace
from retrograd.ops.arithmetic import Negative
from retrograd.ops.contraction import Matmul
from retrograd.tensor.errors import CompileError, InputError, ShapeError, TraceError
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import DType, TensorType


class State(NamedTuple):
    params: dict[str, Tensor]
    count: Tensor


@dataclass(frozen=True)
class Scale:
    factor: Tensor
    power: int

    def __call__(self, x: Tensor) -> Tensor:
        for _ in range(self.power):
            x = x * self.factor
        return x


def random(*shape: int) -> Tensor:
    return tensor(np.random.default_rng(sum(shape)).standard_normal(shape), DType.float64)


def quadratic(w: Tensor, x: Tensor) -> Tensor:
    out = x @ w
    return ops.mean(out * out)


def graph_of(function: Callable[..., Any], *arguments: Any) -> Graph:
    return simplify(trace(function, *arguments).graph)


def assert_same(a: Tensor, b: Tensor) -> None:
    assert a.type == b.type
    np.testing.assert_array_equal(a.numpy(), b.numpy())


def assert_near(a: Tensor, b: Tensor) -> None:
    """Sums may be added up in another order."""
    assert a.type == b.type
    np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-13, 1e-14)


def test_a_step_with_its_gradient_has_the_same_numbers() -> None:
    w, x = random(3, 2), random(5, 3)
    for (a, b), (c, d) in [
        (value_and_grad(quadratic)(w, x), compile(value_and_grad(quadratic))(w, x))
    ]:
        assert_near(a, c)
        assert_near(b, d)


def test_second_derivatives_compile() -> None:
    w, x, v = random(3, 2), random(5, 3), random(3, 2)

    def product(w: Tensor, v: Tensor) -> Tensor:
        return hvp(lambda w: quadratic(w, x), w, v)

    assert_near(product(w, v), compile(product)(w, v))


def test_trees_go_in_and_out() -> None:
    def step(state: State, x: Tensor) -> tuple[State, dict[str, Tensor]]:
        loss, grads = value_and_grad(lambda p: quadratic(p["w"], x))(state.params)
        params = {"w": state.params["w"] - 0.1 * grads["w"]}
        return State(params, state.count + 1), {"loss": loss}

    state = State({"w": random(3, 2)}, tensor(0))
    fast, metrics = compile(step)(state, random(5, 3))
    slow, expected = step(state, random(5, 3))
    assert isinstance(fast, State)
    assert_near(fast.params["w"], slow.params["w"])
    assert_near(metrics["loss"], expected["loss"])
    assert fast.count.item() == 1


def test_a_new_shape_or_static_value_is_a_new_program() -> None:
    calls = []

    def scale(layer: Scale, x: Tensor) -> Tensor:
        calls.append(layer.power)
        return layer(x)

    fast = compile(scale)
    for power, shape in [(1, (2,)), (1, (2,)), (2, (2,)), (2, (3,))]:
        layer = Scale(tensor(2.0, DType.float64), power)
        np.testing.assert_array_equal(fast(layer, random(*shape)), random(*shape) * 2.0**power)
    assert calls == [1, 2, 2]


def test_an_argument_may_be_returned_as_it_is() -> None:
    x = random(2)
    same, constant = compile(lambda x: (x, tensor(3.0)))(x)
    assert_same(same, x)
    assert constant.item() == 3.0


def test_compiled_inside_compiled_is_one_graph() -> None:
    inner = compile(lambda x: x * x)
    assert_same(compile(lambda x: inner(x) + 1.0)(random(2)), random(2) * random(2) + 1.0)


def test_equal_nodes_are_shared_and_aliases_vanish() -> None:
    graph = graph_of(value_and_grad(lambda x: ops.sum((x * x) * (x * x))), random(3))
    assert "Alias" not in [type(node.op).__name__ for node in graph.nodes]
    # Sharing: x*x is computed once, and (x*x)*(x*x) once.
    graph = graph_of(lambda x: ops.sum((x * x) * (x * x)), random(3))
    assert [type(n.op).__name__ for n in graph.nodes] == ["Multiply", "Multiply", "Sum"]


def test_dead_nodes_and_their_constants_are_dropped() -> None:
    def wasteful(x: Tensor) -> Tensor:
        _ = x @ random(3, 3) * 7.0
        return -x

    graph = graph_of(wasteful, random(3, 3))
    assert [type(n.op).__name__ for n in graph.nodes] == ["Negative"]
    assert graph.constants == ()


def test_chains_of_dead_nodes_are_dropped() -> None:
    def function(x: Tensor) -> Tensor:
        return ops.replace_gradient(x * 2.0, lambda g, out, y: (g,), ops.exp(ops.exp(x)))

    assert len(graph_of(function, random(2)).nodes) == 1


def test_constants_that_print_alike_stay_apart() -> None:
    one, other = (tensor(np.full(2, value)) for value in (1.0, 1.0 + 2**-40))
    near, far = compile(lambda x: (x * one, x * other))(random(2))
    assert not np.array_equal(near, far)


def test_an_output_that_others_read_is_kept() -> None:
    doubled, more = compile(lambda x: ((y := x * 2.0), y + 1.0))(random(2))
    np.testing.assert_array_equal(doubled + 1.0, more)


def test_small_constants_fold() -> None:
    def fold(x: Tensor) -> Tensor:
        return x + (ops.broadcast_to(tensor(2.0, DType.float64), (3,)) * 3.0)

    assert [type(n.op).__name__ for n in graph_of(fold, random(3)).nodes] == ["Add"]


def test_a_checkpoint_is_still_computed_twice_after_sharing() -> None:
    def loss(w: Tensor, x: Tensor) -> Tensor:
        return ops.sum(checkpoint(lambda w, x: (x @ w) * (x @ w))(w, x))

    def products(function: Callable[..., Any]) -> int:
        return sum(isinstance(n.op, Matmul) for n in graph_of(function, w, x).nodes)

    w, x = random(3, 2), random(5, 3)
    plain = grad(lambda w, x: ops.sum((x @ w) * (x @ w)))
    assert products(grad(loss)) == products(plain)
    assert products(value_and_grad(loss)) == products(plain) + 1
    assert_near(compile(grad(loss))(w, x), grad(loss)(w, x))


def test_values_are_forgotten_after_their_last_reader() -> None:
    program = Program.of(graph_of(lambda x: ops.exp(ops.exp(ops.exp(x))), random(2)))
    assert [step.dead for step in program.steps] == [(0,), (1,), (2,)]


def test_the_graph_prints_one_line_a_value() -> None:
    graph = trace(lambda x: x + 1.0, random(2)).graph
    assert str(graph).splitlines()[0] == "%0 = input float64[2]"
    assert str(graph).splitlines()[-1].startswith("return %")


def test_asking_for_numbers_while_traced_is_refused() -> None:
    with pytest.raises(TraceError, match=r"reading the numbers of a float64\[\].*ops.where"):
        compile(lambda x: x if ops.sum(x) else -x)(random(2))


def test_wrong_shapes_are_refused_before_anything_runs() -> None:
    with pytest.raises(ShapeError, match="the inner axes 2 and 3 differ"):
        compile(lambda x, y: x @ y)(random(3, 2), random(3, 2))


def test_static_arguments_must_be_hashable() -> None:
    with pytest.raises(InputError, match="neither a tensor nor hashable"):
        compile(lambda x, y: x)(random(2), np.zeros(2))


BROKEN = {
    "reads %1 before it exists": ([Node(Negative(), (1,), TensorType((2,), DType.float64))], (1,)),
    "its op answers": ([Node(Negative(), (0,), TensorType((3,), DType.float64))], (1,)),
    "output %5 does not exist": ([], (5,)),
}


@pytest.mark.parametrize("found", BROKEN)
def test_verify_names_the_stage_that_broke_the_graph(found: str) -> None:
    nodes, outputs = BROKEN[found]
    graph = Graph((TensorType((2,), DType.float64),), (), tuple(nodes), outputs)
    with pytest.raises(CompileError, match=f"after a stage: .*{found}"):
        verify(graph, "a stage")
