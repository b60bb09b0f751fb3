"""Configs: every option round-trips through TOML, and whatever is wrong is said with its place."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.recipe.config import (
    Config,
    DataConfig,
    NetworkConfig,
    OptimizationConfig,
    StoppingConfig,
    configure,
    option_homes,
    seconds,
)
from retrograd.recipe.toml import parse_config, read_config, to_toml
from retrograd.tensor.errors import InputError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
rates = st.floats(0, 0.99)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


configs = st.builds(
    Config,
    seed=st.integers(0, 2**63 - 1),
    directory=texts,
    name=maybe(texts),
    data=st.builds(
        DataConfig,
        source=maybe(texts),
        target=maybe(texts),
        task=maybe(st.sampled_from(["binary", "multiclass", "regression"])),
        kinds=st.dictionaries(texts, texts, max_size=3),
        validation=st.floats(0, 0.49),
        test=st.floats(0, 0.49),
        stratify=st.booleans(),
    ),
    network=st.builds(
        NetworkConfig,
        hidden=maybe(st.lists(st.integers(1, 999), max_size=4).map(tuple)),
        activation=maybe(st.sampled_from(["relu", "silu", "gelu_tanh"])),
        dropout=maybe(rates),
        normalization=maybe(st.sampled_from(["none", "batch", "layer"])),
    ),
    optimization=st.builds(
        OptimizationConfig,
        optimizer=maybe(st.sampled_from(["sgd", "adamw", "muon"])),
        learning_rate=maybe(st.floats(1e-12, 1e3)),
        weight_decay=maybe(st.floats(0, 10)),
        batch_size=maybe(st.integers(1, 4096)),
        ema=maybe(rates),
        label_smoothing=rates,
        class_weights=st.sampled_from(["none", "balanced"]),
    ),
    stopping=st.builds(
        StoppingConfig,
        epochs=maybe(st.integers(1, 10**6)),
        time=maybe(st.sampled_from(["90s", "5m", "1.5h", "7"])),
        until=maybe(st.sampled_from(["loss<0.1", "accuracy >= 0.9"])),
        tolerance=maybe(st.floats(0, 1)),
    ),
)


@given(configs)
def test_what_is_written_is_read(config: Config) -> None:
    assert parse_config(to_toml(config)) == config


def test_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(to_toml(Config(seed=3)), encoding="utf-8")
    assert read_config(path) == Config(seed=3)


def test_every_option_has_one_home() -> None:
    homes = option_homes()
    assert homes["learning_rate"] == "optimization"
    assert homes["seed"] == ""
    fields = sum(len(vars(part)) for part in vars(Config()).values() if hasattr(part, "__dict__"))
    assert len(homes) == fields + 3, "two parts of a config share the name of an option"


def test_numpys_numbers_are_numbers() -> None:
    found = configure(
        epochs=np.int64(3), learning_rate=np.float32(0.5), hidden=(np.int64(8), 4), seed=np.uint8(1)
    )
    assert found == configure(epochs=3, learning_rate=0.5, hidden=(8, 4), seed=1)
    assert configure(hidden=np.array([8, 4])) == configure(hidden=(8, 4))


def test_options_go_over_a_config() -> None:
    config = configure(configure(epochs=5, seed=1), hidden=[4], dropout=0.5, seed=2)
    assert (config.seed, config.stopping.epochs, config.network.hidden) == (2, 5, (4,))
    assert configure(config, hidden=None).network.hidden is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network]\nhiden = [1]", "network.hiden: there is no such key; did you mean 'hidden'?"),
        ("[network]\nhidden = [1, 'a']", "network.hidden[1]: Expected `int`, got `str`"),
        ("[data]\nvalidation = 1.5", "data.validation=1.5: it is out of range"),
        ("[data]\nvalidation = 0.6\ntest = 0.6", "they leave no rows to train on"),
        ("[optimization]\noptimizer = 'adm'", "use one of sgd, momentum"),
        ("[optimization]\nlearning_rate = 0", "no weight would ever move"),
        ("[optimization]\nclip = nan", "optimization.clip=nan: it is out of range"),
        (
            "[network]\nhidden = [8, 0]",
            "network.hidden=0: it is out of range; give",
        ),
        ("[optimization]\nbatch_size = 0", "batch_size=0: it is out of range"),
        ("[stopping]\nepochs = 0", "stopping.epochs=0: it is out of range; give a number at least"),
        ("[stopping]\nepochs = true", "stopping.epochs: Expected `int"),
        ("[stopping]\ntime = 'soon'", "it is not a length of time; write"),
        ("[stopping]\nuntil = 'loss'", "it is not a condition on a metric; write"),
        ("seed = -1", "seed=-1: it is out of range"),
        ("data = 1", "data: Expected `object`, got `int`"),
        ("zzz = 1", "zzz: there is no such key; use one of seed, directory"),
        ("a =", "it is not TOML"),
        ("a = " + "[" * 100_000, "it is not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_config(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "long.toml").write_bytes(b"#" * 1_000_002)
    for name, message in [
        ("absent.toml", "No such file"),
        ("binary.toml", "it is not TOML"),
        ("long.toml", "it is longer than 1000000 bytes"),
        (".", "it is not a file"),
    ]:
        with pytest.raises(InputError) as error:
            read_config(tmp_path / name)
        assert message in str(error.value)


def test_options_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError) as error:
        configure(learning_rat=0.1)
    assert "did you mean 'learning_rate'?" in str(error.value)
    with pytest.raises(InputError) as error:
        configure(qqq=0.1)
    assert "use one of accumulate, activation" in str(error.value)


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("5m", 300), ("1.5h", 5400), ("7", 7)])
def test_lengths_of_time(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5 minutes", "0s", "-3m", "1e3s"])
def test_other_texts_are_no_length_of_time(text: str) -> None:
    with pytest.raises(InputError, match="it is not a length of time"):
        seconds(text)
