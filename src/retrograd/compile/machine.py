"""Machine: a graph as native code, with the memory that it runs in."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from retrograd.compile import native, pool
from retrograd.compile.expressions import Interner
from retrograd.compile.graph import Graph
from retrograd.compile.overwriting import Pair
from retrograd.compile.schedule import schedule
from retrograd.compile.splitting import split_folds
from retrograd.compile.storing import traits_of
from retrograd.compile.target import Target
from retrograd.compile.text import module
from retrograd.compile.writing import NAME, Slot, arguments, write_program
from retrograd.tensor.errors import IndexRangeError
from retrograd.tensor.types import Array, TensorType

PARALLEL_WORK = 5_000_000
"""Scalar operations of a run below which threads would wait longer than they work."""
PAGE = 4096


class Machine:
    """A program that runs natively: called with the inputs' arrays, it returns the outputs'.

    ``carried`` are pairs of an input's and an output's number: a run writes that output where the
    input lies, so that the next run goes on from there; the two share one place in `bind`.
    """

    def __init__(
        self, graph: Graph, target: Target, threads: int | None = None,
        carried: Sequence[Pair] = (), *, profiled: bool = False,
    ) -> None:  # fmt: skip
        """Compile a graph for a target; small programs run on one thread, large ones on all."""
        self.graph = split_folds(graph)
        pairs = [(given, self.graph.outputs[output]) for given, output in carried]
        interner = Interner()
        planned = schedule(self.graph, interner)
        self.threads = threads or _threads(self.graph)
        is_parallel = self.threads > 1
        text, self.layout = write_program(
            self.graph, planned, interner, target, is_parallel, pairs, profiled
        )
        self.schedule, self.interner = planned, interner
        self.library = native.load(module([text], target), target)
        self._address = self.library.address(NAME)
        self.values = arguments(self.graph, pairs)
        self._lock = threading.Lock()
        self._own = self._new_table()

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Return the outputs for these inputs; raises IndexRangeError for an index out of range."""
        graph, table = self.graph, self._own
        held = [contiguous(a) for a in arrays]
        values = {**dict(enumerate(held)), **table.constants}
        for value in self.values[graph.first_node :]:
            values[value] = empty(graph.type_of(value))
        with self._lock:
            for value in self.values:
                table.bind(value, values[value])
            self.run(table)
        seen: set[int] = set()
        outputs = []
        for value in graph.outputs:
            is_own = value >= graph.first_node and value not in seen
            outputs.append(values[value] if is_own else values[value].copy())
            seen.add(value)
        return outputs

    def run(self, table: Table) -> None:
        """Run the program on what a table holds; raises IndexRangeError."""
        pool.run(self._address, table.address, self.threads)
        if table.state[0]:
            table.refuse()

    def _new_table(self) -> Table:
        return Table(self)


class Table:
    """The memory of one run at a time: the table of slots, and everything that they point to."""

    def __init__(self, machine: Machine) -> None:
        """Make room for a machine's program."""
        graph = machine.graph
        self._slots = np.zeros(Slot.first_argument + 2 * len(machine.values), np.int64)
        self.address = self._slots.ctypes.data
        self._arena = aligned(machine.layout.arena_bytes(machine.threads))
        # The words of a wrong index, then the barrier on a line of its own.
        self._words = aligned(256)
        self.state = self._words.view(np.int64)
        self._slots[Slot.arena] = self._arena.ctypes.data
        self._slots[Slot.errors] = self._words.ctypes.data
        self._slots[Slot.barrier] = self._words.ctypes.data + 128
        self._slots[Slot.give_way] = pool.give_way()
        self.ticks = np.zeros(sum(len(g.kernels) for g in machine.schedule.groups), np.int64)
        self._slots[Slot.profile] = self.ticks.ctypes.data
        self._slots[Slot.threads], self._slots[Slot.steps] = machine.threads, 1
        self._place = {v: Slot.first_argument + 2 * i for i, v in enumerate(machine.values)}
        self.held: dict[int, Array] = {}
        first = len(graph.inputs)
        self.constants = {first + i: contiguous(c) for i, c in enumerate(graph.constants)}
        for value, constant in self.constants.items():
            self.bind(value, constant)

    def bind(self, value: int, array: Array, stride: int = 0) -> None:
        """Let a value lie in an array, ``stride`` bytes further on at each step of a run."""
        place = self._place[value]
        self.held[value] = array
        self._slots[place] = array.ctypes.data
        self._slots[place + 1] = stride

    def set_steps(self, steps: int) -> None:
        """Let the next runs take so many steps."""
        self._slots[Slot.steps] = steps

    def refuse(self) -> None:
        """Raise the error for the wrong index that a run has found."""
        self.state[0] = 0
        raise IndexRangeError(
            f"reading index {self.state[1]}",
            f"it is not in 0..{self.state[2] - 1}",
            "count from 0; nothing wraps around and nothing is clipped",
        )


def _threads(graph: Graph) -> int:
    is_small = work(graph) < PARALLEL_WORK
    return 1 if is_small else pool.start(pool.usable_cores())


def work(graph: Graph) -> float:
    """Return about how many scalar operations a run takes."""
    return sum(
        node.type.size * traits_of(graph, value).work
        for value, node in enumerate(graph.nodes, graph.first_node)
    )


def empty(type: TensorType) -> Array:
    """Return an array of a type, with whatever stood there before."""
    return np.empty(type.shape, type.dtype.numpy)


def contiguous(array: Array) -> Array:
    """Return the array with its elements in order in memory, in the machine's own byte order."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="), order="C")


def room(type: TensorType, number: int) -> Array:
    """Return an array of zeros, at a place in its page that depends on its number.

    Matrices that are walked together, such as weights and their moments, would otherwise fall into
    the same few sets of the cache, row after row.
    """
    size, shift = type.size * type.dtype.numpy.itemsize, number * 11 % 32 * 128
    block = aligned(shift + size, PAGE)[shift:]
    return block.view(type.dtype.numpy).reshape(type.shape)


def aligned(size: int, boundary: int = 64) -> Array:
    """Return so many zero bytes that start at a cache line, or at another boundary."""
    block = np.zeros(size + boundary, np.uint8)
    start = -block.ctypes.data % boundary
    return block[start : start + size]
