"""A study so small that its trials take a moment, and one that came to its end, for all to read."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from retrograd.api.tuning import tune
from retrograd.tune.finish import Result

QUICK: dict[str, Any] = {
    "epochs": 3, "hidden": (4,), "optimizer": "adamw", "activation": "relu", "members": 1,
    "normalization": "none", "batch_size": 32, "schedule": "constant", "pieces": 0, "dropout": 0.0,
    "validation": 0.4, "label_smoothing": 0.0,
}  # fmt: skip
"""Fixes all but the learning rate and the weight decay."""


class Done(NamedTuple):
    """A finished study, where it lies, and what it told."""

    result: Result
    folder: Path
    heard: list[Any]


def study_in(folder: Path, **settings: Any) -> Done:
    heard: list[Any] = []
    settings = {"trials": 5, "repeats": 2, **QUICK, **settings}
    result = tune(
        "iris", studies=str(folder / "studies"), directory=str(folder / "runs"),
        listen=heard.append, **settings,
    )  # fmt: skip
    return Done(result, folder, heard)


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return study_in(tmp_path_factory.mktemp("tuning"))
