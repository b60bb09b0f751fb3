"""The battery's checks of derivatives: finite differences, twice over, forwards, in float32."""

from collections.abc import Callable, Sequence

import numpy as np
from tests.ops.examples import has_derivative, in_dtype, is_float, random_like, tensors

from retrograd import ops
from retrograd.autodiff import gradients, jvp, watch
from retrograd.tensor.history import apply, differentiating, placeholder
from retrograd.tensor.op import Example, Op
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, DType

# A fourth-order stencil: its error is about 1e-16 from the step and 1e-11 from rounding, so that
# even a gradient rounded to float32 on the way (6e-8) is found.
STEP = 1e-4
RELATIVE, ABSOLUTE = 5e-9, 5e-10


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
