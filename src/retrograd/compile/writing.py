"""Writing: a schedule becomes one native function that every thread runs with its own number.

``void program(i64 thread, ptr slots)``. The slots are a table of 8-byte entries through which
everything outside is reached: `Slot` names the first ones, then every argument has a pointer and
the distance in bytes to its next step's. The function runs as many steps as it is told, one after
the other; the stages of a step are divided by barriers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from retrograd.compile.barrier import write_barrier
from retrograd.compile.checking import verify_layout, verify_schedule
from retrograd.compile.clock import read_clock
from retrograd.compile.emitter import Buffer, Emitter
from retrograd.compile.expressions import Interner
from retrograd.compile.folding import write_fold
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Group, Kernel, Schedule
from retrograd.compile.layout import Cut, Layout, lay_out
from retrograd.compile.overwriting import Carried, Pair, carry, checks_indices
from retrograd.compile.schedule import reads_of
from retrograd.compile.slots import NAME, STREAMED, Slot
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import BYTES, Integer, Value
from retrograd.compile.walks import Rows, Walker

SMALL = 2**14
"""Bytes of a batch that are asked for a step ahead: half of the nearest cache."""


def arguments(graph: Graph, carried: Sequence[Pair]) -> tuple[int, ...]:
    """Return the values that lie outside: inputs, constants, and outputs that are not handed on."""
    handed_on = {value for _, value in carried}
    outputs = dict.fromkeys(
        v for v in graph.outputs if v >= graph.first_node and v not in handed_on
    )
    return (*range(graph.first_node), *outputs)


def write_program(
    graph: Graph, schedule: Schedule, interner: Interner, target: Target, is_parallel: bool,
    carried: Sequence[Pair] = (), profiled: bool = False,
) -> tuple[Text, Layout]:  # fmt: skip
    """Return the function and where its values lie. Not parallel, it runs on one thread alone.

    ``carried`` are pairs of an input and the value that is its next step's: written over it where
    that is safe, else copied when the step is over. ``profiled``, thread 0 adds up the clock ticks
    of each kernel, in the order of the schedule, in the table that a slot points to.
    """
    verify_schedule(graph, schedule)
    thread, slots = Value("i64", "%thread"), Value("ptr", "%slots")
    text = Text(NAME, (thread, slots), fused=target.fused)
    errors = _slot(text, slots, Slot.errors, "ptr")
    emitter = Emitter(text, target, interner, {}, errors, write_fold)
    for value in range(graph.first_node + len(graph.nodes)):
        type = graph.type_of(value)
        emitter.buffers[value] = Buffer(Value("ptr", "null"), type.shape, type.dtype)
    moved = carry(graph, schedule, carried)
    outside = {*arguments(graph, carried), *moved.in_place}
    layout = lay_out(graph, schedule, emitter, outside)
    verify_layout(graph, schedule, layout, outside)
    given = arguments(graph, carried)
    for value in _streamed(graph, schedule, given):
        emitter.buffers[value] = emitter.buffers[value]._replace(is_streamed=True)
    writer = _Writer(graph, schedule, emitter, layout, moved, given, thread, slots, is_parallel)
    if profiled:
        writer.profile = _slot(text, slots, Slot.profile, "ptr")
    steps = _slot(text, slots, Slot.steps, "i64")
    text.loop(0, steps, 1, writer.step)
    text.do("fence seq_cst")  # what was written past the caches arrives before the caller goes on
    return text, layout


def _slot(text: Text, slots: Value, number: int, type: str) -> Value:
    return text.load(type, text.address(slots, number, "i64"), 8)


def _streamed(graph: Graph, schedule: Schedule, outside: Sequence[int]) -> Iterator[int]:
    """Yield large outputs that the program does not read: they would only push out what it does."""
    read = {load.source for g in schedule.groups for k in g.kernels for load in reads_of(k)}
    for value in outside[graph.first_node :]:
        type = graph.type_of(value)
        size = BYTES[type.dtype]
        is_lined = bool(type.shape) and type.shape[-1] * size % 64 == 0
        if value not in read and is_lined and type.size * size >= STREAMED:
            yield value


class _Writer:
    """The parts of the function that all its stages share."""

    def __init__(
        self, graph: Graph, schedule: Schedule, emitter: Emitter, layout: Layout,
        carried: Carried, given: Sequence[int], thread: Value, slots: Value, is_parallel: bool,
    ) -> None:  # fmt: skip
        self.schedule, self.emitter, self.layout = schedule, emitter, layout
        self.carried = carried
        self.profile: Value | None = None
        kernels = [id(kernel) for group in schedule.groups for kernel in group.kernels]
        self.numbers = {kernel: i for i, kernel in enumerate(kernels)}
        self.text, self.thread, self.is_parallel = emitter.text, thread, is_parallel
        self.barrier = _slot(self.text, slots, Slot.barrier, "ptr")
        self.give_way = _slot(self.text, slots, Slot.give_way, "ptr")
        self.threads = _slot(self.text, slots, Slot.threads, "i64")
        arena = _slot(self.text, slots, Slot.arena, "ptr")
        self.own = self.text.address(arena, layout.thread_offset)
        if is_parallel:
            moved = self.text.multiply(thread, layout.thread_bytes)
            self.own = self.text.address(self.own, moved)
        scratch = self.text.address(self.own, layout.scratch)
        self.walker = Walker(graph, emitter, scratch)
        self.arguments = {
            value: [
                _slot(self.text, slots, Slot.first_argument + 2 * i + k, type)
                for k, type in enumerate(("ptr", "i64"))
            ]
            for i, value in enumerate(given)
        }
        for value, offset in layout.shared.items():
            self._set(value, self.text.address(arena, offset))
        for value, offset in layout.own.items():
            self._set(value, self.text.address(self.own, offset))

    def _set(self, value: int, pointer: Value, first_row: Integer = 0) -> None:
        old = self.emitter.buffers[value]
        self.emitter.buffers[value] = old._replace(pointer=pointer, first_row=first_row)

    def step(self, number: Integer) -> None:
        """Write one step: where its arguments lie, then all stages."""
        with self.emitter.scope():
            for value, (base, stride) in self.arguments.items():
                moved = self.text.multiply(stride, number)
                self._set(value, self.text.address(base, moved))
            for value, given in self.carried.in_place.items():
                self._set(value, self.emitter.buffers[given].pointer)
            self._fetch_next(number)
            for i, groups in enumerate(self._stages()):
                if i:
                    self._meet()
                for group, cut in groups:
                    self._group(group, cut)
                if any(checks_indices(group) for group, _ in groups):
                    self._meet()
                    self._leave_if_wrong()
            self._meet()
            if self.carried.copies:
                self._alone(self._hand_on)
                self._meet()

    def _fetch_next(self, number: Integer) -> None:
        """Ask for the next step's batch, if it is small, so that it is at hand by then."""
        state = {*self.carried.in_place.values(), *(given for given, _ in self.carried.copies)}
        for value, (base, stride) in self.arguments.items():
            type = self.walker.graph.type_of(value)
            size = type.size * BYTES[type.dtype]
            if value < len(self.walker.graph.inputs) and value not in state and size <= SMALL:
                moved = self.text.multiply(stride, self.text.add(number, 1))
                self.text.prefetch(self.text.address(base, moved), size)

    def _hand_on(self) -> None:
        """Copy what could not be written over its input."""
        for given, value in self.carried.copies:
            self.walker.copy(value, given)

    def _stages(self) -> Iterator[list[tuple[Group, Cut]]]:
        pairs = list(zip(self.schedule.groups, self.layout.cuts, strict=True))
        for stage in sorted({group.stage for group, _ in pairs}):
            yield [pair for pair in pairs if pair[0].stage == stage]

    def _meet(self) -> None:
        if self.is_parallel:
            target = self.emitter.target
            write_barrier(self.text, self.barrier, self.threads, self.give_way, target)

    def _leave_if_wrong(self) -> None:
        wrong = self.text.let("i64", f"load atomic i64, {self.emitter.errors} acquire, align 8")
        self.text.leave_when(self.text.compare("icmp ne", wrong, self.text.integer(0)))

    def _group(self, group: Group, cut: Cut) -> None:
        if group.rows == 1:
            self._alone(lambda: self._kernels(group.kernels, None))
            return
        start, stop = self._part(group.rows, cut.grain)
        if not self.is_parallel and cut.chunk >= group.rows:
            self._kernels(group.kernels, Rows(0, group.rows, group.rows))
            return

        is_even = group.rows % cut.chunk == 0 and cut.grain % cut.chunk == 0
        length = cut.chunk if is_even else None

        def turn(first: Integer) -> None:
            end = self.text.smaller(self.text.add(first, cut.chunk), stop)
            with self.emitter.scope():
                for kernel in group.kernels:
                    for value in kernel.values:
                        if value in self.layout.own:
                            self._set(value, self.emitter.buffers[value].pointer, first)
                self._kernels(group.kernels, Rows(first, end, length))

        self.text.loop(start, stop, cut.chunk, turn)

    def _alone(self, body: Callable[[], None]) -> None:
        if self.is_parallel:
            is_first = self.text.compare("icmp eq", self.thread, self.text.integer(0))
            self.text.when(is_first, body)
        else:
            body()

    def _kernels(self, kernels: tuple[Kernel, ...], rows: Rows | None) -> None:
        for kernel in kernels:
            start = self._clock()
            whole = kernel.extents[0] if kernel.extents else 1
            self.walker.write(kernel, rows or Rows(0, whole, whole))
            if start is not None:
                self._count(self.numbers[id(kernel)], start)

    def _clock(self) -> Value | None:
        return None if self.profile is None else read_clock(self.text)

    def _count(self, number: int, start: Value) -> None:
        """Add the ticks since a start to a kernel's, on the first thread."""
        text, now, profile = self.text, self._clock(), self.profile
        assert now is not None
        assert profile is not None

        def add() -> None:
            place = text.address(profile, number, "i64")
            ticks = text.binary("sub", now, start)
            text.store(text.binary("add", text.load("i64", place, 8), ticks), place, 8)

        text.when(text.compare("icmp eq", self.thread, text.integer(0)), add)

    def _part(self, rows: int, grain: int) -> tuple[Integer, Integer]:
        """Return this thread's rows: its share of units of ``grain`` rows each."""
        if not self.is_parallel:
            return 0, rows
        text, units = self.text, -(-rows // grain)

        def border(number: Integer) -> Integer:
            done = text.integer(text.multiply(number, units))
            share = text.binary("udiv", done, self.threads)
            return text.smaller(text.multiply(share, grain), rows)

        return border(self.thread), border(text.add(self.thread, 1))
