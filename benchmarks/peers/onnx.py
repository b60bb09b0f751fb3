"""ONNX Runtime: inference only, with the graph built by hand."""

from __future__ import annotations

import onnxruntime
from onnx import NodeProto, TensorProto, helper, numpy_helper

from benchmarks.clock import Run, checksum
from benchmarks.workloads import Task


def graph(task: Task) -> bytes:
    """Return the network as an ONNX model."""
    nodes: list[NodeProto] = []
    constants, value = [], "x"
    for i, (weight, bias) in enumerate(task.weights):
        constants += [numpy_helper.from_array(weight, f"w{i}")]
        constants += [numpy_helper.from_array(bias, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"z{i}"]))
        value = f"z{i}"
        if i < len(task.weights) - 1:
            nodes.append(helper.make_node("Relu", [value], [f"r{i}"]))
            value = f"r{i}"
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", task.work.sizes[0]])
    answer = helper.make_tensor_value_info(value, TensorProto.FLOAT, None)
    made = helper.make_graph(nodes, "network", [given], [answer], constants)
    versions = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(made, opset_imports=versions, ir_version=8).SerializeToString())


def prepare(task: Task) -> Run:
    """Return one row's way through the network."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph(task), options, providers=["CPUExecutionProvider"])
    row = task.data
    return Run(
        lambda i: session.run(None, {"x": row})[0],
        lambda answer: [checksum(answer)],
    )
