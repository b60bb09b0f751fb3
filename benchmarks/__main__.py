"""Compare retrograd with its peers, and print the table.

    python -m benchmarks --make-peers DIRECTORY      once: an environment for the peers
    python -m benchmarks --peers-python DIRECTORY/bin/python --output docs/benchmarks.md

Without peers, retrograd's own figures are printed. The variable RETROGRAD_PEERS may name the peers'
Python as well. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks import environment, plan, runner
from benchmarks.runner import Figure, Settings
from benchmarks.table import document

START, STOP = "<!-- the table of python -m benchmarks -->", "<!-- its end -->"
LIBRARIES = ("torch", "jax", "sklearn", "tinygrad", "keras", "onnx", "numpy")


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--workload", nargs="+", choices=plan.CHOICES, default=plan.CHOICES, metavar="NAME",
        help=f"what to measure: {', '.join(plan.CHOICES)} (default: all)")  # fmt: skip
    add("--threads", nargs="+", type=int, default=[1, 2], help="thread counts (default: 1 2)")
    add("--peers", nargs="*", choices=LIBRARIES, default=LIBRARIES, metavar="LIBRARY",
        help=f"whom to compare with, of {', '.join(LIBRARIES)} (default: all)")  # fmt: skip
    add("--peers-python", default=os.environ.get("RETROGRAD_PEERS", ""), metavar="PYTHON",
        help="the Python that has the peers (default: RETROGRAD_PEERS)")  # fmt: skip
    add("--seconds", type=float, default=1.0, help="seconds of a turn, or until 30 steps")
    add("--rounds", type=int, default=3, help="turns of each contestant (default: 3)")
    add("--output", type=Path, help="write the table to this file, between its marks if it has any")
    add("--results", type=Path, help="keep figures in this file, and print those it had before too")
    add("--make-peers", type=Path, metavar="DIRECTORY", help="make the peers' environment and end")
    return parser.parse_args(words)


def digits(path: Path) -> None:
    """Write the digits that scikit-learn ships, four of five rows for training."""
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(inputs))
    train, test = rows[: len(rows) * 4 // 5], rows[len(rows) * 4 // 5 :]
    scaled = (inputs / 16).astype(np.float32)
    np.savez(
        path, inputs=scaled[train], labels=labels[train], test=scaled[test],
        test_labels=labels[test],
    )  # fmt: skip


def processor() -> str:
    """Return what the processor calls itself, its family and model, where the system tells."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.machine()
    pairs = (line.partition(":") for line in path.read_text().split("\n\n")[0].splitlines())
    held = {name.strip(): value.strip() for name, _, value in pairs}
    numbers = f"family {held.get('cpu family', '?')} model {held.get('model', '?')}"
    return f"{held.get('model name', platform.machine())} ({numbers})"


def machine(peers_python: str) -> str:
    """Return a paragraph that says where and with what it was measured."""
    from retrograd.compile.native import host

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ours = {name: version(name) for name in ("numpy", "llvmlite")}
    held = {**ours, **(environment.versions(peers_python) if peers_python else {})}
    listed = ", ".join(f"{name} {number}" for name, number in held.items())
    return (
        f"Measured on {cores} cores of {processor()}, {host().name}, {platform.system()}, "
        f"CPython {platform.python_version()}; {listed}.\n"
    )


def tell(line: str) -> None:
    """Say what has been measured, beside the table."""
    print(line, file=sys.stderr, flush=True)


def measure(given: argparse.Namespace) -> list[Figure]:
    """Run what was asked for."""
    from benchmarks.ours import has_many_steps

    allowed = given.peers if given.peers_python else [p for p in given.peers if p == "numpy"]
    groups = plan.groups(given.workload, given.threads, allowed, has_many_steps())
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(given.peers_python, given.seconds, given.rounds, Path(folder))
        if "J1" in given.workload:
            digits(settings.folder / "digits.npz")
        for group in groups:
            work = runner.jobs if group.workload == "J1" else runner.compare
            figures += work(group, settings, tell)
        if "start" in given.workload:
            figures += runner.starts(settings, plan.ONE, bool(given.peers_python))
    return figures


def kept(path: Path | None, figures: list[Figure]) -> list[Figure]:
    """Return the figures with those that a file had of other groups, and write all to the file."""
    if path is None:
        return figures
    before = json.loads(path.read_text()) if path.exists() else []
    new = {(each.workload, each.batch, each.threads) for each in figures}
    old = [Figure(**each) for each in before]
    whole = [e for e in old if (e.workload, e.batch, e.threads) not in new] + figures
    path.write_text(json.dumps([dataclasses.asdict(each) for each in whole], indent=1))
    return whole


def write(path: Path, text: str) -> None:
    """Write the table, in the place of the last where a file marks it."""
    old = path.read_text() if path.exists() else ""
    before, start, rest = old.partition(START)
    _, stop, after = rest.partition(STOP)
    path.write_text(f"{before}{START}\n\n{text}\n{STOP}{after}" if start and stop else text)


def main() -> None:
    """Do what the command line asks."""
    given = arguments()
    if given.make_peers:
        print(f"the peers' Python is {environment.make(given.make_peers)}")
        return
    if not hasattr(os, "killpg"):
        sys.exit("python -m benchmarks gives turns by signals, which this system does not have")
    figures = kept(given.results, measure(given))
    text = f"{machine(given.peers_python)}\n{document(figures, given.threads)}"
    if given.output:
        write(given.output, text)
    print(text)


if __name__ == "__main__":
    main()
