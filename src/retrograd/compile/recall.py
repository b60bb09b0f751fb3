"""Recall: what an earlier process planned for the same graph, so that it is not planned again.

The object cache spares LLVM's work; this spares our own. A record is found by all that planning
depends on: the graph with its ops and small constants, what is carried, the target, the threads,
and the source of this package. Ops from elsewhere may change without a trace of it there, so their
programs are planned each time.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from retrograd.compile import cache
from retrograd.compile.arrays import uniform
from retrograd.compile.graph import Graph
from retrograd.compile.target import Target
from retrograd.tensor.op import Op
from retrograd.tensor.types import Array, DType, TensorType

ROOMS = ("tensor", "compile", "compile/functions", "ops")
"""Folders of the package whose source decides what a graph is compiled to."""


class Signature(NamedTuple):
    """What running a program takes, the graph apart.

    ``arguments`` are the values that lie outside, in the order of their slots; ``types`` those of
    all inputs, constants, outputs and arguments. ``shared`` and ``own`` are the bytes of the arena
    for all threads and for each. ``object`` names the compiled object in the cache. ``extra`` is
    the share of the work that is done twice, because the memory is limited.
    """

    inputs: tuple[TensorType, ...]
    first_node: int
    outputs: tuple[int, ...]
    arguments: tuple[int, ...]
    types: Mapping[int, TensorType]
    threads: int
    shared: int
    own: int
    kernels: int
    object: str
    extra: float = 0.0

    @property
    def arena_bytes(self) -> int:
        """Size of the arena."""
        return self.shared + self.threads * self.own

    def type_of(self, value: int) -> TensorType:
        """Return the type of a value that lies outside or is handed out."""
        return self.types[value]


def key_of(
    graph: Graph, target: Target, threads: int | None, cores: int,
    carried: Sequence[tuple[int, int]], profiled: bool, memory: int | None = None,
) -> str | None:  # fmt: skip
    """Return the name of a graph's record, or None if it must be planned each time."""
    source = _source()
    if source is None or not all(_is_ours(node.op) for node in graph.nodes):
        return None
    nodes = [f"{_name(n.op)} {n.op!r} {n.inputs} {n.type!r}" for n in graph.nodes]
    parts = [
        source, repr(target), repr((threads, cores, tuple(carried), profiled, memory)),
        repr(graph.inputs), *map(_constant, graph.constants), *nodes, repr(graph.outputs),
    ]  # fmt: skip
    return cache.name_of("plan", *parts)


def read(key: str) -> Signature | None:
    """Return a record that was written under this name, if there is one."""
    data = cache.default().read(key)
    if data is None:
        return None
    record: dict[str, Any] = json.loads(data)
    types = {int(value): _type(parts) for value, parts in record.pop("types").items()}
    inputs = tuple(map(_type, record.pop("inputs")))
    outputs, arguments = (tuple(record.pop(name)) for name in ("outputs", "arguments"))
    return Signature(inputs=inputs, types=types, outputs=outputs, arguments=arguments, **record)


def write(key: str, signature: Signature) -> None:
    """Keep a record for later processes."""
    record = signature._asdict()
    record["inputs"] = [_parts(t) for t in signature.inputs]
    record["types"] = {value: _parts(t) for value, t in signature.types.items()}
    cache.default().write(key, json.dumps(record).encode())


def _parts(type: TensorType) -> list[Any]:
    return [type.dtype.value, list(type.shape)]


def _type(parts: list[Any]) -> TensorType:
    return TensorType(tuple(parts[1]), DType(parts[0]))


def _constant(constant: Array) -> str:
    """Return what of a constant goes into a program: its number, if it is one, else its type."""
    number = uniform(constant)
    written = "" if number is None else constant.reshape(-1)[:1].tobytes().hex()
    return f"{constant.dtype.str} {constant.shape} {written}"


def _name(op: Op) -> str:
    return f"{type(op).__module__}.{type(op).__qualname__}"


def _is_ours(op: Op) -> bool:
    """Return whether an op is this package's own and prints all that it is made of."""
    return type(op).__module__.startswith("retrograd.ops.") and " at 0x" not in repr(op)


@functools.cache
def _source() -> str | None:
    """Return what changes whenever the package's source does, or None if that cannot be known."""
    package = Path(__file__).parent.parent
    try:
        states = [
            (path.name, path.stat().st_size, path.stat().st_mtime_ns)
            for room in ROOMS
            for path in sorted((package / room).glob("*.py"))
        ]
    except OSError:
        return None
    version = sys.modules["retrograd"].__version__
    return repr((version, states)) if states else None
