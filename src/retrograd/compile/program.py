"""Program: a simplified graph ready to run in NumPy, and ``compile``, which makes one a type."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from retrograd.compile.graph import Graph
from retrograd.compile.simplify import simplify
from retrograd.compile.trace import is_tracing, trace
from retrograd.tensor.history import is_differentiating
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import Array, TensorType
from retrograd.tree import flatten, leaves, refill

F = TypeVar("F", bound=Callable[..., Any])


class Step(NamedTuple):
    """One evaluation: which rule, from which values, to which, and what may be forgotten then."""

    evaluate: Callable[..., Array]
    inputs: tuple[int, ...]
    output: int
    dead: tuple[int, ...]


class Program(NamedTuple):
    """A graph as a list of steps, with the types of its outputs and the tree that they fill."""

    graph: Graph
    steps: tuple[Step, ...]
    types: tuple[TensorType, ...]
    answer: Any

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


def build(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Program:
    """Trace and simplify a function for arguments of these types, and plan its steps."""
    traced = trace(function, *arguments, **keywords)
    graph = simplify(traced.graph)
    types = tuple(x.type for x in leaves(traced.answer).values())
    return Program(graph, _plan(graph), types, traced.answer)


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


def compile(function: F) -> F:
    """Return a function with the same answers that is traced once per structure of its arguments.

    Arguments and answers are trees of tensors; what is static in them must be hashable, and a new
    static value or shape makes a new program. Python's ``if`` on a number inside raises TraceError.
    Inside another compiled function, or one that is differentiated, it becomes a part of that.

    >>> from retrograd.tensor.tensor import tensor
    >>> compile(lambda x, y: x * y + 1)(tensor([2.0]), tensor([3.0]))
    tensor([7.], float32[1])
    """
    programs: dict[Hashable, Program] = {}

    @functools.wraps(function)
    def compiled(*arguments: Any, **keywords: Any) -> Any:
        # A program has no history and holds what the function closes over: whoever differentiates
        # or traces around it would get zeros, so there it runs as it was written.
        if is_differentiating() or is_tracing():
            return function(*arguments, **keywords)
        given, structure = flatten((arguments, keywords))
        arrays = [x.array for x in given]
        if any(array is None for array in arrays):
            return function(*arguments, **keywords)
        program = programs.get(structure)
        if program is None:
            program = programs[structure] = build(function, *arguments, **keywords)
        answers = program(cast(list[Array], arrays))
        return refill(program.answer, map(Tensor, program.types, answers))

    return cast(F, compiled)
