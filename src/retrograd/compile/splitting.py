"""Splitting: a large sum over several axes becomes one sum a row, and the sum of those.

Rows can then be added by several threads, and where their elements are made. Whether a sum is split
depends on its extents alone, so that its bits never depend on what is around it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, cast

from retrograd.compile.graph import Graph, Node
from retrograd.tensor.element import (
    BufferReader,
    Element,
    Fold,
    Index,
    Lowered,
    Reader,
    Var,
    fold,
)
from retrograd.tensor.op import Op
from retrograd.tensor.types import TensorType

LEAST = 4096
"""Folds over fewer elements are left whole."""


@dataclass(frozen=True)
class RowsOf:
    """The fold of an op without its first variable, which becomes the output's last axis."""

    op: Op
    type: TensorType

    def result_type(self, *types: TensorType) -> TensorType:
        """Return the type that splitting found."""
        return self.type

    def lower(self, out: TensorType, index: Index, *readers: Reader) -> Lowered:
        """Return the fold over the other variables, the first one being the last index."""
        whole = TensorType(out.shape[:-1], out.dtype)
        answer = self.op.lower(whole, index[:-1], *readers)
        assert isinstance(answer, Fold)
        first, *others = answer.variables
        body = _replace(answer.body, first, index[-1], {})
        return Fold(answer.kind, tuple(others), answer.extents[1:], body, answer.dtype)


@dataclass(frozen=True)
class Combined:
    """The fold of what `RowsOf` left."""

    kind: Any
    type: TensorType

    def result_type(self, *types: TensorType) -> TensorType:
        """Return the type that splitting found."""
        return self.type

    def lower(self, out: TensorType, index: Index, rows: Reader) -> Lowered:
        """Return the fold over the last axis."""
        return fold(self.kind, rows.type.shape[-1:], lambda k: rows(*index, k))


def split_folds(graph: Graph) -> Graph:
    """Return the graph with its large folds of one number in two nodes each."""
    nodes: list[Node] = []
    number = list(range(graph.first_node))
    for node in graph.nodes:
        inputs = tuple(number[i] for i in node.inputs)
        whole = _large_fold(graph, node)
        if whole is not None:
            rows = TensorType((*node.type.shape, whole.extents[0]), node.type.dtype)
            nodes.append(Node(cast(Op, RowsOf(node.op, rows)), inputs, rows))
            inputs = (graph.first_node + len(nodes) - 1,)
            node = Node(cast(Op, Combined(whole.kind, node.type)), inputs, node.type)
        number.append(graph.first_node + len(nodes))
        nodes.append(Node(node.op, inputs, node.type))
    outputs = tuple(number[value] for value in graph.outputs)
    return Graph(graph.inputs, graph.constants, tuple(nodes), outputs)


def _large_fold(graph: Graph, node: Node) -> Fold | None:
    if node.type.size != 1:
        return None
    readers = [BufferReader(i, graph.type_of(i)) for i in node.inputs]
    answer = node.op.lower(node.type, tuple(Var("i") for _ in node.type.shape), *readers)
    is_large = (
        isinstance(answer, Fold)
        and len(answer.variables) > 1
        and answer.extents[0] > 1
        and math.prod(answer.extents) >= LEAST
    )
    return cast(Fold, answer) if is_large else None


def _replace(e: Element, variable: Var, by: Element, done: dict[int, Element]) -> Element:
    """Return an element in which a variable is another element."""
    if isinstance(e, Var):
        return by if e == variable else e
    if id(e) not in done:
        made = {
            f.name: _replace_in(getattr(e, f.name), variable, by, done)
            for f in dataclasses.fields(cast(Any, e))
        }
        done[id(e)] = type(e)(**made)
    return done[id(e)]


def _replace_in(field: Any, variable: Var, by: Element, done: dict[int, Element]) -> Any:
    if isinstance(field, Element):
        return _replace(field, variable, by, done)
    if isinstance(field, tuple):
        return tuple(_replace_in(x, variable, by, done) for x in field)
    return field
