"""Programs that are long, wide or large; after a fork; and where native code cannot run."""

import logging
import os
import time
from collections.abc import Iterator

import numpy as np
import pytest
from tests.compile.agreement import assert_graph_agrees, graph_of, targets

from retrograd import ops
from retrograd.autodiff import grad
from retrograd.compile import compile, compiled, native
from retrograd.compile.compiled import build
from retrograd.compile.machine import Machine
from retrograd.compile.program import Program
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor, tensor

HOST = next(iter(targets().values()))


def test_a_chain_of_two_thousand_ops() -> None:
    def chain(x: Tensor) -> Tensor:
        y = x
        for i in range(1000):
            y = ops.maximum(y * 1.001, x) - float(i % 7)
        return y

    x = np.linspace(-1, 1, 50)
    start = time.perf_counter()
    assert_graph_agrees(graph_of(chain, tensor(x)), [x], HOST, 1)
    assert time.perf_counter() - start < 30


def test_the_gradient_of_a_long_chain() -> None:
    def chain(x: Tensor) -> Tensor:
        for _ in range(300):
            x = ops.tanh(x * 1.1)
        return ops.sum(x)

    x = np.linspace(-1, 1, 20)
    assert_graph_agrees(graph_of(grad(chain), tensor(x)), [x], HOST, 1, 4000)


def test_a_doubling_is_not_written_out() -> None:
    """Each value read twice by the next: as a tree it has 2^60 nodes."""

    def function(x: Tensor) -> Tensor:
        for _ in range(60):
            x = ops.maximum(x + x * 0.5, -x) * 0.5
        return x

    x = np.linspace(-1, 1, 33)
    assert_graph_agrees(graph_of(function, tensor(x)), [x], HOST, 1)


def test_three_hundred_outputs() -> None:
    def function(x: Tensor) -> list[Tensor]:
        return [x * float(i) if i % 3 else ops.sum(x[: i + 1]) for i in range(300)]

    x = np.linspace(-1, 1, 301)
    assert_graph_agrees(graph_of(function, tensor(x)), [x], HOST, 1)


def test_large_constants() -> None:
    table = np.random.default_rng(0).standard_normal((2000, 500))
    held = tensor(table)
    indices = np.array([0, 1999, 3, 77])
    graph = graph_of(lambda i: (ops.take(held, i), ops.sum(held, 0)), tensor(indices))
    assert len(graph.constants) >= 1
    assert_graph_agrees(graph, [indices], HOST, 1)


def test_a_forked_process_runs_what_was_compiled_before() -> None:
    x = tensor(np.random.default_rng(0).standard_normal((60, 60)))
    function = compile(lambda x: ops.sum(ops.exp(x @ x), 1))
    expected = function(x).numpy().tobytes()
    many = Machine(graph_of(lambda x: ops.tanh(x) @ x, x), HOST, 2)
    together = many([x.numpy()])[0].tobytes()
    child = os.fork()
    if child == 0:
        same = function(x).numpy().tobytes() == expected
        same = same and many([x.numpy()])[0].tobytes() == together
        same = same and compile(lambda x: x * 3)(x).numpy().tobytes() == (x * 3).numpy().tobytes()
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert function(x).numpy().tobytes() == expected


# Which backend runs

X = tensor([1.0, 2.0])


def test_numpy_runs_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(build(lambda x: x + 1, X).run, Machine)
    monkeypatch.setenv("RETROGRAD_BACKEND", "numpy")
    assert isinstance(build(lambda x: x + 1, X).run, Program)
    assert compile(lambda x: x + 1)(X).numpy().tolist() == [2, 3]


def test_a_wrong_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETROGRAD_BACKEND", "cuda")
    message = "running with RETROGRAD_BACKEND=cuda: there is no such backend; give native or numpy"
    with pytest.raises(InputError, match=message):
        compile(lambda x: x + 1)(X)


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    compiled._reason.cache_clear()
    monkeypatch.setattr(native, "can_compile", lambda: "this system forbids executable memory")
    yield
    compiled._reason.cache_clear()


@pytest.mark.usefixtures("forbidden")
def test_numpy_runs_where_native_code_cannot(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "retrograd.compile")
    for scale in (2.0, 3.0):
        assert compile(lambda x, scale=scale: x * scale)(X).numpy().tolist() == [scale, 2 * scale]
    told = [r.getMessage() for r in caplog.records]
    assert told == ["programs run in NumPy: this system forbids executable memory"]
