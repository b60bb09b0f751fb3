"""Derivatives of whole functions, in float64, against finite differences and closed forms."""

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from tests.small_network import LABELS, Params, X, loss, near, numerical, params, random

from retrograd import ops
from retrograd.autodiff import (
    grad,
    gradients,
    hessian,
    hvp,
    jacobian,
    jvp,
    per_example_grads,
    value_and_grad,
    vjp,
    watch,
)
from retrograd.tensor.errors import GradientError, ShapeError
from retrograd.tensor.history import differentiating
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import DType


def test_the_gradient_of_a_network() -> None:
    value, found = value_and_grad(loss)(params(), X, LABELS)
    assert value.item() == loss(params(), X, LABELS).item()
    assert list(found) == list(params())
    for name in found:
        near(found[name], numerical(
            lambda a, name=name: loss({**params(), name: tensor(a)}, X, LABELS).item(),
            params()[name].numpy()))  # fmt: skip


def test_paths_are_summed() -> None:
    x = random(1, 4)
    near(grad(lambda x: ops.sum(x * x + x * 3.0 + x))(x), 2 * x.numpy() + 4)
    near(grad(lambda x: ops.sum(x + x) + ops.sum(x[1:] * x[:-1]))(x),
         2 + np.r_[x.numpy()[1:], 0] + np.r_[0, x.numpy()[:-1]])  # fmt: skip


def test_what_the_output_does_not_depend_on_gets_zeros() -> None:
    found = grad(lambda p: ops.sum(p["a"]) + ops.sum(ops.stop_gradient(p["b"])))(
        {"a": random(1, 2), "b": random(2, 3), "c": tensor([1, 2])}
    )
    assert [x.numpy().tolist() for x in found.values()] == [[1, 1], [0, 0, 0], [0, 0]]
    assert found["c"].dtype is DType.int64
    assert grad(lambda x: tensor(1.0))(random(1, 2)).numpy().tolist() == [0, 0]


def test_aux_is_handed_through_without_history() -> None:
    def function(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        y = x * x
        return ops.sum(y), {"squares": y}

    (value, aux), found = value_and_grad(function, has_aux=True)(tensor([3.0]))
    assert (value.item(), aux["squares"].item(), found.item()) == (9, 9, 6)
    assert value.op is aux["squares"].op is found.op is None


def test_gradients_of_gradients() -> None:
    x = tensor(0.7, DType.float64)
    function: Callable[..., Tensor] = ops.tanh
    t = np.tanh(0.7)
    for expected in (1 - t**2, -2 * t * (1 - t**2), (6 * t**2 - 2) * (1 - t**2)):
        function = grad(function)
        near(function(x), expected)
    norm = grad(lambda x: ops.sum(ops.square(grad(lambda y: ops.sum(y**3.0))(x))))
    near(norm(random(3, 4)), 36 * random(3, 4).numpy() ** 3)


def test_an_inner_derivative_is_not_confused_with_the_outer() -> None:
    # d/dx [x * d/dy (x + y)] at y = x: the inner derivative is 1, whatever x is.
    mixed = grad(lambda x: x * grad(lambda y: x + y)(x))
    assert mixed(tensor(3.0)).item() == 1
    assert grad(lambda x: x * grad(lambda y: x * y)(tensor(5.0)))(tensor(3.0)).item() == 6


def test_forward_mode_agrees_with_backward() -> None:
    p, direction = (
        params(),
        {name: random(20 + len(name), *x.shape) for name, x in params().items()},
    )
    _, found = value_and_grad(loss)(p, X, LABELS)
    backward = sum(float(np.sum(found[n].numpy() * direction[n].numpy())) for n in p)

    def positional(*values: Tensor) -> Tensor:
        return loss(dict(zip(p, values, strict=True)), X, LABELS)

    value, forward = jvp(positional, list(p.values()), list(direction.values()))
    assert value.item() == loss(p, X, LABELS).item()
    near(forward, backward, 1e-12)
    out, tangent = jvp(lambda x: x[::-1] * 2.0, [random(1, 3)], [random(2, 3)])
    near(tangent, 2 * random(2, 3).numpy()[::-1])
    assert out.op is tangent.op is None
    constant = jvp(lambda x: ops.floor(x), [random(1, 3)], [random(2, 3)])[1]
    assert constant.numpy().tolist() == [0, 0, 0]


def test_pullback_of_several_inputs_can_be_asked_again() -> None:
    a, b = random(1, 2, 3), random(2, 3, 4)
    out, pullback = vjp(ops.matmul, a, b)
    for seed in (5, 6):
        g = random(seed, 2, 4)
        to_a, to_b = pullback(g)
        near(to_a, g.numpy() @ b.numpy().T)
        near(to_b, a.numpy().T @ g.numpy())
    assert out.op is to_a.op is None


def test_hessian_vector_products() -> None:
    p, d = params(), {name: random(7, *x.shape) for name, x in params().items()}
    found = hvp(lambda q: loss(q, X, LABELS), p, d)
    step = 1e-5

    def gradient_at(sign: int) -> Params:
        moved = {n: tensor(p[n].numpy() + sign * step * d[n].numpy()) for n in p}
        return grad(loss)(moved, X, LABELS)

    ahead, behind = gradient_at(1), gradient_at(-1)
    for name in p:
        near(found[name], (ahead[name].numpy() - behind[name].numpy()) / (2 * step), 1e-6)
    x, v = random(1, 4), random(2, 4)
    function = lambda x: ops.sum(ops.sin(x) * x[::-1])  # noqa: E731
    near(hvp(function, x, v), hessian(function)(x).numpy() @ v.numpy())


def test_jacobian_and_hessian() -> None:
    x = random(1, 2, 3)
    found = jacobian(lambda x: ops.tanh(x @ x.T))(x)
    assert found.shape == (2, 2, 2, 3)
    for i, j in np.ndindex(2, 2):
        near(found.numpy()[i, j], numerical(
            lambda a, i=i, j=j: np.tanh(a @ a.T)[i, j], x.numpy()))  # fmt: skip
    curvature = hessian(lambda x: ops.sum(x**3.0))(random(2, 3))
    near(curvature, np.diag(6 * random(2, 3).numpy()))
    assert jacobian(lambda x: x[:0])(random(1, 3)).shape == (0, 3)


def test_per_example_gradients_average_to_the_gradient_of_the_batch() -> None:
    each = per_example_grads(loss, params(), X, LABELS)
    whole = grad(loss)(params(), X, LABELS)
    for name, found in each.items():
        assert found.shape == (5, *whole[name].shape)
        near(found.numpy().mean(0), whole[name])
    one = grad(loss)(params(), X[2:3], LABELS[2:3])
    near(each["w1"].numpy()[2], one["w1"])


def test_any_tensor_inside_may_be_asked_for() -> None:
    with differentiating():
        x = watch(random(1, 3))
        hidden = ops.exp(x)
        out = ops.sum(hidden * hidden)
    to_hidden, to_x, to_nothing = gradients([out], [ops.ones_like(out)], [hidden, x, random(2, 3)])
    assert to_hidden is not None
    assert to_x is not None
    near(to_hidden, 2 * np.exp(x.numpy()))
    near(to_x, 2 * np.exp(2 * x.numpy()))
    assert to_nothing is None


def test_history_is_freed_when_the_scope_is_left() -> None:
    seen: list[weakref.ref[Tensor]] = []

    def function(x: Tensor) -> Tensor:
        hidden = ops.exp(x)
        seen.append(weakref.ref(hidden))
        return ops.sum(hidden)

    gc.disable()  # reference counts must be enough
    try:
        value, found = value_and_grad(function)(random(1, 3))
        assert seen[0]() is None
        assert value.op is found.op is None
    finally:
        gc.enable()


def chain(x: Tensor, length: int) -> Tensor:
    for _ in range(length):
        x = -x
    return x


def test_a_deep_chain() -> None:
    assert grad(lambda x: chain(x, 50_000))(tensor(2.0)).item() == 1
    assert jvp(lambda x: chain(x, 5001), [tensor(2.0)], [tensor(3.0)])[1].item() == -3


def test_float32_gradients_are_float32() -> None:
    p = {name: ops.cast(x, DType.float32) for name, x in params().items()}
    found = grad(loss)(p, ops.cast(X, DType.float32), LABELS)
    wide = grad(loss)(params(), X, LABELS)
    for name in p:
        assert found[name].type == p[name].type
        np.testing.assert_allclose(found[name], wide[name], 1e-4, 1e-6)


def test_refusals() -> None:
    message = r"the gradient of a function: its output is float32\[2\], not one float; reduce it"
    with pytest.raises(GradientError, match=message):
        grad(lambda x: x)(tensor([1.0, 2.0]))
    with pytest.raises(GradientError, match=r"its output is int64\[\], not one float"):
        grad(lambda x: ops.argmax(x))(tensor([1.0, 2.0]))
    with pytest.raises(GradientError, match="its output is float, not one float"):
        grad(lambda x: 1.0)(tensor([1.0, 2.0]))
    _, pullback = vjp(ops.exp, tensor([1.0, 2.0]))
    message = r"pulling back a float32\[1\]: its place is float32\[2\]; give one like it"
    with pytest.raises(ShapeError, match=message):
        pullback(tensor([1.0]))
    with pytest.raises(ShapeError, match=r"pushing forward a float32\[1\]: its place is float32"):
        jvp(ops.exp, [tensor([1.0, 2.0])], [tensor([1.0])])
    with pytest.raises(ShapeError, match="a Hessian times a direction: it is not a tree like x"):
        hvp(ops.sum, tensor([1.0, 2.0]), tensor([1.0]))
    for nothing in (np.ones(2), 3.0, {"w": np.ones(2)}):
        with pytest.raises(GradientError, match="first argument: it holds no tensor; make one"):
            grad(lambda x: tensor(1.0))(nothing)
    assert grad(lambda x: tensor(1.0))({}) == {}
    two, three = random(1, 2), random(2, 3)
    for batch in ((two, three), (tensor(1.0),), ()):
        with pytest.raises(ShapeError, match=r"gradients of each example .* give a row an example"):
            per_example_grads(lambda p, *rows: p, tensor(1.0), *batch)
    none = per_example_grads(lambda p, x: ops.sum(p * x), random(3, 2), ops.zeros((0, 2)))
    assert none.type == ops.zeros((0, 2), "float64").type
