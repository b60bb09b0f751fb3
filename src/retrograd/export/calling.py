"""A program of its own that calls a native library: a wrong one ends this process, not its maker.

``python calling.py job.json`` reads what to call; it needs NumPy and nothing of retrograd.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_KINDS = {"number": ctypes.c_double, "text": ctypes.c_char_p, "moment": ctypes.c_int64}
_TURNS = 200


def main(job: dict[str, Any]) -> None:
    """Call a function of a library for rows, write its outputs, and say how long one row takes."""
    library = ctypes.CDLL(job["library"])
    function = getattr(library, job["function"])
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
    function.restype = ctypes.c_int32
    given: Any = np.load(job["features"]) if "features" in job else _rows(job)
    count = len(given)
    address = given.ctypes.data if "features" in job else ctypes.addressof(given)
    outputs = np.full((count, job["width"]), np.nan, np.float32)
    if job["function"].endswith("_features"):
        _features(function, given, outputs)
        np.save(job["outputs"], outputs)
        sys.stdout.write(json.dumps({"seconds": 0.0}))
        return
    scratch = np.zeros(job["scratch"], np.uint8)
    places = (outputs.ctypes.data, scratch.ctypes.data)
    answer = function(address, count, *places)
    if answer:
        sys.exit(f"{job['function']} answers {answer}")
    np.save(job["outputs"], outputs)
    sys.stdout.write(json.dumps({"seconds": _seconds(function, address, *places)}))


def _rows(job: dict[str, Any]) -> Any:
    """Return rows as an array of the library's own records."""
    kinds = job["fields"]
    fields = [(f"field{i}", _KINDS[kind]) for i, kind in enumerate(kinds)]
    record: Any = type("Row", (ctypes.Structure,), {"_fields_": fields})
    cells = zip(*job["columns"], strict=True)
    return (record * len(job["columns"][0]))(*(record(*map(_cell, row)) for row in cells))


def _features(function: Any, rows: Any, outputs: Any) -> None:
    """Write the features of rows, one after the other."""
    function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_void_p], None
    for row, features in zip(rows, outputs, strict=True):
        function(ctypes.addressof(row), features.ctypes.data)


def _cell(value: object) -> object:
    return value.encode() if isinstance(value, str) else value


def _seconds(function: Any, inputs: int, outputs: int, scratch: int) -> float:
    """Return the least time that one row takes, without what the call from Python does."""
    best = []
    for rows in (1, 0):
        times = []
        for _ in range(_TURNS):
            start = time.perf_counter()
            function(inputs, rows, outputs, scratch)
            times.append(time.perf_counter() - start)
        best.append(min(times))
    return max(best[0] - best[1], 0.0)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
