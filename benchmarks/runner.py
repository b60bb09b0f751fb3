"""The runner: starts contestants, gives them turns, and keeps what they answer.

Contestants of a group get ready one after another, and then measure in turn, round by round; who
has no turn is stopped by a signal, so that no pool spins while another is timed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.plan import IMPORTS, Contestant, Group

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS, TURN_SECONDS = 400, 300


@dataclass
class Figure:
    """What one contestant did in one group: seconds a step of each round, and the rest."""

    workload: str
    batch: int
    threads: int
    name: str
    seconds: list[float] = field(default_factory=list)
    prepare: float | None = None
    first: float | None = None
    loss: float | None = None
    memory: int | None = None
    error: str = ""
    waited: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Settings:
    """How to run: the peers' Python, seconds of a turn, rounds, and a folder for passing files."""

    peers_python: str
    seconds: float
    rounds: int
    folder: Path

    def python(self, is_local: bool) -> str:
        """Return the Python that a contestant runs in."""
        return sys.executable if is_local else self.peers_python


def environment(is_local: bool, cache: Path) -> dict[str, str]:
    """Return a contestant's variables; caches on disk lie in a folder of the run's own."""
    # Installed peers have their bytecode beside them; ours is to be kept from the first round on.
    left_out = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    if is_local:
        kept["PYTHONPATH"] = str(ROOT / "src")
    kept.update(XDG_CACHE_HOME=str(cache), RETROGRAD_CACHE=str(cache / "retrograd"))
    kept.update(TORCHINDUCTOR_FORCE_DISABLE_CACHES="1", TF_CPP_MIN_LOG_LEVEL="2")
    return kept


def command(one: Contestant, group: Group, settings: Settings) -> list[str]:
    """Return the command line of a contestant's process."""
    options = [
        "--form", one.form, "--threads", group.threads, "--batch", group.batch,
        "--seconds", settings.seconds, "--digits", settings.folder / "digits.npz",
    ]  # fmt: skip
    start = [settings.python(one.is_local), "-m", "benchmarks.child", one.module, group.workload]
    return [*start, *map(str, options)]


class Process:
    """A contestant's process, stopped but for its turns."""

    def __init__(self, one: Contestant, group: Group, settings: Settings, cache: Path) -> None:
        """Start it."""
        self.figure = Figure(group.workload, group.batch, group.threads, one.name)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            command(one, group, settings), cwd=ROOT, env=environment(one.is_local, cache),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            process_group=0,
        )  # fmt: skip

    def get_ready(self) -> None:
        """Wait until it is, and note what that took."""
        answer = self._answer(READY_SECONDS)
        self.figure.prepare, self.figure.first = answer.get("prepare"), answer.get("first")
        self.figure.loss = answer.get("loss")
        self._signal(signal.SIGSTOP)

    def take_turn(self) -> None:
        """Let it measure once."""
        if self.figure.error or self._process.stdin is None:
            return
        self._signal(signal.SIGCONT)
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        answer = self._answer(TURN_SECONDS)
        if "seconds" in answer:
            self.figure.seconds.append(answer["seconds"])
            self.figure.waited.append(answer["waited"])
            self.figure.memory = answer["memory"]
        self._signal(signal.SIGSTOP)

    def end(self) -> None:
        """End it and whatever it started."""
        self._signal(signal.SIGKILL)
        self._process.communicate()
        self._errors.close()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def _answer(self, limit: float) -> dict[str, Any]:
        """Return the next answer; where none comes, note why and return nothing."""
        clock = threading.Timer(limit, self._signal, (signal.SIGKILL,))
        clock.start()
        try:
            for line in self._process.stdout or ():
                if line.startswith("{"):
                    return dict(json.loads(line))
        finally:
            clock.cancel()
        self._errors.seek(0)
        lines = self._errors.read().split("\n")
        said = [line for line in lines if line.strip()]
        self.figure.error = (said or [f"no answer within {limit:.0f} s"])[-1][:200]
        return {}


def compare(group: Group, settings: Settings, say: Callable[[str], None]) -> list[Figure]:
    """Return the figures of a group."""
    processes: list[Process] = []
    try:
        for one in group.contestants:
            cache = settings.folder / f"cache-{time.time_ns()}"  # new: first steps are cold
            processes.append(Process(one, group, settings, cache))
            processes[-1].get_ready()
        for _ in range(settings.rounds):
            for process in processes:
                process.take_turn()
    finally:
        for process in processes:
            process.end()
    for process in processes:
        say(told(process.figure))
    return [process.figure for process in processes]


def told(figure: Figure) -> str:
    """Return a figure in a line, for who waits."""
    where = f"{figure.workload} {figure.batch or ''} threads {figure.threads} {figure.name}"
    if figure.error or not figure.seconds:
        return f"{where}: failed: {figure.error}"
    times = " ".join(f"{1e6 * each:.1f}" for each in figure.seconds)
    shares = " ".join(f"{100 * each:.0f}" for each in figure.waited)
    first = f"first {figure.first or 0:.2f} s, loss {figure.loss}"
    return f"{where}: {times} us, waited {shares} %, {first}"


def jobs(group: Group, settings: Settings, say: Callable[[str], None]) -> list[Figure]:
    """Return the figures of the whole job: from a process's start to its end, in turn."""
    figures = [Figure(group.workload, 0, group.threads, one.name) for one in group.contestants]
    cache = settings.folder / f"cache-{time.time_ns()}"
    for _ in range(settings.rounds):
        for one, figure in zip(group.contestants, figures, strict=True):
            start = time.perf_counter()
            ended = subprocess.run(
                command(one, group, settings), cwd=ROOT, capture_output=True, text=True,
                env=environment(one.is_local, cache), check=False,
            )  # fmt: skip
            seconds = time.perf_counter() - start
            if ended.returncode:
                figure.error = (ended.stderr.strip() or "failed").splitlines()[-1][:200]
                continue
            figure.seconds.append(seconds)
            figure.loss = json.loads(ended.stdout.strip().splitlines()[-1])["accuracy"]
    for figure in figures:
        say(told(figure))
    return figures


def starts(settings: Settings, one: Contestant, has_peers: bool) -> list[Figure]:
    """Return imports in fresh processes, and the first call of W3's step, cold and then warm."""
    figures = {
        name: Figure("import", 0, 1, name)
        for name, (is_local, _) in IMPORTS.items()
        if is_local or has_peers
    }
    for turn in range(settings.rounds + 1):
        for name, figure in figures.items():
            is_local, code = IMPORTS[name]
            start = time.perf_counter()
            ended = subprocess.run(
                [settings.python(is_local), "-c", code], cwd=ROOT, capture_output=True,
                env=environment(is_local, settings.folder), check=False,
            )  # fmt: skip
            if ended.returncode:
                figure.error = "not there"
            elif turn:  # the first fills the page cache
                figure.seconds.append(time.perf_counter() - start)
    group, found = Group("W3", 0, 1, (one,)), list(figures.values())
    cold, warm = Figure("first step", 0, 1, "cold"), Figure("first step", 0, 1, "warm")
    for _ in range(settings.rounds):
        cache = settings.folder / f"cache-{time.time_ns()}"
        for figure in (cold, warm):
            process = Process(one, group, settings, cache)
            process.get_ready()
            process.end()
            figure.seconds.append((process.figure.prepare or 0) + (process.figure.first or 0))
        shutil.rmtree(cache, ignore_errors=True)
    return [*found, cold, warm]


def median(figure: Figure) -> float:
    """Return the median of a figure's rounds."""
    return statistics.median(figure.seconds)
