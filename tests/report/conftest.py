"""Two small runs: classes, with names and cells that would be markup; and amounts, in memory."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.data import Table, read_table
from retrograd.recipe.config import configure
from retrograd.recipe.run import Outcome, run
from retrograd.report.page import Report, make_report

HOSTILE = "<script>alert('x')</script>\"&$x_1$"
"""A column's name: markup in HTML, an end of an attribute, mathematics to a careless drawing."""


def columns(rows: int = 300) -> dict[str, list[Any]]:
    draw = np.random.default_rng(0)
    size = draw.normal(10, 2, rows)
    colour = draw.choice(["red", "</svg><b>green", "blue"], rows)
    sold = np.where(size + 2 * (colour == "red") + draw.normal(0, 1, rows) > 10.5, "yes", "<i>no")
    day = np.datetime64("2024-01-01") + draw.integers(0, 300, rows)
    holes = draw.random(rows) < 0.1
    return {
        HOSTILE: [None if hole else float(x) for x, hole in zip(size, holes, strict=True)],
        "colour": colour.tolist(),
        "new": (draw.random(rows) < 0.5).tolist(),
        "day": [str(x) for x in day],
        "sold": sold.tolist(),
    }


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run on classes; tests may read its directory, and write report.html into it."""
    home = tmp_path_factory.mktemp("classes")
    # Parquet: the names are no CSV's business here.
    import polars as pl

    pl.DataFrame(columns()).write_parquet(home / "shop.parquet")
    config = configure(
        source=str(home / "shop.parquet"), target="sold", directory=str(home / "runs"),
        epochs=4, hidden=(8,), batch_size=32, seed=1,
    )  # fmt: skip
    return run(config)


def amounts_table() -> Table:
    draw = np.random.default_rng(1)
    size, age = draw.normal(10, 2, 200), draw.integers(1, 50, 200)
    price = size * 3 - age * 0.1 + draw.normal(0, 1, 200)
    return read_table({"size": size, "age": age.astype(float), "price": price}, name="prices")


@pytest.fixture(scope="session")
def amounts(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    home = tmp_path_factory.mktemp("amounts")
    config = configure(target="price", directory=str(home), epochs=3, hidden=(6,), seed=1)
    return run(config, amounts_table())


@pytest.fixture(scope="session")
def page(classes: Outcome) -> Report:
    return make_report(classes.directory)


@pytest.fixture(scope="session")
def page_of_amounts(amounts: Outcome) -> Report:
    return make_report(amounts.directory, amounts_table())


def section(html: str, place: str) -> str:
    found = re.search(rf'<section id="{place}".*?</section>', html, re.S)
    assert found, place
    return found[0]


def plain(path: Path) -> set[str]:
    return {each.name for each in path.iterdir()}
