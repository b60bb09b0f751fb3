"""A model as a directory of model hubs: the same predictions, and one sentence for every fault."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from retrograd.data import Table
from retrograd.recipe.card import card_of, front_matter, to_markdown
from retrograd.recipe.hub_folder import load_folder, write_folder
from retrograd.recipe.model import Model, pack
from retrograd.recipe.run import Outcome
from retrograd.tensor.errors import FileFormatError, InputError, RunError


@pytest.fixture
def folder(outcome: Outcome, tmp_path: Path) -> Path:
    return write_folder(tmp_path / "shop", outcome.model)[0].parent


def test_a_folder_holds_three_files(folder: Path, outcome: Outcome) -> None:
    assert sorted(os.listdir(folder)) == ["README.md", "config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == pack(outcome.model)
    config = json.loads((folder / "config.json").read_text())
    assert (config["library_name"], config["target"]) == ("retrograd", "sold")
    assert config["columns"]["colour"] == "category"


def test_a_folder_predicts_the_same(folder: Path, outcome: Outcome, table: Table) -> None:
    found = load_folder(folder).predict(table)
    wanted = outcome.model.predict(table)
    assert found.probabilities is not None
    assert np.array_equal(found.probabilities, wanted.probabilities)


def test_other_programs_read_the_weights(folder: Path, outcome: Outcome) -> None:
    from safetensors.numpy import load_file

    weight = load_file(folder / "model.safetensors")["layers.0.weight"]
    assert np.array_equal(weight, outcome.model.net.layers[0].weight.numpy())


def test_config_is_not_needed_but_must_fit(folder: Path) -> None:
    config = folder / "config.json"
    record = json.loads(config.read_text())
    record["weights"]["sha256"] = "0" * 64
    config.write_text(json.dumps(record))
    with pytest.raises(FileFormatError, match=r"is of other weights than its model.safetensors"):
        load_folder(folder)
    for text in ("", "[]", "[" * 100_000, '{"weights": 3}'):
        config.write_text(text)
        with pytest.raises(FileFormatError, match="does not say which weights it is of; write"):
            load_folder(folder)
    config.unlink()
    assert isinstance(load_folder(folder), Model)


def test_damaged_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(FileFormatError, match=r"reading the model in .*so it is damaged"):
        load_folder(folder)


def test_nothing_of_others_is_replaced(outcome: Outcome, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match="it holds other things; give an empty or a new directory"):
        write_folder(tmp_path, outcome.model)
    with pytest.raises(InputError, match="it is a file; give the name of a directory"):
        write_folder(tmp_path / "README.md", outcome.model)
    with pytest.raises(RunError, match=r"making the directory .*No such file"):
        write_folder(tmp_path / "absent" / "shop", outcome.model)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_folder_may_be_written_anew(folder: Path, outcome: Outcome) -> None:
    before = (folder / "README.md").read_bytes()
    write_folder(folder, outcome.model)
    assert (folder / "README.md").read_bytes() == before


def test_the_card_says_what_it_knows(outcome: Outcome) -> None:
    card = card_of(outcome.model, "2026-01-02")
    accuracy = next(m for m in card.measures if m.name == "accuracy")
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low < accuracy.value < accuracy.high
    assert card.layers[0].output == f"n × {len(outcome.model.preprocessor.feature_names)}"
    assert (card.layers[-1].output, card.made) == ("n × 2", "2026-01-02")
    assert sum(layer.numbers for layer in card.layers) == card.parameters
    assert any("flatter it a little" in sentence for sentence in card.limits)
    assert json.loads(json.dumps(card.to_dict()))["parts"]["train"] == 112


def test_front_matter_is_yaml_that_hubs_read(outcome: Outcome) -> None:
    yaml = pytest.importorskip("yaml")
    text = front_matter(card_of(outcome.model))
    assert text.startswith("---\n")
    found = yaml.safe_load(text.split("---\n")[1])
    assert found["library_name"] == "retrograd"
    assert found["pipeline_tag"] == "tabular-classification"
    result = found["model-index"][0]["results"][0]
    assert "accuracy" in {metric["type"] for metric in result["metrics"]}


def test_names_stay_text_in_markdown(outcome: Outcome) -> None:
    from dataclasses import replace

    card = replace(card_of(outcome.model), target="a|b\n# <b>*x*", unused=("<script>",))
    text = to_markdown(card)
    assert text.startswith("# Predicts a\\|b \\# \\<b>\\*x\\*\n")
    assert "\n| columns not used | \\<script> |\n" in text
