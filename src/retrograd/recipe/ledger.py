"""How often test rows were looked at: a ledger beside the runs, which a new run does not reset."""

from __future__ import annotations

import os
import time
from pathlib import Path

from retrograd.tensor.errors import InputError, RunError
from retrograd.train.lines import LineLog, read_lines
from retrograd.train.lock import acquire

_LONGEST_WAIT = 10.0  # seconds for another process to write its line


def record_opening(ledger: Path, digest: str, run: str, rows: int) -> int:
    """Write that these test rows are opened now, and return how often they have been by then.

    ``digest`` is of the rows themselves, so that other runs on the same test rows count too.
    Processes that open at once wait for each other, and each gets a count of its own.

    Raises RunError if the ledger cannot be written, FileFormatError if a line of it is damaged.
    """
    lock = _lock(ledger.with_name(f"{ledger.name}.lock"))
    try:
        log = LineLog(ledger)
        try:
            opened = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            before = count_openings(ledger, digest)
            log.append([{"test": digest, "run": run, "rows": rows, "time": opened}])
            log.sync()
            return before + 1
        finally:
            log.close()
    finally:
        os.close(lock)


def count_openings(ledger: Path, digest: str) -> int:
    """Return how often these test rows were opened; 0 if there is no ledger yet."""
    if not ledger.exists():
        return 0
    return sum(line.get("test") == digest for line in read_lines(ledger))


def _lock(path: Path) -> int:
    end = time.monotonic() + _LONGEST_WAIT
    while True:
        try:
            return acquire(path)
        except InputError:
            if time.monotonic() > end:
                raise RunError(
                    f"writing the ledger beside {str(path)!r}",
                    f"another process held it for {_LONGEST_WAIT:g} s",
                    "wait until it ends",
                ) from None
            time.sleep(0.02)
