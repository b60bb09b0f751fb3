"""The interpreter of the element language: what a lowering means, in NumPy.

It is the reference for every compiler of the language and deliberately plain: all elements of an
output at once for the first form, one scalar after another for `Loops`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from retrograd.tensor import element as el
from retrograd.tensor import special
from retrograd.tensor.errors import IndexRangeError
from retrograd.tensor.types import Array, TensorType

Environment = Mapping[el.Var, Any]


def _logical_right(x: Any, count: Any) -> Any:
    bits = np.asarray(x)
    unsigned = bits.view(f"u{bits.dtype.itemsize}") >> np.asarray(count).astype(np.uint8)
    return unsigned.view(bits.dtype)


def _checked_index(index: Any, length: Any) -> Any:
    wrong = (index < 0) | (index >= length)
    if np.any(wrong):
        raise IndexRangeError(
            f"reading index {int(np.extract(wrong, index)[0])}",
            f"the axis has {int(np.max(length))} places",
            "give indices from 0 up to the length",
        )
    return index


_NUMPY_NAMES = (
    *("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power"),
    *("negative", "absolute", "sign", "floor", "maximum", "minimum"),
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
    *("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift"),
)

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in _NUMPY_NAMES},
    "erf": special.erf,
    "erfc": special.erfc,
    "logical_right_shift": _logical_right,
    "checked_index": _checked_index,
}
"""Every scalar function of the language, by name."""

_COMBINE: Mapping[str, Callable[..., Any]] = {
    "add": np.add,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


def interpret(
    lowered: el.Lowered, type: TensorType, index: el.Index, inputs: Sequence[Array]
) -> Array:
    """Return the whole output that a lowering describes.

    Args:
        lowered: what ``Op.lower`` answered.
        type: type of the output.
        index: the output variables that the lowering was asked with, one an axis.
        inputs: the arrays that `Load` reads, in order.
    """
    with np.errstate(all="ignore"):
        if isinstance(lowered, el.Loops):
            return _run_loops(lowered, type, inputs)
        grids = np.indices(type.shape, sparse=True)
        environment = dict(zip((v for v in index if isinstance(v, el.Var)), grids, strict=True))
        value = _value(lowered, environment, inputs, False)
        return np.ascontiguousarray(np.broadcast_to(value, type.shape)).astype(
            type.dtype.numpy, copy=False
        )


def _run_loops(loops: el.Loops, type: TensorType, inputs: Sequence[Array]) -> Array:
    out = np.full(type.shape, loops.initial.value, type.dtype.numpy)
    # A negative source counts from the back: OUTPUT, -1, is the output itself.
    arrays = (*inputs, out)

    def run(statement: el.For | el.Store, environment: dict[el.Var, Any]) -> None:
        if isinstance(statement, el.For):
            for i in range(statement.extent):
                environment[statement.variable] = np.int64(i)
                for inner in statement.body:
                    run(inner, environment)
            return
        place = tuple(int(_value(i, environment, arrays, False)) for i in statement.index)
        value = _value(statement.value, environment, arrays, False)
        out[place] = out[place] + value if statement.add else value

    for statement in loops.body:
        run(statement, {})
    return out


def _value(e: el.Element, environment: Environment, inputs: Sequence[Array], lazy: bool) -> Any:
    """Evaluate an element; ``lazy`` is true on the sides of a select, where loads may miss."""
    match e:
        case el.Const():
            return e.dtype.numpy.type(e.value)
        case el.Var():
            return environment[e]
        case el.Load():
            return _load(e, environment, inputs, lazy)
        case el.Call():
            arguments = [_value(a, environment, inputs, lazy) for a in e.arguments]
            return FUNCTIONS[e.function](*arguments)
        case el.Select():
            condition = _value(e.condition, environment, inputs, lazy)
            then = _value(e.then, environment, inputs, True)
            return np.where(condition, then, _value(e.otherwise, environment, inputs, True))
        case el.Cast():
            return np.asarray(_value(e.value, environment, inputs, lazy)).astype(e.dtype.numpy)
        case el.Fold():
            return _fold(e, environment, inputs, lazy)
        case _:
            raise TypeError(f"{e!r} is no element")


def _load(e: el.Load, environment: Environment, inputs: Sequence[Array], lazy: bool) -> Any:
    array = inputs[e.source]
    index = [np.asarray(_value(i, environment, inputs, lazy)) for i in e.index]
    if lazy:
        if array.size == 0:
            return array.dtype.type(0)
        index = [np.clip(i, 0, n - 1) for i, n in zip(index, array.shape, strict=True)]
    else:
        index = [_checked_index(i, np.int64(n)) for i, n in zip(index, array.shape, strict=True)]
    return array[tuple(index)]


def _fold(e: el.Fold, environment: Environment, inputs: Sequence[Array], lazy: bool) -> Any:
    values = [
        np.asarray(
            _value(e.body, {**environment, **dict(zip(e.variables, ks, strict=True))}, inputs, lazy)
        )
        for ks in np.ndindex(*e.extents)
    ]
    if e.kind in ("argmax", "argmin"):
        stacked = np.stack(np.broadcast_arrays(*values))
        return np.argmax(stacked, 0) if e.kind == "argmax" else np.argmin(stacked, 0)
    if not values:
        return e.dtype.numpy.type(1 if e.kind == "multiply" else 0)
    total = values[0]
    for value in values[1:]:
        total = _COMBINE[e.kind](total, value)
    return total
