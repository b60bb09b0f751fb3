"""Every op that inference can contain, as an expression of NumPy: one line an op."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from retrograd.export.onnx_ops import unknown_op
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
from retrograd.tensor.types import Shape

Writer = Callable[[Any, list[str], Value], str]
"""Returns the expression of an op: the op, what its inputs are called, and what it makes."""


def _infix(sign: str) -> Writer:
    return lambda op, x, made: f"{x[0]} {sign} {x[1]}"


def _call(name: str) -> Writer:
    return lambda op, x, made: f"{name}({', '.join(map(_bare, x))})"


def _over_axes(name: str) -> Writer:
    return lambda op, x, made: f"np.{name}({_bare(x[0])}, axis={_axes(op.axes)})"


def _axes(axes: tuple[int, ...]) -> str:
    return str(axes[0]) if len(axes) == 1 else str(axes)


def _bare(text: str) -> str:
    """Return an expression without the parentheses around all of it.

    >>> _bare("(x + 1)"), _bare("(x + 1) * (y + 1)")
    ('x + 1', '(x + 1) * (y + 1)')
    """
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and i < len(text) - 1:
            return text
    return text[1:-1]


def _shape(shape: Shape) -> str:
    """Return the text of a shape, whose lengths -k are k times the rows."""
    lengths = [_length(n) for n in shape]
    return f"({lengths[0]},)" if len(lengths) == 1 else f"({', '.join(lengths)})"


def _length(n: int) -> str:
    return str(n) if n >= 0 else "rows" if n == -1 else f"{-n} * rows"


def _where(op: Op, x: list[str], made: Value) -> str:
    # Numbers get a dtype of their own: older NumPy would take them for float64 here.
    sides = (f"np.float32({each})" if _is_number(each) else _bare(each) for each in x[1:])
    return f"np.where({_bare(x[0])}, {', '.join(sides)})"


def _is_number(text: str) -> bool:
    return text.strip("()-").replace(".", "", 1).replace("e-", "", 1).isdigit()


def _slice(op: Slice, x: list[str], made: Value) -> str:
    cuts = []
    for start, length, step in zip(op.starts, made.shape, op.steps, strict=True):
        if length < 0:
            if (start, step) != (0, 1):
                raise _cuts_rows()
            cuts.append(":")
            continue
        stop = start + length * step
        end = f"{stop}" if stop >= 0 else ""
        cuts.append(f"{start}:{end}" + (f":{step}" if step != 1 else ""))
    return f"{x[0]}[{', '.join(cuts)}]"


def _pad(op: Pad, x: list[str], made: Value) -> str:
    if any(step != 1 for step in op.steps):
        raise _cuts_rows()
    return f"padded({_bare(x[0])}, {_shape(made.shape)}, {op.starts}, {op.value!r})"


def _cuts_rows() -> InputError:
    return InputError(
        "exporting to Python",
        "the network cuts its rows, or pads with gaps",
        "use layers that keep the rows",
    )


def _cumsum(op: CumSum, x: list[str], made: Value) -> str:
    if op.reverse:
        turned = f"np.flip({_bare(x[0])}, {op.axis})"
        return f"np.flip(np.cumsum({turned}, {op.axis}, dtype=np.float32), {op.axis})"
    return f"np.cumsum({_bare(x[0])}, {op.axis}, dtype=np.float32)"


def _log_sum_exp(op: LogSumExp, x: list[str], made: Value) -> str:
    return f"np.logaddexp.reduce({_bare(x[0])}, axis={_axes(op.axes)})"


def _one_hot(op: OneHot, x: list[str], made: Value) -> str:
    return f"({x[0]}[..., None] == np.arange({op.depth})).astype(np.{op.dtype.name})"


WRITERS: Final[Mapping[type[Op], Writer]] = MappingProxyType(
    {
        arithmetic.Negative: lambda op, x, made: f"-{x[0]}",
        arithmetic.Add: _infix("+"),
        arithmetic.Subtract: _infix("-"),
        arithmetic.Multiply: _infix("*"),
        arithmetic.Divide: _infix("/"),
        choice.Absolute: _call("np.abs"),
        choice.Sign: _call("np.sign"),
        choice.Maximum: _call("np.maximum"),
        choice.Minimum: _call("np.minimum"),
        choice.Where: _where,
        comparison.Equal: _infix("=="),
        comparison.NotEqual: _infix("!="),
        comparison.Less: _infix("<"),
        comparison.LessEqual: _infix("<="),
        comparison.Greater: _infix(">"),
        comparison.GreaterEqual: _infix(">="),
        comparison.LogicalAnd: _infix("&"),
        comparison.LogicalOr: _infix("|"),
        comparison.LogicalNot: lambda op, x, made: f"~{x[0]}",
        curves.Sin: _call("np.sin"),
        curves.Cos: _call("np.cos"),
        curves.Tanh: _call("np.tanh"),
        curves.Sigmoid: _call("sigmoid"),
        curves.Erf: _call("erf"),
        curves.Erfc: _call("erfc"),
        division.Floor: _call("np.floor"),
        division.FloorDivide: _infix("//"),
        division.Remainder: _infix("%"),
        exponential.Exp: _call("np.exp"),
        exponential.Expm1: _call("np.expm1"),
        exponential.Log: _call("np.log"),
        exponential.Log1p: _call("np.log1p"),
        exponential.Sqrt: _call("np.sqrt"),
        exponential.Rsqrt: lambda op, x, made: f"1.0 / np.sqrt({_bare(x[0])})",
        exponential.Power: _infix("**"),
        Matmul: _infix("@"),
        BroadcastTo: lambda op, x, made: f"np.broadcast_to({_bare(x[0])}, {_shape(made.shape)})",
        Reshape: lambda op, x, made: f"np.reshape({_bare(x[0])}, {_shape(made.shape)})",
        Transpose: lambda op, x, made: f"np.transpose({_bare(x[0])}, {op.axes})",
        Sum: _over_axes("sum"),
        Max: _over_axes("max"),
        Min: _over_axes("min"),
        Prod: _over_axes("prod"),
        LogSumExp: _log_sum_exp,
        Slice: _slice,
        Pad: _pad,
        CumSum: _cumsum,
        OneHot: _one_hot,
        Cast: lambda op, x, made: f"{x[0]}.astype(np.{_dtype(op.dtype.name)})",
        Take: lambda op, x, made: f"np.take({_bare(x[0])}, {_bare(x[1])}, axis={op.axis})",
        Gather: lambda op, x, made: (
            f"np.take_along_axis({_bare(x[0])}, {_bare(x[1])}, axis={op.axis})"
        ),
        Concatenate: lambda op, x, made: (
            f"np.concatenate([{', '.join(map(_bare, x))}], axis={op.axis})"
        ),
        ArgMax: lambda op, x, made: f"np.argmax({_bare(x[0])}, axis={op.axis})",
        ArgMin: lambda op, x, made: f"np.argmin({_bare(x[0])}, axis={op.axis})",
    }
)


def _dtype(name: str) -> str:
    return "bool_" if name == "bool" else name


_LONGEST: Final = 70  # letters of an expression that is written into the one that reads it


def layer_functions(program: Program) -> dict[str, list[str]]:
    """Return the lines of a function for every layer, which takes what the one before gave.

    Raises InputError for an op that has no line in the table.
    """
    found: dict[str, list[str]] = {}
    given = FEATURES
    for stage in program.stages:
        steps = [step for step in program.steps if step.layer == stage]
        found[stage] = _Layer(program, steps, given).lines(stage)
        given = stage
    return found


class _Layer:
    """The steps of one layer on their way to lines of text."""

    def __init__(self, program: Program, steps: list[Step], given: str) -> None:
        self.program, self.steps, self.given = program, steps, given
        self.own = {step.output for step in steps}
        self.uses = [name for step in steps for name in step.inputs]
        self.text: dict[str, str] = {}

    def lines(self, output: str) -> list[str]:
        lines: list[str] = []
        names = iter("abcdefghijklmnopqrsuvw" + "".join(map(chr, range(945, 970))))
        for step in self.steps:
            writer = WRITERS.get(type(step.op))
            if writer is None:
                raise unknown_op(step, "Python")
            made = self.program.values[step.output]
            expression = writer(step.op, [self.name_of(name) for name in step.inputs], made)
            if step.output == output:
                lines.append(f"return {_bare(expression)}")
            elif self.uses.count(step.output) == 1 and len(expression) <= _LONGEST:
                is_call = expression.endswith(")") and _bare(expression) == expression
                is_one = is_call and _is_one_call(expression)
                self.text[step.output] = expression if is_one else f"({expression})"
            else:
                name = next(names, None) or f"v{len(lines)}"
                self.text[step.output] = name
                lines.append(f"{name} = {_bare(expression)}")
        if any(re.search(r"\brows\b", line) for line in lines):
            lines.insert(0, f"rows = {self.rows()}")
        return lines

    def rows(self) -> str:
        """Return the number of rows, read off what the layer is given."""
        shape = self.program.values[self.given].shape
        axis = next(axis for axis, length in enumerate(shape) if length < 0)
        return f"x.shape[{axis}]" + (f" // {-shape[axis]}" if shape[axis] != -1 else "")

    def name_of(self, value: str) -> str:
        if value in self.text:
            return self.text[value]
        if value in self.program.weights:
            return f'W["{value}"]'
        if value in self.program.constants:
            return _literal(self.program.constants[value])
        return "x"


def _is_one_call(text: str) -> bool:
    """Return whether a text is a call and nothing besides.

    >>> _is_one_call("np.exp(x)"), _is_one_call("np.exp(x) + f(y)")
    (True, False)
    """
    start = text.find("(")
    name = text[:start]
    return name.replace(".", "").isidentifier() and _bare(text[start:]) != text[start:]


def _literal(array: Any) -> str:
    """Return numbers of a formula as they are written."""
    if array.ndim == 0:
        text = repr(array.item())
        if text in ("inf", "-inf", "nan"):
            return f"np.float32('{text}')"
        return f"({text})" if text.startswith("-") else text
    return f"np.array({array.tolist()!r}, np.{_dtype(array.dtype.name)})"
