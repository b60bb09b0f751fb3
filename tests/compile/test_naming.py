"""Values and kernels are called after the layers and the parts of the step that they compute."""

import numpy as np
import pytest

from retrograd import nn, ops, optim
from retrograd.autodiff import value_and_grad
from retrograd.compile import native
from retrograd.compile.machine import Machine
from retrograd.compile.naming import Names, label_kernels, label_values
from retrograd.compile.simplify import simplify
from retrograd.compile.trace import Traced, trace
from retrograd.data import Batch
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.train.batch import as_tensors
from retrograd.train.step import initial_state, make_step


def traced_step() -> Traced:
    """A step of Adam on 64-32-10, with layers 0 and 2."""
    layers = (nn.Linear.init(ops.key(0), 64, 32), nn.relu, nn.Linear.init(ops.key(1), 32, 10))
    net, optimizer = nn.Sequential(layers), optim.adam(1e-3)
    batch = as_tensors(Batch(np.zeros((16, 64), np.float32), np.zeros(16, np.int64)))
    state = initial_state(net, optimizer, ops.key(2))
    return trace(make_step(net, nn.cross_entropy, optimizer), state, batch)


def labels_of(traced: Traced, op: str) -> list[tuple[str, str]]:
    graph = traced.graph
    labels = label_values(graph, traced.names)
    return [
        tuple(labels[value])
        for value, node in enumerate(graph.nodes, graph.first_node)
        if type(node.op).__name__ == op
    ]


def test_a_trace_names_its_inputs_and_outputs() -> None:
    names = traced_step().names
    assert names.inputs[0] == names.outputs[0] == "0.params.layers.0.weight"
    assert names.inputs[-2:] == ("1.inputs", "1.targets")
    assert {"1.loss", "1.gradient_norm"} <= set(names.outputs)
    keyed = trace(lambda x, *, y: {"sum": x + y}, tensor(1.0), y=tensor(2.0))
    assert keyed.names == Names(("0", "y"), ("sum",))


def test_every_product_of_a_step_belongs_to_its_layer_and_phase() -> None:
    assert sorted(labels_of(traced_step(), "Matmul")) == [
        ("layers.0", "backward"),  # of the weight; there is none of the inputs
        ("layers.0", "forward"),
        ("layers.2", "backward"),
        ("layers.2", "backward"),
        ("layers.2", "forward"),
    ]


def test_the_update_belongs_to_the_parameter_that_it_makes() -> None:
    traced = traced_step()
    labels = label_values(traced.graph, traced.names)
    for name, value in zip(traced.names.outputs, traced.graph.outputs, strict=True):
        if name.endswith((".weight", ".bias")):
            layer = "layers.0" if ".layers.0." in name else "layers.2"
            assert labels[value] == (layer, "update"), name
    shared = labels_of(traced, "Power")  # beta to the power of the step, for all parameters
    assert set(shared) == {("", "update")}


def test_parameters_are_labelled_and_data_are_not() -> None:
    traced = traced_step()
    labels = label_values(traced.graph, traced.names)
    found = dict(zip(traced.names.inputs, labels, strict=False))
    assert found["0.params.layers.2.bias"].layer == "layers.2"
    assert found["1.inputs"].layer == ""


def test_a_function_with_a_gradient_has_two_phases() -> None:
    def loss(params: dict[str, Tensor], x: Tensor) -> Tensor:
        return ops.sum(ops.tanh(x @ params["in"]) @ params["out"])

    params = {"in": tensor(np.ones((3, 4))), "out": tensor(np.ones((4, 2)))}
    traced = trace(value_and_grad(loss), params, tensor(np.ones((5, 3))))
    assert labels_of(traced, "Tanh") == [("in", "forward")]
    assert sorted(labels_of(traced, "Matmul")) == [
        ("in", "backward"), ("in", "forward"), ("out", "backward"), ("out", "backward"),
        ("out", "forward"),
    ]  # fmt: skip


def test_without_names_there_are_no_layers() -> None:
    graph = traced_step().graph
    assert {label.layer for label in label_values(graph, Names())} == {""}
    plain = trace(lambda x: ops.exp(x), tensor(1.0))
    assert labels_of(plain, "Exp") == [("", "forward")]


@pytest.mark.skipif(native.can_compile() is not None, reason="no native code here")
def test_every_kernel_has_a_label() -> None:
    traced = traced_step()
    plan = Machine(simplify(traced.graph), native.host(), 1).plan
    texts = label_kernels(plan.graph, plan.schedule, traced.names)
    assert len(texts) == sum(len(group.kernels) for group in plan.schedule.groups)
    assert {"layers.0 forward", "layers.2 forward"} <= set(texts)
    assert "layers.0 backward, update" in texts
    assert {"step update", "gradient_norm backward"} <= set(texts)  # what has no layer
    assert all(text.split()[-1] in ("forward", "backward", "update") for text in texts)
