"""A further process on a study: ``python -m retrograd.tune.worker STUDY``, started by the first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from retrograd.tensor.errors import RetrogradError
from retrograd.tune.material import make_material
from retrograd.tune.search import search
from retrograd.tune.study import open_home


def start_workers(root: Path, count: int) -> list[subprocess.Popen[bytes]]:
    """Start processes that work on a study until its trials or time are spent."""
    log = (root / "workers.log").open("ab")
    with log:
        return [
            subprocess.Popen(
                [sys.executable, "-m", "retrograd.tune.worker", str(root), str(os.getpid())],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
            for _ in range(count)
        ]  # fmt: skip


def work(root: str, parent: int) -> int:
    """Search until there is nothing left, a signal asks to stop, or the first process is gone."""
    asked: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append("terminated")

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it, and tells us

    def should_stop() -> str | None:
        if asked:
            return asked[0]
        return None if os.getppid() == parent else "orphaned"

    try:
        home = open_home(root)
        try:
            search(home, make_material(home.settings.base), lambda event: None, should_stop)
        finally:
            home.close()
    except RetrogradError as error:
        sys.stderr.write(f"retrograd: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(work(sys.argv[1], int(sys.argv[2])))
