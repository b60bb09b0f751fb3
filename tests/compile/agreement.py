"""What it means that native code agrees with NumPy, and the machines it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import numpy as np
from tests.ops.values import nodes, same_bits

from retrograd.compile import native
from retrograd.compile.graph import Graph
from retrograd.compile.machine import Machine
from retrograd.compile.program import Program
from retrograd.compile.simplify import simplify
from retrograd.compile.target import Target
from retrograd.compile.trace import trace
from retrograd.tensor.element import BufferReader, Call, Fold, Var
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array

ROUNDED = frozenset(["exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf", "erfc", "power"])
"""Functions whose last bits are the platform's own."""
EXACT, NEAR, SUMMED = range(3)
"""To the bit; a few units in the last place; within what another order of a sum may change."""


def target(kind: str) -> Target | None:
    """The target of a kind, or None where this machine cannot run it."""
    with mock.patch.dict(os.environ, {"RETROGRAD_CPU": kind}):
        try:
            return native.host()
        except InputError:
            return None


def targets() -> dict[str, Target]:
    """The machine's own target and narrower ones, by name: vectors of different widths."""
    found = [target(kind) for kind in ("", "avx2", "plain")]
    return {t.name: t for t in found if t is not None}


def precision(graph: Graph, value: int) -> int:
    """How near a value must come to NumPy's, by what it is made of."""
    worst, seen, stack = EXACT, set[int](), [value]
    while stack:
        value = stack.pop()
        if value in seen or value < graph.first_node:
            continue
        seen.add(value)
        node = graph.nodes[value - graph.first_node]
        readers = [BufferReader(i, graph.type_of(i)) for i in node.inputs]
        lowered = node.op.lower(node.type, tuple(Var("o") for _ in node.type.shape), *readers)
        for part in nodes(lowered):
            if isinstance(part, Fold) and part.kind in ("add", "multiply"):
                worst = max(worst, SUMMED if part.dtype.is_float else EXACT)
            if isinstance(part, Call) and part.function in ROUNDED:
                worst = max(worst, NEAR)
        stack.extend(node.inputs)
    return worst


def assert_agrees(found: Array, expected: Array, how: int, ulps: float = 4, scale: Any = 0) -> None:
    """Fail unless the arrays agree to that precision; NaN and inf always stand in equal places."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if how == EXACT or expected.dtype.kind != "f":
        same_bits(found, expected)
        return
    epsilon = float(np.finfo(expected.dtype).eps)
    special = ~np.isfinite(expected)
    np.testing.assert_array_equal(found[special], expected[special])
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(expected.astype(np.float64)), scale)
        allowed = ulps * epsilon * size + 4 * np.finfo(expected.dtype).smallest_subnormal
        gap = np.abs(found.astype(np.float64) - expected)
        bad = ~special & ~(gap <= allowed)
    if bad.any():
        worst = np.unravel_index(np.argmax(np.where(bad, gap / allowed, 0)), bad.shape)
        raise AssertionError(
            f"{found[worst]!r} is not {expected[worst]!r}, at {tuple(map(int, worst))}: "
            f"{bad.sum()} of {bad.size} differ by more than {ulps} ulps"
        )


def graph_of(function: Callable[..., Any], *arguments: Any) -> Graph:
    """The graph of a function as the backends get it."""
    return simplify(trace(function, *arguments).graph)


def tensors(arrays: Sequence[Array]) -> list[Tensor]:
    return [from_array(np.asarray(array)) for array in arrays]


def run_both(
    graph: Graph, arrays: Sequence[Array], on: Target, threads: int | None = None
) -> tuple[list[Array], list[Array]]:
    """What native code and what NumPy answer."""
    return Machine(graph, on, threads)(arrays), Program.of(graph)(arrays)


def assert_graph_agrees(
    graph: Graph, arrays: Sequence[Array], on: Target, threads: int | None = None, ulps: float = 64
) -> list[Array]:
    """Fail unless native code agrees with NumPy in every output; return what native code gave."""
    found, expected = run_both(graph, arrays, on, threads)
    for value, a, b in zip(graph.outputs, found, expected, strict=True):
        finite = b[np.isfinite(b)] if b.dtype.kind == "f" else b[:0]
        scale = np.max(np.abs(finite), initial=0) if precision(graph, value) != EXACT else 0
        try:
            assert_agrees(a, b, precision(graph, value), ulps, float(scale))
        except AssertionError as error:
            raise AssertionError(f"%{value} on {on.name}: {error}\n{graph}") from None
    return found
