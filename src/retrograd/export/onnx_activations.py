"""Groups of elementwise nodes, told by their values: what spells an activation is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from retrograd.export.onnx_graph import require_onnx
from retrograd.recipe.names import ACTIVATIONS
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array

ELEMENTWISE: Final = (
    "Abs", "Add", "Celu", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish",
    "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "Pow", "Relu", "Selu", "Sigmoid",
    "Softplus", "Softsign", "Sqrt", "Sub", "Swish", "Tanh", "ThresholdedRelu",
)  # fmt: skip
_GRID: Final = np.linspace(-9.0, 9.0, 721, dtype=np.float32)


def is_elementwise(node: Any, constants: Mapping[str, Array]) -> bool:
    """Return whether a node treats every number alike."""
    held = (constants[name] for name in node.input if name in constants)
    return node.op_type in ELEMENTWISE and all(each.size == 1 for each in held)


def spelt_by(
    nodes: list[Any], ends: tuple[str, str], constants: Mapping[str, Array], proto: Any
) -> Callable[[Tensor], Tensor] | None:
    """Return the activation that has the values of some nodes, from one value to another."""
    values = _values(nodes, ends, constants, proto)
    for function in ACTIVATIONS.values():
        own = function(from_array(_GRID)).numpy()
        if np.allclose(own, values, rtol=2e-5, atol=2e-6):
            return function
    return None


def _values(
    nodes: list[Any], ends: tuple[str, str], constants: Mapping[str, Array], proto: Any
) -> Array:
    """Return what some nodes make of a row of numbers; NaN if they make something else."""
    onnx = require_onnx()
    from onnx.reference import ReferenceEvaluator

    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    names = {name for node in nodes for name in node.input if name in constants}
    held = [_held(onnx, constants[name], name) for name in sorted(names)]
    given, made = (helper.make_tensor_value_info(name, kind, None) for name in ends)
    graph = helper.make_graph(nodes, "group", [given], [made], held)
    try:
        model = helper.make_model(graph, opset_imports=list(proto.opset_import))
        with np.errstate(all="ignore"):
            found: Any = ReferenceEvaluator(model).run(None, {ends[0]: _GRID})
        values = np.asarray(found[0])
    except Exception:  # a stranger's node may fail in any way
        return np.full(_GRID.shape, np.nan)
    is_row = values.shape == _GRID.shape and values.dtype.kind == "f"
    return values if is_row else np.full(_GRID.shape, np.nan)


def _held(onnx: Any, array: Array, name: str) -> Any:
    """Return a constant, float64 ones as the float32 of the numbers that they meet."""
    array = array.astype(np.float32) if array.dtype == np.float64 else array
    return onnx.numpy_helper.from_array(array, name)
