"""Program: a graph ready to run in NumPy: the oracle of native code, and what stands in for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from retrograd.compile.graph import Graph
from retrograd.tensor.types import Array


class Step(NamedTuple):
    """One evaluation: which rule, from which values, to which, and what may be forgotten then."""

    evaluate: Callable[..., Array]
    inputs: tuple[int, ...]
    output: int
    dead: tuple[int, ...]


class Program(NamedTuple):
    """A graph as a list of steps."""

    graph: Graph
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, graph: Graph) -> Program:
        """Plan the steps of a graph."""
        return cls(graph, _plan(graph))

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Return the outputs for these inputs."""
        graph = self.graph
        values: list[Any] = [*arrays, *graph.constants, *([None] * len(graph.nodes))]
        value_of = values.__getitem__
        with np.errstate(all="ignore"):
            for evaluate, inputs, output, dead in self.steps:
                values[output] = evaluate(*map(value_of, inputs))
                for value in dead:
                    values[value] = None
        return [np.asarray(values[value]) for value in graph.outputs]


def _plan(graph: Graph) -> tuple[Step, ...]:
    """Order the steps as the graph has them, and forget each value after its last reader."""
    last = {
        i: value for value, node in enumerate(graph.nodes, graph.first_node) for i in node.inputs
    }
    kept = set(graph.outputs)
    steps = []
    for value, node in enumerate(graph.nodes, graph.first_node):
        dead = {i for i in node.inputs if last[i] == value and i not in kept}
        steps.append(Step(node.op.evaluate, node.inputs, value, tuple(sorted(dead))))
    return tuple(steps)
