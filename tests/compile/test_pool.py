"""Programs run on many threads that wait for each other, whatever the machine does to them."""

import ctypes
import functools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from retrograd.compile import native, pool
from retrograd.compile.barrier import LINE, write_barrier
from retrograd.compile.modules import module
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Value
from retrograd.tensor.errors import RunError

pytestmark = pytest.mark.skipif(native.can_compile() is not None, reason="no native code here")
ROOT = Path(__file__).parents[2]
PHASES = 12


def write(target: Target) -> Text:
    """Each phase, a thread's number becomes the sum of all numbers and of its own place."""
    thread, slots = Value("i64", "%thread"), Value("ptr", "%slots")
    text = Text("program", [thread, slots])
    state, give_way, old, new = (text.load("ptr", text.address(slots, 8 * i), 8) for i in range(4))
    threads, work = (text.load("i64", text.address(slots, 8 * i), 8) for i in (4, 5))

    def spend(_i: Value, x: Value) -> list[Value]:
        return [text.binary("mul", x, text.integer(6364136223846793005))]

    def add(i: Value, total: Value) -> list[Value]:
        number = text.load("i64", text.address(old_now, i, "i64"), 8)
        return [text.binary("add", total, number)]

    for phase in range(PHASES):
        old_now, new_now = (old, new) if phase % 2 == 0 else (new, old)
        text.loop(0, work, 1, spend, [text.integer(1)])
        (total,) = text.loop(0, threads, 1, add, [thread])
        text.store(total, text.address(new_now, thread, "i64"), 8)
        write_barrier(text, state, threads, give_way, target)
    return text


@functools.cache
def library() -> native.Library:
    target = native.host()
    return native.load(module([write(target)], target), target)


class Sums:
    """The program's memory for a number of threads, and what it must hold after a run."""

    def __init__(self, threads: int, work: int = 0) -> None:
        self.memory = np.zeros(LINE // 4, np.int64)
        self.numbers = np.zeros((2, 64), np.uint64)
        state = -(-self.memory.ctypes.data // LINE) * LINE
        rows = [row.ctypes.data for row in self.numbers]
        self.slots = np.array([state, pool.give_way(), *rows, threads, work // threads], np.int64)
        self.threads = threads

    def check(self, start: int = 1) -> None:
        self.numbers[0] = start
        pool.run(library().address("program"), self.slots.ctypes.data, self.threads)
        places = np.arange(self.threads, dtype=np.uint64)
        expected = np.full(self.threads, start, np.uint64)
        for _ in range(PHASES):
            expected = expected.sum(dtype=np.uint64) + places
        np.testing.assert_array_equal(self.numbers[0, : self.threads], expected)


def python(code: str, before: str = "") -> str:
    """Return what a Python of its own prints."""
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    script = f"{before}\nfrom tests.compile.test_pool import *\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_all_threads_meet_in_every_phase(threads: int) -> None:
    sums = Sums(threads)
    for start in range(1000):
        sums.check(start)


def test_a_barrier_needs_no_cleaning_for_another_number_of_threads() -> None:
    sums = Sums(1)
    for threads in [2, 3, 1, 5, 2, 8, 3] * 5:
        sums.threads = sums.slots[4] = threads
        sums.check()


def test_python_threads_take_turns() -> None:
    done: list[int] = []

    def work(threads: int) -> None:
        sums = Sums(threads)
        for start in range(200):
            sums.check(start)
        done.append(threads)

    workers = [threading.Thread(target=work, args=(n,)) for n in (2, 3, 2, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert sorted(done) == [1, 2, 2, 3]


def test_workers_that_sleep_are_woken() -> None:
    sums = Sums(3)
    for start in range(200):
        pool.quiesce()
        sums.check(start)


def test_no_job_is_lost_at_the_moment_of_falling_asleep() -> None:
    sums = Sums(2)
    for start in range(400):
        until = time.perf_counter() + (100 + start % 200) * 1e-6
        while time.perf_counter() < until:
            pass
        sums.check(start)


def test_quiet_workers_take_no_time() -> None:
    Sums(3).check()
    pool.quiesce()
    before = time.process_time()
    time.sleep(0.05)
    assert time.process_time() - before < 0.02


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_workers_that_died_are_replaced() -> None:
    sums = Sums(3)
    for start in range(5):
        sums.check(start)
        pool.quiesce()
        victims = [t for t in threading.enumerate() if t.name == "retrograd"]
        for victim in victims:
            ident, error = ctypes.c_ulong(victim.ident or 0), ctypes.py_object(SystemExit)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)
        sums.check(start)
        assert sum(not victim.is_alive() for victim in victims) >= 2


def test_a_system_that_starts_no_threads_is_told_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Sums(2).check()

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    sums = Sums(40)
    found = pool.start(40)
    assert 2 <= found < 40
    message = f"running a program on 40 threads: this process can have {found}; "
    with pytest.raises(RunError, match=message + f"set RETROGRAD_THREADS={found}"):
        sums.check(7)
    assert (sums.numbers[0] == 7).all()
    Sums(found).check()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_parent_and_child_go_on_after_a_fork() -> None:
    code = """
busy = threading.Thread(target=lambda: [Sums(3).check(i) for i in range(300)])
busy.start()
for i in range(5):
    Sums(2).check()
    child = os.fork()
    if child == 0:
        Sums(3).check()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    Sums(2).check()
busy.join()
"""
    assert python(code) == ""


def test_python_leaves_while_workers_spin_and_others_run() -> None:
    code = """
Sums(1).check()
assert threading.active_count() == 1
def forever(sums):
    try:
        while True: sums.check()
    except RunError as error:
        assert error.found == "this process can have 1"
threading.Thread(target=forever, args=(Sums(3),), daemon=True).start()
threading.Thread(target=lambda: (time.sleep(0.05), Sums(3).check(), print("late"))).start()
"""
    # Handlers of the exit run in reverse: this one, there before the pool's, runs after it.
    early = """
import atexit
def last():
    Sums(1).check()
    assert pool.start(4) == 1
atexit.register(last)
"""
    assert python(code, early) == "late\n"
    assert python("Sums(3).check()") == ""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_one_core_does_the_work_of_many_threads_in_about_the_time_of_one() -> None:
    code = """
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
assert pool.usable_cores() == 1
def seconds(threads):
    sums, took = Sums(threads, work=100_000), []
    for start in range(8):
        before = time.process_time()
        sums.check(start)
        took.append(time.process_time() - before)
    return min(took)
one = seconds(1)
print(*(seconds(threads) / one for threads in (2, 3, 8)))
"""
    assert max(map(float, python(code).split())) < 1.5


def test_an_interrupt_waits_for_the_program_and_spoils_nothing() -> None:
    code = """
import random, signal
sums = Sums(3, work=3000)
for i in range(60):
    if i % 2: pool.quiesce()
    timer = threading.Timer(random.random() * 4e-3, signal.raise_signal, [signal.SIGINT])
    try:
        timer.start()
        while True: sums.check()
    except KeyboardInterrupt:
        print("interrupted")
    timer.join()
    sums.check(i)
"""
    assert python(code).split() == ["interrupted"] * 60


def test_threads_of_arm_wait_with_its_own_instructions() -> None:
    llvm = pytest.importorskip("llvmlite.binding")
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = Target("neon", "generic", "+neon", 4, 8, 2, True)
    machine = llvm.Target.from_triple("aarch64-linux-gnu").create_target_machine()
    text = module([write(target)], target)
    code = machine.emit_assembly(llvm.parse_assembly(text, llvm.create_context()))
    assert all(word in code for word in ["yield", "ldaxr", "stlr", "ldar"])
