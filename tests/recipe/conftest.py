"""A small table with every kind of column, and one trained run on it, shared by the tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.data import Table, read_table
from retrograd.recipe.config import configure
from retrograd.recipe.run import Outcome, run

ROWS = 160
OPTIONS: dict[str, Any] = {"epochs": 6, "hidden": (8,), "batch_size": 16, "seed": 1}


def columns(rows: int = ROWS, seed: int = 0) -> dict[str, list[Any]]:
    generator = np.random.default_rng(seed)
    size = generator.normal(10, 2, rows)
    colour = generator.choice(["red", "green", "blue"], rows)
    day = np.datetime64("2024-01-01") + generator.integers(0, 300, rows)
    sold = np.where(size + 2 * (colour == "red") > 10.5, "yes", "no")
    holes = generator.random(rows) < 0.1
    return {
        "size": [None if hole else float(x) for x, hole in zip(size, holes, strict=True)],
        "colour": colour.tolist(),
        "new": (generator.random(rows) < 0.5).tolist(),
        "day": [str(x) for x in day],
        "price": (size * 3 + generator.normal(0, 1, rows)).tolist(),
        "sold": sold.tolist(),
    }


def write_csv(path: Path, table: dict[str, list[Any]]) -> None:
    lines = [",".join(table)]
    lines += [
        ",".join("" if cell is None else str(cell) for cell in row)
        for row in zip(*table.values(), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def table() -> Table:
    return read_table(columns())


@pytest.fixture(scope="session")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run on a CSV file; tests may read its directory and must not write into it."""
    home = tmp_path_factory.mktemp("shared")
    write_csv(home / "shop.csv", columns())
    config = configure(
        source=str(home / "shop.csv"), target="sold", directory=str(home / "runs"), **OPTIONS
    )
    return run(config)
