"""What must hold of every op: one check a property, each for one example of one op.

A check raises AssertionError, or returns how many comparisons it made: 0 says that the property
does not touch this example. `test_every_op` feeds the checks from the registry and
`test_planted_faults` proves that they find what is wrong.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from retrograd import ops
from retrograd.autodiff import gradients, jvp, watch
from retrograd.ops.families import Binary, Comparison, Unary
from retrograd.tensor import element as el
from retrograd.tensor.history import apply, differentiating, placeholder
from retrograd.tensor.interpret import interpret
from retrograd.tensor.op import QUESTIONS, Example, Op
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, DType, TensorType, dtype_of

# A fourth-order stencil: its error is about 1e-16 from the step and 1e-11 from rounding.
STEP = 1e-4
RELATIVE, ABSOLUTE = 1e-6, 1e-8


def tensors(arrays: Sequence[Array]) -> list[Tensor]:
    return [from_array(np.asarray(array)) for array in arrays]


def type_of(array: Array) -> TensorType:
    return TensorType(np.shape(array), dtype_of(np.asarray(array)))


def is_float(array: Array) -> bool:
    return np.asarray(array).dtype.kind == "f"


def in_dtype(example: Example, dtype: DType) -> Example:
    """The same use with every float, given and asked for, of one dtype."""
    asked = {
        field.name: dtype
        for field in dataclasses.fields(example.op)
        if isinstance(value := getattr(example.op, field.name), DType) and value.is_float
    }
    arrays = tuple(x.astype(dtype.numpy) if is_float(x) else x for x in example.inputs)
    return Example(dataclasses.replace(example.op, **asked), arrays)


def has_derivative(example: Example) -> bool:
    """Whether finite differences are to agree: the output is a float, and nothing redirects g."""
    out = example.op.result_type(*map(type_of, example.inputs))
    return out.dtype.is_float and not example.op.redirects_gradient


def close(found: float, expected: float, relative: float = RELATIVE) -> None:
    limit = relative * (abs(found) + abs(expected)) + ABSOLUTE
    assert abs(found - expected) <= limit, f"{found!r} is not {expected!r}"


def slope(function: Callable[[Array], float], at: Array, along: Array) -> float:
    """The derivative of ``function`` along a direction, by central differences."""
    near = function(at + STEP * along) - function(at - STEP * along)
    far = function(at + 2 * STEP * along) - function(at - 2 * STEP * along)
    return float((8 * near - far) / (12 * STEP))


def inner(a: Array | Tensor | None, b: Array) -> float:
    return 0.0 if a is None else float(np.sum(np.asarray(a) * b))


def random_like(array: Array, seed: int) -> Array:
    # Not normal numbers: none is so large that a step along it reaches the next kink.
    return np.random.default_rng(seed).uniform(-1.5, 1.5, np.shape(array))


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


def check_gradient_types(example: Example) -> int:
    """Gradients have their inputs' types; nothing flows to or from what is not a float."""
    op, inputs = example.op, tensors(example.inputs)
    out = apply(op, *inputs)
    g = ops.ones_like(out)
    given = op.vjp(g, out, *inputs)
    assert len(given) == len(inputs), "not one gradient an input"
    for x, gradient in zip(inputs, given, strict=True):
        assert gradient is None or gradient.type == x.type, f"{gradient} is for a {x.type}"
        if not (x.dtype.is_float and out.dtype.is_float and op.differentiable):
            assert gradient is None, f"a gradient flows to {x.type} from {out.type}"
    # Traced tensors must take the same road: a rule may not ask for numbers.
    traced = [placeholder(x.type) for x in inputs]
    again = op.vjp(placeholder(out.type), apply(op, *traced), *traced)
    types = [[None if x is None else x.type for x in grads] for grads in (given, again)]
    assert types[0] == types[1], "traced and eager rules differ"
    return 2 * len(inputs)


def check_vjp(example: Example) -> int:
    """The vjp is the derivative: along a random direction, by central differences in float64."""
    if not has_derivative(example):
        return 0
    op, arrays = in_dtype(example, DType.float64)
    inputs = tensors(arrays)
    out = apply(op, *inputs)
    u = random_like(out.numpy(), 1)
    given = op.vjp(from_array(u), out, *inputs)
    floats = [i for i, x in enumerate(arrays) if is_float(x)]
    for i in floats:
        v = random_like(arrays[i], 2 + i)
        expected = slope(lambda x, i=i: inner(_with(op, arrays, i, x), u), arrays[i], v)
        close(inner(given[i], v), expected)
    return len(floats)


def _with(op: Op, arrays: Sequence[Array], i: int, x: Array) -> Array:
    return apply(op, *tensors([*arrays[:i], x, *arrays[i + 1 :]])).numpy()


def check_second_order(example: Example) -> int:
    """The vjp's own derivative, in every float input and in g, is right."""
    if not has_derivative(example):
        return 0
    op, arrays = in_dtype(example, DType.float64)
    g = random_like(apply(op, *tensors(arrays)).numpy(), 1)
    at = [*arrays, g]
    weights = [random_like(x, 2 + i) for i, x in enumerate(arrays)]

    def total(*values: Tensor) -> Tensor | None:
        *inputs, g = values
        grads = op.vjp(g, apply(op, *inputs), *inputs)
        terms = [ops.sum(x * w) for x, w in zip(grads, weights, strict=True) if x is not None]
        return sum(terms[1:], terms[0]) if terms else None

    with differentiating():
        watched = [watch(x) for x in tensors(at)]
        answer = total(*watched)
    if answer is None:
        return 0
    found = gradients([answer], [from_array(np.float64(1.0)[()])], watched)
    floats = [i for i, x in enumerate(at) if is_float(x)]
    for i in floats:
        v = random_like(at[i], 20 + i)

        def value(x: Array, i: int = i) -> float:
            moved = total(*tensors([*at[:i], x, *at[i + 1 :]]))
            return 0.0 if moved is None else moved.item()

        close(inner(found[i], v), slope(value, at[i], v))
    return len(floats)


def check_jvp(example: Example) -> int:
    """Forward mode agrees with the vjp: <u, J v> = <J' u, v>."""
    if not has_derivative(example):
        return 0
    op, arrays = in_dtype(example, DType.float64)
    inputs = tensors(arrays)
    floats = [i for i, x in enumerate(arrays) if is_float(x)]
    if not floats:
        return 0
    tangents = [random_like(arrays[i], 2 + i) for i in floats]

    def function(*given: Tensor) -> Tensor:
        return apply(op, *(given[floats.index(i)] if i in floats else x
                           for i, x in enumerate(inputs)))  # fmt: skip

    out, tangent = jvp(function, [inputs[i] for i in floats], tensors(tangents))
    u = random_like(out.numpy(), 1)
    given = op.vjp(from_array(u), out, *inputs)
    pairs = zip(floats, tangents, strict=True)
    close(inner(tangent, u), sum(inner(given[i], v) for i, v in pairs), 1e-10)
    return 1


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


def lowered_value(op: Op, arrays: Sequence[Array]) -> tuple[Array, bool]:
    """What the lowering gives, and whether it must have the same bits as `evaluate`."""
    types = [type_of(x) for x in arrays]
    out = op.result_type(*types)
    index = tuple(el.Var("o") for _ in out.shape)
    readers = [el.BufferReader(i, t) for i, t in enumerate(types)]
    lowered = op.lower(out, index, *readers)
    if isinstance(lowered, el.Element):
        assert lowered.dtype is out.dtype, f"the element is {lowered.dtype}, the output {out.dtype}"
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
    """The interpreted lowering is what `evaluate` gives, to the bit unless it folds sums."""
    op, arrays = example
    expected = apply(op, *tensors(arrays)).numpy()
    found, exact = lowered_value(op, arrays)
    if exact:
        same_bits(found, expected)
    else:
        tolerance = 1e-5 if expected.dtype == np.float32 else 1e-13
        np.testing.assert_allclose(found, expected, tolerance, tolerance)
    return 1


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


def check_float32(example: Example) -> int:
    """float32 gives float32, for values and gradients, close to what float64 gives."""
    if not any(map(is_float, example.inputs)) or not has_derivative(example):
        return 0
    compared = 0
    narrow, wide = in_dtype(example, DType.float32), in_dtype(example, DType.float64)
    answers = []
    for op, arrays in (narrow, wide):
        inputs = tensors(arrays)
        out = apply(op, *inputs)
        g = from_array(random_like(out.numpy(), 1).astype(out.dtype.numpy))
        answers.append([out, *op.vjp(g, out, *inputs)])
    for low, high in zip(*answers, strict=True):
        assert (low is None) == (high is None)
        if low is None or high is None:
            continue
        assert low.dtype is DType.float32
        size = max(1.0, float(np.max(np.abs(high.numpy()), initial=0)))
        np.testing.assert_allclose(low.numpy(), high.numpy(), 1e-4, 1e-5 * size)
        compared += 1
    return compared


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


CHECKS: Mapping[str, Callable[[Example], int]] = {
    "type": check_type,
    "gradient_types": check_gradient_types,
    "vjp": check_vjp,
    "second_order": check_second_order,
    "jvp": check_jvp,
    "lower": check_lower,
    "special_values": check_special_values,
    "float32": check_float32,
    "docs": check_docs,
}
