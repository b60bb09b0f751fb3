"""The battery's checks of values: types, the lowering against `evaluate`, docstrings."""

import contextlib
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from tests.ops.examples import is_float, tensors, type_of

from retrograd.ops.families import Binary, Comparison, Unary
from retrograd.tensor import element as el
from retrograd.tensor.errors import DTypeError
from retrograd.tensor.history import apply, placeholder
from retrograd.tensor.interpret import interpret
from retrograd.tensor.op import QUESTIONS, Example, Op
from retrograd.tensor.types import Array, DType


def check_type(example: Example) -> int:
    """What `result_type` says is what `evaluate` gives, eager and traced; inputs stay as given."""
    op, arrays = example
    before = [np.array(x) for x in arrays]
    said = op.result_type(*map(type_of, arrays))
    got = apply(op, *tensors(arrays))
    assert isinstance(got.array, np.ndarray)
    assert type_of(got.array) == said == got.type, f"{type_of(got.array)} is not {said}"
    assert apply(op, *(placeholder(type_of(x)) for x in arrays)).type == said
    for x, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(x, kept, "an input was changed")
    return 3 + len(arrays)


def nodes(lowered: el.Lowered) -> list[Any]:
    """Every node of a lowering, once."""
    found: dict[int, Any] = {}
    stack: list[Any] = [lowered]
    while stack:
        node = stack.pop()
        if id(node) in found:
            continue
        found[id(node)] = node
        for field in dataclasses.fields(node):
            part = getattr(node, field.name)
            parts = part if isinstance(part, tuple) else (part,)
            stack.extend(p for p in parts if isinstance(p, el.Element | el.For | el.Store))
    return list(found.values())


def check_dtypes(lowered: el.Lowered) -> None:
    """Arguments have one dtype, and indices are int64."""
    for node in nodes(lowered):
        if isinstance(node, el.Call):
            assert len({x.dtype for x in node.arguments}) == 1, f"{node.function} of two dtypes"
        if isinstance(node, el.Select):
            assert node.condition.dtype is DType.bool
            assert node.then.dtype is node.otherwise.dtype is node.dtype
        if isinstance(node, el.Load | el.Store):
            assert all(i.dtype is DType.int64 for i in node.index), "an index that is not int64"


def lowered_value(op: Op, arrays: Sequence[Array]) -> tuple[Array, bool]:
    """What the lowering gives, and whether it must have the same bits as `evaluate`."""
    types = [type_of(x) for x in arrays]
    out = op.result_type(*types)
    index = tuple(el.Var("o") for _ in out.shape)
    readers = [el.BufferReader(i, t) for i, t in enumerate(types)]
    lowered = op.lower(out, index, *readers)
    if isinstance(lowered, el.Element):
        assert lowered.dtype is out.dtype, f"the element is {lowered.dtype}, the output {out.dtype}"
    check_dtypes(lowered)
    summed = any(isinstance(n, el.Fold) and n.kind in ("add", "multiply") for n in nodes(lowered))
    return interpret(lowered, out, index, [np.asarray(x) for x in arrays]), not summed


def same_bits(a: Array, b: Array) -> None:
    """Equal, with equal signs of zeros; any NaN equals any other."""
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a, b)
    if is_float(a):
        sides = [np.where(np.isnan(x), False, np.signbit(x)) for x in (a, b)]
        np.testing.assert_array_equal(*sides, "signs of zeros")


def check_lower(example: Example) -> int:
    """The interpreted lowering is what `evaluate` gives, to the bit unless it folds sums.

    In the example's own dtype and in every other that the op takes.
    """
    compared = 0
    for dtype in (None, *(d for d in DType if not d.is_float)):
        arrays = [
            np.asarray(x * 3).astype(dtype.numpy) if dtype and is_float(x) else x
            for x in example.inputs
        ]
        with contextlib.suppress(DTypeError):
            example.op.result_type(*map(type_of, arrays))
            _compare_lowered(example.op, arrays)
            compared += 1
    return compared


def _compare_lowered(op: Op, arrays: Sequence[Array]) -> None:
    expected = apply(op, *tensors(arrays)).numpy()
    found, exact = lowered_value(op, arrays)
    if exact or not is_float(expected):
        same_bits(found, expected)
    else:
        tolerance = 1e-5 if expected.dtype == np.float32 else 1e-13
        np.testing.assert_allclose(found, expected, tolerance, tolerance)


SPECIAL_FLOATS = (0.0, -0.0, 0.5, -1.5, 1.0, -1.0, 1e-40, 30.0, -30.0, np.inf, -np.inf, np.nan)
SPECIAL_INTEGERS = (0, 1, -1, 7, -7, 2)


def specials(dtype: DType) -> Array:
    if dtype.is_float:
        limits = np.finfo(dtype.numpy)
        values = [*SPECIAL_FLOATS, limits.max, limits.min, limits.smallest_subnormal]
    else:
        limits = np.iinfo(dtype.numpy)
        values = [*SPECIAL_INTEGERS, limits.max, limits.min]
    return np.array(values, dtype.numpy)


def check_special_values(example: Example) -> int:
    """Elementwise: the lowering has the bits of `evaluate` at zeros, limits, inf and NaN, too."""
    op = example.op
    if not isinstance(op, Unary | Binary | Comparison):
        return 0
    dtypes = [DType.float32, DType.float64]
    if isinstance(op, Comparison) or not op.needs_float:
        dtypes += [DType.int32, DType.int64]
    for dtype in dtypes:
        values = specials(dtype)
        pairs = np.array(list(itertools.product(values, values)), dtype.numpy)
        arrays = [values] if isinstance(op, Unary) else [pairs[:, 0].copy(), pairs[:, 1].copy()]
        same_bits(lowered_value(op, arrays)[0], apply(op, *tensors(arrays)).numpy())
    return len(dtypes)


def check_docs(example: Example) -> int:
    """The class and each of its five answers say what they are."""
    kind = type(example.op)
    assert kind.__doc__, "the class has no docstring"
    assert not kind.__doc__.startswith(f"{kind.__name__}("), "the docstring is the dataclass's own"
    assert len(kind.__doc__.splitlines()[0]) > 15, "the first line says too little"
    for question in QUESTIONS:
        text = getattr(kind, question).__doc__
        assert text, f"{question} has no docstring"
        assert text != getattr(Op, question).__doc__, f"{question} has the docstring of Op"
        assert text.splitlines()[0].rstrip().endswith((".", ":")), f"{question}: {text!r}"
    return 1 + len(QUESTIONS)
