"""The machine's peak: multiplications and additions a second of a loop that stays in registers."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.clock import Run
from benchmarks.workloads import Task
from retrograd.compile.modules import module
from retrograd.compile.native import host, load
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import Value, vector

SUMS, TURNS = 12, 500_000  # sums enough to hide an instruction's latency, few enough for registers


def flops(lanes: int) -> int:
    """Return what one call on one thread computes."""
    return 2 * lanes * SUMS * TURNS


def written(target: Target) -> str:
    """Return ``peak(ptr)``: sums x <- a x + b, many turns, stored once."""
    text = Text("peak", [Value("ptr", "%out")])
    kind = vector("float", target.lanes)
    a, b = text.constant(kind, 0.999), text.constant(kind, 0.001)
    firsts = [text.constant(kind, 1.0 + i) for i in range(SUMS)]

    def body(i: Value, *sums: Value) -> Sequence[Value]:
        if target.fused:
            return [text.fma(x, a, b) for x in sums]
        return [text.binary("fadd", text.binary("fmul", x, a), b) for x in sums]

    for i, x in enumerate(text.loop(0, TURNS, 1, body, firsts)):
        text.store(x, text.address(Value("ptr", "%out"), 4 * target.lanes * i), 4)
    return module([text], target)


def prepare(task: Task) -> Run:
    """Return the loop, on every thread at once."""
    target = host()
    library = load(written(target), target)
    peak = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("peak"))
    outs = [np.zeros(SUMS * target.lanes, np.float32) for _ in range(task.threads)]
    pool = ThreadPoolExecutor(task.threads)
    work = task.threads * flops(target.lanes)

    def call(i: int) -> Any:
        if task.threads == 1:
            peak(outs[0].ctypes.data)
        else:
            list(pool.map(lambda out: peak(out.ctypes.data), outs))
        return library

    # Seconds a "step" of 1e9 operations, so that its inverse is the peak in GFLOP/s.
    return Run(call, lambda kept: [1.0], work / 1e9)
