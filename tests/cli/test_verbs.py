"""The verbs from end to end: what they print, write and count, for people and for programs."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from retrograd.cli.main import main

RUN = "runs/shop-1"


@pytest.fixture(autouse=True)
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """Run a verb, hold it to 80 columns and to no escape codes, and return what it said."""
    capsys.readouterr()
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    if "--json" not in arguments and arguments[0] != "predict":
        assert max(map(len, out.splitlines()), default=0) <= 80
    assert max(map(len, err.splitlines()), default=0) <= 80
    return out, err


def record(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    out, _ = said(capsys, *arguments, "--json", "--quiet", code=code)
    assert out.count("\n") == 1
    return json.loads(out)


def numbers(text: str) -> set[str]:
    return set(text.replace(",", " ").replace("[", " ").replace("]", " ").split())


def test_train_tells_the_plan_and_leaves_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said(capsys, "train", "shop.csv", "bought", "--epochs", "3", "--name", "told")
    for words in ("240 rows", "Predicting bought", "you named it", "city    category", "sealed",
                  "at most 3 epochs", "parameters", "run       runs/told-1", "epoch 3/3",
                  "stopped after epoch 3: all 3 epochs are done"):  # fmt: skip
        assert words in err
    assert "saved runs/told-1/model.retro" in out
    assert "next: retrograd test runs/told-1" in out
    files = {path.name for path in Path("runs/told-1").iterdir()}
    assert {"config.toml", "schema.json", "metrics.jsonl", "model.retro", "checkpoints"} <= files
    row = out.split("--row ")[1].strip()
    assert main(["explain", "runs/told-1", "--row", row]) == 0  # the row it names can be explained


def test_quiet_leaves_the_result_and_json_its_record(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "shop.csv", "bought", "--epochs", "2", "--hidden", "4", "--name", "both"]
    out, err = said(capsys, *arguments, "--quiet")
    assert err == ""
    found = record(capsys, *arguments)
    assert found["run"] == "runs/both-2"
    assert (found["reason"], found["epochs"], found["steps"] % 2) == ("epochs", 2, 0)
    assert f"{found['metrics']['accuracy']:.4g}" in numbers(out)
    assert f"({found['parameters']} numbers" in out


def test_the_same_seed_gives_the_same_bits_and_a_config_repeats_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--epochs", "2", "--hidden", "5", "--name", "same", "--seed", "9"]
    said(capsys, "train", "shop.csv", "bought", *arguments, "--save-config", "same.toml")
    said(capsys, "train", "shop.csv", "bought", *arguments)
    said(capsys, "train", "--config", "same.toml")
    first, again, repeated = (Path(f"runs/same-{i}") for i in (1, 2, 3))
    assert (first / "model.retro").read_bytes() == (again / "model.retro").read_bytes()
    assert (first / "metrics.jsonl").read_bytes() == (repeated / "metrics.jsonl").read_bytes()
    assert (first / "config.toml").read_bytes() == Path("same.toml").read_bytes()
    assert (first / "config.toml").read_bytes() == (repeated / "config.toml").read_bytes()
    said(capsys, "train", "--config", "same.toml", "--seed", "8")  # a flag goes over the file
    other = Path("runs/same-4/metrics.jsonl").read_bytes()
    assert other != (first / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("limits", "reason", "words"),
    [
        (["--steps", "7"], "steps", "all 7 steps are done"),
        (["--until", "loss<5"], "until", "loss<5 holds: loss is "),
        (["--tolerance", "1", "--patience", "99"], "converged", "changed by 1 of it"),
        (["--time", "0.2s", "--patience", "9999"], "time", "the time of 0.2 s is spent"),
        (["--patience", "1", "--learning-rate", "0.1"], "no_improvement", "its best, are restored"),
    ],
)
def test_training_ends_by_each_limit_and_says_so(
    limits: list[str], reason: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "shop.csv", "bought", "--hidden", "4", "--epochs", "9999", *limits]
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["reason"] == reason
    assert words in " ".join(err.split())


def test_the_best_weights_are_the_ones_that_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    found = record(capsys, "train", "shop.csv", "bought", "--patience", "2", "--learning-rate", "1")
    lines = Path(found["run"], "metrics.jsonl").read_text().splitlines()
    epochs = [each for each in map(json.loads, lines) if each.get("end_of_epoch")]
    best = min(epochs, key=lambda each: each["validation_loss"])
    assert found["best_epoch"] == best["epoch"] < found["epochs"]
    assert found["metrics"]["validation_loss"] == best["validation_loss"]


def test_resume_goes_on_under_new_limits_only(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["train", "shop.csv", "bought", "--hidden", "4", "--name", "on", "--seed", "2"]
    said(capsys, *short, "--epochs", "5", "--steps", "8")
    _, err = said(capsys, "train", "--resume", "runs/on-1", "--steps", "20", "--ascii")
    assert "going on at epoch" in err
    assert "all 20 steps are done" in err
    lines = map(json.loads, Path("runs/on-1/metrics.jsonl").read_text().splitlines())
    steps = [line["step"] for line in lines if "end_of_epoch" not in line]
    assert steps == list(range(1, 21))
    before = Path("runs/on-1/model.retro").read_bytes()
    assert main(["train", "--resume", "runs/on-1", "--seed", "1"]) == 2
    assert "only its limits can change" in capsys.readouterr().err
    assert Path("runs/on-1/model.retro").read_bytes() == before


def test_test_opens_counts_and_compares(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = said(capsys, "test", RUN)
    assert "opened for the first time" in out
    assert all(words in out for words in ("95 % interval", "trivial", "linear", "accuracy"))
    found = record(capsys, "test", RUN)
    assert found["openings"] == 2
    assert "opened 3 times: the estimate wears out" in said(capsys, "test", RUN)[0]
    accuracy = found["estimates"]["accuracy"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    for name in ("value", "low", "high"):
        assert f"{accuracy[name]:.4g}" in numbers(out)
    assert {baseline["name"] for baseline in found["baselines"]} == {"trivial", "linear", "boosted"}
    wants = 0 if found["beats_baselines"] else 1
    assert main(["test", RUN, "--require-better"]) == wants


def test_test_on_other_rows_counts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("runs/ledger.jsonl").read_bytes() if Path("runs/ledger.jsonl").exists() else b""
    found = record(capsys, "test", RUN, "--data", "shop.csv")
    assert (found["rows"], found["openings"], found["baselines"]) == (240, None, [])
    out, _ = said(capsys, "test", RUN, "--data", "shop.csv")
    assert "not the sealed part" in out
    after = Path("runs/ledger.jsonl").read_bytes() if Path("runs/ledger.jsonl").exists() else b""
    assert before == after


NEW = "colour,member,city,age,income\nred,yes,Zug,,3000\nblue,,Bern,40,inf\n"


def test_predict_takes_columns_by_name_and_says_what_is_odd(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("new.csv").write_text(NEW)
    out, err = said(capsys, "predict", RUN, "new.csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["bought"] in ("yes", "no") for row in rows] == [True, True]
    for row in rows:
        assert float(row["probability of no"]) + float(row["probability of yes"]) == pytest.approx(
            1
        )
    for words in ("Zug", "colour", "infinite", "missing"):
        assert words in err
    found = record(capsys, "predict", RUN, "new.csv")
    assert [str(p) for p in found["columns"]["probability of yes"]] == [
        row["probability of yes"] for row in rows
    ]
    assert len(found["notes"]) >= 3
    assert said(capsys, "predict", f"{RUN}/model.retro", "new.csv")[0] == out  # a bare model


def test_predict_writes_a_file_but_never_over_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.csv").write_text(NEW)
    out, _ = said(capsys, "predict", RUN, "new.csv", "--quiet")
    said(capsys, "predict", RUN, "new.csv", "--to", "answers.csv")
    assert Path("answers.csv").read_text() == out
    said(capsys, "predict", RUN, "new.csv", "--to", "answers.csv", "--replace")
    Path("answers.csv").write_text("precious")
    assert main(["predict", RUN, "new.csv", "--to", "answers.csv"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert Path("answers.csv").read_text() == "precious"


def test_explain_says_the_same_to_people_and_programs(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = said(capsys, "explain", RUN)
    for phase in ("FORWARD", "LOSS", "BACKWARD", "UPDATE"):
        assert phase in out
    assert "WRONG" not in out
    found = record(capsys, "explain", RUN)
    assert found["ok"] is True
    assert f"row {found['row']}" in out
    weight = record(capsys, "explain", RUN, "--weight", "layers.0.weight[1,2]", "--step", "2")
    assert weight["ok"] is True
    assert said(capsys, "explain", RUN, "--ascii")[0].isascii()


def test_check_agrees_with_finite_differences(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = said(capsys, "check", RUN, "--rows", "8", "--seed", "4")
    assert "The gradients are the derivatives of the loss." in out
    found = record(capsys, "check", RUN, "--rows", "8", "--seed", "4")
    assert (found["ok"], found["rows"], found["seed"]) == (True, 8, 4)
    assert f"{found['directions'][0]['derivative']:.6g}" in out
    assert all(leaf["leaf"] in out for leaf in found["leaves"])


def test_a_regression_goes_through_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--hidden", "4", "--epochs", "3", "--name", "amount", "--quiet"]
    out, _ = said(capsys, "train", "shop.csv", "income", *arguments)
    assert "income in its standard deviations" in " ".join(out.split())
    out, _ = said(capsys, "test", "runs/amount-1")
    assert "root mean squared error" in out
    said(capsys, "predict", "runs/amount-1", "shop.csv", "--quiet")
    assert record(capsys, "explain", "runs/amount-1")["ok"] is True
    assert record(capsys, "check", "runs/amount-1")["ok"] is True


def test_a_broken_down_training_keeps_its_best(capsys: pytest.CaptureFixture[str]) -> None:
    wild = ["--optimizer", "sgd", "--learning-rate", "1e30", "--name", "wild"]
    _, err = said_long(capsys, "train", "shop.csv", "bought", *wild)
    assert "no epoch was done: runs/wild-1 holds no network" in err
    last = err.splitlines()[-1]
    for words in ("step", "batch", "in layer 'layers.", "lower the learning rate"):
        assert words in last
    slow = ["--learning-rate", "8", "--warm-up", "0.9", "--weight-decay", "3", "--name", "slow"]
    slow += ["--epochs", "60", "--patience", "999", "--optimizer", "sgd", "--hidden", "32,16"]
    _, err = said_long(capsys, "train", "shop.csv", "bought", *slow)
    assert "are in runs/slow-1/model.retro" in err
    said(capsys, "test", "runs/slow-1")
    shutil.rmtree("runs/slow-1")


def said_long(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """Run a command that is refused; its last line, the sentence, is as long as it must be."""
    capsys.readouterr()
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert max(map(len, err.splitlines()[:-1])) <= 80
    assert err.splitlines()[-1].startswith("retrograd: training, ")
    return out, err
