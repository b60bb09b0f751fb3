"""The clock of a contestant's process: pinning, medians, peak memory."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RETROGRAD_THREADS"
)  # fmt: skip
CHUNK_SECONDS = 0.02
FEWEST = 30
QUIET, TRIES, LONG_SECONDS = 0.02, 3, 5.0


class Turn(NamedTuple):
    """The share of the time that was spent waiting for a core, and the seconds of a step."""

    waited: float
    seconds: float


def _nothing() -> None:
    """Wait for nothing: the call has ended its work when it returns."""


@dataclass(frozen=True)
class Run:
    """A contestant ready to work.

    ``call(i)`` is the i-th call and takes ``steps`` steps. ``losses(answer)`` reads the loss of
    each of them from what a call returned; for a kernel or an inference it is the `checksum`.
    ``wait`` returns when all that was dispatched has ended. ``scored`` is called for the compared
    loss in place of ``call``, where that tells none.
    """

    call: Callable[[int], Any]
    losses: Callable[[Any], Sequence[float]]
    steps: float = 1
    wait: Callable[[], object] = _nothing
    scored: Callable[[int], Any] | None = None


def checksum(*arrays: Any) -> float:
    """Return the sum of the magnitudes of arrays: the number that stands for an answer."""
    import numpy as np  # not before the process is pinned

    return sum(float(np.abs(np.asarray(x, np.float64)).sum()) for x in arrays)


def pin(threads: int) -> None:
    """Keep this process on as many cores as it may use threads, so that no hidden pool helps."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)


def throughput(run: Run, seconds: float) -> float:
    """Return the median seconds of a step, over at least 30 steps or thrice ``seconds``.

    Calls are timed in chunks of about 20 ms that end by waiting, so that a contestant that
    dispatches ahead of itself is not made to wait at every step.
    """
    count = _warm_up(run, min(0.3, seconds))
    found: list[float] = []
    start, i = time.perf_counter(), 0
    while True:
        before = time.perf_counter()
        for _ in range(count):
            run.call(i)
            i += 1
        run.wait()
        now = time.perf_counter()
        found.append((now - before) / (count * run.steps))
        is_enough = i * run.steps >= FEWEST or now - start > 3 * seconds
        if now - start > seconds and is_enough:
            return statistics.median(found)


def _warm_up(run: Run, seconds: float) -> int:
    """Call at least three times, slow calls but once, and return how many calls make a chunk."""
    start, i = time.perf_counter(), 0
    while (i < 3 and time.perf_counter() - start < 1.0) or time.perf_counter() - start < seconds:
        run.call(i)
        i += 1
    run.wait()
    before = time.perf_counter()
    count = min(1000, int(CHUNK_SECONDS * i / (before - start)))
    if count < 2:
        return 1
    for _ in range(count):
        run.call(i)
    run.wait()
    return max(1, int(CHUNK_SECONDS * count / (time.perf_counter() - before)))


def latency(run: Run, seconds: float) -> float:
    """Return the median seconds of single calls, each timed on its own."""
    start = time.perf_counter()
    while time.perf_counter() - start < min(0.3, seconds):
        run.call(0)
    found: list[float] = []
    start = time.perf_counter()
    while len(found) < FEWEST or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run.call(0)
        found.append(time.perf_counter() - before)
    return statistics.median(found)


def waited() -> float:
    """Return the seconds that this process's threads have waited for a core (Linux; else 0)."""
    total = 0
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            total += int(path.read_text().split()[1])
    return total / 1e9


def quietest(measure: Callable[[Run, float], float], run: Run, seconds: float) -> Turn:
    """Measure, again where others took the cores meanwhile; return the quietest turn."""
    turns: list[Turn] = []
    while len(turns) < TRIES:
        before, start = waited(), time.perf_counter()
        found = measure(run, seconds)
        elapsed = time.perf_counter() - start
        turns.append(Turn((waited() - before) / elapsed, found))
        if turns[-1].waited < QUIET or elapsed > LONG_SECONDS:
            break
    return min(turns)


class Memory:
    """Bytes of memory at the peak since this was made, above what was held then (Linux only)."""

    def __init__(self) -> None:
        """Forget the peak so far."""
        self._status = Path("/proc/self/status")
        self._has_peak = True
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            self._has_peak = False
        self.before = self._read("VmRSS")

    def peak(self) -> int | None:
        """Return the peak above the start, or None where the system does not tell."""
        return max(0, self._read("VmHWM") - self.before) if self._has_peak else None

    def _read(self, field: str) -> int:
        if not self._status.exists():
            return 0
        found = re.search(rf"{field}:\s+(\d+) kB", self._status.read_text())
        return 1024 * int(found[1]) if found else 0
