"""``retrograd tune`` as a process: killed, joined, interrupted, shared, and told nonsense."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars
import pytest
from tests.cli.conftest import Command

QUICK = [
    "--epochs", "3", "--hidden", "4", "--optimizer", "adamw", "--activation", "relu",
    "--normalization", "none", "--batch-size", "32", "--schedule", "constant", "--dropout", "0",
    "--label-smoothing", "0", "--validation", "0.3", "--repeats", "2",
]  # fmt: skip
TUNE = ["tune", "shop.csv", "bought", *QUICK]
STUDY = Path("studies") / "shop-1"


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "retrograd", *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, cwd=folder, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def has_begun(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until the study lies there: before, a kill leaves nothing to go on with."""
    until = time.monotonic() + 60
    while not (folder / STUDY / "study.json").exists():
        assert time.monotonic() < until, "the study never began"
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def trials(folder: Path) -> list[dict[str, Any]]:
    return polars.read_parquet(folder / STUDY / "trials.parquet").to_dicts()


def scores(rows: list[dict[str, Any]]) -> list[Any]:
    return [(row["trial"], row["ending"], row["score"], row["learning_rate"]) for row in rows]


def ends(command: Command, *arguments: str) -> dict[str, Any]:
    finished = command(*arguments, "--json", "--quiet")
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    record: dict[str, Any] = json.loads(finished.stdout)
    return record


@pytest.mark.slow
def test_killed_at_random_instants_nothing_is_lost_or_counted_twice(
    command: Command, tmp_path: Path
) -> None:
    draw = random.Random(4)
    process = start(tmp_path, *TUNE, "--trials", "6")
    has_begun(tmp_path, process)
    for _ in range(3):
        time.sleep(draw.uniform(0.1, 2.0))
        process.kill()
        process.communicate()
        process = start(tmp_path, "tune", "--resume", str(STUDY))
        time.sleep(draw.uniform(0.5, 2.5))
    process.kill()
    process.communicate()
    record = ends(command, "tune", "--resume", str(STUDY))
    assert [row["trial"] for row in trials(tmp_path)] == list(range(6))
    lines = (tmp_path / STUDY / "journal.jsonl").read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert (tmp_path / record["winner"] / "model.retro").exists()
    killed = scores(trials(tmp_path))
    command(*TUNE, "--trials", "6", "--name", "whole", "--quiet")
    whole = polars.read_parquet(tmp_path / "studies" / "whole-1" / "trials.parquet").to_dicts()
    assert scores(whole) == killed


@pytest.mark.slow
def test_two_processes_and_one_that_joins(command: Command, tmp_path: Path) -> None:
    first = start(tmp_path, *TUNE, "--trials", "9", "--processes", "2")
    has_begun(tmp_path, first)
    joined = start(tmp_path, "tune", "--resume", str(STUDY))
    told, failed = first.communicate(timeout=120)
    also, also_failed = joined.communicate(timeout=120)
    assert (first.returncode, joined.returncode) == (0, 0), failed + also_failed
    assert [row["trial"] for row in trials(tmp_path)] == list(range(9))
    for words in (told, also):  # whoever ends it, both come to its result
        assert "shop-tuned-1/model.retro, the winner trained again" in " ".join(words.split())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["shop-tuned-1"]
    assert (tmp_path / STUDY / "workers.log").read_text() == ""
    assert "optuna" not in (failed + also_failed).lower()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(
    command: Command, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = start(tmp_path, *TUNE, "--time", "10m")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("trial 2"):
            break
    process.send_signal(number)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"go on with: retrograd tune --resume {STUDY}" in told
    assert len(trials(tmp_path)) >= 2
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.slow
def test_what_it_says(command: Command, tmp_path: Path) -> None:
    finished = command(*TUNE, "--trials", "2", "--seed", "5")
    assert finished.returncode == 0, finished.stderr
    assert max(map(len, (finished.stdout + finished.stderr).splitlines())) <= 80
    assert "to judge the winner" in finished.stderr
    assert "trial 1 complete log_loss" in finished.stderr
    for words in ("2 trials:", "rows that no choice saw", "flatters it", "saved runs/shop-tuned-1"):
        assert words in " ".join(finished.stdout.split())
    tested = command("test", "runs/shop-tuned-1", "--json")
    assert json.loads(tested.stdout)["openings"] == 1
    assert command("predict", "runs/shop-tuned-1", "shop.csv", "--quiet").returncode == 0
    assert command("explain", "runs/shop-tuned-1", "--row", "0").returncode in (0, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune"], "no table is named"),
        (["tune", "absent.csv"], "absent.csv"),
        (["tune", "shop.csv", "--time", "soon"], "it is not a length of time"),
        (["tune", "shop.csv", "--trials", "0"], "it is out of range"),
        (["tune", "shop.csv", "--trials", "many"], "many"),
        (["tune", "shop.csv", "--folds", "3"], "all trials share one split"),
        (["tune", "--resume", "nowhere"], "it has no study.json"),
        (["tune", "shop.csv", "--resume", "nowhere"], "a study goes on as it began"),
    ],
)
def test_nonsense_has_one_sentence(command: Command, arguments: list[str], words: str) -> None:
    finished = command(*arguments)
    assert finished.returncode == 2, finished.stderr
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("retrograd: ")
    assert words in last
    assert "Traceback" not in finished.stderr
