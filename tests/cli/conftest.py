"""One small table, and one run trained on it, for every test of the verbs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrograd.cli.main import main

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def shop() -> str:
    """Return a CSV of 240 customers: a number with gaps, a category, a boolean, and who bought."""
    draw = np.random.default_rng(0)
    rows = []
    for i in range(240):
        age, income, city = (
            draw.integers(18, 80),
            draw.normal(3000, 800),
            ["Bern", "Basel", "Genf"][i % 3],
        )
        bought = age / 80 + income / 6000 + (city == "Bern") * 0.3 + draw.normal(0, 0.2) > 1.25
        member = "yes" if draw.random() < 0.5 else "no"
        rows.append(
            f"{'' if i % 17 == 0 else age},{income:.2f},{city},{member},{'yes' if bought else 'no'}"
        )
    return "\n".join(["age,income,city,member,bought", *rows]) + "\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shop.csv and the finished run runs/shop-1; the tests of a module share it."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.csv").write_text(shop())
    arguments = ["--epochs", "4", "--hidden", "6", "--seed", "3", "--quiet"]
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["train", "shop.csv", "bought", *arguments]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Run the command as a process of its own, in a folder with shop.csv, and wait for its end."""
    (tmp_path / "shop.csv").write_text(shop())

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "retrograd", *arguments],
            capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
            env=os.environ | environment,
        )  # fmt: skip

    return run
