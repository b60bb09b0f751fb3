"""What must not change a bit: threads, steps a call, recorded values, other rows, the cache."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compile.agreement import graph_of, targets
from tests.compile.steps import CASES, Case, made
from tests.compile.ulps import ulps

from retrograd import nn, ops, optim
from retrograd.compile import Resident
from retrograd.compile.graph import Graph
from retrograd.compile.machine import Machine
from retrograd.compile.program import Program
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, DType
from retrograd.tree import leaves, map_leaves

ROOT = Path(__file__).resolve().parents[2]
TARGETS = list(targets().values())
LARGER = {
    "wide": Case((54, 257, 131, 7), "relu", nn.cross_entropy, "labels", optim.adam(1e-3), 256, 0.1),
    "deep": Case(
        (30, 64, 64, 64, 3), "gelu", nn.mean_squared_error, "numbers",
        optim.clip_by_global_norm(optim.momentum(0.01), 1.0), 129,
    ),
    "normalized": Case(
        (784, 128, 10), "relu", nn.cross_entropy, "labels", optim.adam(1e-3), 128, 0.2,
        nn.BatchNorm.init,
    ),
    "rows": Case(
        (19, 96, 1009), "silu", nn.cross_entropy, "labels", optim.lion(1e-3), 67, 0.0,
        nn.LayerNorm.init, True,
    ),
}  # fmt: skip
ALL = CASES | LARGER


def graph_and_arrays(name: str) -> tuple[Graph, list[Array]]:
    step, state, batch = made(ALL[name], DType.float32)
    return graph_of(step, state, batch), [x.numpy() for x in leaves((state, batch)).values()]


def assert_same(found: list[Array], expected: list[Array], what: str) -> None:
    wrong = [
        i
        for i, (a, b) in enumerate(zip(found, expected, strict=True))
        if a.tobytes() != b.tobytes()
    ]
    assert not wrong, f"{what} changed the bits of outputs {wrong}"


@pytest.mark.parametrize(
    "name", ["deep", *(pytest.param(n, marks=pytest.mark.slow) for n in LARGER if n != "deep")]
)
def test_threads(name: str) -> None:
    """Eight threads are more than the cores of most machines: they are right all the same."""
    graph, arrays = graph_and_arrays(name)
    for target in TARGETS[::2]:
        alone = Machine(graph, target, 1)(arrays)
        for threads in (2, 3, 8):
            run = Machine(graph, target, threads)
            for _ in range(2):
                assert_same(run(arrays), alone, f"{threads} threads")


def check_recording(name: str, seed: int, share: float) -> None:
    graph, arrays = graph_and_arrays(name)
    random = np.random.default_rng(seed)
    nodes = range(graph.first_node, graph.first_node + len(graph.nodes))
    extra = tuple(value for value in nodes if random.uniform() < share)
    target = TARGETS[seed % len(TARGETS)]
    alone = Machine(graph, target, 1)(arrays)
    recorded = graph._replace(outputs=graph.outputs + extra)
    found = Machine(recorded, target, 1 + seed % 3)(arrays)
    assert_same(found[: len(alone)], alone, f"recording {extra}")


@pytest.mark.parametrize("name", ["wide", "deep"])
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_recorded_values(name: str, share: float) -> None:
    check_recording(name, 3, share)


def test_a_recorded_transpose_of_a_factor() -> None:
    """A product with one column: how its factors lie decides how it is added up."""
    random = np.random.default_rng(8)
    arrays = [random.standard_normal((64, n)).astype(np.float32) for n in (23, 1)]
    graph = graph_of(lambda a, b: ops.transpose(a) @ b, *map(from_array, arrays))
    nodes = tuple(range(graph.first_node, graph.first_node + len(graph.nodes)))
    for target in TARGETS:
        alone = Machine(graph, target, 1)(arrays)
        found = Machine(graph._replace(outputs=graph.outputs + nodes), target, 1)(arrays)
        assert_same(found[:1], alone, "recording the transpose")


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_recorded_values_of_all_networks(name: str, seed: int) -> None:
    for share in (0.02, 0.2, 1.0):
        check_recording(name, seed, share)


@pytest.mark.parametrize("name", ["wide", pytest.param("normalized", marks=pytest.mark.slow)])
def test_steps_in_a_call(name: str) -> None:
    step, state, batch = made(ALL[name], DType.float32)
    random = np.random.default_rng(4)
    inputs = random.standard_normal((8, *batch.inputs.shape)).astype(np.float32)
    batches = map_leaves(lambda x: from_array(np.stack([x.numpy()] * 8)), batch)
    batches = batches._replace(inputs=from_array(inputs))
    one, many = Resident(step, state, batch, 2), Resident(step, state, batch, 1)
    losses = [
        one.step(map_leaves(lambda x, i=i: from_array(x.numpy()[i]), batches))["loss"].item()
        for i in range(8)
    ]
    assert many.run(batches)["loss"].numpy().tolist() == losses
    ours, theirs = (leaves(x.state).values() for x in (one, many))
    assert_same([x.numpy() for x in ours], [x.numpy() for x in theirs], "8 steps in a call")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("sizes", [(30, 64, 64, 1), (784, 128, 10), (19, 257, 13, 1009)])
def test_a_row_does_not_know_of_others(sizes: tuple[int, ...], target: Any) -> None:
    net = nn.mlp(ops.key(0), sizes, activation=nn.gelu, normalization=nn.LayerNorm.init)
    x = np.random.default_rng(6).standard_normal((128, sizes[0])).astype(np.float32)

    def logits(rows: Array) -> Array:
        graph = graph_of(lambda x: nn.softmax(net(x)), from_array(rows))
        return Machine(graph, target, 1)([rows])[0]

    every = logits(x)
    for start, count in ((0, 1), (77, 1), (127, 1), (3, 7), (121, 7), (64, 33)):
        some = logits(x[start : start + count].copy())
        assert_same([some], [every[start : start + count]], f"{count} rows from {start}")


PROCESS = """
import hashlib
from tests.compile.test_bits import Machine, graph_and_arrays
from retrograd.compile import native
graph, arrays = graph_and_arrays("deep")
outputs = Machine(graph, native.host())(arrays)
print(hashlib.sha256(b"".join(a.tobytes() for a in outputs)).hexdigest())
"""


def bits_of_a_process(cache: Path, **variables: str) -> str:
    given = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    environment = {**os.environ, **given, "RETROGRAD_CACHE": str(cache), **variables}
    words = [sys.executable, "-c", PROCESS]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_program_from_the_cache_and_other_thread_counts(tmp_path: Path) -> None:
    fresh = bits_of_a_process(tmp_path)
    assert any(tmp_path.rglob("*"))
    assert bits_of_a_process(tmp_path) == fresh
    for threads in ("1", "8"):
        assert bits_of_a_process(tmp_path, RETROGRAD_THREADS=threads) == fresh


# Random numbers


def draws(key: Tensor) -> tuple[Tensor, ...]:
    """Draws of every kind and of odd shapes, one of them of a float32 chance for each number."""
    shape = (1009, 37)
    first, second, third, fourth = (ops.fold_in(key, i) for i in range(4))
    chances = ops.uniform(fourth, shape)
    return (
        ops.uniform(first, shape),
        ops.uniform(first, (7,)),
        ops.uniform(second, shape, DType.float64),
        ops.bernoulli(second, 0.3, shape),
        ops.bernoulli(third, chances, shape),
        ops.split(key, 5),
        ops.normal(third, shape),
        ops.normal(third, shape, DType.float64),
    )


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_draws(target: Any) -> None:
    key = ops.key(2**31 + 11)
    graph = graph_of(draws, key)
    expected = Program.of(graph)([key.numpy()])
    for threads in (1, 3) if target is TARGETS[0] else (8,):
        found = Machine(graph, target, threads)([key.numpy()])
        assert_same(found[:-2], expected[:-2], f"drawing natively on {threads} threads")
        assert ulps(found[-2], expected[-2].astype(np.float64)).max() <= 4
        assert ulps(found[-1], expected[-1].astype(np.longdouble)).max() <= 4


@pytest.mark.parametrize("threads", [1, 8])
def test_masks_of_dropout(threads: int) -> None:
    graph, arrays = graph_and_arrays("wide")
    masks = tuple(
        value
        for value, node in enumerate(graph.nodes, graph.first_node)
        if node.type.dtype is DType.bool and node.type.shape in ((256, 257), (256, 131))
    )
    recorded = graph._replace(outputs=graph.outputs + masks)
    found = Machine(recorded, TARGETS[0], threads)(arrays)[len(graph.outputs) :]
    expected = Program.of(recorded)(arrays)[len(graph.outputs) :]
    dropped = [  # relu has masks as well, of which about half are true
        (a, b) for a, b in zip(found, expected, strict=True) if abs(float(b.mean()) - 0.9) < 0.02
    ]
    assert len(dropped) == 2
    assert_same(*map(list, zip(*dropped, strict=True)), "drawing natively")
