"""Graph: a traced function as data, which every stage of the compiler takes and returns."""

from __future__ import annotations

from typing import NamedTuple

from retrograd.tensor.errors import CompileError
from retrograd.tensor.op import Op
from retrograd.tensor.types import Array, TensorType, dtype_of


class Node(NamedTuple):
    """One operation on values that come before it."""

    op: Op
    inputs: tuple[int, ...]
    type: TensorType


class Graph(NamedTuple):
    """Values by number: first the inputs, then the constants, then what each node computes."""

    inputs: tuple[TensorType, ...]
    constants: tuple[Array, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    @property
    def first_node(self) -> int:
        """Number of the first node's value."""
        return len(self.inputs) + len(self.constants)

    def type_of(self, value: int) -> TensorType:
        """Return the type of a value."""
        if value < len(self.inputs):
            return self.inputs[value]
        if value < self.first_node:
            constant = self.constants[value - len(self.inputs)]
            return TensorType(constant.shape, dtype_of(constant))
        return self.nodes[value - self.first_node].type

    def __str__(self) -> str:
        """Return one line a value: its number, type, op and inputs."""
        lines = [f"%{i} = input {type}" for i, type in enumerate(self.inputs)]
        lines += [
            f"%{i} = constant {self.type_of(i)}" for i in range(len(self.inputs), self.first_node)
        ]
        for i, node in enumerate(self.nodes, self.first_node):
            arguments = ", ".join(f"%{value}" for value in node.inputs)
            lines.append(f"%{i} = {node.op!r} of {arguments} -> {node.type}")
        return "\n".join([*lines, "return " + ", ".join(f"%{value}" for value in self.outputs)])


def verify(graph: Graph, stage: str) -> Graph:
    """Return the graph if it is well formed; raises CompileError that names the stage if not.

    Every node reads only values before it and has the type that its op answers; every output
    exists. A stage that breaks this is found here and not in a wrong number later.
    """
    for i, node in enumerate(graph.nodes, graph.first_node):
        late = [value for value in node.inputs if not 0 <= value < i]
        if late:
            raise _broken(stage, f"%{i} reads %{late[0]} before it exists")
        answered = node.op.result_type(*map(graph.type_of, node.inputs))
        if answered != node.type:
            raise _broken(stage, f"%{i} is {node.type}, but its op answers {answered}")
    count = graph.first_node + len(graph.nodes)
    missing = [value for value in graph.outputs if not 0 <= value < count]
    if missing:
        raise _broken(stage, f"output %{missing[0]} does not exist")
    return graph


def _broken(stage: str, found: str) -> CompileError:
    return CompileError(
        f"verifying the graph after {stage}", found, "report this: a compiler stage is wrong"
    )
