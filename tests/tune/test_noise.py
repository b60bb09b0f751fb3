"""How much of a lead is chance, said plainly."""

import math

import numpy as np
import pytest
from tests.tune.conftest import Done

from retrograd.tune.noise import Rerun, judge, lead_of
from retrograd.tune.results import importances
from retrograd.tune.study import open_home
from retrograd.tune.tuning import Opened


def reruns(centre: float, seeds: int = 5, spread: float = 0.01) -> list[Rerun]:
    draw = np.random.default_rng(int(centre * 100))
    return [Rerun(0.1, tuple(draw.normal(centre, spread, 40).tolist())) for _ in range(seeds)]


@pytest.mark.parametrize(
    ("default", "words"),
    [
        (reruns(0.9), "larger than the noise"),
        (reruns(0.5, spread=0.4), "within the noise"),
        (reruns(0.1), "worse than the default"),
        (reruns(0.9, seeds=1), "too few reruns"),
        (None, "the winner is the default"),
    ],
)
def test_the_sentence(done: Done, default: list[Rerun] | None, words: str) -> None:
    material = next(event for event in done.heard if isinstance(event, Opened)).material
    verdict = judge(material, 0.2, reruns(0.5, spread=0.02), default)
    assert words in verdict.sentence
    assert verdict.honest.low < 0.5 < verdict.honest.high
    assert verdict.chosen == 0.2


def test_nothing_to_compare_is_no_number() -> None:
    assert math.isnan(lead_of([], [1.0]).value)
    assert lead_of([2.0, 2.0], [1.0, 1.0]) == (1.0, 1.0, 1.0)


def test_few_trials_say_nothing_of_what_mattered(done: Done) -> None:
    home = open_home(done.result.study)
    assert importances(home) == {}
    home.close()
