"""The default recipe on real tables that packages ship: it beats a guess and a linear model."""

from pathlib import Path

import pytest

from retrograd.recipe.config import configure
from retrograd.recipe.evaluate import evaluate_run
from retrograd.recipe.run import run


@pytest.mark.slow
@pytest.mark.parametrize("source", ["digits", "churn", "hotel_rates", "diamonds"])
def test_five_seeds_beat_both_baselines(source: str, tmp_path: Path) -> None:
    found = [
        evaluate_run(run(configure(source=source, seed=seed, directory=str(tmp_path))).directory)
        for seed in range(5)
    ]
    assert sum(report.beats_baselines for report in found) >= 4
    networks = sum(report.estimate.value for report in found)
    linear = sum(report.comparisons[1].estimate.value for report in found)
    assert networks > linear if found[0].measure == "accuracy" else networks < linear


@pytest.mark.slow
def test_it_says_plainly_where_it_is_not_better(tmp_path: Path) -> None:
    for seed in range(3):
        config = configure(source="wine", seed=seed, directory=str(tmp_path))
        report = evaluate_run(run(config).directory)
        if not report.beats_baselines:
            assert "linear baseline (logistic regression on 124 rows)" in report.verdict
            assert "The network is not" in report.verdict or "does not beat" in report.verdict
