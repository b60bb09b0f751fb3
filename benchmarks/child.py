"""One contestant's process: it gets ready, says so, and measures each time it is told to.

    python -m benchmarks.child MODULE WORKLOAD --form FORM --threads N

The answers are lines of JSON on standard output: first what getting ready took (seconds of the
first call, the loss of the tenth step, bytes at the peak), then for each line of input one figure,
in seconds a step. The whole job is done at once, and answers with the accuracy.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from typing import Any

from benchmarks.clock import Memory, Run, latency, pin, quietest, throughput


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("workload")
    parser.add_argument("--form", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--digits", default="")
    return parser.parse_args()


def say(**answer: Any) -> None:
    """Write one answer, on a line of its own."""
    print(f"\n{json.dumps(answer)}", flush=True)


def tenth_loss(run: Run, first: Any) -> float:
    """Return the loss of the tenth step, the first call having been made."""
    found, calls = list(run.losses(first)), 1
    while len(found) < 10:
        found += run.losses((run.scored or run.call)(calls))
        calls += 1
    return float(found[9])


def main() -> None:
    """Do what the command line asks."""
    given = arguments()
    pin(given.threads)
    module = importlib.import_module(given.module)
    from benchmarks import workloads

    work = workloads.workload(given.workload, given.batch)
    task = workloads.task(work, given.form, given.threads, given.digits)
    if work.kind == "job":
        say(accuracy=module.job(task))
        return
    memory = Memory()
    start = time.perf_counter()
    run = module.prepare(task)
    ready = time.perf_counter()
    answer = (run.scored or run.call)(0)
    run.wait()
    first = time.perf_counter()
    loss = tenth_loss(run, answer)
    say(prepare=ready - start, first=first - ready, loss=loss)
    measure = latency if work.kind == "infer" else throughput
    for _ in sys.stdin:
        turn = quietest(measure, run, given.seconds)
        say(**turn._asdict(), memory=memory.peak())


if __name__ == "__main__":
    main()
