"""Runs that start from a network that is there already."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.export.foreign import sklearn_net
from tests.recipe.conftest import OPTIONS, columns, write_csv

from retrograd import nn
from retrograd.cli.main import main
from retrograd.export.onnx_import import import_onnx
from retrograd.recipe.config import configure
from retrograd.recipe.model import load_model, save_model
from retrograd.recipe.prepare import prepare
from retrograd.recipe.run import Outcome, reopen, resume, run
from retrograd.recipe.training import Part, make_job
from retrograd.tensor.errors import DataError, FileFormatError, InputError
from retrograd.tree import leaves

START: dict[str, Any] = {"epochs": 2, "seed": OPTIONS["seed"], "target": "sold"}


def begin(outcome: Outcome, home: Path, **options: Any) -> Outcome:
    source = outcome.prepared.config.data.source
    given = {"source": source, "init": str(outcome.directory), "directory": str(home)}
    return run(configure(**{**START, **given, **options}))


def test_a_run_goes_on_from_another(outcome: Outcome, tmp_path: Path) -> None:
    after = begin(outcome, tmp_path)
    before = leaves(outcome.model.net)
    first = leaves(after.prepared.job.net)
    assert {name: x.numpy().tobytes() for name, x in first.items()} == {
        name: x.numpy().tobytes() for name, x in before.items()
    }
    assert after.model.preprocessor == outcome.model.preprocessor
    network = after.model.config.network
    assert (network.hidden, network.activation) == ((8,), "relu")
    assert network.init == str(outcome.directory / "model.retro")
    assert any(
        not np.array_equal(x.numpy(), before[name].numpy())
        for name, x in leaves(after.model.net).items()
    )
    again = begin(outcome, tmp_path)
    assert list(again.model.predict(columns(20, 5))) == list(after.model.predict(columns(20, 5)))


def test_such_a_run_is_opened_and_resumed(outcome: Outcome, tmp_path: Path) -> None:
    after = begin(outcome, tmp_path)
    reopened = reopen(after.directory)
    assert reopened.preprocessor == after.model.preprocessor
    assert resume(after.directory, epochs=3).stopped.epoch == 3


def test_the_file_must_stay_what_it_was(outcome: Outcome, tmp_path: Path) -> None:
    save_model(tmp_path / "m.retro", outcome.model)
    after = begin(outcome, tmp_path, init=str(tmp_path / "m.retro"))
    save_model(tmp_path / "m.retro", dataclasses.replace(outcome.model, data_digest="other"))
    with pytest.raises(DataError, match="it is not the file that it was when the run began; bri"):
        reopen(after.directory)


def test_new_rows_of_the_same_columns_may_be_parted_anew(outcome: Outcome, tmp_path: Path) -> None:
    write_csv(tmp_path / "new.csv", columns(90, seed=4) | {"extra": list(range(90))})
    after = begin(outcome, tmp_path, source=str(tmp_path / "new.csv"), seed=8)
    kinds = {column.name: column.reason for column in after.prepared.schema.columns}
    assert kinds["size"] == "the model reads it so"
    assert "extra" in after.model.preprocessor.unused


REFUSED: dict[str, dict[str, Any]] = {
    "its layers are made, and hidden is given; leave hidden out": {"hidden": (4,)},
    "it was trained on this table with other parts, so it knows rows of": {"seed": 99},
    "it predicts no, yes, and 'colour' holds blue, green, red; train a": {"target": "colour"},
    "it predicts no, yes, and 'price' holds amounts; train a new": {"target": "price"},
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_does_not_fit_is_refused(words: str, outcome: Outcome, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        begin(outcome, tmp_path, **REFUSED[words])
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_a_column_is_refused(outcome: Outcome, tmp_path: Path) -> None:
    table = columns(90, seed=4)
    del table["size"]
    write_csv(tmp_path / "new.csv", table)
    with pytest.raises(DataError, match="it reads the column 'size'; give a table that has it"):
        begin(outcome, tmp_path, source=str(tmp_path / "new.csv"))


def test_what_is_no_model_is_refused(outcome: Outcome, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"starting from .*: No such file"):
        begin(outcome, tmp_path, init=str(tmp_path / "nothing"))


def test_arrays_have_no_columns_to_know() -> None:
    part = Part(np.zeros((8, 2), np.float32), np.zeros(8, np.int64))
    with pytest.raises(InputError, match="a model knows columns by their names, and arrays have n"):
        make_job(configure(init="x"), 2, part, None)


def test_an_imported_network_is_trained_further(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sklearn_net(tmp_path / "s.onnx", ["no", "yes"], is_two=True)
    imported = import_onnx(path, columns=list("abcde")).model
    save_model(tmp_path / "net.retro", imported)
    draw = np.random.default_rng(0)
    cells = draw.normal(size=(120, 5))
    lines = ["a,b,c,d,e,bought"]
    lines += [f"{','.join(map(str, row))},{'yes' if row[0] > 0 else 'no'}" for row in cells]
    (tmp_path / "shop.csv").write_text("\n".join(lines) + "\n")
    arguments = ["--init", str(tmp_path / "net.retro"), "--epochs", "3", "--runs"]
    assert main(["train", str(tmp_path / "shop.csv"), *arguments, str(tmp_path / "runs")]) == 0
    assert "5 → 4 → 2, relu" in capsys.readouterr().err
    model = load_model(tmp_path / "runs" / "shop-1" / "model.retro")
    kinds = [type(layer) for layer in model.net.layers if layer is not nn.relu]
    assert kinds == [nn.Linear, nn.Linear, nn.Temperature]
    assert model.schema.target == "bought"
    start = prepare(configure(**START | {"target": "bought", "source": str(tmp_path / "shop.csv"),
                                         "init": str(tmp_path / "net.retro")}))  # fmt: skip
    assert start.job.net.layers[0].weight.shape == (5, 4)
