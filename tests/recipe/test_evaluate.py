"""The sealed test: fair baselines, a ledger that counts, and plain verdicts."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.recipe.conftest import OPTIONS, columns, write_csv

from retrograd.data import Table, fit_preprocessor, infer_schema, read_table
from retrograd.recipe.baselines import boosted_baseline, linear_baseline, trivial_baseline
from retrograd.recipe.config import configure
from retrograd.recipe.evaluate import Evaluation, evaluate_model, evaluate_run
from retrograd.recipe.intervals import Estimate
from retrograd.recipe.ledger import count_openings, record_opening
from retrograd.recipe.run import Outcome, read_split, run
from retrograd.recipe.training import Part
from retrograd.recipe.verdict import Comparison, judge
from retrograd.tensor.errors import DataError, FileFormatError, RunError
from retrograd.train.lock import acquire


def amounts(rows: int = 60) -> Part:
    x = np.random.default_rng(1).normal(size=(rows, 2)).astype(np.float32)
    return Part(x, (2 * x[:, :1] - 1).astype(np.float32))


def test_the_trivial_baseline_ignores_the_columns() -> None:
    part = Part(np.zeros((4, 1), np.float32), np.array([2, 2, 0, 2]))
    found = trivial_baseline(part, np.zeros((5, 1), np.float32), ("a", "b", "c"))
    assert found.predicted.tolist() == [[0.25, 0.0, 0.75]] * 5
    assert "always 'c', the most frequent class" in found.description
    mean = trivial_baseline(amounts(), np.zeros((2, 2), np.float32), ())
    assert mean.predicted == pytest.approx(amounts().targets.mean(), abs=1e-6)


def test_the_linear_baseline_is_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression, Ridge

    part = amounts()
    new = np.random.default_rng(2).normal(size=(7, 2)).astype(np.float32)
    ridge = Ridge().fit(part.inputs.astype(float), part.targets[:, 0].astype(float)).predict(new)
    assert np.allclose(linear_baseline(part, new, ()).predicted[:, 0], ridge)
    labels = (part.inputs[:, 0] > 0).astype(np.int64) * 2
    found = linear_baseline(Part(part.inputs, labels), new, ("a", "b", "c"))
    model = LogisticRegression(max_iter=1000).fit(part.inputs.astype(float), labels)
    assert np.allclose(found.predicted[:, [0, 2]], model.predict_proba(new.astype(float)))
    assert (found.predicted[:, 1] == 0).all(), "a class that no training row has"


def test_the_linear_baseline_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from retrograd.recipe import baselines

    monkeypatch.setattr(baselines, "_MOST_ROWS", 20)
    assert "ridge on 20 rows" in linear_baseline(amounts(60), amounts().inputs, ()).description


def test_the_boosted_baseline_takes_columns_as_they_are() -> None:
    draw = np.random.default_rng(0)
    colour = draw.choice(["red", "green", "blue"], 400)
    size = np.where(draw.random(400) < 0.2, np.nan, draw.normal(size=400))
    day = np.datetime64("2024-01-01") + draw.integers(0, 90, 400)
    month = day.astype("datetime64[M]").astype(int) % 12
    for target in (np.where((colour == "red") ^ (size > 0), "yes", "no").tolist(),
                   np.nan_to_num(size) * 2.5 + month * 10):  # fmt: skip
        table = read_table({"colour": colour.tolist(), "size": size, "day": day, "y": target})
        preprocessor = fit_preprocessor(table, infer_schema(table, "y"), np.arange(300))
        new = table.take(np.arange(300, 400))
        found = boosted_baseline(table, np.arange(300), new, preprocessor)
        assert found.description == "gradient-boosted trees on 300 rows"
        truth = preprocessor.transform_target(new)
        if truth.dtype.kind == "i":
            assert (found.predicted.argmax(axis=1) == truth).mean() > 0.95
        else:
            assert np.corrcoef(found.predicted[:, 0], truth)[0, 1] > 0.98
    unseen = read_table({"colour": ["pink"], "size": [1.0], "day": ["2024-01-05"]})
    assert np.isfinite(
        boosted_baseline(table, np.arange(300), unseen, preprocessor).predicted
    ).all()


def test_stated_costs_are_what_is_judged(tmp_path: Path) -> None:
    table = read_table(columns())
    config = configure(target="sold", directory=str(tmp_path), costs={"yes": 6.0}, **OPTIONS)
    outcome = run(config, table)
    found = evaluate_run(outcome.directory, table)
    assert found.measure == "cost_of_a_row"
    test = table.take(read_split(outcome.directory)[0].test)
    sold = np.array(columns()["sold"])[read_split(outcome.directory)[0].test]
    said = outcome.model.predict(test).values
    cost = np.where(said == sold, 0.0, np.where(sold == "yes", 6.0, 1.0))
    assert found.estimate.value == pytest.approx(cost.mean())
    assert found.estimates["accuracy"].value == (said == sold).mean()
    trivial = found.comparisons[0]
    assert trivial.estimate.value <= 1.0, "always yes, as its share times its cost is greater"
    assert trivial.difference.value == pytest.approx(trivial.estimate.value - cost.mean())


def test_the_ledger_counts_rows_and_not_runs(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    assert count_openings(ledger, "a") == 0
    assert [record_opening(ledger, digest, "r", 3) for digest in "aabab"] == [1, 2, 1, 3, 2]
    assert count_openings(ledger, "a") == 3
    first = json.loads(ledger.read_text().splitlines()[0])
    assert {"test", "run", "rows", "time"} == first.keys()


def test_processes_that_open_at_once_all_count(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from retrograd.recipe.ledger import record_opening\n"
        "for _ in range(10): print(record_opening(Path(sys.argv[1]), 'a', 'r', 1))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "ledger.jsonl")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts = [int(line) for process in running for line in process.communicate()[0].split()]
    assert sorted(counts) == list(range(1, 31))


def test_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl").write_text("{\n")
    with pytest.raises(FileFormatError, match=r"ledger\.jsonl', line 1"):
        record_opening(tmp_path / "ledger.jsonl", "a", "r", 1)


def test_a_ledger_that_stays_locked_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrograd.recipe import ledger

    monkeypatch.setattr(ledger, "_LONGEST_WAIT", 0.1)
    acquire(tmp_path / "ledger.jsonl.lock")
    with pytest.raises(RunError, match=r"another process held it for 0\.1 s"):
        record_opening(tmp_path / "ledger.jsonl", "a", "r", 1)


def better(low: float, high: float) -> Comparison:
    return Comparison("linear", "ridge", Estimate(0.8, 0.7, 0.9), Estimate(0.05, low, high))


def test_the_verdict_says_plainly_what_it_is() -> None:
    own = Estimate(0.85, 0.8, 0.9)
    assert judge("accuracy", own, [better(0.01, 0.1)]) == (
        "The network beats the linear baseline: its accuracy is 0.85, theirs 0.8."
    )
    unclear = judge("accuracy", own, [better(-0.01, 0.1)])
    assert "not clearly better than the linear baseline (ridge)" in unclear
    worse = judge("accuracy", own, [better(-0.2, -0.1)])
    assert "does not beat the linear baseline (ridge): accuracy 0.85 against 0.8." in worse
    assert "Use that instead" in worse
    assert "no baselines" in judge("accuracy", own, [])


def opened(outcome: Outcome) -> Evaluation:
    return evaluate_run(outcome.directory)


def test_a_run_is_judged_on_its_test_rows(outcome: Outcome, table: Table) -> None:
    found = opened(outcome)
    split, record = read_split(outcome.directory)
    test = table.take(split.test)
    right = outcome.model.predict(test).values == np.array(columns()["sold"])[split.test]
    assert found.estimate.value == right.mean()
    assert found.rows == len(split.test)
    assert found.measure == "accuracy"
    assert set(found.estimates) == {"accuracy", "balanced_accuracy", "log_loss", "roc_auc"}
    assert [c.name for c in found.comparisons] == ["trivial", "linear", "boosted"]
    assert found.comparisons[2].description == "gradient-boosted trees on 136 rows"
    assert found.coverage is not None
    assert found.coverage.low < 0.9
    assert found.to_dict()["coverage"]["value"] == found.coverage.value
    assert found.beats_baselines == all(c.estimate.value < right.mean() for c in found.comparisons)
    again = opened(outcome)
    assert again.openings == (found.openings or 0) + 1
    assert any("were opened" in note for note in again.notes)
    assert again.estimates == found.estimates
    ledger = outcome.directory.parent / "ledger.jsonl"
    assert count_openings(ledger, record["test_digest"]) == again.openings


def test_a_new_run_on_the_same_rows_does_not_reset_the_count(tmp_path: Path) -> None:
    table = read_table(columns())
    config = configure(target="sold", directory=str(tmp_path), **OPTIONS)
    first, second = run(config, table), run(configure(config, hidden=(4,)), table)
    counts = [evaluate_run(outcome.directory, table).openings for outcome in (first, second)]
    assert counts == [1, 2]
    other = run(configure(config, seed=9), table)
    assert evaluate_run(other.directory, table).openings == 1


def test_the_evaluation_is_plain_data(outcome: Outcome) -> None:
    plain: Any = json.loads(json.dumps(opened(outcome).to_dict(), allow_nan=False))
    assert plain["measure"] == "accuracy"
    assert plain["baselines"][1]["result"] in ("better", "unclear", "worse")
    assert plain["estimates"]["accuracy"].keys() == {"value", "low", "high"}
    undefined = Evaluation("t", 1, "r2", {"r2": Estimate(math.nan, 0.0, 1.0)}, (), "")
    assert undefined.to_dict()["estimates"]["r2"]["value"] is None
    assert undefined.to_dict()["beats_baselines"] is None


def test_other_rows_are_judged_without_being_counted(outcome: Outcome) -> None:
    found = evaluate_model(outcome.model, columns(seed=3))
    assert (found.openings, found.comparisons, found.rows) == (None, (), 160)
    assert "there are no baselines" in found.verdict
    unlabelled = columns(seed=3)
    unlabelled["sold"][4] = None
    with pytest.raises(DataError, match="1 rows have no usable label, the first at row 4"):
        evaluate_model(outcome.model, unlabelled)


def test_amounts_are_judged_in_their_unit(tmp_path: Path) -> None:
    table = read_table(columns())
    config = configure(target="price", directory=str(tmp_path), **OPTIONS)
    outcome = run(configure(config, epochs=40), table)
    found = evaluate_run(outcome.directory, table)
    split, _ = read_split(outcome.directory)
    prices = np.array(columns()["price"])[split.test]
    error = outcome.model.predict(table.take(split.test)).values - prices
    assert found.estimate.value == pytest.approx(np.sqrt(np.mean(error**2)))
    assert set(found.estimates) == {"root_mean_squared_error", "mean_absolute_error", "r2"}
    trivial = found.comparisons[0]
    assert trivial.estimate.value == pytest.approx(prices.std(), rel=0.1)
    assert trivial.result == "better"


def test_what_cannot_be_tested_is_refused(tmp_path: Path) -> None:
    table = read_table(columns())
    config = configure(target="sold", directory=str(tmp_path), **OPTIONS)
    untested = run(configure(config, test=0.0), table)
    with pytest.raises(DataError, match="the run has no test part; train with test"):
        evaluate_run(untested.directory, table)
    with pytest.raises(FileFormatError, match=r"reading the model .*: No such file"):
        evaluate_run(tmp_path / "absent")
    tested = run(config, table)
    with pytest.raises(DataError, match="is not what it was when the run began"):
        evaluate_run(tested.directory, read_table(columns(seed=1)))


def test_a_model_of_another_split_is_refused(tmp_path: Path) -> None:
    table = read_table(columns())
    config = configure(target="sold", directory=str(tmp_path), **OPTIONS)
    own, other = run(config, table), run(configure(config, seed=7), table)
    stranger = (other.directory / "model.retro").read_bytes()
    (own.directory / "model.retro").write_bytes(stranger)
    with pytest.raises(FileFormatError, match=r"its model\.retro is of another run; bring"):
        evaluate_run(own.directory, table)
    assert not (tmp_path / "ledger.jsonl").exists()


def test_a_failed_test_does_not_count(tmp_path: Path) -> None:
    source = tmp_path / "shop.csv"
    write_csv(source, columns())
    config = configure(source=str(source), target="sold", directory=str(tmp_path / "runs"))
    outcome = run(configure(config, **OPTIONS))
    source.unlink()
    with pytest.raises(DataError):
        evaluate_run(outcome.directory)
    assert not (tmp_path / "runs" / "ledger.jsonl").exists()
