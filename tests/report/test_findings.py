"""What the report finds out about a network, on cases whose answer is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.conftest import HOSTILE, amounts_table

from retrograd.data import infer_schema, read_table
from retrograd.recipe.card import card_of
from retrograd.recipe.intervals import Estimate
from retrograd.recipe.run import Outcome
from retrograd.report.drawing import drawn, to_svg
from retrograd.report.groups import groups
from retrograd.report.influence import dependence, importances
from retrograd.report.judged import (
    Judged,
    confusion,
    judge_validation,
    reliability,
    worst_rows,
)
from retrograd.report.material import Material, read_material


@pytest.fixture(scope="module")
def material(amounts: Outcome) -> Material:
    return read_material(amounts.directory, amounts_table())


@pytest.fixture(scope="module")
def judged(material: Material) -> Judged:
    assert material.table is not None
    return judge_validation(material, material.table)


def of_classes(targets: list[int], probabilities: list[list[float]], **columns: Any) -> Judged:
    """Rows judged by given probabilities; what a report does not ask for is left open."""
    said = np.array(probabilities)
    nothing: Any = None
    return Judged(
        nothing, read_table(columns or {"x": targets}), np.arange(len(targets)), nothing,
        np.array(targets), said, said.argmax(axis=1), np.zeros(len(targets)),
    )  # fmt: skip


def test_confusion_counts_true_down_and_predicted_across() -> None:
    judged = of_classes([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    assert confusion(judged, 2).tolist() == [[1, 1], [0, 1]]


def test_calibration_error_is_the_weighted_distance() -> None:
    judged = of_classes([1, 1, 0, 0], [[0.2, 0.8], [0.2, 0.8], [0.2, 0.8], [0.9, 0.1]])
    bins, error = reliability(judged)
    assert [(b.rows, round(b.said, 3)) for b in bins] == [(1, 0.1), (3, 0.8)]
    assert bins[1].true.value == pytest.approx(2 / 3)
    assert error == pytest.approx(0.25 * 0.1 + 0.75 * (0.8 - 2 / 3))


def test_groups_with_large_differences_come_first() -> None:
    right, wrong = [0.9, 0.1], [0.1, 0.9]
    colour, side = ["red"] * 10 + ["blue"] * 10, ["left", "right"] * 10
    judged = of_classes([0] * 20, [right] * 10 + [wrong] * 10, side=side, colour=colour)
    table = read_table({"side": side, "colour": colour, "y": [0, 1] * 10})
    found = groups(judged, infer_schema(table, "y"), ["side", "colour"], 2)
    assert [(g.column, g.label, g.rows, g.estimate.value) for g in found] == [
        ("colour", "blue", 10, 0.0), ("colour", "red", 10, 1.0),
        ("side", "left", 10, 0.5), ("side", "right", 10, 0.5),
    ]  # fmt: skip
    assert len(groups(judged, infer_schema(table, "y"), ["side", "colour"], 1)) == 2


def test_the_column_that_makes_the_target_matters_most(material: Material, judged: Judged) -> None:
    found = importances(material.model, judged)
    assert [each.column for each in found] == ["size", "age"]
    assert found[0].rise > 4 * abs(found[1].rise)
    assert all(each.low <= each.rise <= each.high for each in found)
    assert found == importances(material.model, judged), "the seed fixes the shuffles"


def test_the_answer_follows_the_column(material: Material, judged: Judged) -> None:
    curve = dependence(material.model, judged, "size")
    assert curve is not None
    assert curve.values is not None
    assert (np.diff(curve.values) > 0).all()
    means = curve.means[:, 0]
    assert means[-1] - means[0] > 5, "the price grows with the size"
    assert (curve.low <= curve.means).all()
    assert (curve.means <= curve.high).all()


def test_every_kind_of_column_has_a_curve(classes: Outcome) -> None:
    material = read_material(classes.directory)
    assert material.table is not None
    judged = judge_validation(material, material.table)
    labels = {}
    for name in (HOSTILE, "colour", "new", "day"):
        curve = dependence(material.model, judged, name)
        assert curve is not None, name
        assert np.allclose(curve.means.sum(axis=1), 1)
        labels[name] = curve.labels
    assert set(labels["colour"]) == {"red", "</svg><b>green", "blue"}
    assert len(labels["new"]) == 2
    assert labels["day"][0].startswith("2024-")


def test_the_worst_rows_come_first(material: Material, judged: Judged) -> None:
    rows = worst_rows(judged, material, ["size"], 3)
    assert [row.loss for row in rows] == sorted(judged.losses.tolist(), reverse=True)[:3]
    assert {row.number for row in rows} <= set(material.split.validation.tolist())
    table = amounts_table()
    assert float(rows[0].label) == pytest.approx(
        float(table.columns["price"].values[rows[0].number]),
        rel=1e-5,  # type: ignore[union-attr]
    )


def test_errors_of_cards_are_in_the_targets_unit(material: Material, judged: Judged) -> None:
    card = card_of(material.model)
    said = {measure.name: measure.value for measure in card.measures}
    estimate: Estimate = judged.evaluation.estimates["root_mean_squared_error"]
    assert said["root_mean_squared_error"] == pytest.approx(estimate.value, rel=1e-4)


def test_pictures_keep_hostile_text_and_their_own_ids() -> None:
    figure = drawn(lambda axes: axes.set_xlabel(HOSTILE) and None)
    svg = to_svg(figure, "p7", 'a "label" <b>')
    assert "<script" not in svg
    assert "&lt;script&gt;alert('x')&lt;/script&gt;" in svg
    assert svg.startswith('<svg class="plot" viewBox="0 0')
    assert 'aria-label="a &quot;label&quot; &lt;b&gt;"' in svg
    assert "http" not in svg
    assert all(each.startswith("p7-") for each in _ids(svg))


def _ids(svg: str) -> list[str]:
    import re

    found = re.findall(r'\bid="([^"]*)"', svg)
    assert found
    return found


def test_a_run_is_named_after_its_directory(material: Material, amounts: Outcome) -> None:
    assert material.name == Path(amounts.directory).name
