"""A whole study: its trials, its winner, and what it leaves unseen."""

import json
from pathlib import Path
from typing import Any

import polars
import pytest
from tests.tune.conftest import QUICK, Done, study_in

import retrograd
from retrograd.api.tuning import resume_tuning, tune
from retrograd.recipe.run import read_split
from retrograd.tensor.errors import DataError, InputError, RunError
from retrograd.tune.finish import finish
from retrograd.tune.search import TrialDone
from retrograd.tune.study import create_home, open_home
from retrograd.tune.tuning import Opened, begin


def scores(rows: list[dict[str, Any]]) -> list[Any]:
    return [(row["trial"], row["score"], row["learning_rate"], row["ending"]) for row in rows]


def test_every_trial_is_there_once(done: Done) -> None:
    rows = done.result.trials
    assert [row["trial"] for row in rows] == list(range(5))
    assert [row["start"] for row in rows[:3]] == ["default", "range test", ""]
    assert sum(isinstance(event, TrialDone) for event in done.heard) == 5
    frame = polars.read_parquet(done.result.study / "trials.parquet")
    assert frame["trial"].to_list() == list(range(5))
    assert {"learning_rate", "weight_decay", "score", "ending", "seconds"} <= set(frame.columns)


def test_the_winner_is_a_run_as_any_other(done: Done) -> None:
    assert done.result.winner is not None
    run = retrograd.load(done.result.winner)
    best = min(row["score"] for row in done.result.trials if row["score"] is not None)
    assert done.result.verdict is not None
    assert done.result.verdict.chosen == best
    rate = done.result.options.get("learning_rate")
    assert rate is None or run.model.config.optimization.learning_rate == rate
    assert isinstance(run, retrograd.Run)
    assert len(run.predict("iris").values) == 150


def test_the_test_part_stays_sealed_and_judges_are_unseen(done: Done) -> None:
    opened = next(event for event in done.heard if isinstance(event, Opened))
    material = opened.material
    assert material.choosing.rows is not None
    assert material.judging.rows is not None
    split, _ = read_split(done.result.winner or Path())
    choosing, judging = set(material.choosing.rows), set(material.judging.rows)
    assert not choosing & judging
    assert choosing | judging == set(split.validation)
    assert not (choosing | judging) & set(split.test)
    assert not (done.folder / "runs" / "ledger.jsonl").exists()


def test_same_seed_same_trials(done: Done, tmp_path: Path) -> None:
    again = study_in(tmp_path, repeats=1)
    assert scores(again.result.trials) == scores(done.result.trials)
    assert {"trials.parquet", "history.svg", "slices.png"} <= set(again.result.files)


@pytest.mark.slow
def test_a_finished_study_goes_on_with_more_trials(tmp_path: Path) -> None:
    first = study_in(tmp_path, trials=2, repeats=1).result
    runs = str(tmp_path / "runs")
    same = resume_tuning(first.study, directory=runs)
    more = resume_tuning(first.study, trials=3, directory=runs)
    assert same.winner is not None
    assert same.winner.resolve() == (first.winner or Path()).resolve()
    assert scores(more.trials)[:2] == scores(first.trials)
    assert len(more.trials) == 3


def test_a_signal_puts_the_running_trial_back(done: Done, tmp_path: Path) -> None:
    asked: list[str] = []

    def hear(event: Any) -> None:
        if isinstance(event, TrialDone) and event.done == 2:
            asked.append("interrupted")

    left = tune(
        "iris", studies=str(tmp_path / "studies"), directory=str(tmp_path / "runs"), trials=5,
        repeats=1, listen=hear, should_stop=lambda: asked[0] if asked else None, **QUICK,
    )  # fmt: skip
    assert left.stopped == "interrupted"
    assert left.winner is None
    assert len(left.trials) == 2
    whole = resume_tuning(left.study, directory=str(tmp_path / "runs"))
    assert scores(whole.trials) == scores(done.result.trials)


def test_the_result_is_json(done: Done) -> None:
    plain = json.loads((done.result.study / "result.json").read_text())
    assert plain["winner"] == str(done.result.winner)
    assert set(plain["verdict"]["honest"]) == {"value", "low", "high"}


def test_bad_input_has_one_sentence(tmp_path: Path) -> None:
    where = {"studies": str(tmp_path / "studies"), "directory": str(tmp_path / "runs")}
    with pytest.raises(DataError, match="has 0 rows, too few to compare trials on"):
        tune("iris", validation=0.0, **where)
    with pytest.raises(InputError, match=r"tuning with folds: all trials share one split"):
        tune("iris", folds=3, **where)
    with pytest.raises(InputError, match=r"trials=0: it is out of range"):
        tune("iris", trials=0, **where)
    with pytest.raises(InputError, match=r"it is not a length of time"):
        tune("iris", time="soon", **where)
    assert not (tmp_path / "studies").exists()
    table = {"x": [float(i % 9) for i in range(200)], "y": ["a", "b"] * 100}
    with pytest.raises(InputError, match=r"processes=0: it is out of range"):
        tune(table, "y", processes=0, trials=1, **QUICK, **where)
    with pytest.raises(InputError, match=r"processes=2: the table is in memory"):
        tune(table, "y", processes=2, trials=1, **QUICK, **where)


def test_changed_data_and_empty_studies_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = "".join(f"{i % 9},{'ab'[i % 2]}\n" for i in range(200))
    table.write_text("x,y\n" + rows)
    options = {**QUICK, "source": str(table)}
    studies = str(tmp_path / "s")
    root, material = begin(options, None, studies=studies, trials=1, seconds=None)
    home = open_home(root)
    with pytest.raises(RunError, match=r"no trial came to its end"):
        finish(home, material, None, lambda: 9.0, lambda event: None, lambda: None, "runs")
    settings = home.settings
    home.close()
    table.write_text("x,y\n5,a\n" + rows)
    with pytest.raises(DataError, match=r"the data is not what it was when the study began"):
        resume_tuning(root)
    with pytest.raises(RunError, match=r"making a study in .*: Not a directory"):
        create_home(table / "studies", settings)
