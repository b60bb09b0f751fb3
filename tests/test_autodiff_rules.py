"""Backward rules as values: replaced, custom, and computed again by checkpoints."""

import weakref
from collections.abc import Callable

import numpy as np
from tests.agreeing import assert_agree
from tests.small_network import LABELS, Params, X, loss, near, params, random

from retrograd import ops
from retrograd.autodiff import checkpoint, custom_gradient, grad, gradients, hvp, watch
from retrograd.compile import compile
from retrograd.ops.arithmetic import Multiply
from retrograd.ops.contraction import Matmul
from retrograd.tensor.history import differentiating
from retrograd.tensor.tensor import Tensor, tensor


def test_a_rule_may_replace_an_ops_own() -> None:
    fixed = random(9, 4, 2)

    def alignment(op: Matmul, g: Tensor, out: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return g @ (fixed.T if b.shape == (4, 2) else b.T), a.T @ g

    own = grad(loss)(params(), X, LABELS)
    replaced = grad(loss, rules={Matmul: alignment})(params(), X, LABELS)
    for name in ("w2", "b2"):
        np.testing.assert_array_equal(own[name], replaced[name])
    p = {name: x.numpy() for name, x in params().items()}
    hidden = np.tanh(X.numpy() @ p["w1"] + p["b1"])
    logits = hidden @ p["w2"] + p["b2"]
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = (softmax - np.eye(2)[LABELS.numpy()]) / 5
    near(replaced["w1"], X.numpy().T @ ((error @ fixed.numpy().T) * (1 - hidden**2)))


def test_a_rule_may_stop_gradients() -> None:
    stop = {Multiply: lambda op, g, out, x, y: (None, g)}
    found = grad(lambda p: p["a"] * p["b"], rules=stop)({"a": tensor(2.0), "b": tensor(3.0)})
    assert (found["a"].item(), found["b"].item()) == (0, 1)


def test_custom_gradients() -> None:
    straight = custom_gradient(ops.floor, lambda g, out, x: (g,))
    assert straight(tensor([1.7])).item() == 1
    assert grad(lambda x: ops.sum(straight(x) * 3.0))(tensor([1.7])).item() == 3
    double = custom_gradient(ops.multiply, lambda g, out, x, y: (g * y * 2.0, None))
    found = grad(lambda p: double(p["a"], p["b"]))({"a": tensor(2.0), "b": tensor(3.0)})
    assert (found["a"].item(), found["b"].item()) == (6, 0)
    # The rule is made of ops, so it has derivatives of its own.
    cubed = custom_gradient(lambda x: x**3.0, lambda g, out, x: (g * 5.0 * x * x,))
    assert grad(grad(cubed))(tensor(2.0)).item() == 20


def test_a_checkpoint_has_equal_gradients() -> None:
    def block(x: Tensor, w: Tensor) -> Tensor:
        return ops.tanh(x @ w) * ops.sigmoid(x)

    def deep(p: Params, wrap: Callable[[Callable[..., Tensor]], Callable[..., Tensor]]) -> Tensor:
        x = X
        for name in p:
            x = wrap(block)(x, p[name])
        return ops.sum(x)

    p = {str(i): random(i, 3, 3) for i in range(4)}
    kept = grad(deep)(p, lambda f: f)
    found = grad(deep)(p, checkpoint)
    compiled, compiled_kept = (
        compile(lambda p, wrap=wrap: grad(deep)(p, wrap))(p) for wrap in (checkpoint, lambda f: f)
    )
    for name in p:
        np.testing.assert_array_equal(found[name], kept[name])
        np.testing.assert_array_equal(compiled[name], compiled_kept[name])
        assert_agree(compiled[name].numpy(), kept[name].numpy())
    nested = grad(lambda p: checkpoint(lambda x: deep({**p, "0": x}, checkpoint))(p["0"]))(p)
    for name in p:
        np.testing.assert_array_equal(nested[name], kept[name])
    curved = lambda wrap: hvp(lambda p: deep(p, wrap), p, p)["1"]  # noqa: E731
    near(curved(checkpoint), curved(lambda f: f))


def test_a_checkpoint_differentiates_what_it_closes_over() -> None:
    w = random(1, 3, 3)
    for wrap in (checkpoint, lambda f: f):
        found = grad(lambda w, wrap=wrap: ops.sum(wrap(lambda x: ops.tanh(x @ (w * 2.0)))(X)))(w)
        h = np.tanh(X.numpy() @ (2 * w.numpy()))
        near(found, 2 * X.numpy().T @ (1 - h**2))
        traced = compile(grad(lambda w, wrap=wrap: ops.sum(wrap(lambda x: ops.tanh(x @ w))(X))))
        near(traced(w), X.numpy().T @ (1 - np.tanh(X.numpy() @ w.numpy()) ** 2))


def test_a_checkpoint_that_closes_over_its_own_input_counts_each_path_once() -> None:
    def function(
        leaf: Tensor, wrap: Callable[[Callable[..., Tensor]], Callable[..., Tensor]]
    ) -> Tensor:
        made = ops.sin(leaf)  # not asked for itself, and on every path
        return ops.sum(wrap(lambda x: ops.tanh(x * made) * leaf + wrap(ops.exp)(made))(made))

    leaf = random(4, 3)
    kept = grad(lambda x: function(x, lambda f: f))(leaf)
    for found in (
        grad(lambda x: function(x, checkpoint)),
        compile(grad(lambda x: function(x, checkpoint))),
    ):
        near(found(leaf), kept.numpy())
    curved = lambda wrap: hvp(lambda x: function(x, wrap), leaf, leaf)  # noqa: E731
    near(curved(checkpoint), curved(lambda f: f).numpy())


def test_a_checkpoint_frees_its_insides_and_computes_them_again() -> None:
    calls: list[weakref.ref[Tensor]] = []

    def block(x: Tensor) -> Tensor:
        inner = ops.exp(x * 0.1)
        calls.append(weakref.ref(inner))
        return inner * inner

    with differentiating():
        x = watch(random(1, 3))
        out = checkpoint(block)(x)
        freed = [call() is None for call in calls]
    assert freed == [True]
    gradients([out], [ops.ones_like(out)], [x])
    assert len(calls) == 2
