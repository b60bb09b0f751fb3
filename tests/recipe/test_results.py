"""What the sealed part said is kept with the run, as long as its network is the same."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from retrograd.data import Split
from retrograd.recipe.evaluate import evaluate_run, evaluate_validation
from retrograd.recipe.model import load_model, save_model
from retrograd.recipe.results import read_result
from retrograd.recipe.run import Outcome
from retrograd.tensor.errors import DataError
from retrograd.tree import map_leaves


@pytest.fixture
def copy(outcome: Outcome, tmp_path: Path) -> Path:
    return Path(shutil.copytree(outcome.directory, tmp_path / "runs" / "shop-1"))


def test_a_result_is_kept(copy: Path) -> None:
    (copy / "test.json").unlink(missing_ok=True)
    assert read_result(copy) is None
    evaluation = evaluate_run(copy)
    kept = read_result(copy)
    assert kept is not None
    assert kept.items() >= evaluation.to_dict().items()


def test_a_result_of_another_network_is_not_shown(copy: Path) -> None:
    evaluate_run(copy)
    model = load_model(copy / "model.retro")
    other = type(model)(
        map_leaves(lambda x: x * np.float32(2), model.net),
        model.schema, model.preprocessor, model.config,
    )  # fmt: skip
    save_model(copy / "model.retro", other)
    assert read_result(copy) is None


@pytest.mark.parametrize("text", ["", "[1]", "{}", "[" * 100_000])
def test_a_damaged_result_is_not_shown(copy: Path, text: str) -> None:
    (copy / "test.json").write_text(text)
    assert read_result(copy) is None


def test_validation_rows_are_judged_beside_baselines(outcome: Outcome) -> None:
    prepared = outcome.prepared
    found = evaluate_validation(outcome.model, prepared.table, prepared.split)
    assert (found.rows, found.openings) == (24, None)
    assert [c.name for c in found.comparisons] == ["trivial", "linear", "boosted"]
    assert found.estimate.value == pytest.approx(outcome.model.metrics["accuracy"])
    assert "flatters the network" in found.notes[0]


def test_a_run_without_validation_has_none_to_judge(outcome: Outcome) -> None:
    split = outcome.prepared.split
    bare = Split(split.train, split.validation[:0], split.test)
    with pytest.raises(DataError, match="there is no validation part; train with validation=0"):
        evaluate_validation(outcome.model, outcome.prepared.table, bare)
