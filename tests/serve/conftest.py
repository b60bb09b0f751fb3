"""Two networks on small tables, and one server for all tests that end none."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.serve.running import Running, running

from retrograd.api.front import train
from retrograd.recipe.model import Model, load_model

Table = dict[str, list[object]]


def shop_table() -> Table:
    """Return 240 customers: numbers with gaps, a category, a boolean, a date, and who bought."""
    draw = np.random.default_rng(0)
    ages = draw.integers(18, 80, 240).tolist()
    return {
        "age": [None if i % 17 == 0 else age for i, age in enumerate(ages)],
        "income": draw.normal(3000, 800, 240).round(2).tolist(),
        "city": [["Bern", "Basel", "Genf"][i % 3] for i in range(240)],
        "member": draw.choice(["yes", "no"], 240).tolist(),
        "joined": [str(np.datetime64("2023-01-05") + 3 * i) for i in range(240)],
        "bought": ["yes" if age > 45 + 9 * (i % 3) else "no" for i, age in enumerate(ages)],
    }


@pytest.fixture(scope="session")
def table() -> Table:
    return shop_table()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, table: Table) -> Path:
    """A folder with shop.retro, which predicts `bought`, and price.retro, which predicts income."""
    folder = tmp_path_factory.mktemp("models")
    runs = str(folder / "runs")
    options = {"epochs": 3, "hidden": (6,), "seed": 3, "directory": runs}
    shop = train(table, "bought", **options)
    price = train({k: v for k, v in table.items() if k != "bought"}, "income", **options)
    (folder / "shop.retro").write_bytes((shop.directory / "model.retro").read_bytes())
    (folder / "price.retro").write_bytes((price.directory / "model.retro").read_bytes())
    return folder


@pytest.fixture(scope="session")
def shop(models: Path) -> Model:
    return load_model(models / "shop.retro")


@pytest.fixture(scope="session")
def price(models: Path) -> Model:
    return load_model(models / "price.retro")


@pytest.fixture(scope="session")
def server(models: Path) -> Iterator[Running]:
    """A server of both models, with small limits."""
    limits = ["--max-body", "200000", "--max-rows", "1000", "--timeout", "1.5"]
    with running(models, "shop.retro", "price.retro", *limits) as found:
        yield found
