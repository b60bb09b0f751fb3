"""Program: a network's inference as a short list of named steps, for any number of rows.

The network is traced twice, for two numbers of rows. Nothing may differ between the two graphs but
lengths of axes, and those are multiples of the rows; so every layer that is made of ops can be
exported, with no word about it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from retrograd import nn
from retrograd.compile.graph import Graph, Node
from retrograd.compile.trace import Traced, trace
from retrograd.ops.choice import Where
from retrograd.ops.comparison import Logical
from retrograd.ops.contraction import Matmul
from retrograd.ops.families import Binary, Comparison
from retrograd.ops.movement import BroadcastTo
from retrograd.tensor.errors import InputError
from retrograd.tensor.op import Op
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, DType, Shape
from retrograd.tree import leaves

FEATURES: Final = "features"
_ROWS: Final = (7, 11)
_STRETCHING: Final = (Binary, Comparison, Logical, Where)


class Value(NamedTuple):
    """What a name is.  shape: a length -k stands for k times the number of rows."""

    shape: Shape
    dtype: DType


class Step(NamedTuple):
    """One operation, and the layer that it belongs to: "layers.0", or "network"."""

    op: Op
    inputs: tuple[str, ...]
    output: str
    layer: str


@dataclass(frozen=True, eq=False)
class Program:
    """Inference: from `FEATURES` (rows, features) to ``output`` (rows, outputs).

    weights: the network's leaves.  constants: numbers of its formulas, as small as they stretch
    from.  values: what every name is.  stages: what layers give, in order, each called after its
    layer.  Elementwise ops and products stretch their inputs, as they do in NumPy and in ONNX.
    """

    weights: Mapping[str, Array]
    constants: Mapping[str, Array]
    values: Mapping[str, Value]
    steps: tuple[Step, ...]
    stages: tuple[str, ...]
    output: str


def stages_of(net: Any, features: Tensor) -> dict[str, Tensor]:
    """Return what every layer of a network gives, by its name; the last is the output.

    >>> from retrograd.tensor.tensor import tensor
    >>> found = stages_of(nn.Sequential((nn.relu, nn.tanh)), tensor([[-1.0]]))
    >>> {name: x.item() for name, x in found.items()}
    {'layers.0': 0.0, 'layers.1': 0.0}
    """
    found: dict[str, Tensor] = {}
    _walk(net, features, "", found)
    return found


def _walk(net: Any, x: Tensor, path: str, found: dict[str, Tensor]) -> Tensor:
    if isinstance(net, nn.Sequential):
        for i, member in enumerate(net.layers):
            x = _walk(member, x, f"{path}layers.{i}.", found)
        return x
    y: Tensor = net(x)
    if y is not x:  # as dropout gives it in inference
        found[path[:-1] or "network"] = y
    return y


def program_of(net: Any, features: int) -> Program:
    """Return the program of a network that takes this many features.

    Raises InputError for a network whose answer for a row depends on how many rows there are.
    """
    first, second = (_traced(net, features, rows) for rows in _ROWS)
    return _Reading(net, first, second).program()


def _traced(net: Any, features: int, rows: int) -> Traced:
    given = from_array(np.zeros((rows, features), np.float32))
    return trace(lambda x, net: stages_of(net, x), given, net=net)


class _Reading:
    """Two traces of one network on their way to a program."""

    def __init__(self, net: Any, first: Traced, second: Traced) -> None:
        self.graph, self.other, self.stages = first.graph, second.graph, first.names.outputs
        self.net = net
        if len(self.graph.nodes) != len(self.other.nodes):
            raise _depends("its number of operations")
        self.values: dict[str, Value] = {}
        self.weights: dict[str, Array] = {}
        self.constants: dict[str, Array] = {}
        self.steps: list[Step] = []
        self.name: dict[int, str] = {}
        # What a stretched value was before, and its shape then: most readers stretch by themselves.
        self.narrow: dict[str, str] = {}

    def program(self) -> Program:
        weights = leaves(self.net)
        for value, name in enumerate((FEATURES, *weights)):
            self.define(value, name)
        self.weights = {name: x.numpy() for name, x in weights.items()}
        for value in range(len(self.graph.inputs), self.graph.first_node):
            self.constant(value)
        made = [self.source(value) for value in self.graph.outputs]
        stage_of = dict(zip(reversed(made), reversed(self.stages), strict=True))
        layers = _layers(self.graph, self.stages)
        for value, node in enumerate(self.graph.nodes, self.graph.first_node):
            self.step(value, node, layers[value], stage_of.get(value))
        named = (self.name[value] for value in self.graph.outputs)
        stages = tuple(dict.fromkeys(name for name in named if name != FEATURES))
        output = stages[-1] if stages else FEATURES
        return self.without_dead(stages, output)

    def source(self, value: int) -> int:
        """Return the value itself, or the one that is only handed on under its number."""
        first = self.graph.first_node
        while value >= first and self.graph.nodes[value - first].op.passes_through:
            value = self.graph.nodes[value - first].inputs[0]
        return value

    def define(self, value: int, name: str) -> None:
        self.name[value] = name
        kind = self.graph.type_of(value)
        self.values[name] = Value(_shape(kind.shape, self.other.type_of(value).shape), kind.dtype)

    def constant(self, value: int) -> None:
        name = f"constant {len(self.constants)}"
        self.define(value, name)
        number = value - len(self.graph.inputs)
        array, other = self.graph.constants[number], self.other.constants[number]
        small = _narrowed(array)
        if not np.array_equal(small, _narrowed(other), equal_nan=True):
            raise _depends("a number in its formulas")
        self.constants[name] = small
        self.values[name] = Value(small.shape, self.values[name].dtype)

    def step(self, value: int, node: Node, layer: str, stage: str | None) -> None:
        inputs = tuple(self.name[i] for i in node.inputs)
        if node.op.passes_through:
            self.name[value] = inputs[0]
            return
        name = stage or f"{layer}/{len(self.steps)}"
        self.define(value, name)
        shape = self.values[name].shape
        if isinstance(node.op, BroadcastTo):
            self.narrow[name] = self.narrow.get(inputs[0], inputs[0])
        elif isinstance(node.op, (*_STRETCHING, Matmul)):
            inputs = self.stretching(node.op, inputs, shape)
        self.steps.append(Step(node.op, inputs, name, layer))

    def stretching(self, op: Op, inputs: tuple[str, ...], shape: Shape) -> tuple[str, ...]:
        """Return the inputs as they were before they were stretched, if the op stretches them."""
        narrow = [self.narrow.get(name, name) for name in inputs]
        for i, name in enumerate(inputs):
            own = self.values[narrow[i]].shape
            if isinstance(op, Matmul) and own[-2:] != self.values[name].shape[-2:]:
                narrow[i] = name
        tail = 2 if isinstance(op, Matmul) else 0
        given = [self.values[name].shape for name in narrow]
        lead = [own[: len(own) - tail] for own in given]
        if _stretched(lead) == shape[: len(shape) - tail]:
            return tuple(narrow)
        return (inputs[0], *narrow[1:])

    def without_dead(self, stages: tuple[str, ...], output: str) -> Program:
        alive, kept = {*stages, output}, []
        for step in reversed(self.steps):
            if step.output in alive:
                alive.update(step.inputs)
                kept.append(step)
        constants = {name: x for name, x in self.constants.items() if name in alive}
        weights = {name: x for name, x in self.weights.items() if name in alive}
        return Program(weights, constants, self.values, tuple(kept[::-1]), stages, output)


def _layers(graph: Graph, stages: Sequence[str]) -> dict[int, str]:
    """Return for every node the first stage that needs it."""
    layer: dict[int, str] = {}
    for value, stage in zip(graph.outputs, stages, strict=True):
        todo = [value]
        while todo:
            at = todo.pop()
            if at >= graph.first_node and at not in layer:
                layer[at] = stage
                todo.extend(graph.nodes[at - graph.first_node].inputs)
    return layer


def _shape(first: Shape, second: Shape) -> Shape:
    """Return the lengths, those that are k times the rows as -k."""
    found = []
    for one, other in zip(first, second, strict=True):
        times, rest = divmod(one, _ROWS[0])
        if one == other:
            found.append(one)
        elif rest == 0 and times * _ROWS[1] == other:
            found.append(-times)
        else:
            raise _depends("the length of an axis")
    return tuple(found)


def _narrowed(array: Array) -> Array:
    """Return an array with every axis along which it repeats itself cut to length 1, or a scalar.

    >>> _narrowed(np.array([[1.0, 2.0], [1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """
    for axis, length in enumerate(array.shape):
        start = array.take([0], axis) if length > 1 else array
        if length > 1 and np.array_equal(np.broadcast_to(start, array.shape), array):
            array = start
    return array.reshape(()) if array.size == 1 else array


def _stretched(shapes: Iterable[Shape]) -> Shape:
    """Return the shape to which shapes stretch, each length 1 or that of the others."""
    shapes = list(shapes)
    rank = max(map(len, shapes))
    full = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(next((n for n in lengths if n != 1), 1) for lengths in zip(*full, strict=True))


def _depends(found: str) -> InputError:
    return InputError(
        "exporting a network",
        f"{found} depends on how many rows it is given",
        "use layers that treat every row by itself",
    )
