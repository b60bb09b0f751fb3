"""Machine: a graph as native code, with the memory that it runs in."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from retrograd.compile import native, pool
from retrograd.compile.expressions import Interner
from retrograd.compile.graph import Graph
from retrograd.compile.schedule import schedule
from retrograd.compile.splitting import split_folds
from retrograd.compile.storing import traits_of
from retrograd.compile.target import Target
from retrograd.compile.text import module
from retrograd.compile.writing import NAME, Slot, arguments, write_program
from retrograd.tensor.errors import IndexRangeError
from retrograd.tensor.types import Array

PARALLEL_WORK = 2_000_000
"""Multiplications and additions below which threads would wait longer than they work."""


class Machine:
    """A program that runs natively: called with the inputs' arrays, it returns the outputs'."""

    def __init__(self, graph: Graph, target: Target, threads: int | None = None) -> None:
        """Compile a graph for a target; small programs run on one thread, large ones on all."""
        self.graph = split_folds(graph)
        interner = Interner()
        planned = schedule(self.graph, interner)
        if threads is None:
            is_small = work(self.graph) < PARALLEL_WORK
            threads = 1 if is_small else pool.start(pool.usable_cores())
        text, self.layout = write_program(self.graph, planned, interner, target, threads > 1)
        self.library = native.load(module([text], target), target)
        self._address = self.library.address(NAME)
        self._arguments = arguments(self.graph, planned)
        self._threads = threads
        self._lock = threading.Lock()
        self._arena = _aligned(self.layout.arena_bytes(threads))
        self._state = _aligned(256).view(np.int64)
        self._slots = np.zeros(Slot.first_argument + 2 * len(self._arguments), np.int64)
        state = self._state.ctypes.data
        self._slots[Slot.arena] = self._arena.ctypes.data
        self._slots[Slot.errors], self._slots[Slot.barrier] = state, state + 128
        self._slots[Slot.give_way] = pool.give_way()
        self._slots[Slot.threads], self._slots[Slot.steps] = threads, 1
        self._constants = [_contiguous(c) for c in self.graph.constants]
        self._place = {value: i for i, value in enumerate(self._arguments)}

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Return the outputs for these inputs; raises IndexRangeError for an index out of range."""
        graph = self.graph
        held = [_contiguous(a) for a in arrays] + self._constants
        values = dict(enumerate(held))
        for value in self._arguments[graph.first_node :]:
            type = graph.type_of(value)
            values[value] = np.empty(type.shape, type.dtype.numpy)
        with self._lock:
            table = self._slots
            for i, value in enumerate(self._arguments):
                table[Slot.first_argument + 2 * i] = values[value].ctypes.data
            pool.run(self._address, table.ctypes.data, self._threads)
            self._refuse_wrong_index()
        seen: set[int] = set()
        outputs = []
        for value in graph.outputs:
            is_own = value >= graph.first_node and value not in seen
            outputs.append(values[value] if is_own else values[value].copy())
            seen.add(value)
        return outputs

    def _refuse_wrong_index(self) -> None:
        if self._state[0]:
            self._state[0] = 0
            raise IndexRangeError(
                f"reading index {self._state[1]}",
                f"it is not in 0..{self._state[2] - 1}",
                "count from 0; nothing wraps around and nothing is clipped",
            )


def work(graph: Graph) -> float:
    """Return about how many scalar operations a run takes."""
    return sum(
        node.type.size * traits_of(graph, value).work
        for value, node in enumerate(graph.nodes, graph.first_node)
    )


def _contiguous(array: Array) -> Array:
    """Return the array with its elements in order in memory, of the machine's own byte order."""
    native_order = array.dtype.isnative and array.flags.aligned
    return array if native_order and array.flags.c_contiguous else array.astype(
        array.dtype.newbyteorder("="), order="C"
    )  # fmt: skip


def _aligned(size: int) -> Array:
    block = np.zeros(size + 64, np.uint8)
    start = -block.ctypes.data % 64
    return block[start : start + size]
