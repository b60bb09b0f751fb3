"""The battery again, for native code: an op's value and its gradient, on one vector width.

All examples of an op are one program, so that compiling stays quick.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from tests.compile.agreement import (
    EXACT,
    assert_agrees,
    assert_graph_agrees,
    graph_of,
    precision,
    run_both,
    targets,
    tensors,
)
from tests.ops.examples import in_dtype, is_float, random_like, type_of

from retrograd.compile.graph import Graph, Node
from retrograd.tensor.errors import InputError
from retrograd.tensor.history import apply
from retrograd.tensor.op import REGISTRY, Example, RandomDraw
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import Array, DType, Shape

NAMES = sorted(name for name, kind in REGISTRY.items() if kind.__module__.startswith("retrograd."))
TARGETS = targets()
SEEDS = 4
"""Small examples of each op."""
LENGTHS = (1, 3, 17, 37, 131)
"""Odd and prime, one element, and longer than any vector."""

T = TypeVar("T")


class WideDraw(RandomDraw):
    """Choices with long axes, or with axes of length 0."""

    def __init__(self, seed: int, lengths: Sequence[int]) -> None:
        super().__init__(seed)
        self._lengths = lengths

    def shape(self, min_rank: int = 0, max_rank: int = 3) -> Shape:
        rank, size = self.integer(max(min_rank, min(1, max_rank)), max_rank), 1
        lengths = []
        for _ in range(rank):
            lengths.append(self.choice([n for n in self._lengths if size * n <= 3000]))
            size *= max(lengths[-1], 1)
        return tuple(lengths)


def drawn(name: str) -> Iterator[Example]:
    """Examples of an op: small, long, empty; those that the op itself refuses are left out."""
    draws = [RandomDraw(seed) for seed in range(SEEDS)]
    draws += [WideDraw(seed, LENGTHS) for seed in range(SEEDS)]
    draws += [WideDraw(seed, (0, 3, 17)) for seed in range(2)]
    for draw in draws:
        try:
            example = REGISTRY[name].example(draw)
            example.op.result_type(*map(type_of, example.inputs))
        except (InputError, ValueError, ZeroDivisionError):
            assert isinstance(draw, WideDraw), "the op refuses its own example"
            continue
        yield example


def in_all_dtypes(example: Example) -> Iterator[Example]:
    """The example in every dtype that the op takes, and once more below 0."""
    if not any(map(is_float, example.inputs)):
        yield example
        return
    for dtype in (DType.float32, DType.float64):
        yield in_dtype(example, dtype)
    op, arrays = in_dtype(example, DType.float32)
    # Below 0 everywhere: what lies behind the end of a row, a 0, is then no silent maximum.
    yield Example(op, tuple(-1 - np.abs(x) if is_float(x) else x for x in arrays))
    for dtype in (DType.int32, DType.int64, DType.bool):
        arrays = tuple(
            np.asarray(x * 3).astype(dtype.numpy) if is_float(x) else x for x in example.inputs
        )
        try:
            example.op.result_type(*map(type_of, arrays))
        except InputError:
            continue
        yield Example(example.op, arrays)


class Batch(NamedTuple):
    """Examples as one graph, each a node that is an output, and the arrays that it is given."""

    graph: Graph
    arrays: list[Array]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "Batch":
        arrays = [np.asarray(x) for example in examples for x in example.inputs]
        nodes, first = [], 0
        for op, inputs in examples:
            numbers = tuple(range(first, first + len(inputs)))
            nodes.append(Node(op, numbers, op.result_type(*map(type_of, inputs))))
            first += len(inputs)
        outputs = tuple(range(first, first + len(nodes)))
        return cls(Graph(tuple(map(type_of, arrays)), (), tuple(nodes), outputs), arrays)


def magnitude(example: Example) -> Array:
    """What the op gives for numbers without signs: about the sum of what it adds up."""
    op, inputs = example
    arrays = [np.abs(x) if is_float(x) else x for x in inputs]
    with np.errstate(all="ignore"):
        found = np.nan_to_num(np.abs(op.evaluate(*arrays).astype(np.float64)), posinf=0)
    return np.maximum(found, 1)


def check_value(name: str, on: str) -> int:
    """The op has its value in all examples; returns how many numbers were compared."""
    examples = [each for example in drawn(name) for each in in_all_dtypes(example)]
    batch = Batch.of(examples)
    compared = 0
    found, expected = run_both(batch.graph, batch.arrays, TARGETS[on], 1)
    for value, example, a, b in zip(batch.graph.outputs, examples, found, expected, strict=True):
        how = precision(batch.graph, value)
        scale = 0 if how == EXACT or not is_float(b) else magnitude(example)
        assert_agrees(a, b, how, 16, scale)
        compared += a.size
    return compared


def evaluated(example: Example) -> Array:
    with np.errstate(all="ignore"):
        return example.op.evaluate(*example.inputs)


def gradients(examples: Sequence[Example]) -> tuple[Graph, list[Array]]:
    """The graph of the gradients of all examples, for random gradients of their outputs."""
    outputs = [evaluated(example) for example in examples]

    def every(*arguments: list[Tensor]) -> list[Tensor]:
        found: list[Tensor] = []
        for (op, _), (*inputs, g) in zip(examples, arguments, strict=True):
            answers = op.vjp(g, apply(op, *inputs), *inputs)
            found += [x for x in answers if x is not None]
        return found

    arrays = [
        [*inputs, np.asarray(random_like(out, 1)).astype(out.dtype)]
        for (_, inputs), out in zip(examples, outputs, strict=True)
    ]
    graph = graph_of(every, *map(tensors, arrays))
    return graph, [np.asarray(x) for row in arrays for x in row]


def check_gradient(name: str, on: str) -> None:
    """The op has its gradient in all examples."""
    floats = (DType.float32, DType.float64)
    examples = [
        in_dtype(example, dtype)
        for example in drawn(name)
        for dtype in floats
        if example.op.result_type(*map(type_of, example.inputs)).dtype.is_float
    ]
    graph, arrays = gradients(examples)
    assert_graph_agrees(graph, arrays, TARGETS[on], 1)
