"""Every op that inference can contain, in ONNX and in NumPy's words, against its own rule."""

import runpy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.export import numpy_file_ops, numpy_file_runtime, onnx_ops
from retrograd.export.onnx_file import open_session
from retrograd.export.onnx_graph import IR_VERSION, ML_OPSET, OPSET, Graph
from retrograd.export.program import Program, Step, Value, program_of
from retrograd.ops.movement import Sum
from retrograd.ops.slicing import Pad
from retrograd.tensor.errors import InputError
from retrograd.tensor.op import REGISTRY, Op, RandomDraw
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import Array, DType, dtype_of

NOT_IN_INFERENCE = {"Uniform", "Split", "FoldIn", "Scatter", "ScatterAdd"}
SKIPPED = {"Alias", "StopGradient", "ReplaceGradient"}  # a program passes them through
OPS = sorted(onnx_ops.WRITERS, key=lambda kind: kind.__name__)


def one_step(op: Op, inputs: tuple[Array, ...]) -> Program:
    """Return the program of one op on constants."""
    names = tuple(f"w{i}" for i in range(len(inputs)))
    made = op.evaluate(*inputs)
    values = {n: Value(x.shape, dtype_of(x)) for n, x in zip(names, inputs, strict=True)}
    values["layers.0"] = Value(made.shape, dtype_of(made))
    step = Step(op, names, "layers.0", "layers.0")
    weights = dict(zip(names, inputs, strict=True))
    return Program(weights, {}, values, (step,), ("layers.0",), "layers.0")


def by_onnx(program: Program) -> Array:
    graph = Graph()
    given = graph.fresh("features")
    name = onnx_ops.add_network(graph, program, given)[program.output]
    helper = graph.onnx.helper
    code = graph.code(program.values[program.output].dtype)
    output = helper.make_tensor_value_info(name, code, None)
    body = helper.make_graph(graph.nodes, "g", [], [output], list(graph.initializers.values()))
    sets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    proto = helper.make_model(body, ir_version=IR_VERSION, opset_imports=sets)
    return np.asarray(open_session(proto)({})[0])


def by_numpy(program: Program) -> Array:
    (lines,) = numpy_file_ops.layer_functions(program).values()
    code = "\n".join(["def layer(x):", *(f"    {line}" for line in lines)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.py"
        path.write_text(code)
        given = {**vars(numpy_file_runtime), "W": program.weights}
        names = runpy.run_path(str(path), given)
    return np.asarray(names["layer"](np.zeros((1, 1), np.float32)))


def examples(kind: type[Op]) -> list[tuple[Op, tuple[Array, ...]]]:
    """Return uses of an op in float32, which exports are made of."""
    if kind is Pad:  # its random uses leave gaps
        return [(Pad((4, 3), (1, 0), (1, 1), 2.5), (np.ones((2, 3), np.float32),))]
    found = []
    for seed in range(8):
        op, inputs = kind.example(RandomDraw(seed))
        if getattr(op, "dtype", None) is DType.float64:
            continue
        single = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in inputs]
        if all(x.size for x in single) and op.evaluate(*single).size:
            found.append((op, tuple(single)))
    return found


@pytest.mark.parametrize("kind", OPS, ids=lambda kind: kind.__name__)
def test_an_op_means_the_same(kind: type[Op]) -> None:
    found = examples(kind)
    assert found
    for op, inputs in found:
        expected = op.evaluate(*inputs)
        program = one_step(op, inputs)
        for evaluate in (by_onnx, by_numpy):
            answer = evaluate(program)
            assert answer.shape == expected.shape
            np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)


def test_both_tables_hold_every_op_that_inference_can_contain() -> None:
    named = {kind.__name__ for kind in onnx_ops.WRITERS}
    assert named == {kind.__name__ for kind in numpy_file_ops.WRITERS}
    assert named | NOT_IN_INFERENCE | SKIPPED == set(REGISTRY)


@pytest.mark.parametrize("export", [by_onnx, by_numpy])
def test_an_op_without_translation_is_refused(export: Any) -> None:
    def scattered(x: Tensor) -> Tensor:
        return ops.scatter_add(x, tensor([0, 0, 1]), x, axis=1)

    program = program_of(nn.Sequential((nn.relu, scattered)), 3)
    words = r"layers\.1 computes ScatterAdd, which has no translation; use another layer"
    with pytest.raises(InputError, match=words):
        export(program)


def test_a_network_that_looks_at_other_rows_is_refused() -> None:
    with pytest.raises(InputError, match="depends on how many rows it is given; use layers that"):
        program_of(nn.Sequential((lambda x: x - ops.mean(x, 0),)), 3)
    with pytest.raises(InputError, match="the length of an axis depends on how many rows"):
        program_of(nn.Sequential((lambda x: ops.concatenate([x, ops.ones((2, 3))]),)), 3)
    with pytest.raises(InputError, match="its number of operations depends on how many rows"):
        program_of(nn.Sequential((lambda x: x * x if x.shape[0] > 8 else x + 1.0 + x,)), 3)


def test_rows_that_are_cut_are_refused() -> None:
    def halves(x: Tensor) -> Tensor:
        return ops.concatenate([x[: x.shape[0]], x[::-1]], 1)

    program = program_of(nn.Sequential((halves,)), 2)
    gaps = one_step(Pad((5,), (0,), (2,)), (np.ones(3, np.float32),))
    for each in (program, gaps):
        with pytest.raises(InputError, match="gaps of the rows; use layers that keep the rows"):
            by_onnx(each)
        with pytest.raises(InputError, match="cuts its rows, or pads with gaps; use layers that"):
            by_numpy(each)


def test_a_sum_over_no_axes_is_the_same() -> None:
    program = one_step(Sum(()), (np.ones((2, 3), np.float32),))
    assert by_onnx(program).shape == by_numpy(program).shape == (2, 3)
