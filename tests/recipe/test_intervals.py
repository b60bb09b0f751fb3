"""Intervals: known values, and the coverage that they promise, also for a handful of rows."""

import math

import numpy as np
import pytest

from retrograd.recipe.intervals import area, bootstrap, mean_share, paired_difference, wilson
from retrograd.train.metrics import roc_auc


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 1 - 0.1170, 1.0),
    ],
)
def test_wilson_gives_the_published_intervals(
    successes: int, trials: int, low: float, high: float
) -> None:
    found = wilson(successes, trials)
    assert found.value == successes / trials
    assert found.low == pytest.approx(low, abs=6e-5)
    assert found.high == pytest.approx(high, abs=6e-5)


def test_wilson_of_nothing_is_nothing() -> None:
    assert math.isnan(wilson(0, 0).value)


def test_the_bootstrap_covers_as_it_says() -> None:
    generator = np.random.default_rng(0)
    for rows, fewest in ((8, 83), (60, 89)):
        hits = 0
        for seed in range(100):
            sample = generator.normal(3.0, 1.0, rows)
            found = bootstrap(lambda x: float(np.mean(x)), [sample], seed=seed)
            hits += found.low <= 3.0 <= found.high
        assert fewest <= hits <= 99


def test_the_bootstrap_of_four_rows_claims_nothing() -> None:
    found = bootstrap(lambda x: float(np.mean(x)), [np.arange(4.0)])
    assert found.value == 1.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert str(found) == "1.5 (too few rows for an interval)"


@pytest.mark.parametrize("rows", [4, 12, 60])
def test_the_closed_forms_cover_as_they_say(rows: int) -> None:
    generator = np.random.default_rng(rows)
    hits = np.zeros(3)
    for _ in range(500):
        is_one = generator.random(rows) < 0.4
        is_one[:2] = True, False
        right = generator.random(rows) < np.where(is_one, 0.7, 0.9)
        parts = [(int(right[part].sum()), int(part.sum())) for part in (is_one, ~is_one)]
        other = np.where(generator.random(rows) < 0.7, right, generator.random(rows) < 0.5)
        gained, lost = int((right & ~other).sum()), int((other & ~right).sum())
        truth = 0.3 * (np.where(is_one, 0.7, 0.9).mean() - 0.5)
        scores = generator.normal(size=rows) + np.sqrt(2) * is_one
        curve = area(roc_auc(scores, is_one.astype(int)), int(is_one.sum()), int((~is_one).sum()))
        hits += [
            found.low <= wanted <= found.high
            for found, wanted in (
                (mean_share(parts), 0.8),
                (paired_difference(gained, lost, rows), truth),
                (curve, 0.8413),
            )
        ]
    assert (hits > (0.86 if rows < 5 else 0.91) * 500).all(), hits


def test_no_interval_is_a_point_where_all_went_right() -> None:
    for found in (mean_share([(2, 2), (1, 1)]), area(1.0, 2, 2), paired_difference(2, 0, 2)):
        assert found.value == 1.0
        assert found.low < 0.5
        assert found.high == 1.0
    assert paired_difference(0, 0, 50).low == pytest.approx(-0.0533, abs=1e-4)
    assert area(0.0, 4, 4).low == 0.0
    assert math.isnan(area(math.nan, 0, 4).low)


def test_the_bootstrap_repeats_itself() -> None:
    sample = np.arange(50.0)
    first = bootstrap(lambda x: float(np.median(x)), [sample])
    assert first == bootstrap(lambda x: float(np.median(x)), [sample])
    assert first.low < first.value < first.high


def test_the_bootstrap_of_what_is_undefined_says_so() -> None:
    found = bootstrap(lambda x: math.nan, [np.arange(3.0)])
    assert all(map(math.isnan, found))
