"""Probabilities, intervals, sets and costs: what they promise holds on rows that chose nothing."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recipe.conftest import OPTIONS, columns

from retrograd import nn, ops
from retrograd.data import Table
from retrograd.recipe.calibration import (
    calibrated,
    expected_calibration_error,
    fit_temperature,
    uncalibrated,
)
from retrograd.recipe.config import configure
from retrograd.recipe.conformal import Conformal, class_scores, class_sets, conformal_of
from retrograd.recipe.model import KIND, Model, pack, unpack
from retrograd.recipe.predictions import class_probabilities, outputs_of
from retrograd.recipe.prepare import prepare
from retrograd.recipe.run import Outcome, run
from retrograd.recipe.threshold import cost_of, cost_vector, decide
from retrograd.recipe.training import Part
from retrograd.tensor.errors import FileFormatError, InputError
from retrograd.train.metrics import log_loss
from retrograd.train.sealed import seal, unseal


def drawn(rows: int, sureness: float, seed: int = 0) -> tuple[Any, Any]:
    """Logits of three classes, and labels drawn from the softmax of these over the sureness."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(rows, 3)) * 4
    chances = class_probabilities(logits / sureness)
    labels = (chances.cumsum(axis=1) < draw.random((rows, 1))).sum(axis=1)
    return logits, np.minimum(labels, 2)


def log_loss_at(logits: Any, labels: Any, temperature: float) -> float:
    return log_loss(class_probabilities(logits / temperature), labels)


@pytest.mark.parametrize("sureness", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(sureness: float) -> None:
    found = fit_temperature(*drawn(4000, sureness))
    assert found == pytest.approx(sureness, rel=0.12)


def test_a_temperature_improves_new_rows_and_changes_no_decision() -> None:
    logits, labels = drawn(1000, 3.0)
    new, truth = drawn(4000, 3.0, seed=1)
    temperature = fit_temperature(logits, labels)
    before, after = log_loss_at(new, truth, 1.0), log_loss_at(new, truth, temperature)
    assert after < before - 0.2
    raw, cool = class_probabilities(new), class_probabilities(new / temperature)
    assert expected_calibration_error(cool, truth) < 0.03
    assert expected_calibration_error(raw, truth) > 0.15
    assert np.array_equal(raw.argmax(axis=1), cool.argmax(axis=1))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_few_rows_without_a_mistake_do_not_make_it_vanish(rows: int, seed: int) -> None:
    logits, _ = drawn(rows, 1.0, seed)
    assert math.exp(-3) < fit_temperature(logits, logits.argmax(axis=1)) < 1.01


def test_the_layer_is_part_of_the_network(outcome: Outcome) -> None:
    last = outcome.model.net.layers[-1]
    assert isinstance(last, nn.Temperature)
    validation = outcome.prepared.job.validation
    assert validation is not None
    plain = uncalibrated(outcome.model.net)
    logits = outputs_of(plain, validation.inputs)
    labels = validation.targets
    assert log_loss_at(logits, labels, last.temperature) <= log_loss_at(logits, labels, 1.0)
    again = unpack(pack(outcome.model))
    assert again.net.layers[-1] == last
    few = Part(validation.inputs[:9], labels[:9])
    assert calibrated(plain, few) is plain
    assert calibrated(plain, None) is plain
    broken = nn.Sequential((*plain.layers, nn.Linear(ops.full((2, 2), np.nan), None)))
    assert calibrated(broken, validation) is broken


def test_a_temperature_that_is_none_is_refused() -> None:
    for value in (0.0, -1.0, math.inf):
        with pytest.raises(InputError, match=r"Temperature\(.*\): it is not above 0"):
            nn.Temperature(value)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_intervals_hold_as_often_as_was_asked(coverage: float) -> None:
    """Over many draws the mean coverage is that of the beta distribution, to its last row."""
    draw, n, held = np.random.default_rng(0), 50, []
    for _ in range(400):
        found = conformal_of(draw.exponential(size=n))
        assert found is not None
        held.append(1 - math.exp(-found.score(coverage)))  # the exact chance that a new row is in
    exact = math.ceil((n + 1) * coverage - 1e-9) / (n + 1)
    assert exact >= coverage
    assert np.mean(held) == pytest.approx(exact, abs=4 * np.std(held) / 20)


def test_sets_hold_as_often_as_was_asked() -> None:
    logits, labels = drawn(2000, 2.0)
    new, truth = drawn(5000, 2.0, seed=9)
    found = conformal_of(class_scores(class_probabilities(logits), labels))
    assert found is not None
    for coverage in (0.8, 0.9, 0.95):
        sets = class_sets(class_probabilities(new), found.score(coverage))
        held = float(sets[np.arange(len(truth)), truth].mean())
        spread = math.sqrt(coverage * (1 - coverage) * (1 / 2000 + 1 / 5000))
        assert abs(held - coverage) < 4 * spread
        assert sets.any(axis=1).all()
        assert sets.sum(axis=1).mean() < 3


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=3000), st.floats(0.01, 0.99))
@settings(max_examples=60, deadline=None)
def test_fewer_scores_are_kept_and_never_promise_too_much(
    scores: list[float], coverage: float
) -> None:
    found = conformal_of(np.array(scores))
    assert found is not None
    assert len(found.scores) <= 1000
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
    if rank <= len(scores):
        place = sum(score <= found.score(coverage) for score in scores)
        assert rank <= place
        assert found.score(coverage) in scores
    assert Conformal.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_scores_that_are_none() -> None:
    assert conformal_of(np.array([])) is None
    assert conformal_of(np.array([1.0, np.nan])) is None
    found = conformal_of(np.arange(24.0))
    assert found is not None
    with pytest.raises(InputError, match="it takes 99 validation rows, and there were 24; ask for"):
        found.score(0.99)
    with pytest.raises(InputError, match="coverage=1: it is no share between 0 and 1"):
        found.score(1.0)


def test_predictions_with_a_coverage(outcome: Outcome, table: Table, tmp_path: Path) -> None:
    found = outcome.model.predict(table, coverage=0.9)
    assert found.sets is not None
    truth = np.array(columns()["sold"]) == "yes"
    assert found.sets[np.arange(160), truth.astype(int)].mean() > 0.8
    assert set(found.to_columns()["sold set"]) <= {"no", "yes", "no | yes"}
    config = configure(target="price", directory=str(tmp_path), **OPTIONS)
    prices = run(config, table).model
    again = unpack(pack(prices)).predict(table, coverage=0.8)
    assert again.lower is not None
    assert again.upper is not None
    assert (again.lower < again.values).all()
    inside = (again.lower <= columns()["price"]) & (again.upper >= columns()["price"])
    assert 0.6 < inside.mean() <= 1
    assert list(again.to_columns()) == ["price", "price lower", "price upper"]
    blind = run(configure(config, validation=0.0), table).model
    with pytest.raises(InputError, match="no validation rows told how far off the network is"):
        blind.predict(table, coverage=0.9)


def test_costs_decide(outcome: Outcome, table: Table, tmp_path: Path) -> None:
    model = outcome.model
    likeliest = model.predict(table)
    assert likeliest.probabilities is not None
    chance = likeliest.probabilities[:, 1]
    for costs in ({"yes": 5.0}, {"false_negative": 5.0}):
        decided = model.predict(table, costs=costs)
        assert np.array_equal(decided.values == "yes", chance >= 1 / 6)
        assert np.array_equal(decided.probabilities, likeliest.probabilities)
    kept = Model(model.net, model.schema, model.preprocessor, configure(costs={"no": 3.0}))
    again = unpack(pack(kept))
    assert np.array_equal(again.predict(table).values == "yes", chance > 3 / 4)
    assert again.predict(table, costs={}).values.tolist() == likeliest.values.tolist()
    with pytest.raises(InputError, match="the cost of 'yess': there is no such class; did you"):
        prepare(configure(target="sold", costs={"yess": 5.0}), table)
    with pytest.raises(InputError, match="costs of classes: an amount is predicted; leave the"):
        prepare(configure(target="price", costs={"yes": 5.0}), table)


def test_costs_are_least_in_the_mean() -> None:
    logits, labels = drawn(4000, 1.0)
    chances, costs = class_probabilities(logits), cost_vector({"b": 8, "c": 0.5}, ["a", "b", "c"])
    dear = cost_of(decide(chances, costs), labels, costs).mean()
    assert dear < cost_of(chances.argmax(axis=1), labels, costs).mean()
    with pytest.raises(InputError, match="the cost of 'a': -1 is no cost; give one above 0"):
        cost_vector({"a": -1}, ["a", "b"])
    with pytest.raises(InputError, match="the cost of 'false_negative': there is no such class"):
        cost_vector({"false_negative": 2}, ["a", "b", "c"])


@pytest.mark.parametrize(
    "damage",
    [
        {"rows": 3, "ranks": [1, 2], "scores": [0.0, 1.0]},
        {"rows": 2, "ranks": [1, 2], "scores": [1.0, 0.0]},
        {"rows": 2, "ranks": [2, 1], "scores": [0.0, 1.0]},
        {"rows": 1, "ranks": [1], "scores": [1e999]},
        {"rows": 0, "ranks": [], "scores": []},
        {"ranks": []},
        7,
    ],
)
def test_a_damaged_record_is_refused(outcome: Outcome, damage: Any) -> None:
    arrays, text = unseal(KIND, pack(outcome.model), "reading")
    record = json.loads(text) | {"conformal": damage}
    with pytest.raises(FileFormatError, match="its record cannot be read"):
        unpack(seal(KIND, arrays, json.dumps(record)))
    del record["conformal"]
    assert unpack(seal(KIND, arrays, json.dumps(record))).conformal is None
    with pytest.raises(ValueError, match="no ordered scores"):
        Conformal(1, (2,), (0.5,))
