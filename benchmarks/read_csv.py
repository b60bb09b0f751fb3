"""Reading a CSV of 1 million rows and 20 columns: seconds, and peak memory as a ratio.

Run: python benchmarks/read_csv.py [rows]

Each reader runs in a process of its own, after its imports, on the same file: 12 columns of numbers
(three of them whole, two with missing cells), 7 of categories, and one of dates.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np

READERS = {
    "retrograd": "from retrograd.data import read_table as read\nimport polars, csv, sklearn",
    "polars": "import polars\nread = polars.read_csv",
    "pandas": "import pandas\nread = pandas.read_csv",
}
CHILD = """
import json, sys, time
from pathlib import Path
{imports}

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

read(sys.argv[2])  # a small file: whatever is imported or set up at first use
before = peak()
start = time.perf_counter()
table = read(sys.argv[1])
seconds = time.perf_counter() - start
columns = getattr(table, "memory", None)
print(json.dumps([seconds, peak() - before, columns if isinstance(columns, int) else None]))
"""


def write(path: Path, rows: int) -> None:
    """Write the file, a hundred thousand rows at a time."""
    generator = np.random.default_rng(0)
    words = np.array([f"category {i}" for i in range(40)])
    with path.open("w") as file:
        file.write(",".join(f"column_{i}" for i in range(20)) + "\n")
        for start in range(0, rows, 100_000):
            size = min(100_000, rows - start)
            columns = [generator.standard_normal(size).round(6).astype(str) for _ in range(9)]
            columns += [generator.integers(0, 10_000, size).astype(str) for _ in range(3)]
            for column in columns[:2]:
                column[generator.random(size) < 0.05] = ""
            columns += [words[generator.integers(0, 5 + 5 * i, size)] for i in range(7)]
            days = generator.integers(0, 2000, size) + np.datetime64("2019-01-01")
            columns.append(days.astype(str))
            file.write("\n".join(map(",".join, zip(*columns, strict=True))) + "\n")


def measure(reader: str, large: Path, small: Path) -> tuple[float, int, int | None]:
    """Return seconds, bytes of memory at the peak above the start, and bytes of the columns."""
    child = textwrap.dedent(CHILD).format(imports=READERS[reader])
    command = [sys.executable, "-c", child, str(large), str(small)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, memory, columns = json.loads(answer)
    return seconds, memory, columns


def main() -> None:
    """Write the files, read them with each reader, print a line for each."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder, "large.csv"), Path(folder, "small.csv")
        write(large, rows)
        write(small, 1000)
        print(f"{rows:,} rows, 20 columns, {large.stat().st_size / 1e6:.0f} MB of CSV")
        columns = 1
        for reader in READERS:
            seconds, memory, size = measure(reader, large, small)
            columns = size or columns
            print(
                f"{reader:10} {seconds:6.2f} s   peak {memory / 1e6:6.0f} MB = "
                f"{memory / columns:.2f} x the columns ({columns / 1e6:.0f} MB)"
            )


if __name__ == "__main__":
    main()
