"""Splitting: a large sum over several axes becomes one sum a row, and the sum of those.

Rows can then be added by several threads, and where their elements are made. Whether a sum is split
depends on its extents alone, so that its bits never depend on what is around it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, cast

from retrograd.compile.expressions import loads_in
from retrograd.compile.graph import Graph, Node
from retrograd.compile.storing import is_product
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
LEAST_ROWS = 1024
"""Columns of fewer rows are added up in one piece."""
_SPLIT = ("add", "multiply", "maximum", "minimum")
BLOCK_ROWS = 8
"""Rows that are added up where they are made: few enough to be near."""


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
class BlocksOf:
    """The fold of an op over `BLOCK_ROWS` values of its first variable at a time.

    The blocks are the output's first axis: each can be added up where its rows are made.
    """

    op: Op
    type: TensorType

    def result_type(self, *types: TensorType) -> TensorType:
        """Return the type that splitting found."""
        return self.type

    def lower(self, out: TensorType, index: Index, *readers: Reader) -> Lowered:
        """Return the fold over the rows of a block, and over the other variables."""
        whole = TensorType(out.shape[1:], out.dtype)
        answer = self.op.lower(whole, index[1:], *readers)
        assert isinstance(answer, Fold)
        first, *others = answer.variables
        row = Var("k")
        body = _replace(answer.body, first, index[0] * BLOCK_ROWS + row, {})
        extents = (BLOCK_ROWS, *answer.extents[1:])
        return Fold(answer.kind, (row, *others), extents, body, answer.dtype)


@dataclass(frozen=True)
class Combined:
    """The fold of what `RowsOf` or `BlocksOf` left, over their last or their first axis."""

    kind: Any
    type: TensorType
    is_first: bool = False

    def result_type(self, *types: TensorType) -> TensorType:
        """Return the type that splitting found."""
        return self.type

    def lower(self, out: TensorType, index: Index, rows: Reader) -> Lowered:
        """Return the fold over that axis."""
        if self.is_first:
            return fold(self.kind, rows.type.shape[:1], lambda k: rows(k, *index))
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
        blocks = _long_column(graph, node)
        if blocks is not None:
            lead = blocks.extents[0] // BLOCK_ROWS
            rows = TensorType((lead, *node.type.shape), node.type.dtype)
            nodes.append(Node(cast(Op, BlocksOf(node.op, rows)), inputs, rows))
            inputs = (graph.first_node + len(nodes) - 1,)
            node = Node(cast(Op, Combined(blocks.kind, node.type, True)), inputs, node.type)
        number.append(graph.first_node + len(nodes))
        nodes.append(Node(node.op, inputs, node.type))
    outputs = tuple(number[value] for value in graph.outputs)
    return Graph(graph.inputs, graph.constants, tuple(nodes), outputs)


def _fold_of(graph: Graph, node: Node) -> Fold | None:
    """Return a node's answer if it is a fold, of what its inputs hold, and nothing around it."""
    if isinstance(node.op, Combined):
        return None
    readers = [BufferReader(i, graph.type_of(i)) for i in node.inputs]
    answer = node.op.lower(node.type, tuple(Var("i") for _ in node.type.shape), *readers)
    return answer if isinstance(answer, Fold) and answer.kind in _SPLIT else None


def _long_column(graph: Graph, node: Node) -> Fold | None:
    """Return a fold down many rows whose columns are results."""
    answer = _fold_of(graph, node) if node.type.size > 1 else None
    rows = answer.extents[0] if answer is not None and answer.extents else 0
    if answer is None or rows < LEAST_ROWS or rows % BLOCK_ROWS:
        return None
    first = answer.variables[0]
    loads = loads_in(answer.body)
    is_column = all(
        len(load.index) > 1 and load.index[0] == first and load.index[-1] != first for load in loads
    )
    return answer if loads and is_column and not is_product(answer) else None


def _large_fold(graph: Graph, node: Node) -> Fold | None:
    answer = _fold_of(graph, node) if node.type.size == 1 else None
    is_large = (
        answer is not None
        and len(answer.variables) > 1
        and answer.extents[0] > 1
        and math.prod(answer.extents) >= LEAST
    )
    return answer if is_large else None


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
