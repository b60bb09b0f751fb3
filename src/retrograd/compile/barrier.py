"""Barriers: how the threads of a native program wait for each other.

A thread that waits polls for a microsecond or two, because the others are nearly there, and then
offers its core at every so many polls more, because they may have none to run on.
"""

from __future__ import annotations

from collections.abc import Callable

from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Value

LINE = 128
"""Bytes that cores hand each other at once: two lines of 64, which many CPUs fetch as a pair."""


def write_barrier(
    text: Text, state: Value, threads: Value, give_way: Value, target: Target
) -> None:
    """Write a point that no thread passes before all have come.

    ``state`` points to an i64 that was 0 before the first use, alone on its ``LINE`` bytes;
    ``threads`` is the same i64 in all threads, and 1 costs a branch; ``give_way`` points to a
    function without arguments that offers the core to others.

    The low half of the state counts who has come, the high half is the barrier's generation. The
    last to come opens the next generation and so takes the count back to 0: a barrier needs no
    cleaning, even if another number of threads comes the next time.
    """

    def meet() -> None:
        before = text.let("i64", f"atomicrmw add {state}, i64 1 acq_rel, align 8")
        others = text.binary("and", before, text.integer(0xFFFF_FFFF))
        generation = text.binary("lshr", before, text.integer(32))

        def open_next() -> None:
            following = text.binary("add", generation, text.integer(1))
            opened = text.binary("shl", following, text.integer(32))
            text.do(f"store atomic {opened}, {state} release, align 8")

        def is_closed(seen: Value) -> Value:
            now = text.binary("lshr", seen, text.integer(32))
            return text.compare("icmp eq", now, generation)

        last = text.binary("sub", threads, text.integer(1))
        text.when(text.compare("icmp eq", others, last), open_next)
        write_wait(text, state, is_closed, give_way, target)

    text.when(text.compare("icmp sgt", threads, text.integer(1)), meet)


def write_wait(
    text: Text, word: Value, waits: Callable[[Value], Value], give_way: Value, target: Target
) -> None:
    """Write a wait: poll an i64 for as long as ``waits(what it is)``, an i1, holds.

    What other threads wrote before they changed the word is visible afterwards.
    """

    def poll(count: Value) -> tuple[Value, list[Value]]:
        seen = text.let("i64", f"load atomic i64, {word} acquire, align 8")
        on = waits(seen)
        text.when(on, lambda: write_idle(text, count, give_way, target))
        return on, [text.binary("add", count, text.integer(1))]

    text.repeat(poll, [0])


def write_idle(text: Text, count: Value, give_way: Value, target: Target) -> None:
    """Write what a thread does between two polls, of which it has done ``count``.

    The CPU is told to hold its breath, which lasts tens of nanoseconds on x86 and next to nothing
    elsewhere; so the number of polls after which the core is offered to others differs.
    """
    polls = 512
    if "+sse2" in target.features:
        polls = 64
        text.call_void("llvm.x86.sse2.pause")
    elif "+neon" in target.features:
        text.call_void("llvm.aarch64.hint", Value("i32", "1"))
    rest = text.binary("and", count, text.integer(polls - 1))
    is_long = text.compare("icmp eq", rest, text.integer(polls - 1))
    text.when(is_long, lambda: text.do(f"call void {give_way.name}()"))
