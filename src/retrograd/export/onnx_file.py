"""ONNX: cells in, predictions out, in one file that any runtime of opset 21 loads.

Inputs are the columns (`onnx_columns` says how cells are given). Outputs are `prediction`, a label
(rows,) or an amount in its own unit (rows,) float64, and for classes `probabilities` (rows,
classes) float32. The metadata says the rest: schema, classes, and what `retrograd import` needs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrograd.data import Table
from retrograd.export import Answers, Request, Written, costs_of, spelling_notes
from retrograd.export.onnx_columns import Input, add_features, cells_of, inputs_of
from retrograd.export.onnx_graph import IR_VERSION, ML_OPSET, OPSET, Graph, require_onnx
from retrograd.export.onnx_ops import add_network
from retrograd.export.onnx_whole import record_of
from retrograd.export.program import FEATURES, program_of
from retrograd.recipe.model import Model
from retrograd.tensor.types import Array, DType

_TRIES: Final = 30


def write(request: Request) -> Written:
    """Return the file of a model.  Raises InputError for what ONNX has no words for."""
    model = request.model
    data = message_of(model).SerializeToString(deterministic=True)
    notes = spelling_notes(model)
    if _runtime() is None:
        notes += ('ONNX itself tried it; pip install "retrograd[verify]" to try it in its runtime',)
    return Written({request.name: data}, notes)


def message_of(model: Model) -> Any:
    """Return the message of a model's file; the same model gives the same one."""
    program = program_of(model.net, len(model.preprocessor.feature_names))
    graph = Graph()
    inputs = inputs_of(graph, model.preprocessor)
    classes = model.preprocessor.classes
    outputs = [graph.fresh(name) for name in ("prediction", "probabilities")[: 1 + bool(classes)]]
    features = graph.fresh(f"/{FEATURES}")
    add_features(graph, model.preprocessor, inputs, features)
    graph.count_rows_of(features)
    name = add_network(graph, program, features)
    logits = name[program.output]
    if classes:
        chances = graph.add("Softmax", graph.cast(logits, DType.float64), axis=1)
        costs = costs_of(model)
        scores = logits if costs is None else graph.add("Mul", chances, graph.constant(costs))
        best = graph.add("ArgMax", scores, axis=1, keepdims=0)
        graph.add("Gather", graph.texts(classes), best, to=outputs[0])
        graph.cast(chances, DType.float32, outputs[1])
    else:
        shift, scale = (getattr(model.preprocessor, each) for each in ("shift", "scale"))
        amount = graph.cast(graph.add("Squeeze", logits, graph.integers(1)), DType.float64)
        spread = graph.add("Mul", amount, graph.floats(scale))
        graph.add("Add", spread, graph.floats(shift), to=outputs[0])
    record = _record(model, inputs, {each: name[each] for each in (FEATURES, *program.stages)})
    record["weights"] = {each: name[each] for each in program.weights}
    return _proto(graph, inputs, outputs, model, record)


def _record(model: Model, inputs: tuple[Input, ...], stages: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata: what people may ask, and all that a model file holds besides tensors."""
    return {
        "version": model.version,
        "target": model.schema.target,
        "classes": list(model.schema.classes),
        "inputs": {each.column: each.name for each in inputs},
        "schema": model.schema.to_json(),
        "stages": dict(stages),
        "model": record_of(model),
    }


def _proto(
    graph: Graph,
    inputs: tuple[Input, ...],
    outputs: list[str],
    model: Model,
    record: Mapping[str, Any],
) -> Any:
    helper, kinds = graph.onnx.helper, graph.onnx.TensorProto
    value = helper.make_tensor_value_info
    given = [value(each.name, each.code, ["rows", 1]) for each in inputs]
    classes = model.preprocessor.classes
    kind = kinds.STRING if classes else kinds.DOUBLE
    made = [value(outputs[0], kind, ["rows"])]
    if classes:
        made.append(value(outputs[1], kinds.FLOAT, ["rows", len(classes)]))
    body = helper.make_graph(
        graph.nodes, "retrograd", given, made, list(graph.initializers.values())
    )
    proto = helper.make_model(
        body,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        producer_name="retrograd",
        producer_version=model.version,
        doc_string=f"Predicts {model.schema.target!r} from the columns of a table.",
    )
    texts = {name: x if isinstance(x, str) else json.dumps(x) for name, x in record.items()}
    helper.set_model_props(proto, {f"retrograd.{name}": text for name, text in texts.items()})
    return proto


def metadata_of(proto: Any) -> dict[str, str]:
    """Return the entries of a file's metadata that are ours, without their prefix."""
    # Texts of a damaged file may come as bytes.
    pairs = [(str(each.key), str(each.value)) for each in proto.metadata_props]
    ours = ((key, value) for key, value in pairs if key.startswith("retrograd."))
    return {key.removeprefix("retrograd."): value for key, value in ours}


def run(path: Path, rows: Table) -> Answers:
    """Let a file predict rows, in ONNX Runtime, or in ONNX's own evaluator where there is none."""
    return answers_of(require_onnx().load_model_from_string(path.read_bytes()), rows)


def answers_of(proto: Any, rows: Table) -> Answers:
    """Return what the message in a file predicts."""
    cells = _cells(proto, rows)
    predict = open_session(proto)
    outputs = predict(cells)
    one = {name: column[:1] for name, column in cells.items()}
    times = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        predict(one)
        times.append(time.perf_counter() - start)
    values = np.array([str(each) for each in outputs[0]]) if len(outputs) > 1 else outputs[0]
    return Answers(values, outputs[1] if len(outputs) > 1 else None, float(np.median(times)))


def stages(path: Path, rows: Table) -> dict[str, Array]:
    """Return what a file computes on the way: the features, then what every layer gives."""
    onnx = require_onnx()
    proto = onnx.load_model_from_string(path.read_bytes())
    names = json.loads(metadata_of(proto)["stages"])
    del proto.graph.output[:]
    proto.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names.values()
    )
    return dict(zip(names, open_session(proto)(_cells(proto, rows)), strict=True))


def _cells(proto: Any, rows: Table) -> dict[str, Array]:
    """Return the inputs of a file that a table gives."""
    column_of = {name: each for each, name in json.loads(metadata_of(proto)["inputs"]).items()}
    kinds = {each.name: each.type.tensor_type.elem_type for each in proto.graph.input}
    return {name: cells_of(rows.columns[column_of[name]], code) for name, code in kinds.items()}


def open_session(proto: Any) -> Any:
    """Return what predicts: a function of inputs by name."""
    onnxruntime = _runtime()
    if onnxruntime is None:
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(proto)
        return lambda cells: evaluator.run(None, cells)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), settings, providers=["CPUExecutionProvider"], enable_fallback=0
    )
    return lambda cells: session.run(None, cells)


def _runtime() -> Any:
    """Return the package onnxruntime, None where it is not installed."""
    try:
        return import_module("onnxruntime")
    except ImportError:
        return None
