"""A NumPy file at work, in a process of its own that sees nothing of retrograd."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from retrograd.data import Table
from retrograd.data.conversions import as_text
from retrograd.export import Answers
from retrograd.tensor.errors import RunError
from retrograd.tensor.types import Array

_TIMING: Final = """
import sys, time
sys.path.insert(0, sys.argv[1])
module = __import__(sys.argv[2])
row = module.read_rows(sys.argv[3])[:1]
times = []
for _ in range(30):
    start = time.perf_counter()
    module.predict(row)
    times.append(time.perf_counter() - start)
print(sorted(times)[15])
"""
_STAGES: Final = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
module = __import__(sys.argv[2])
x = module.features(module.read_rows(sys.argv[3]))
found = {"features": x}
for name, layer in module.LAYERS.items():
    found[name] = x = layer(x)
np.savez(sys.argv[3] + ".npz", **found)
"""


def run(path: Path, rows: Table) -> Answers:
    """Let the file predict rows as a person would: ``python model.py rows.csv``."""
    with tempfile.TemporaryDirectory() as folder:
        table = _write_rows(Path(folder), rows)
        text = _python(path, str(path), str(table))
        seconds = float(_python(path, "-c", _TIMING, str(path.parent), path.stem, str(table)))
    header, *lines = csv.reader(io.StringIO(text))
    if len(header) == 1:
        return Answers(np.array([float(line[0]) for line in lines]), None, seconds)
    chances = np.array([list(map(float, line[1:])) for line in lines])
    return Answers(np.array([line[0] for line in lines]), chances, seconds)


def stages(path: Path, rows: Table) -> dict[str, Array]:
    """Return what the file computes on the way: the features, then what every layer gives."""
    with tempfile.TemporaryDirectory() as folder:
        table = _write_rows(Path(folder), rows)
        _python(path, "-c", _STAGES, str(path.parent), path.stem, str(table))
        with np.load(f"{table}.npz") as found:
            return {name: found[name] for name in found.files}


def _write_rows(folder: Path, rows: Table) -> Path:
    """Write a table as CSV and return the path."""
    columns = []
    for column in rows.columns.values():
        text = as_text(column)
        levels = [*text.levels.tolist(), ""]
        columns.append([levels[code] for code in text.codes.tolist()])
    path = folder / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(rows.columns)
        writer.writerows(zip(*columns, strict=True))
    return path


def _python(path: Path, *arguments: str) -> str:
    """Return what a fresh interpreter prints.  Raises RunError if it fails."""
    flags = ("-I", "-X", "utf8", "-B", "-W", "ignore")
    done = subprocess.run(
        [sys.executable, *flags, *arguments], capture_output=True, check=False, timeout=120
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RunError(
            f"running {path.name!r}", said[-1] if said else "it failed", "report this fault of ours"
        )
    return done.stdout.decode()
