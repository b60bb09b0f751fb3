"""Run: everything on one object, from training to explanation, from memory and from disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrograd
from retrograd.api.run import Run
from retrograd.recipe.config import configure
from retrograd.recipe.model import Model
from retrograd.tensor.errors import DataError, FileFormatError, InputError


def shop(rows: int = 120) -> dict[str, list[Any]]:
    generator = np.random.default_rng(0)
    size = generator.normal(size=rows)
    colour = generator.choice(["red", "blue"], rows)
    sold = np.where(size + (colour == "red") > 0.3, "yes", "no")
    return {"size": size.tolist(), "colour": colour.tolist(), "sold": sold.tolist()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("runs")
    return retrograd.train(
        shop(),
        "sold",
        epochs=8,
        hidden=(6,),
        batch_size=16,
        learning_rate=0.03,
        directory=str(home),
        name="shop",
    )


def test_history_is_a_dict_of_lists(trained: Run) -> None:
    assert trained.directory.name == "shop-1"
    assert trained.history["epoch"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert len(trained.history["validation_loss"]) == 8
    assert trained.history["loss"][-1] < trained.history["loss"][0]


def test_it_is_written_in_a_line(trained: Run) -> None:
    assert repr(trained.model) == "Model('sold', binary, 38 numbers)"
    assert repr(trained) == f"Run({str(trained.directory)!r}, {trained.model!r})"


def test_predicting(trained: Run) -> None:
    found = trained.predict({"size": 3.0, "colour": "red"})
    assert found.values.tolist() == ["yes"]
    probabilities = trained.predict_proba(shop(10))
    assert probabilities.shape == (10, 2)
    assert np.allclose(probabilities.sum(axis=1), 1)


def test_testing_opens_and_counts(trained: Run) -> None:
    first, second = trained.test(), trained.test()
    assert (second.openings or 0) == (first.openings or 0) + 1
    assert first.comparisons
    assert trained.test(shop(50)).openings is None


def test_explaining_adds_up(trained: Run) -> None:
    for found in (trained.explain(), trained.explain(step=2)):
        assert found.ok
        assert any("colour" in feature.name for feature in found.features)
    second = trained.explain(step=2)
    assert (second.step, second.where) == (2, "batch 2 of 6, epoch 1")
    assert {formula.step for formula in second.formulas} == {2}
    assert second.exact == "exact (replayed, 1 steps)"
    assert "learning rate has run out" in trained.explain().notes[0]
    row = trained.explain(step=2).row
    assert trained.explain(row, step=2).row == row


def test_checking_gradients(trained: Run) -> None:
    report = trained.check(rows=8)
    assert report.ok
    assert report.rows == 8


def test_going_on(tmp_path: Path) -> None:
    run = retrograd.train(shop(), "sold", epochs=1, hidden=(4,), directory=str(tmp_path))
    longer = run.resume(epochs=3)
    assert longer.history["epoch"] == [1, 2, 3]


def test_loading_gives_the_run_or_the_model(trained: Run) -> None:
    loaded = retrograd.load(trained.directory)
    assert isinstance(loaded, Run)
    assert loaded.history == trained.history
    model = retrograd.load(trained.directory / "model.retro")
    assert isinstance(model, Model)
    assert np.array_equal(model.predict(shop()).values, trained.predict(shop()).values)
    with pytest.raises(InputError, match="the table was given in memory"):
        loaded.explain()
    again = Run(loaded.directory, loaded.model, trained.table)
    assert again.explain().ok


def test_loading_what_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(FileFormatError, match="No such file"):
            retrograd.load(path)


def test_amounts_have_no_probabilities(tmp_path: Path) -> None:
    table = shop()
    run = retrograd.train(table, "size", epochs=1, hidden=(4,), directory=str(tmp_path))
    with pytest.raises(InputError, match="predict_proba: 'size' is an amount; use predict"):
        run.predict_proba(table)


@pytest.mark.parametrize("kind", ["dict", "pair", "polars", "pandas", "csv", "path"])
def test_tables_of_every_kind(tmp_path: Path, kind: str) -> None:
    table = shop()
    sources: dict[str, Any] = {"dict": table}
    if kind == "pair":
        sources["pair"] = (np.array(table["size"])[:, None], table["sold"])
    elif kind != "dict":
        import pandas
        import polars

        path = tmp_path / "shop.csv"
        polars.DataFrame(table).write_csv(path)
        sources |= {"polars": polars.DataFrame(table), "pandas": pandas.DataFrame(table)}
        sources |= {"csv": str(path), "path": path}
    target = None if kind == "pair" else "sold"
    options: dict[str, Any] = {"epochs": 1, "hidden": (4,), "directory": str(tmp_path / "runs")}
    run = retrograd.train(sources[kind], target, **options)
    assert run.model.schema.classes == ("no", "yes")
    if kind in ("csv", "path"):
        assert run.directory.name == "shop-1"
        loaded = retrograd.load(run.directory)
        assert isinstance(loaded, Run)
        assert loaded.explain().ok


def test_options_and_config_together(tmp_path: Path) -> None:
    config = configure(epochs=2, hidden=(5,), directory=str(tmp_path))
    run = retrograd.train(shop(), "sold", config=config, epochs=1)
    assert run.history["epoch"] == [1]
    assert run.model.config.network.hidden == (5,)


def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    for source, target, options, message in [
        (shop(), "sould", {}, "no column is called 'sould'"),
        (shop(), "sold", {"epoch": 3}, "did you mean 'epochs'"),
        (shop(), "sold", {"hidden": "big"}, "Expected `array | null`"),
        (shop(), "sold", {"loss": "huber"}, "it is a loss for amounts"),
        (shop(), "sold", {"hidden": (999_999, 999_999)}, "this machine has"),
        (shop(), "sold", {"name": "../up"}, "it is not a plain file name"),
        ("absent.csv", None, {}, "absent.csv"),
    ]:
        with pytest.raises((InputError, DataError)) as error:
            retrograd.train(source, target, directory=str(home), **options)
        assert message in str(error.value)
        assert not home.exists()
