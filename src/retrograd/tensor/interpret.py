"""The interpreter of the element language: what a lowering means, in NumPy.

It is the reference for every compiler of the language and deliberately plain: all elements of an
output at once for the first form, one scalar after another for `Loops`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from retrograd.tensor import element as el
from retrograd.tensor import special
from retrograd.tensor.conversion import cast_array
from retrograd.tensor.errors import IndexRangeError
from retrograd.tensor.types import Array, TensorType


@dataclass(frozen=True)
class Scope:
    """What an element is evaluated in: variables, inputs, and which places are read at all.

    ``taken`` is true where no select around has chosen its other side: only there may a bad index
    be an error. ``known`` keeps the value of each element met, by identity, because elements share
    parts: written out as a tree a hash of 13 rounds would have a million nodes.
    """

    variables: Mapping[el.Var, Any]
    inputs: Sequence[Array]
    taken: Any = True
    known: dict[int, Any] = field(default_factory=dict)

    def bind(self, variables: Mapping[el.Var, Any]) -> Scope:
        """Return the scope with more variables."""
        return replace(self, variables={**self.variables, **variables}, known={})

    def where(self, condition: Any) -> Scope:
        """Return the scope of one side of a select."""
        return replace(self, taken=np.logical_and(self.taken, condition), known={})


def _logical_right(x: Any, count: Any) -> Any:
    bits = np.asarray(x)
    unsigned = bits.view(f"u{bits.dtype.itemsize}") >> np.asarray(count).astype(np.uint8)
    return unsigned.view(bits.dtype)


def _checked_index(index: Any, length: Any, taken: Any) -> Any:
    """Return the index, within bounds everywhere; raise IndexRangeError if a taken one is not."""
    wrong = ((index < 0) | (index >= length)) & taken
    if np.any(wrong):
        raise IndexRangeError(
            f"reading index {int(np.broadcast_to(index, np.shape(wrong))[wrong].flat[0])}",
            f"it is not in 0..{int(np.max(length)) - 1}",
            "count from 0; nothing wraps around and nothing is clipped",
        )
    return np.clip(index, 0, length - 1)


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
}
"""Every scalar function of the language but ``checked_index``, by name."""

_COMBINE: Mapping[str, Callable[..., Any]] = {
    "add": np.add,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
_OF_NOTHING: Mapping[str, float] = {
    "add": 0,
    "multiply": 1,
    "maximum": -np.inf,
    "minimum": np.inf,
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
        variables = dict(zip((v for v in index if isinstance(v, el.Var)), grids, strict=True))
        value = _value(lowered, Scope(variables, inputs))
        return np.ascontiguousarray(np.broadcast_to(value, type.shape)).astype(
            type.dtype.numpy, copy=False
        )


def _run_loops(loops: el.Loops, type: TensorType, inputs: Sequence[Array]) -> Array:
    out = np.full(type.shape, loops.initial.value, type.dtype.numpy)
    # A negative source counts from the back: OUTPUT, -1, is the output itself.
    arrays = (*inputs, out)

    def run(statement: el.For | el.Store, variables: dict[el.Var, Any]) -> None:
        if isinstance(statement, el.For):
            for i in range(statement.extent):
                variables[statement.variable] = np.int64(i)
                for inner in statement.body:
                    run(inner, variables)
            return
        scope = Scope(variables, arrays)
        place = tuple(int(_value(i, scope)) for i in statement.index)
        value = _value(statement.value, scope)
        out[place] = out[place] + value if statement.add else value

    for statement in loops.body:
        run(statement, {})
    return out


def _value(e: el.Element, scope: Scope) -> Any:
    """Return the value of an element at all places of the scope, computed once."""
    if id(e) not in scope.known:
        scope.known[id(e)] = _compute(e, scope)
    return scope.known[id(e)]


def _compute(e: el.Element, scope: Scope) -> Any:
    match e:
        case el.Const():
            return e.dtype.numpy.type(e.value)
        case el.Var():
            return scope.variables[e]
        case el.Load():
            return _load(e, scope)
        case el.Call():
            arguments = [_value(a, scope) for a in e.arguments]
            if e.function == "checked_index":
                index, length = arguments
                return _checked_index(index, length, scope.taken)
            return FUNCTIONS[e.function](*arguments)
        case el.Select():
            condition = _value(e.condition, scope)
            then = _value(e.then, scope.where(condition))
            return np.where(
                condition, then, _value(e.otherwise, scope.where(np.logical_not(condition)))
            )
        case el.Cast():
            return cast_array(np.asarray(_value(e.value, scope)), e.dtype)
        case el.Fold():
            return _fold(e, scope)
        case _:
            raise TypeError(f"{e!r} is no element")


def _load(e: el.Load, scope: Scope) -> Any:
    array = scope.inputs[e.source]
    index = [
        _checked_index(np.asarray(_value(i, scope)), np.int64(n), scope.taken)
        for i, n in zip(e.index, array.shape, strict=True)
    ]
    # Nothing can be read of an empty array, and nobody asks: every place has another side.
    return array[tuple(index)] if array.size else array.dtype.type(0)


def _fold(e: el.Fold, scope: Scope) -> Any:
    values = [
        np.asarray(_value(e.body, scope.bind(dict(zip(e.variables, ks, strict=True)))))
        for ks in np.ndindex(*e.extents)
    ]
    if e.kind in ("argmax", "argmin"):
        stacked = np.stack(np.broadcast_arrays(*values))
        return np.argmax(stacked, 0) if e.kind == "argmax" else np.argmin(stacked, 0)
    if not values:
        return e.dtype.numpy.type(_OF_NOTHING[e.kind])
    total = values[0]
    for value in values[1:]:
        total = _COMBINE[e.kind](total, value)
    return total
