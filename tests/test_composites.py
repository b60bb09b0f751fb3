"""Random programs of many ops: eager, compiled, every order and direction of derivative, agree."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from tests.agreeing import assert_agree

from retrograd import nn, ops
from retrograd.autodiff import checkpoint, grad, hvp, jvp, value_and_grad
from retrograd.compile import compile
from retrograd.tensor.tensor import Tensor, tensor

PROGRAMS = 60
H = 1e-6
ELEMENTWISE: list[Callable[[Tensor], Tensor]] = [
    ops.sin, ops.cos, ops.tanh, ops.sigmoid, ops.erf, ops.erfc, nn.gelu, nn.silu, nn.softplus,
    nn.mish, nn.softsign, lambda x: ops.exp(ops.tanh(x)), lambda x: ops.log(x * x + 1.0),
    lambda x: ops.log1p(x * x), lambda x: ops.rsqrt(x * x + 0.5), lambda x: 2.0 ** ops.tanh(x),
    lambda x: ops.where(x > 0.3, x * 2.0, ops.sin(x)), lambda x: (x * x + 1.0) ** 0.7,
    lambda x: checkpoint(lambda y: ops.sin(y) * x)(x),
    lambda x: ops.replace_gradient(ops.sin(x), lambda g, out, x: (g * ops.cos(x),), x),
]  # fmt: skip
ALONG: list[Callable[[Tensor, int], Tensor]] = [
    lambda x, axis: ops.sum(x, axis, keepdims=True), ops.mean, ops.flip, ops.cumsum, ops.logsumexp,
    lambda x, axis: ops.concatenate([x, x * 2.0], axis), nn.softmax, nn.log_softmax,
    lambda x, axis: ops.take(x, [x.shape[axis] - 1, 0, 0], axis),
    lambda x, axis: ops.prod(ops.tanh(x), axis), lambda x, axis: ops.reshape(x, -1)[::-2],
    lambda x, axis: ops.pad(x, [(1, 0)] * x.rank, 0.5), lambda x, axis: ops.transpose(x[None]),
]  # fmt: skip


def program(seed: int) -> Callable[[tuple[Tensor, Tensor]], Tensor]:
    """A function of two tensors: each step applies a random op to random values so far."""

    def function(inputs: tuple[Tensor, Tensor]) -> Tensor:
        choose = random.Random(seed)
        values = list(inputs)
        for _ in range(choose.randint(3, 8)):
            x, y, kind = choose.choice(values), choose.choice(values), choose.random()
            if kind < 0.4:
                made = choose.choice(ELEMENTWISE)(x)
            elif kind < 0.7 and x.rank:
                made = choose.choice(ALONG)(x, choose.randrange(x.rank))
            else:
                made = ops.reshape(x, (-1, 1)) * ops.sin(ops.reshape(y, (1, -1)))
            values.append(made if made.size < 400 else ops.mean(made, 0))
        return ops.sum(ops.sin(values[-1])) + ops.sum(ops.tanh(values[-2])) * 0.3

    return function


def moved(x: tuple[Tensor, ...], along: tuple[Tensor, ...], h: float) -> tuple[Tensor, ...]:
    return tuple(a + b * h for a, b in zip(x, along, strict=True))


def all_near(a: tuple[Tensor, ...], b: tuple[Tensor, ...], tolerance: float) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, tolerance, tolerance)


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_a_random_program(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shapes = [((), (1,), (3,), (2, 3), (2, 1, 3))[i] for i in generator.integers(0, 5, 2)]
    x, u = (tuple(tensor(generator.uniform(-1.5, 1.5, s)) for s in shapes) for _ in range(2))
    f = program(seed)
    value, slope = value_and_grad(f)(x)
    assert f(x).item() == value.item()
    size = 1 + sum(float(abs(g.numpy()).sum()) for g in slope)
    along = sum(float((g.numpy() * d.numpy()).sum()) for g, d in zip(slope, u, strict=True))
    for found in (compile(f)(x), compile(value_and_grad(f))(x)[0]):
        assert_agree(found.numpy(), value.numpy(), size)
    difference = (f(moved(x, u, H)).item() - f(moved(x, u, -H)).item()) / (2 * H)
    assert abs(difference - along) < 1e-5 * size
    pushed = jvp(lambda *inputs: f(inputs), x, u)[1].item()
    assert abs(pushed - along) < 1e-10 * size

    bent = hvp(f, x, u)
    ahead, behind = (grad(f)(moved(x, u, h)) for h in (H, -H))
    all_near(tuple((a - b) / (2 * H) for a, b in zip(ahead, behind, strict=True)), bent, 3e-4)
    all_near(grad(lambda x: jvp(lambda *inputs: f(inputs), x, u)[1])(x), bent, 1e-8)
    all_near(compile(lambda x, u: hvp(f, x, u))(x, u), bent, 1e-8)

    wrapped: Callable[[tuple[Tensor, ...]], Tensor] = lambda x: checkpoint(  # noqa: E731
        lambda *inputs: f(inputs))(*x)  # fmt: skip
    all_near(grad(wrapped)(x), slope, 1e-10)
    all_near(compile(grad(wrapped))(x), slope, 1e-10)
    all_near(hvp(wrapped, x, u), bent, 1e-8)
