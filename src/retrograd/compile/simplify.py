"""Simplify: skip what passes through, share equal nodes, fold small constants, drop the dead."""

from __future__ import annotations

import numpy as np

from retrograd.compile.arrays import uniform
from retrograd.compile.graph import Graph, Node, verify
from retrograd.tensor.op import Op
from retrograd.tensor.types import Array, Shape

FOLD_LIMIT = 2**16
"""Largest number of elements that a folded constant may have; larger ones are remade each run."""
SAME_LIMIT = 64
"""Largest number of elements of constants that are compared, so that equal ones become one."""


def simplify(graph: Graph) -> Graph:
    """Return a graph with the same outputs and no needless node.

    Equal nodes are found by equality of their ops and inputs, which frozen dataclasses give.
    """
    return verify(drop_dead(share(graph)), "simplify")


def share(graph: Graph) -> Graph:
    """Return the graph with equal nodes merged, pass-through nodes skipped, constants folded."""
    constants = list(graph.constants)
    known: dict[int, Array] = dict(enumerate(constants, len(graph.inputs)))
    # New numbers leave room for constants yet to come: nodes are negative until the end.
    number = {value: value for value in range(len(graph.inputs))} | _equal_constants(known)
    nodes: list[Node] = []
    seen: dict[tuple[Op, tuple[int, ...]], int] = {}
    for value, node in enumerate(graph.nodes, graph.first_node):
        inputs = tuple(number[i] for i in node.inputs)
        key = (node.op, inputs)
        if node.op.passes_through:
            number[value] = inputs[0]
        elif key in seen:
            number[value] = seen[key]
        elif node.type.size <= FOLD_LIMIT and all(i in known for i in inputs):
            number[value] = len(graph.inputs) + len(constants)
            known[number[value]] = _fold(node, [known[i] for i in inputs])
            constants.append(known[number[value]])
        else:
            nodes.append(Node(node.op, inputs, node.type))
            number[value] = -len(nodes)
        seen[key] = number[value]
    first = len(graph.inputs) + len(constants)

    def final(value: int) -> int:
        return value if value >= 0 else first - value - 1

    placed = tuple(Node(n.op, tuple(map(final, n.inputs)), n.type) for n in nodes)
    outputs = tuple(final(number[value]) for value in graph.outputs)
    light = (
        constant if value in outputs else _light(constant)
        for value, constant in enumerate(constants, len(graph.inputs))
    )  # fmt: skip
    return Graph(graph.inputs, tuple(light), placed, outputs)


def _light(constant: Array) -> Array:
    """Return a constant that is one number everywhere as a view of that one, which takes no room.

    What is written in the program as a number is never read from memory.
    """
    if constant.size <= SAME_LIMIT or uniform(constant) is None:
        return constant
    return np.broadcast_to(constant.reshape(-1)[:1].copy(), constant.shape)


def _equal_constants(known: dict[int, Array]) -> dict[int, int]:
    """Return each constant's number, that of the first equal one where it is small."""
    first: dict[tuple[str, Shape, bytes], int] = {}
    number = {}
    for value, constant in known.items():
        number[value] = value
        if constant.size <= SAME_LIMIT:
            key = (constant.dtype.str, constant.shape, constant.tobytes())
            number[value] = first.setdefault(key, value)
    return number


def _fold(node: Node, inputs: list[Array]) -> Array:
    with np.errstate(all="ignore"):
        return node.op.evaluate(*inputs)


def drop_dead(graph: Graph) -> Graph:
    """Return the graph without constants and nodes that no output depends on."""
    alive = set(graph.outputs)
    for value in range(graph.first_node + len(graph.nodes) - 1, graph.first_node - 1, -1):
        if value in alive:
            alive.update(graph.nodes[value - graph.first_node].inputs)
    kept = [
        v for v in range(graph.first_node + len(graph.nodes)) if v < len(graph.inputs) or v in alive
    ]
    number = {value: i for i, value in enumerate(kept)}
    constants = tuple(
        constant for i, constant in enumerate(graph.constants, len(graph.inputs)) if i in number
    )
    nodes = tuple(
        Node(node.op, tuple(number[i] for i in node.inputs), node.type)
        for value, node in enumerate(graph.nodes, graph.first_node)
        if value in number
    )
    return Graph(graph.inputs, constants, nodes, tuple(number[value] for value in graph.outputs))
