"""A compiled function inside what differentiates or traces, and what a program keeps alive."""

import gc
import threading
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

from retrograd import ops
from retrograd.autodiff import checkpoint, grad, hvp, jacobian, jvp, per_example_grads, vjp
from retrograd.compile import compile
from retrograd.compile.compiled import build
from retrograd.compile.machine import Machine
from retrograd.compile.program import Program
from retrograd.tensor.errors import TraceError
from retrograd.tensor.tensor import Tensor, tensor

X = tensor([1.0, 2.0, 3.0])


@compile
def cubes(x: Tensor) -> Tensor:
    """Return the sum of cubes."""
    return ops.sum(x * x * x)


def test_every_derivative_goes_through_a_compiled_function() -> None:
    slope = [3.0, 12.0, 27.0]
    cubes(X)  # a program is ready, and must not be used
    assert grad(cubes)(X).numpy().tolist() == slope
    assert jvp(cubes, [X], [X])[1].item() == 3 * cubes(X).item()
    assert vjp(cubes, X)[1](tensor(1.0))[0].numpy().tolist() == slope
    assert hvp(cubes, X, X).numpy().tolist() == [6, 24, 54]
    assert jacobian(compile(lambda x: x * x))(X).numpy().tolist() == np.diag([2, 4, 6]).tolist()
    assert compile(grad(compile(cubes)))(X).numpy().tolist() == slope
    rows = per_example_grads(compile(lambda p, x: ops.sum(p * x)), tensor(2.0), X)
    assert rows.numpy().tolist() == [1, 2, 3]


def test_what_a_compiled_function_closes_over_is_differentiated_too() -> None:
    def outer(w: Tensor) -> Tensor:
        return ops.sum(compile(lambda x: x * w * w)(X))

    assert grad(outer)(tensor(3.0)).item() == 36
    assert compile(grad(outer))(tensor(3.0)).item() == 36
    assert compile(lambda w: compile(lambda x: x * w)(X))(X).numpy().tolist() == [1, 4, 9]


def test_a_checkpoint_in_a_gradient_in_a_program() -> None:
    def function(x: Tensor, w: Tensor) -> Tensor:
        return ops.sum(checkpoint(lambda x: ops.tanh(x * w))(x))

    eager = grad(lambda x: ops.sum(grad(function)(x, X)))(X)
    compiled = compile(grad(lambda x: ops.sum(compile(grad(function))(x, X))))(X)
    np.testing.assert_array_equal(compiled, eager)


def test_keywords() -> None:
    scaled = compile(lambda x, *, by, times=1: x * by * float(times))
    assert scaled(X, by=X).numpy().tolist() == [1, 4, 9]
    assert scaled(X, times=2, by=X).numpy().tolist() == [2, 8, 18]
    assert grad(lambda x, *, by: ops.sum(x * by))(X, by=X).numpy().tolist() == [1, 2, 3]
    assert compile(cubes).__name__ == "cubes"


def test_a_tensor_of_a_finished_trace_is_refused() -> None:
    leaked: list[Tensor] = []

    def leaks(x: Tensor) -> Tensor:
        leaked.append(x * 2)
        return x

    compile(leaks)(X)
    with pytest.raises(TraceError, match=r"compiling a function: it uses a tensor that another"):
        compile(lambda x: x + leaked[0])(X)


@pytest.mark.parametrize(("backend", "kind"), [("native", Machine), ("numpy", Program)])
def test_a_program_keeps_neither_inputs_nor_what_it_folded(
    backend: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETROGRAD_BACKEND", backend)
    x, table = np.ones(3), np.ones(2000)
    held = [weakref.ref(x), weakref.ref(table)]
    given, constants = Tensor(tensor(x).type, x), [Tensor(tensor(table).type, table)]
    run: Any = build(lambda x: x * ops.sum(constants[0]), given).run
    assert type(run) is kind
    constants.clear()
    del x, table, given
    gc.collect()
    assert [ref() for ref in held] == [None, None]
    assert run([np.full(3, 2.0)])[0].tolist() == [4000] * 3


@pytest.mark.parametrize("wrap", [compile, lambda f: f])
def test_a_thousand_steps_leave_nothing_behind(wrap: Any) -> None:
    steps = 1000
    step = wrap(lambda x: x - grad(lambda x: ops.sum(ops.square(ops.tanh(x))))(x) * 0.01)
    x = step(tensor(np.ones(1000)))
    gc.collect()
    gc.disable()  # by reference counts alone
    tracemalloc.start()
    try:
        for _ in range(steps):
            x = step(x)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    # An array is 8000 bytes; NumPy's own caches of small blocks are counted as well.
    assert kept < 800 * steps


def test_two_threads_differentiate_at_once() -> None:
    barrier, found = threading.Barrier(2), {}

    def work(scale: float) -> None:
        def function(x: Tensor) -> Tensor:
            y = x * scale
            barrier.wait()  # both scopes are open
            return ops.sum(y * y)

        found[scale] = grad(function)(X).numpy().tolist()
        found[-scale] = (X * 2).op  # outside, nothing is remembered whatever the other does

    threads = [threading.Thread(target=work, args=(scale,)) for scale in (1.0, 2.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {1.0: [2, 4, 6], 2.0: [8, 16, 24], -1.0: None, -2.0: None}
