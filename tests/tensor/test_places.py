"""Places: every traced tensor knows the line of code that made it, while somebody asks."""

import sys
from pathlib import Path

from retrograd import nn, ops
from retrograd.autodiff import custom_gradient, value_and_grad
from retrograd.compile.trace import Traced, trace
from retrograd.tensor.places import recording
from retrograd.tensor.tensor import Tensor, tensor

HERE = Path(__file__).name


def line() -> int:
    """The line that this was called from."""
    return sys._getframe(1).f_lineno


def places(traced: Traced) -> dict[str, list[str]]:
    """The places of the nodes, by their ops' names, without directories."""
    found: dict[str, list[str]] = {}
    for node, place in zip(traced.graph.nodes, traced.places, strict=True):
        found.setdefault(type(node.op).__name__, []).append(place.rpartition("/")[2])
    return found


def test_nothing_is_recorded_unless_asked_for() -> None:
    assert trace(lambda x: x + 1, tensor(1.0)).places == ()


def test_an_op_has_the_line_that_applied_it() -> None:
    def function(x: Tensor) -> Tensor:
        y = ops.exp(x)
        return y * 2.0 + ops.mean(y)

    first = line() - 3
    with recording():
        found = places(trace(function, tensor([1.0])))
    assert found["Exp"] == [f"{HERE}:{first}"]
    assert found["Sum"] == [f"{HERE}:{first + 1}"]  # the mean is made of ops
    assert set(found["Add"]) == {f"{HERE}:{first + 1}"}


def test_what_a_layer_applies_has_the_layers_line() -> None:
    layer = nn.Linear.init(ops.key(0), 2, 3)
    with recording():
        traced = trace(layer, tensor([[1.0, 2.0]]))
    (found,) = [p for n, p in zip(traced.graph.nodes, traced.places, strict=True)
                if type(n.op).__name__ == "Matmul"]  # fmt: skip
    assert found.startswith("retrograd/nn/linear.py:")


def test_a_gradient_has_the_line_of_the_op_that_it_is_of() -> None:
    def function(x: Tensor) -> Tensor:
        y = ops.sqrt(x)
        return ops.sum(y)

    root = line() - 3
    with recording():
        found = places(trace(value_and_grad(function), tensor([1.0])))
    assert found["Divide"] == [f"{HERE}:{root}"]


def test_a_rule_of_ones_own_has_its_own_lines() -> None:
    def rule(g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        return (g * ops.cos(x),)

    own = line() - 2
    with recording():
        found = places(
            trace(value_and_grad(lambda x: custom_gradient(ops.exp, rule)(x)), tensor(1.0))
        )
    assert found["Cos"] == [f"{HERE}:{own}"]
