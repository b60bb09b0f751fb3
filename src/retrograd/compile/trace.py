"""Trace: call a function once on tensors without numbers, and keep the graph they remember."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from retrograd.compile.graph import Graph, Node, verify
from retrograd.compile.naming import Names
from retrograd.tensor.errors import TraceError
from retrograd.tensor.history import history, placeholder
from retrograd.tensor.places import places_of
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import Array, TensorType
from retrograd.tree import leaves, map_leaves, with_leaves

_is_tracing: ContextVar[bool] = ContextVar("tracing", default=False)


class Traced(NamedTuple):
    """A graph, and the tree that its outputs fill.

    ``names`` are those of the arguments' leaves, "0.params.layers.0.weight" for one of the first,
    and those of the answer's. ``places`` are the lines of code that made the nodes, where
    `retrograd.tensor.places.recording` is open, else empty.
    """

    graph: Graph
    answer: Any
    names: Names = Names()
    places: tuple[str, ...] = ()


def trace(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Traced:
    """Return the graph of ``function`` for arguments of these types; their numbers do not matter.

    Arguments and answer are trees of tensors. Raises TraceError, from the place that did it, if
    the function asks for numbers.

    >>> from retrograd.tensor.tensor import tensor
    >>> print(trace(lambda x: -x, tensor([1.0])).graph)
    %0 = input float32[1]
    %1 = Negative() of %0 -> float32[1]
    return %1
    """
    both = (arguments, keywords)
    inputs = {name: placeholder(x.type) for name, x in leaves(both).items()}
    given, named = with_leaves(both, inputs)
    token = _is_tracing.set(True)
    try:
        answer = function(*given, **named)
    finally:
        _is_tracing.reset(token)
    outputs = leaves(answer)
    graph, places = _graph(list(inputs.values()), list(outputs.values()))
    # Without the number of the tree: positional arguments have a number, keywords a name.
    names = Names(tuple(name.partition(".")[2] for name in inputs), tuple(outputs))
    # Without their making: it holds every constant that the program may long have folded.
    return Traced(graph, map_leaves(lambda x: placeholder(x.type), answer), names, places)


def is_tracing() -> bool:
    """Return whether the running code is being traced."""
    return _is_tracing.get()


def _graph(inputs: list[Tensor], outputs: list[Tensor]) -> tuple[Graph, tuple[str, ...]]:
    order = history(outputs)
    given = {id(x) for x in inputs}
    if any(x.is_traced and x.op is None and id(x) not in given for x in order):
        raise TraceError(
            "compiling a function",
            "it uses a tensor that another, finished trace left without numbers",
            "return that tensor from its own function, and pass it as an argument here",
        )
    constants = [x for x in order if not x.is_traced]
    made = [x for x in order if x.is_traced and id(x) not in given]
    number = {id(x): i for i, x in enumerate([*inputs, *constants, *made])}
    nodes = tuple(_node(x, number) for x in made)
    arrays: tuple[Array, ...] = tuple(x.numpy() for x in constants)
    types: tuple[TensorType, ...] = tuple(x.type for x in inputs)
    graph = Graph(types, arrays, nodes, tuple(number[id(x)] for x in outputs))
    return verify(graph, "trace"), places_of(made)


def _node(x: Tensor, number: dict[int, int]) -> Node:
    assert x.op is not None, "a traced tensor that is no input was made by an op"
    return Node(x.op, tuple(number[id(y)] for y in x.inputs), x.type)
