"""Limits: what this machine can do at most, measured by two loops that do nothing else."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from retrograd.compile import native, pool
from retrograd.compile.arrays import aligned
from retrograd.compile.clock import read_clock
from retrograd.compile.modules import module
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Value, vector
from retrograd.tensor.errors import InputError

SUMS, TURNS = 12, 200_000
"""Sums enough to hide an instruction's latency, few enough for registers; how often each grows."""
COPIED = 2**26
"""Bytes of each of the two blocks that are copied: more than most caches hold."""
SECONDS, ROUNDS = 0.1, 3
"""How long each loop is run, again and again, and how often in turn with the other."""
FEWEST = 5


class Limits(NamedTuple):
    """Operations a second in float32, and bytes a second read and written, of so many threads."""

    threads: int
    flops: float
    bytes: float


@functools.cache
def measure(threads: int) -> Limits:
    """Return the limits of so many threads at once, in about half a second.

    The best of several tries, since whatever else runs only slows a loop down. Raises InputError
    where programs run in NumPy or the system gives fewer threads.

    >>> measure(0)
    Traceback (most recent call last):
      ...
    retrograd.tensor.errors.InputError: measuring 0 threads: there is no such number; give 1 or more
    """
    reason = native.can_compile()
    if reason is not None:
        raise InputError(
            "measuring this machine",
            f"programs run in NumPy here: {reason}",
            "measure where native code may run",
        )
    if threads < 1 or pool.start(threads) < threads:
        found = "there is no such number" if threads < 1 else "the system does not start as many"
        raise InputError(f"measuring {threads} threads", found, "give 1 or more")
    target = native.host()
    library = native.load(module([_sums(target), _copy(target), _clock()], target), target)
    out = aligned(threads * SUMS * target.lanes * 4)
    blocks = [aligned(COPIED), aligned(COPIED)]
    for block in blocks:
        block[:] = 1  # so that the system gives it memory of its own
    share = COPIED // 4 // threads // (4 * target.lanes) * 4 * target.lanes
    slots = np.array([*(block.ctypes.data for block in blocks), share], np.int64)
    work = threads * 2.0 * target.lanes * SUMS * TURNS, threads * 2.0 * 4 * share
    rates = []
    for _ in range(ROUNDS):
        sums = _best(library.address("sums"), out.ctypes.data, threads)
        copy = _best(library.address("copy"), slots.ctypes.data, threads)
        rates.append((work[0] / sums, work[1] / copy))
    return Limits(threads, *map(max, zip(*rates, strict=True)))


def _best(address: int, slots: int, threads: int) -> float:
    seconds: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(seconds) < FEWEST or time.perf_counter() < end:
        start = time.perf_counter()
        pool.run(address, slots, threads)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


class Clock:
    """The counter that programs count their ticks with, beside the time of the wall."""

    def __init__(self) -> None:
        """Look at both."""
        target = native.host()
        self._library = native.load(module([_clock()], target), target)
        self._read = np.zeros(1, np.int64)
        self._start = self._now()

    def _now(self) -> tuple[float, int]:
        pool.run(self._library.address("clock"), self._read.ctypes.data, 1)
        return time.perf_counter(), int(self._read[0])

    def seconds_a_tick(self) -> float:
        """Return how long a tick has taken since the clock was made."""
        now = self._now()
        return (now[0] - self._start[0]) / max(now[1] - self._start[1], 1)


def _function(name: str) -> tuple[Text, Value, Value]:
    thread, slots = Value("i64", "%thread"), Value("ptr", "%slots")
    return Text(name, (thread, slots)), thread, slots


def _clock() -> Text:
    text, _, slots = _function("clock")
    text.store(read_clock(text), slots, 8)
    return text


def _sums(target: Target) -> Text:
    """Return a function of sums x <- a x + b that stay in registers, stored once at the end."""
    text, thread, slots = _function("sums")
    kind = vector("float", target.lanes)
    a, b = text.constant(kind, 0.999), text.constant(kind, 0.001)

    def body(i: Value, *sums: Value) -> Sequence[Value]:
        if target.fused:
            return [text.fma(x, a, b) for x in sums]
        return [text.binary("fadd", text.binary("fmul", x, a), b) for x in sums]

    firsts = [text.constant(kind, 1.0 + i) for i in range(SUMS)]
    own = text.address(slots, text.multiply(thread, SUMS * target.lanes * 4))
    for i, x in enumerate(text.loop(0, TURNS, 1, body, firsts)):
        text.store(x, text.address(own, 4 * target.lanes * i), 4)
    return text


def _copy(target: Target) -> Text:
    """Return a function that copies each thread's share of a block: slots from, to, elements."""
    text, thread, slots = _function("copy")
    source, goal = (text.load("ptr", text.address(slots, i, "i64"), 8) for i in (0, 1))
    count = text.load("i64", text.address(slots, 2, "i64"), 8)
    start = text.multiply(thread, count)
    kind = vector("float", target.lanes)

    def body(i: Value) -> None:
        for k in range(4):
            place = text.add(i, k * target.lanes)
            wide = text.load(kind, text.address(source, place, "float"), 4)
            text.store(wide, text.address(goal, place, "float"), 4)

    text.loop(start, text.add(start, count), 4 * target.lanes, body)
    return text
