"""Profile: how long each kernel of a program takes, what it does, and how near that is to a limit.

Times are thread 0's, which every kernel's rows are shared with; work and bytes are all threads'.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from retrograd.compile import native
from retrograd.compile.arrays import contiguous, empty, room
from retrograd.compile.expressions import Interner, folds_in, walk
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Kernel
from retrograd.compile.limits import Clock, Limits, measure
from retrograd.compile.machine import Machine, Table
from retrograd.compile.naming import label_kernels
from retrograd.compile.overwriting import Pair
from retrograd.compile.products import product_plan
from retrograd.compile.schedule import reads_of
from retrograd.compile.simplify import simplify
from retrograd.compile.trace import Traced, trace
from retrograd.tensor.element import Call, Element, Fold, For, Store
from retrograd.tensor.errors import InputError
from retrograd.tensor.types import Array, DType, TensorType
from retrograd.tree import leaves

RUN_SECONDS = 1e-3
"""Steps are taken together until a run takes as long: clocks and calls then cost little."""
MOST_STEPS = 256


class Work(NamedTuple):
    """What a kernel does: operations on floats, and the bytes of its buffers."""

    flops: int
    bytes_read: int
    bytes_written: int


@dataclass(frozen=True)
class KernelProfile:
    """One kernel: what it computes, its work, and its seconds in a step (best, and median).

    ``kind`` is "product", "fold", "map" or "loops". ``limits`` are the machine's for its dtype.
    """

    label: str
    kind: str
    seconds: float
    median: float
    work: Work
    limits: Limits

    @property
    def flops_a_second(self) -> float:
        """Operations a second."""
        return self.work.flops / max(self.seconds, 1e-12)

    @property
    def bytes_a_second(self) -> float:
        """Bytes read and written a second, from caches too."""
        return (self.work.bytes_read + self.work.bytes_written) / max(self.seconds, 1e-12)

    @property
    def limit(self) -> str:
        """The limit that it is nearer to: "arithmetic" or "memory"."""
        is_arithmetic = self._of_flops >= self._of_bytes
        return "arithmetic" if is_arithmetic else "memory"

    @property
    def share_of_peak(self) -> float:
        """How much of that limit it reaches; over 1 where caches are faster than the memory."""
        return max(self._of_flops, self._of_bytes)

    @property
    def _of_flops(self) -> float:
        return self.flops_a_second / self.limits.flops

    @property
    def _of_bytes(self) -> float:
        return self.bytes_a_second / self.limits.bytes


@dataclass(frozen=True)
class Profile:
    """A program: its kernels in their order, and the seconds of a step (best, and median)."""

    kernels: tuple[KernelProfile, ...]
    seconds: float
    median: float
    limits: Limits

    @property
    def flops(self) -> int:
        """Operations of a step."""
        return sum(kernel.work.flops for kernel in self.kernels)

    @property
    def least_seconds(self) -> float:
        """What the operations alone would take at the peak of arithmetic."""
        return sum(kernel.work.flops / kernel.limits.flops for kernel in self.kernels)

    @property
    def share_of_peak(self) -> float:
        """How much of the peak of arithmetic the whole step reaches."""
        return self.least_seconds / max(self.seconds, 1e-12)

    @property
    def seconds_outside(self) -> float:
        """What is not in a kernel: waiting for other threads, handing the state on, the call."""
        return max(self.seconds - sum(kernel.seconds for kernel in self.kernels), 0.0)


def profile_step(
    step: Callable[..., Any], state: Any, batches: Sequence[Any], *, runs: int = 20,
    threads: int | None = None,
) -> Profile:  # fmt: skip
    """Run a compiled ``step(state, batch) -> (state, metrics)`` on batches in turn, and measure it.

    The batches are trees of tensors of one structure; the state goes on from step to step. Raises
    InputError without batches, for no runs, and where programs run in NumPy.
    """
    if not batches or runs < 1:
        found = "there is none" if not batches else f"{runs} runs were asked for"
        raise InputError("profiling a step on batches", found, "give at least one")
    traced = trace(step, state, batches[0])
    states = leaves(state)
    pairs = [(i, i) for i in range(len(states))]
    inputs = [
        [x.numpy() for tree in (state, batch) for x in leaves(tree).values()] for batch in batches
    ]
    return profile(traced, inputs, pairs, runs=runs, threads=threads)


def profile(
    traced: Traced, inputs: Sequence[Sequence[Array]], carried: Sequence[Pair] = (), *,
    runs: int = 20, threads: int | None = None,
) -> Profile:  # fmt: skip
    """Run a traced function on lists of its inputs in turn, and measure every kernel.

    ``carried`` are pairs of an input and the output that takes its place in the next step, which
    are taken from the first list only.
    """
    reason = native.can_compile()
    if reason is not None:
        raise InputError(
            "profiling a program",
            f"programs run in NumPy here: {reason}",
            "profile where native code may run",
        )
    machine = Machine(simplify(traced.graph), native.host(), threads, carried, profiled=True)
    plan = machine.plan
    limits = measure(plan.threads)
    walls, ticks = _measured(machine, inputs, {given for given, _ in carried}, runs)
    kernels = [kernel for group in plan.schedule.groups for kernel in group.kernels]
    labels = label_kernels(plan.graph, plan.schedule, traced.names)
    found = tuple(
        KernelProfile(
            label,
            kind_of(plan.interner, plan.graph, kernel),
            float(own.min()),
            float(median(own)),
            work_of(plan.interner, plan.graph, kernel),
            _limits_for(plan.graph, kernel, limits),
        )
        for label, kernel, own in zip(labels, kernels, ticks.T, strict=True)
    )
    return Profile(found, min(walls), median(walls), limits)


def _measured(
    machine: Machine, inputs: Sequence[Sequence[Array]], kept: set[int], runs: int
) -> tuple[list[float], Array]:
    """Return the seconds of a step in every run, and those of the kernels: (runs, kernels)."""
    table = Table(machine)
    graph = machine.plan.graph
    for value in machine.signature.arguments[graph.first_node :]:
        table.bind(value, empty(graph.type_of(value)))
    for value in kept:
        own = room(graph.type_of(value), value)
        own[...] = inputs[0][value]
        table.bind(value, own)
    given = [[contiguous(array) for array in arrays] for arrays in inputs]
    changing = [value for value in range(len(graph.inputs)) if value not in kept]

    def run(i: int) -> float:
        for value in changing:
            table.bind(value, given[i % len(given)][value])
        table.ticks[:] = 0
        start = time.perf_counter()
        machine.run(table)
        return time.perf_counter() - start

    steps = max(1, min(MOST_STEPS, int(RUN_SECONDS / min(run(0), run(1)))))
    table.set_steps(steps)
    run(0)
    clock, walls, ticks = Clock(), [], []
    for i in range(runs):
        walls.append(run(i) / steps)
        ticks.append(table.ticks / steps)
    return walls, np.array(ticks) * clock.seconds_a_tick()


def _limits_for(graph: Graph, kernel: Kernel, limits: Limits) -> Limits:
    """Return the limits for a kernel's numbers: of float64, vectors hold half as many."""
    is_double = any(graph.type_of(value).dtype is DType.float64 for value in kernel.values)
    return limits._replace(flops=limits.flops / 2) if is_double else limits


def kind_of(interner: Interner, graph: Graph, kernel: Kernel) -> str:
    """Return "loops", "product", "fold" or "map"."""
    if kernel.loops is not None:
        return "loops"
    if product_plan(interner, graph, kernel) is not None:
        return "product"
    return "fold" if any(folds_in(output.element) for output in kernel.outputs) else "map"


def work_of(interner: Interner, graph: Graph, kernel: Kernel) -> Work:
    """Return what a kernel does.

    A function of floats counts as one operation for every value of the variables that it depends
    on, a fold as one for every term: two a term of a sum of products. Of a buffer, as many bytes
    are read as it has, or as there are reads if they are fewer.
    """
    roots = [output.element for output in kernel.outputs]
    stores = [] if kernel.loops is None else _stores(kernel.loops.body)
    roots += [e for store in stores for e in (*store.index, store.value)]
    parts = {id(e): e for root in roots for e in walk(root)}
    flops = sum(_operations(interner, e) for e in parts.values())
    flops += sum(
        _times(interner, store.value, *store.index)
        for store in stores
        if store.add and store.value.dtype.is_float
    )
    reads: dict[int, int] = {}
    for load in {id(load): load for load in reads_of(kernel)}.values():
        reads[load.source] = reads.get(load.source, 0) + _times(interner, load)
    sizes = {v: graph.type_of(v) for v in (*reads, *kernel.values)}
    read = sum(min(n, sizes[v].size) * _item(sizes[v]) for v, n in reads.items())
    return Work(flops, read, sum(sizes[v].size * _item(sizes[v]) for v in kernel.values))


def _operations(interner: Interner, e: Element) -> int:
    if isinstance(e, Fold):
        body = e.body
        around = interner.free(body).difference(e.variables)
        times = math.prod(e.extents) * math.prod(map(interner.extent, around))
        return times if e.dtype.is_float or body.dtype.is_float else 0
    if isinstance(e, Call) and any(x.dtype.is_float for x in (e, *e.arguments)):
        return _times(interner, e)
    return 0


def _times(interner: Interner, *elements: Element) -> int:
    """Return how many values the variables have that elements depend on."""
    free = frozenset[Any]().union(*map(interner.free, elements))
    return math.prod(map(interner.extent, free))


def _stores(body: Sequence[For | Store]) -> list[Store]:
    found = []
    for statement in body:
        found += _stores(statement.body) if isinstance(statement, For) else [statement]
    return found


def _item(type: TensorType) -> int:
    return int(type.dtype.numpy.itemsize)
