"""Every op that inference can contain, as nodes of ONNX: one line an op."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from retrograd.export.onnx_graph import Graph
from retrograd.export.program import FEATURES, Program, Step, Value
from retrograd.ops import arithmetic, choice, comparison, curves, division, exponential
from retrograd.ops.contraction import Matmul
from retrograd.ops.flow import Cast
from retrograd.ops.gathering import Gather, OneHot
from retrograd.ops.indexing import Take
from retrograd.ops.joining import Concatenate
from retrograd.ops.movement import BroadcastTo, Reshape, Sum, Transpose
from retrograd.ops.reduction import LogSumExp, Max, Min, Prod
from retrograd.ops.scanning import ArgMax, ArgMin, CumSum
from retrograd.ops.slicing import Pad, Slice
from retrograd.tensor.errors import InputError
from retrograd.tensor.op import Op
from retrograd.tensor.types import DType

Writer = Callable[[Graph, Any, tuple[str, ...], str, tuple[Value, ...], Value], str]
"""Adds the nodes of an op: graph, op, inputs, name of the output, what inputs and output are."""


def _one(kind: str, **attributes: Any) -> Writer:
    return lambda graph, op, inputs, to, given, made: graph.add(kind, *inputs, to=to, **attributes)


def _reduce(kind: str) -> Writer:
    return lambda graph, op, inputs, to, given, made: graph.add(
        kind, inputs[0], graph.integers(*op.axes), to=to, keepdims=0, noop_with_empty_axes=1
    )


def _one_of(graph: Graph, kind: DType, number: float) -> str:
    return graph.constant(np.array(number, kind.numpy))


def _not_equal(graph: Graph, op: Op, inputs: tuple[str, ...], to: str, *_: Any) -> str:
    return graph.add("Not", graph.add("Equal", *inputs), to=to)


def _rsqrt(graph: Graph, op: Op, inputs: tuple[str, ...], to: str, *_: Any) -> str:
    return graph.add("Reciprocal", graph.add("Sqrt", *inputs), to=to)


def _expm1(graph: Graph, op: Op, inputs: tuple[str, ...], to: str, given: Any, made: Value) -> str:
    return graph.add("Sub", graph.add("Exp", *inputs), _one_of(graph, made.dtype, 1), to=to)


def _log1p(graph: Graph, op: Op, inputs: tuple[str, ...], to: str, given: Any, made: Value) -> str:
    return graph.add("Log", graph.add("Add", *inputs, _one_of(graph, made.dtype, 1)), to=to)


def _erfc(graph: Graph, op: Op, inputs: tuple[str, ...], to: str, given: Any, made: Value) -> str:
    return graph.add("Sub", _one_of(graph, made.dtype, 1), graph.add("Erf", *inputs), to=to)


def _floor_divide(
    graph: Graph, op: Op, inputs: tuple[str, ...], to: str, given: Any, made: Value
) -> str:
    if made.dtype.is_float:
        return graph.add("Floor", graph.add("Div", *inputs), to=to)
    whole = graph.add("Sub", inputs[0], graph.add("Mod", *inputs))
    return graph.add("Div", whole, inputs[1], to=to)


def _remainder(
    graph: Graph, op: Op, inputs: tuple[str, ...], to: str, given: Any, made: Value
) -> str:
    if not made.dtype.is_float:
        return graph.add("Mod", *inputs, to=to)
    times = graph.add("Floor", graph.add("Div", *inputs))
    return graph.add("Sub", inputs[0], graph.add("Mul", times, inputs[1]), to=to)


def _broadcast_to(
    graph: Graph, op: Op, inputs: tuple[str, ...], to: str, given: Any, made: Value
) -> str:
    return graph.add("Expand", inputs[0], graph.shape(made.shape), to=to)


def _reshape(
    graph: Graph, op: Op, inputs: tuple[str, ...], to: str, given: Any, made: Value
) -> str:
    # One length may be left open, which is nearly always the rows.
    is_plain = sum(n < 0 for n in made.shape) == 1 and 0 not in made.shape
    shape = (
        graph.integers(*(-1 if n < 0 else n for n in made.shape))
        if is_plain
        else graph.shape(made.shape)
    )
    return graph.add("Reshape", inputs[0], shape, to=to, allowzero=1)


def _slice(
    graph: Graph, op: Slice, inputs: tuple[str, ...], to: str, given: tuple[Value, ...], made: Value
) -> str:
    axes, starts, stops, steps = [], [], [], []
    for axis, (start, length, step) in enumerate(zip(op.starts, made.shape, op.steps, strict=True)):
        whole = given[0].shape[axis]
        if length == whole and (start, step) == (0, 1):
            continue
        if length < 0 or whole < 0:
            raise _cuts_rows()
        stop = start + length * step
        axes.append(axis)
        starts.append(start)
        stops.append(stop if stop >= 0 else np.iinfo(np.int64).min)
        steps.append(step)
    if not axes:
        return graph.add("Identity", inputs[0], to=to)
    numbers = (graph.integers(*each) for each in (starts, stops, axes, steps))
    return graph.add("Slice", inputs[0], *numbers, to=to)


def _pad(
    graph: Graph, op: Pad, inputs: tuple[str, ...], to: str, given: tuple[Value, ...], made: Value
) -> str:
    before, after = [], []
    for start, step, n, whole in zip(op.starts, op.steps, given[0].shape, made.shape, strict=True):
        if n == whole and (start, step) == (0, 1):
            before.append(0)
            after.append(0)
            continue
        if n < 0 or whole < 0 or step != 1:
            raise _cuts_rows()
        before.append(start)
        after.append(whole - start - n)
    value = _one_of(graph, made.dtype, op.value)
    return graph.add("Pad", inputs[0], graph.integers(*before, *after), value, to=to)


def _cuts_rows() -> InputError:
    return InputError(
        "exporting to ONNX",
        "the network takes some of its rows, or fills gaps of the rows",
        "use layers that keep the rows",
    )


def _cumsum(graph: Graph, op: CumSum, inputs: tuple[str, ...], to: str, *_: Any) -> str:
    axis = graph.constant(np.array(op.axis, np.int64))
    return graph.add("CumSum", inputs[0], axis, to=to, reverse=int(op.reverse))


def _one_hot(graph: Graph, op: OneHot, inputs: tuple[str, ...], to: str, *_: Any) -> str:
    label = graph.add("Unsqueeze", inputs[0], graph.integers(-1))
    label = graph.cast(label, DType.int64)
    own = graph.add("Equal", label, graph.integers(*range(op.depth)))
    return graph.cast(own, op.dtype, to)


WRITERS: Final[Mapping[type[Op], Writer]] = MappingProxyType(
    {
        arithmetic.Negative: _one("Neg"),
        arithmetic.Add: _one("Add"),
        arithmetic.Subtract: _one("Sub"),
        arithmetic.Multiply: _one("Mul"),
        arithmetic.Divide: _one("Div"),
        choice.Absolute: _one("Abs"),
        choice.Sign: _one("Sign"),
        choice.Maximum: _one("Max"),
        choice.Minimum: _one("Min"),
        choice.Where: _one("Where"),
        comparison.Equal: _one("Equal"),
        comparison.NotEqual: _not_equal,
        comparison.Less: _one("Less"),
        comparison.LessEqual: _one("LessOrEqual"),
        comparison.Greater: _one("Greater"),
        comparison.GreaterEqual: _one("GreaterOrEqual"),
        comparison.LogicalAnd: _one("And"),
        comparison.LogicalOr: _one("Or"),
        comparison.LogicalNot: _one("Not"),
        curves.Sin: _one("Sin"),
        curves.Cos: _one("Cos"),
        curves.Tanh: _one("Tanh"),
        curves.Sigmoid: _one("Sigmoid"),
        curves.Erf: _one("Erf"),
        curves.Erfc: _erfc,
        division.Floor: _one("Floor"),
        division.FloorDivide: _floor_divide,
        division.Remainder: _remainder,
        exponential.Exp: _one("Exp"),
        exponential.Expm1: _expm1,
        exponential.Log: _one("Log"),
        exponential.Log1p: _log1p,
        exponential.Sqrt: _one("Sqrt"),
        exponential.Rsqrt: _rsqrt,
        exponential.Power: _one("Pow"),
        Matmul: _one("MatMul"),
        BroadcastTo: _broadcast_to,
        Reshape: _reshape,
        Sum: _reduce("ReduceSum"),
        Max: _reduce("ReduceMax"),
        Min: _reduce("ReduceMin"),
        Prod: _reduce("ReduceProd"),
        LogSumExp: _reduce("ReduceLogSumExp"),
        Slice: _slice,
        Pad: _pad,
        CumSum: _cumsum,
        OneHot: _one_hot,
        Transpose: lambda graph, op, inputs, to, given, made: graph.add(
            "Transpose", inputs[0], to=to, perm=op.axes
        ),
        Cast: lambda graph, op, inputs, to, given, made: graph.cast(inputs[0], op.dtype, to),
        Take: lambda graph, op, inputs, to, given, made: graph.add(
            "Gather", *inputs, to=to, axis=op.axis
        ),
        Gather: lambda graph, op, inputs, to, given, made: graph.add(
            "GatherElements", *inputs, to=to, axis=op.axis
        ),
        Concatenate: lambda graph, op, inputs, to, given, made: graph.add(
            "Concat", *inputs, to=to, axis=op.axis
        ),
        ArgMax: lambda graph, op, inputs, to, given, made: graph.add(
            "ArgMax", inputs[0], to=to, axis=op.axis, keepdims=0
        ),
        ArgMin: lambda graph, op, inputs, to, given, made: graph.add(
            "ArgMin", inputs[0], to=to, axis=op.axis, keepdims=0
        ),
    }
)


def add_network(graph: Graph, program: Program, features: str) -> dict[str, str]:
    """Add the nodes of a network; return what each value of the program is called in the graph.

    Raises InputError for an op that has no line in the table.
    """
    name = {FEATURES: features}
    for each, array in program.weights.items():
        name[each] = graph.weight(graph.fresh(each), array)
    for each, array in program.constants.items():
        name[each] = graph.constant(array)
    for step in program.steps:
        name[step.output] = _add_step(graph, program, step, name)
    return name


def _add_step(graph: Graph, program: Program, step: Step, name: Mapping[str, str]) -> str:
    writer = WRITERS.get(type(step.op))
    if writer is None:
        raise unknown_op(step, "ONNX")
    inputs = tuple(name[each] for each in step.inputs)
    to = graph.fresh(f"/{step.output}")
    given = tuple(program.values[each] for each in step.inputs)
    return writer(graph, step.op, inputs, to, given, program.values[step.output])


def unknown_op(step: Step, format_name: str) -> InputError:
    """Return the refusal of an op that a format has no word for."""
    return InputError(
        f"exporting to {format_name}",
        f"{step.layer} computes {type(step.op).__name__}, which has no translation",
        "use another layer there",
    )
