"""The pool: threads that run one native program together, each with its own number.

Workers wait natively for a while after each program, then sleep in Python. ``workers.py`` has the
native part, and says why no job is lost between the two.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from retrograd.compile.workers import ASLEEP, SPIN_SECONDS, Code, code, new_box
from retrograd.tensor.errors import InputError, RunError

_STOP_SECONDS = 5.0


def run(address: int, slots: int, threads: int) -> None:
    """Call ``program(thread, slots)`` on so many threads at once; return when all are done.

    The caller is thread 0. With one thread this is a call and nothing else; with more, callers
    wait for each other. Raises RunError, before anything has run, where the system does not start
    enough threads: ask ``start`` first to choose a plan that can run.
    """
    native = code()
    if threads <= 1:
        native.enter(address, slots)
        return
    pool, workers, polls = _pool(), threads - 1, 0
    has_run = ctypes.c_int64(0)
    with pool.lock:
        while True:  # an interrupt is raised between calls: the program ran on all, or on none
            team = pool.team
            if len(team.workers) >= workers:
                to_wait, answer = (polls, native.give_way), ctypes.byref(has_run)
                native.run(team.table, workers, address, slots, *to_wait, answer)
                if has_run.value:
                    return
            _gather(pool, threads)
            polls = native.polls


def start(threads: int) -> int:
    """Start the threads that are missing; return how many a program can run on, at most as asked.

    Fewer than asked where the system refuses more; 1 while Python is leaving.
    """
    pool = _pool()
    with pool.lock, contextlib.suppress(RuntimeError):
        pool.team = _team(tuple(w for w in pool.team.workers if w.thread.is_alive()))
        while not pool.is_stopped and len(pool.team.workers) < threads - 1:
            pool.team = _team((*pool.team.workers, _worker(pool)))
    return max(1, min(threads, len(pool.team.workers) + 1))


def quiesce() -> None:
    """Return when all workers sleep, so that none takes a core from what is measured next."""
    pool = _pool()
    with pool.lock:
        while any(w.state.value != ASLEEP and w.thread.is_alive() for w in pool.team.workers):
            time.sleep(SPIN_SECONDS)
    time.sleep(SPIN_SECONDS)  # a worker says that it sleeps a moment before it does


def give_way() -> int:
    """Return the address of the system's function that offers the core to other threads."""
    return code().give_way


def usable_cores(root: Path = Path("/")) -> int:
    """Return how many threads this process should run programs on, at most.

    The cores that it may use (affinity and the limits of its control groups, a part of a core
    counting as one), or fewer if the variable ``RETROGRAD_THREADS`` says so. ``root`` is where the
    system's files are. Raises InputError for a variable that is no whole number from 1 up.
    """
    asked = os.environ.get("RETROGRAD_THREADS", "").strip()
    if asked and not (asked.isascii() and asked.isdecimal() and int(asked) >= 1):
        raise InputError(
            f"running on RETROGRAD_THREADS={asked} threads",
            "that is no whole number from 1 up",
            "set it to a number of cores, or unset it to use all",
        )
    cores = _affinity()
    quotas = [math.ceil(quota) for quota in _quotas(root)]
    return max(1, min([cores, *quotas, *([int(asked)] if asked else [])]))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yield the limits, in cores, of the process's control groups and of those around them."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        for mount in sorted({controllers, "cpu" if controllers else ""}):
            top = root / "sys/fs/cgroup" / mount
            group = top / path.lstrip("/")
            # Inside a container the path may be the host's: the container's own group is the top.
            for place in (p for p in (group, *group.parents) if p.is_relative_to(top)):
                yield from _quota(place)


def _quota(group: Path) -> Iterator[float]:
    """Yield the limit of one control group, if it has one, in the files of version 2 or 1."""
    limit, period = ([*_read(group / "cpu.max").split(), "", ""])[:2]
    if not limit:
        limit, period = (_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    with contextlib.suppress(ValueError, ZeroDivisionError):
        if int(limit) > 0:  # "max" and -1 are no limit
            yield int(limit) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


# Workers


class _Worker(NamedTuple):
    """A thread, and the box through which it gets its jobs; ``wake`` is held while none is due."""

    thread: threading.Thread
    wake: threading.Lock
    box: int
    state: ctypes.c_int64


class _Team(NamedTuple):
    """Workers, and the table of their boxes; replaced as one, so that they never disagree."""

    workers: tuple[_Worker, ...]
    table: Any


def _team(workers: tuple[_Worker, ...]) -> _Team:
    return _Team(workers, (ctypes.c_void_p * len(workers))(*(worker.box for worker in workers)))


@dataclass
class _Pool:
    """The workers of a process. ``lock`` is held while a program runs on them."""

    # A handler of a signal may run a program between two attempts of the one it interrupts.
    lock: Any = field(default_factory=threading.RLock)
    team: _Team = field(default_factory=lambda: _team(()))
    is_stopped: bool = False


@functools.cache
def _pool() -> _Pool:
    return _Pool()


def _worker(pool: _Pool) -> _Worker:
    """Return a started worker. Raises RuntimeError where the system starts no more threads.

    One that an interrupt hid from the pool has a box that nobody else knows, and just sleeps.
    """
    memory, box = new_box()
    wake = threading.Lock()
    wake.acquire()
    passed = (pool, code(), memory, box, wake)
    thread = threading.Thread(target=_serve, args=passed, name="retrograd", daemon=True)
    thread.start()
    return _Worker(thread, wake, box, ctypes.c_int64.from_address(box))


def _serve(pool: _Pool, native: Code, _memory: Any, box: int, wake: threading.Lock) -> None:
    """Work and sleep in turn. The memory is here so that it lives as long as the thread."""
    while not pool.is_stopped:
        native.serve(box, native.polls, native.give_way)
        wake.acquire()


def _gather(pool: _Pool, threads: int) -> None:
    """See to it that enough workers are there and none of them sleeps for long."""
    found = start(threads)
    if found < threads:
        raise RunError(
            f"running a program on {threads} threads",
            f"this process can have {found}",
            f"set RETROGRAD_THREADS={found}",
        )
    for worker in pool.team.workers[: threads - 1]:
        if worker.state.value == ASLEEP and worker.wake.locked():
            worker.wake.release()


def _stop() -> None:
    """End the workers while Python still stands: what they run goes away with it."""
    pool = _pool()
    is_free = pool.lock.acquire(timeout=_STOP_SECONDS)
    workers, pool.is_stopped, pool.team = pool.team.workers, True, _team(())
    for worker in workers:
        if worker.wake.locked():
            worker.wake.release()
    for worker in workers:
        worker.thread.join(_STOP_SECONDS)
    if is_free:
        pool.lock.release()


def _forget() -> None:
    """Begin anew in a forked process, where the workers do not exist and locks may be held."""
    _pool.cache_clear()
    _pool()


_pool()  # made while the import holds its lock, so that no two threads make one each
atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
