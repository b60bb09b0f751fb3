"""ONNX files as PyTorch and scikit-learn write them, made by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES = 5


def numbers(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0, 0.5, shape).astype(np.float32)


def save(
    path: Path,
    nodes: Sequence[Any],
    constants: dict[str, np.ndarray[Any, Any]],
    output: str,
    *,
    features: int = FEATURES,
    kind: int = TensorProto.FLOAT,
    more_outputs: Sequence[Any] = (),
    opset: int = 20,
) -> Path:
    """Write a graph from the input x (n, features) to an output."""
    given = helper.make_tensor_value_info("x", kind, ["n", features])
    made = helper.make_tensor_value_info(output, kind, ["n", None])
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(list(nodes), "g", [given], [*more_outputs, made], held)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def node(kind: str, inputs: str, output: str, domain: str = "", **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [output], domain=domain, **attributes)


def dense(number: int, given: str, made: str) -> Any:
    """A layer as torch.onnx writes nn.Linear: Gemm with the weight (outputs, inputs)."""
    return node("Gemm", f"{given} w{number} b{number}", made, transB=1)


def torch_net(
    path: Path, middle: Sequence[Any], *, outputs: int = 3, end: Sequence[Any] = (), **more: Any
) -> Path:
    """Write Linear(5, 4), what stands in the middle (from h to a), Linear(4, outputs)."""
    constants = {
        "w0": numbers(4, FEATURES), "b0": numbers(4, seed=1),
        "w1": numbers(outputs, 4, seed=2), "b1": numbers(outputs, seed=3),
        **more.pop("constants", {}),
    }  # fmt: skip
    last = end[-1].output[0] if end else "y"
    nodes = [dense(0, "x", "h"), *middle, dense(1, "a", "y"), *end]
    return save(path, nodes, constants, last, **more)


def sklearn_net(path: Path, labels: Sequence[Any], *, is_two: bool = False) -> Path:
    """Write what skl2onnx makes of a scaled MLPClassifier: products, sums, labels, a ZipMap."""
    outputs = 1 if is_two else len(labels)
    constants = {
        "w0": numbers(FEATURES, 4), "b0": numbers(1, 4, seed=1),
        "w1": numbers(4, outputs, seed=2), "b1": numbers(1, outputs, seed=3),
        "one": np.array([1], np.float32), "classes": np.array(labels, object if isinstance(
            labels[0], str) else np.int64),
    }  # fmt: skip
    ml = "ai.onnx.ml"
    nodes = [
        node("Scaler", "x", "scaled", ml, offset=[0.5] * FEATURES, scale=[2.0, 1, 1, 1, 3.0]),
        node("MatMul", "scaled w0", "m0"),
        node("Add", "m0 b0", "h0"),
        node("Relu", "h0", "a0"),
        node("MatMul", "a0 w1", "m1"),
        node("Add", "m1 b1", "h1"),
    ]
    if is_two:
        nodes += [
            node("Sigmoid", "h1", "p"),
            node("Sub", "one p", "q"),
            node("Concat", "q p", "probabilities", axis=1),
        ]
    else:
        nodes += [node("Softmax", "h1", "probabilities", axis=1)]
    key = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
    nodes += [
        node("ArgMax", "probabilities", "place", axis=1),
        node("ArrayFeatureExtractor", "classes place", "label", ml),
        node("ZipMap", "probabilities", "output_probability", ml, **{key: list(labels)}),
    ]
    label = helper.make_tensor_value_info("label", TensorProto.INT64, None)
    return save(path, nodes, constants, "output_probability", more_outputs=[label])
