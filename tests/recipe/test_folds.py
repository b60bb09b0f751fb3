"""Cross-validation: each row is judged by the one network that had not seen it."""

from pathlib import Path

import numpy as np
import pytest
from tests.recipe.conftest import OPTIONS, columns, write_csv

from retrograd.cli.main import main
from retrograd.data import read_table
from retrograd.recipe.config import configure
from retrograd.recipe.evaluate import evaluate_run
from retrograd.recipe.folds import evaluate_folds, fold_configs
from retrograd.recipe.intervals import wilson
from retrograd.recipe.ledger import count_openings
from retrograd.recipe.run import read_split, run
from retrograd.tensor.errors import InputError

FEW = {**OPTIONS, "epochs": 3, "members": 1, "pieces": 0}


def test_every_row_is_judged_once_by_a_network_that_had_not_seen_it(tmp_path: Path) -> None:
    table = read_table(columns())
    config = configure(target="sold", directory=str(tmp_path), folds=2, **FEW)
    outcomes = [run(each, table) for each in fold_configs(config)]
    homes = [outcome.directory for outcome in outcomes]
    found = evaluate_folds(homes, table)
    sold, right = np.array(columns()["sold"]), np.zeros(160, dtype=bool)
    for outcome in outcomes:
        test = read_split(outcome.directory)[0].test
        right[test] = outcome.model.predict(table.take(test)).values == sold[test]
    assert (found.rows, found.openings) == (160, 1)
    assert found.estimate.value == pytest.approx(right.mean())
    narrow = wilson(int(right.sum()), 160)
    factor = np.sqrt(1 + 2 / 1)
    assert found.estimate.low == pytest.approx(narrow.value - factor * (narrow.value - narrow.low))
    assert [c.name for c in found.comparisons] == ["trivial", "linear", "boosted"]
    assert any("accuracy of each fold: 0." in note for note in found.notes)
    assert any("a network trained on 50 % of the rows" in note for note in found.notes)
    digest = read_split(homes[0])[1]["test_digest"]
    assert count_openings(tmp_path / "ledger.jsonl", digest) == 1
    alone = evaluate_run(homes[0], table)
    assert alone.openings == 2
    with pytest.raises(InputError, match="fewer than two folds were trained; train them all"):
        evaluate_folds(homes[:1], table)
    with pytest.raises(InputError, match="the config names no folds; give folds=5"):
        fold_configs(configure())
    with pytest.raises(InputError, match="one run with folds=2: a run is of one fold; say which"):
        run(config, table)


def test_amounts_of_folds_are_joined_in_their_unit(tmp_path: Path) -> None:
    table = read_table(columns())
    config = configure(target="price", directory=str(tmp_path), folds=2, **FEW)
    outcomes = [run(each, table) for each in fold_configs(config)]
    found = evaluate_folds([outcome.directory for outcome in outcomes], table)
    errors = []
    for outcome in outcomes:
        test = read_split(outcome.directory)[0].test
        said = outcome.model.predict(table.take(test)).values
        errors.append(said - np.array(columns()["price"])[test])
    wanted = float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))
    assert found.estimate.value == pytest.approx(wanted, rel=1e-5)
    assert found.comparisons[0].estimate.value == pytest.approx(6.5, abs=1.0)


def test_folds_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path / "shop.csv", columns())
    command = ["train", str(tmp_path / "shop.csv"), "sold", "--folds", "2", "--hidden", "4"]
    command += ["--epochs", "2", "--plain", "--runs", str(tmp_path / "runs")]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "fold 2 of 2 done" in said.err
    assert "2 folds, each judged by a network that had not seen it" in said.out
    assert "test: 160 rows, opened for the first time" in said.out
    assert main([*command, "--save-config", str(tmp_path / "c.toml")]) == 2
    assert "each fold has its own; name one of them too: --fold 1" in capsys.readouterr().err
    assert main([*command, "--fold", "2", "--cost", "yes=3"]) == 0
    assert "fold 2 of 2" in capsys.readouterr().err
    latest = sorted((tmp_path / "runs").glob("shop-*"))[-1]
    assert main(["predict", str(latest), str(tmp_path / "shop.csv"), "--coverage", "0.8"]) == 0
    assert capsys.readouterr().out.startswith(
        "sold,probability of no,probability of yes,sold set\n"
    )
    assert main(["test", str(latest)]) == 0
    out = capsys.readouterr().out
    assert "cost of a row" in out
    assert "sets of classes made for 90 % of new rows" in " ".join(out.split())
    assert main(["predict", str(latest), str(tmp_path / "shop.csv"), "--cost", "yes"]) == 2
    assert "it is not CLASS=number; write --cost yes=5" in capsys.readouterr().err
