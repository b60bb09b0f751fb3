"""What training took: time, CPU, memory, on which machine; a line a sitting in `cost.jsonl`."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import retrograd
from retrograd.train.lines import LineLog, read_lines


class Clocks(NamedTuple):
    """Seconds of the wall and of the CPU, from when on they are of no matter."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Clocks:
        """Read both."""
        return cls(time.monotonic(), time.process_time())


def record_cost(directory: Path, since: Clocks) -> None:
    """Write a line on what was spent since then, on which machine and with what.

    Raises RunError if the system refuses the file.
    """
    now = Clocks.now()
    record = {
        "seconds": round(now.wall - since.wall, 3),
        "cpu_seconds": round(now.cpu - since.cpu, 3),
        "peak_memory": _peak_memory(),
        **environment(),
    }
    log = LineLog(directory / "cost.jsonl")
    try:
        log.append([record])
    finally:
        log.close()


def read_costs(directory: Path) -> list[dict[str, Any]]:
    """Return a record for each sitting of a run's training; none for runs that kept none."""
    path = directory / "cost.jsonl"
    return read_lines(path) if path.exists() else []


def environment() -> dict[str, Any]:
    """Return what a run's numbers may depend on: versions, system, processor, cores.

    >>> sorted(environment())
    ['cores', 'numpy', 'processor', 'python', 'retrograd', 'system']
    """
    return {
        "retrograd": retrograd.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": _cores(),
    }


def _peak_memory() -> int:
    """Return the most bytes that this process ever held, 0 where the system does not say.

    macOS counts bytes, Linux kilobytes.
    """
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    """Return the processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
