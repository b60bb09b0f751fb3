"""The main job on three real tables: classes, amounts, and categories with missing values.

Every verb works on each, and a run that was interrupted ends with the same bytes as one that was
not. How good the networks are over five seeds is in tests/recipe/test_accuracy.py.
"""

import json
from pathlib import Path

import pytest

from retrograd.cli.main import main
from retrograd.data import read_table
from retrograd.recipe.config import configure
from retrograd.recipe.run import resume, run
from retrograd.tree import leaves

TABLES = ["churn", "diamonds", "credit_data"]


@pytest.mark.parametrize("source", TABLES)
def test_every_verb_works_on_an_interrupted_and_resumed_run(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = run(configure(source=source, epochs=2, directory=str(tmp_path / "whole")))
    steps = iter(range(whole.stopped.step))
    part = run(
        configure(source=source, epochs=2, directory=str(tmp_path / "part")),
        should_stop=lambda: None if next(steps) < whole.stopped.step // 3 else "interrupted",
    )
    assert part.stopped.step < whole.stopped.step
    resumed = resume(part.directory)
    assert resumed.stopped.step == whole.stopped.step
    for name in ("metrics.jsonl", "schema.json"):
        assert (resumed.directory / name).read_bytes() == (whole.directory / name).read_bytes()
    expected = leaves(whole.model.net)
    for name, weights in leaves(resumed.model.net).items():
        assert weights.numpy().tobytes() == expected[name].numpy().tobytes()

    directory = str(resumed.directory)
    assert main(["test", directory, "--json"]) == 0
    tested = json.loads(capsys.readouterr().out)
    assert tested["openings"] == 1
    names = {baseline["name"] for baseline in tested["baselines"]}
    assert names == {"trivial", "linear", "boosted"}
    assert tested["verdict"]

    assert main(["check", directory, "--rows", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]

    assert main(["explain", directory, "--json"]) == 0
    explained = json.loads(capsys.readouterr().out)
    assert explained["ok"]
    phases = {formula["phase"] for formula in explained["formulas"]}
    assert {"forward", "loss", "backward", "update"} <= phases

    assert main(["predict", directory, source, "--quiet"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + read_table(source).n_rows
