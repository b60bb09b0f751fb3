"""Native code of the pool: how a program is handed to threads that wait for one.

A worker owns a box, a line of memory with one word of state, through which jobs are handed over:

    asleep -> idle -> claimed -> posted -> idle -> asleep

Only a worker falls asleep or wakes, only who runs a program claims and posts. Falling asleep and
claiming are one compare-and-swap each, so a job never meets a worker that has just stopped looking;
and all workers of a job are claimed before any is given it, so it starts on all or on none.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from retrograd.compile import native
from retrograd.compile.barrier import LINE, write_idle, write_wait
from retrograd.compile.modules import module
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Integer, Value

SPIN_SECONDS = 200e-6
"""How long a worker looks for the next job before it sleeps: a few times what waking costs."""

ASLEEP, IDLE, CLAIMED, POSTED = 0, 1, 2, 3
_PROGRAM, _SLOTS, _THREAD = 8, 16, 24  # bytes from the state, at the start of the box


class Code(NamedTuple):
    """The pool's native functions; ``polls`` is how often a worker looks before it sleeps."""

    enter: Callable[[int, int], None]
    run: Callable[[Any, int, int, int, int, int, Any], None]
    serve: Callable[[int, int, int], None]
    give_way: int
    polls: int
    library: native.Library


@functools.cache
def code() -> Code:
    """Return the native functions, and find out how fast this CPU polls."""
    target = native.host()
    texts = [_write_enter(), _write_run(target), _write_serve(target)]
    library = native.load(module(texts, target), target)
    kinds = {"ptr": ctypes.c_void_p, "i64": ctypes.c_int64}
    signatures = [ctypes.CFUNCTYPE(None, *(kinds[x.type] for x in t.parameters)) for t in texts]
    enter, run, serve = (
        signature(library.address(text.name))
        for signature, text in zip(signatures, texts, strict=True)
    )
    yields, polls, seconds = _system_yield(), 4096, 1.0
    _memory, box = new_box()
    for _ in range(3):
        before = time.perf_counter()
        serve(box, polls, yields)
        seconds = min(seconds, time.perf_counter() - before)
    return Code(enter, run, serve, yields, max(1024, int(polls * SPIN_SECONDS / seconds)), library)


def new_box() -> tuple[Any, int]:
    """Return memory of a box's own and the box's address in it; the worker is asleep."""
    memory = ctypes.create_string_buffer(2 * LINE)
    return memory, -(-ctypes.addressof(memory) // LINE) * LINE


def _system_yield() -> int:
    if sys.platform == "win32":
        function = ctypes.WinDLL("kernel32").SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _write_enter() -> Text:
    """Write the call of a program on one thread."""
    program, slots = Value("ptr", "%program"), Value("ptr", "%slots")
    text = Text("enter", [program, slots])
    text.do(f"call void {program.name}(i64 0, {slots})")
    return text


def _write_serve(target: Target) -> Text:
    """Write a worker's life from waking to falling asleep, after so many polls without a job."""
    box, give_way = Value("ptr", "%box"), Value("ptr", "%give_way")
    polls = Value("i64", "%polls")
    text = Text("serve", [box, polls, give_way])

    def work() -> None:
        program = text.load("ptr", text.address(box, _PROGRAM), 8)
        slots = text.load("ptr", text.address(box, _SLOTS), 8)
        thread = text.load("i64", text.address(box, _THREAD), 8)
        text.do(f"call void {program.name}({thread}, {slots})")
        _set(text, box, IDLE)

    def fall_asleep() -> None:
        _swap(text, box, IDLE, ASLEEP)

    def look(count: Value) -> tuple[Value, list[Value]]:
        seen = text.let("i64", f"load atomic i64, {box} acquire, align 8")
        is_posted = text.compare("icmp eq", seen, text.integer(POSTED))
        text.when(is_posted, work)
        following = text.binary("add", count, text.integer(1))
        following = text.select(is_posted, text.integer(0), following)
        is_idle = text.compare("icmp ne", seen, text.integer(POSTED))
        text.when(is_idle, lambda: write_idle(text, following, give_way, target))
        is_tired = text.compare("icmp sge", following, polls)
        text.when(is_tired, fall_asleep)
        return text.compare("icmp ne", seen, text.integer(ASLEEP)), [following]

    _set(text, box, IDLE)
    text.repeat(look, [0])
    return text


class _Attempt(NamedTuple):
    """The parameters of one attempt to run a program, in their order."""

    table: Value
    workers: Value
    program: Value
    slots: Value
    polls: Value
    give_way: Value
    answer: Value

    @staticmethod
    def named() -> _Attempt:
        """Return the parameters by their names; all are pointers but the two counts."""
        counts = ("workers", "polls")
        kinds = [(name, "i64" if name in counts else "ptr") for name in _Attempt._fields]
        return _Attempt(*(Value(kind, f"%{name}") for name, kind in kinds))

    def box(self, text: Text, i: Integer) -> Value:
        """Write the look into the table for a worker's box."""
        return text.load("ptr", text.address(self.table, i, "ptr"), 8)


def _write_run(target: Target) -> Text:
    """Write one attempt to run a program: on all workers, or on none, as ``answer`` says.

    It waits so many polls for each worker that sleeps, which is for those that were just woken.
    """
    given = _Attempt.named()
    text = Text("run", given)

    def work() -> None:
        text.loop(0, given.workers, 1, lambda i: _post(text, given, i))
        text.do(f"call void {given.program.name}(i64 0, {given.slots})")
        text.loop(0, given.workers, 1, lambda i: _finish(text, given, i, target))

    def let_go(i: Value) -> None:
        _swap(text, given.box(text, i), CLAIMED, IDLE)

    def give_up() -> None:
        text.loop(0, given.workers, 1, let_go)

    def claim(i: Value, claimed: Value) -> list[Value]:
        return [text.binary("add", claimed, _claim(text, given, i, target))]

    (claimed,) = text.loop(0, given.workers, 1, claim, [text.integer(0)])
    is_ready = text.compare("icmp eq", claimed, given.workers)
    text.store(text.convert("zext", is_ready, "i64"), given.answer, 8)
    text.when(is_ready, work)
    text.when(text.compare("icmp ne", claimed, given.workers), give_up)
    return text


def _claim(text: Text, given: _Attempt, i: Value, target: Target) -> Value:
    """Write the claiming of a worker, once it is awake; return 1 if that succeeded, otherwise 0."""

    def rouse(count: Value) -> tuple[Value, list[Value]]:
        seen = text.let("i64", f"load atomic i64, {given.box(text, i)} acquire, align 8")
        is_asleep = text.compare("icmp eq", seen, text.integer(ASLEEP))
        text.when(is_asleep, lambda: write_idle(text, count, given.give_way, target))
        may_wait = text.compare("icmp slt", count, given.polls)
        on = text.binary("and", is_asleep, may_wait)
        return on, [text.binary("add", count, text.integer(1))]

    text.repeat(rouse, [0])
    return _swap(text, given.box(text, i), IDLE, CLAIMED)


def _post(text: Text, given: _Attempt, i: Value) -> None:
    """Write the giving of the job to a claimed worker."""
    box = given.box(text, i)
    text.store(given.program, text.address(box, _PROGRAM), 8)
    text.store(given.slots, text.address(box, _SLOTS), 8)
    text.store(text.integer(text.add(i, 1)), text.address(box, _THREAD), 8)
    _set(text, box, POSTED)


def _finish(text: Text, given: _Attempt, i: Value, target: Target) -> None:
    """Write the wait for a worker to be done with its job."""
    box, posted = given.box(text, i), text.integer(POSTED)
    write_wait(
        text, box, lambda seen: text.compare("icmp eq", seen, posted), given.give_way, target
    )


def _set(text: Text, box: Value, state: int) -> None:
    """Write a change of state that shows what was written before."""
    text.do(f"store atomic i64 {state}, {box} release, align 8")


def _swap(text: Text, box: Value, old: int, new: int) -> Value:
    """Write a change of state if it is the old one; return 1 if it was, otherwise 0."""
    swapped = f"cmpxchg {box}, i64 {old}, i64 {new} acq_rel acquire, align 8"
    answer = text.let("{ i64, i1 }", swapped)
    was_old = text.let("i1", f"extractvalue {answer}, 1")
    return text.convert("zext", was_old, "i64")
