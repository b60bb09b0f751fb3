"""From a CSV of 1 million rows and 20 columns to features: seconds of each step.

Run: python benchmarks/encode_table.py [rows]

The file is that of `read_csv.py`.  Seconds are the clock's, and in brackets the processor's, which
tell how much a busy machine took away.  `texts` is a file whose amounts and dates are written as
people write them (1.234,50 €, 31.12.2020 16:05), nearly every one different.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from read_csv import write

from retrograd.data import (
    fit_preprocessor,
    infer_schema,
    read_table,
    split_table,
)

Made = TypeVar("Made")


def measured(name: str, step: Callable[[], Made]) -> Made:
    """Print how long a step takes, and return what it makes."""
    clock, processor = time.perf_counter(), time.process_time()
    made = step()
    seconds, own = time.perf_counter() - clock, time.process_time() - processor
    print(f"{name:10} {seconds:6.2f} s   ({own:.2f} s)")
    return made


def write_texts(path: Path, rows: int) -> None:
    """Write a file of amounts and moments as people in Germany write them."""
    generator = np.random.default_rng(0)
    cents = generator.integers(0, 10**9, rows)
    moments = np.datetime64("2010-01-01") + generator.integers(0, 5 * 10**6, rows).astype(
        "timedelta64[m]"
    )
    with path.open("w", encoding="utf-8") as file:
        file.write("price;when;sold\n")
        for cent, moment in zip(cents.tolist(), moments.astype(str).tolist(), strict=True):
            whole = f"{cent // 100:,}".replace(",", ".")
            day, _, hour = moment.partition("T")
            year, month, date = day.split("-")
            when = f"{date}.{month}.{year} {hour[:5]}"
            file.write(f"{whole},{cent % 100:02} €;{when};{'yes' if cent % 3 else 'no'}\n")


def main() -> None:
    """Write the files, and measure every step from text to features."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        file, small, texts = (Path(folder, name) for name in ("a.csv", "small.csv", "texts.csv"))
        write(file, rows)
        write(small, 1000)
        write_texts(texts, rows // 5)
        read_table(small)  # whatever is imported or set up at first use
        start = time.perf_counter()
        table = measured("read", lambda: read_table(file))
        schema = measured("infer", lambda: infer_schema(table, "column_0"))
        split = measured("split", lambda: split_table(table, schema, seed=0))
        preprocessor = measured("fit", lambda: fit_preprocessor(table, schema, split.train))
        features = measured("transform", lambda: preprocessor.transform(table))
        total = time.perf_counter() - start
        print(f"{rows:,} rows, 20 columns, {features.shape[1]} features: {total:.2f} s")
        measured("texts", lambda: read_table(texts))
        print(f"{rows // 5:,} rows of amounts and dates as people write them")


if __name__ == "__main__":
    main()
