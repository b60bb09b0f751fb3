"""Answers are those of `Model.predict`, and the same bits whoever else asks."""

import asyncio
import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.serve.running import JSON, ROW, Running

from retrograd.recipe.model import Model, save_model
from retrograd.serve.batching import Batcher
from retrograd.serve.rows import RowError
from retrograd.serve.served import Served, load
from retrograd.tensor.errors import RunError

ARROW = {"content-type": "application/vnd.apache.arrow.stream"}


@pytest.fixture(scope="module")
def rows(table: dict[str, list[Any]]) -> list[dict[str, Any]]:
    names = [name for name in table if name != "bought"]
    return [
        dict(zip(names, cells, strict=True))
        for cells in zip(*(table[n] for n in names), strict=True)
    ]


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_classes_are_those_of_the_model(
    server: Running, shop: Model, rows: list[dict[str, Any]]
) -> None:
    found = server.client.post("/models/shop/predict", json=rows).json()["predictions"]
    expected = shop.predict(columns(rows))
    assert [each["value"] for each in found] == expected.values.tolist()
    shares = np.array([list(each["probabilities"].values()) for each in found])
    assert np.abs(shares - expected.probabilities).max() < 1e-6
    assert list(found[0]["probabilities"]) == ["no", "yes"]


def test_amounts_are_those_of_the_model(
    server: Running, price: Model, rows: list[dict[str, Any]]
) -> None:
    given = [{k: v for k, v in row.items() if k != "income"} for row in rows]
    found = server.client.post("/models/price/predict", json=given).json()["predictions"]
    expected = price.predict(columns(given)).values
    assert np.allclose([each["value"] for each in found], expected, rtol=1e-5)


def test_one_row_is_the_same_bits_as_many(server: Running, rows: list[dict[str, Any]]) -> None:
    many = server.client.post("/predict", json=rows[:100]).json()["predictions"]
    for row, answer in zip(rows[:20], many, strict=False):
        one = server.client.post("/predict", json=row).json()
        assert {name: one[name] for name in answer} == answer


def test_requests_at_once_get_the_same_bits_as_alone(
    models: Path, rows: list[dict[str, Any]]
) -> None:
    served = load("shop", "1", models / "shop.retro")

    async def ask(window: float, at_once: int) -> tuple[list[Any], int]:
        batcher = Batcher(served, window)
        found: list[Any] = []
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            found += await asyncio.gather(*map(batcher.answer, part))
        return found, batcher.batches

    alone, calls = asyncio.run(ask(0.0, 1))
    assert calls == len(rows)
    for window, at_once in ((0.0, 24), (0.002, 24), (0.0, 240)):
        together, calls = asyncio.run(ask(window, at_once))
        assert together == alone
        assert calls == -(-240 // min(at_once, 64)) if at_once == 24 else calls == 4


def test_a_wrong_row_does_not_touch_its_neighbours(models: Path) -> None:
    served = load("shop", "1", models / "shop.retro")

    async def ask() -> list[Any]:
        batcher = Batcher(served, 0.0)
        given = [ROW, {**ROW, "joined": "soon"}, ROW]
        return await asyncio.gather(*map(batcher.answer, given), return_exceptions=True)

    first, wrong, third = asyncio.run(ask())
    assert first == third
    assert isinstance(wrong, RowError)


def test_arrow_rows_are_answered_as_arrow(
    server: Running, shop: Model, rows: list[dict[str, Any]]
) -> None:
    frame = pl.DataFrame(rows)
    stream = io.BytesIO()
    frame.write_ipc_stream(stream)
    reply = server.client.post("/predict", content=stream.getvalue(), headers=ARROW)
    assert reply.headers["content-type"] == ARROW["content-type"]
    found = pl.read_ipc_stream(io.BytesIO(reply.content))
    expected = shop.predict(frame)
    assert found["bought"].to_list() == expected.values.tolist()
    assert np.allclose(found["probability of yes"], expected.probabilities[:, 1], atol=1e-6)
    as_json = server.client.post("/predict", json=rows).json()["predictions"]
    assert found["probability of no"].to_list() == [a["probabilities"]["no"] for a in as_json]


def test_a_coverage_gives_sets_and_intervals(
    server: Running, shop: Model, price: Model, rows: list[dict[str, Any]]
) -> None:
    ask = {"params": {"coverage": 0.8}}
    found = server.client.post("/predict", json=rows[:30], **ask).json()["predictions"]
    sets = shop.predict(columns(rows[:30]), coverage=0.8).to_columns()["bought set"]
    assert [" | ".join(each["set"]) for each in found] == sets
    given = {k: v for k, v in rows[0].items() if k != "income"}
    (low, high) = server.client.post("/models/price/predict", json=given, **ask).json()["interval"]
    expected = price.predict(given, coverage=0.8)
    assert expected.lower is not None
    assert expected.upper is not None
    assert np.allclose([low, high], [expected.lower[0], expected.upper[0]], rtol=1e-5)
    stream = io.BytesIO()
    pl.DataFrame(rows[:30]).write_ipc_stream(stream)
    reply = server.client.post("/predict", content=stream.getvalue(), headers=ARROW, **ask)
    assert pl.read_ipc_stream(io.BytesIO(reply.content))["bought set"].to_list() == sets


@pytest.mark.parametrize(
    ("coverage", "words"),
    [
        ("x", "the coverage is no number; give one such as 0.9"),
        ("", "the coverage is no number"),
        ("0", "predicting with coverage=0: it is no share between 0 and 1"),
        ("0.9999", "ask for less, or train with more rows"),
    ],
)
def test_a_coverage_that_cannot_be_is_refused(server: Running, coverage: str, words: str) -> None:
    reply = server.client.post("/predict", json=ROW, params={"coverage": coverage})
    assert (reply.status_code, words in reply.json()["error"]) == (422, True), reply.text


def test_classes_are_decided_by_the_costs_of_training(
    shop: Model, models: Path, rows: list[dict[str, Any]]
) -> None:
    data = dataclasses.replace(shop.config.data, costs={"yes": 3.0})
    dear = dataclasses.replace(shop, config=dataclasses.replace(shop.config, data=data))
    save_model(models / "dear.retro", dear)
    served = load("dear", "1", models / "dear.retro")
    found = [each["value"] for each in served.answers(served.features(rows)[0])]
    expected = dear.predict(columns(rows)).values.tolist()
    assert found == expected
    assert expected != shop.predict(columns(rows)).values.tolist()


def test_notes_tell_what_training_did_not_know(server: Running) -> None:
    row = {**ROW, "city": "Zug", "income": 1e9, "more": 1}
    answer = server.client.post("/predict", json=row).json()
    assert answer["notes"] == [
        "'income': 1000000000.0 is outside the training range",
        "'city': the text 'Zug' was not seen in training",
        "'more' is not used by the network",
    ]


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"age": "forty"}, "age", "row 1, field 'age': expected a number, found the text 'forty'"),
        ({"joined": 3}, "joined", "row 1, field 'joined': expected a date"),
        ({"city": ["Bern"]}, "city", "row 1, field 'city': expected one value, found a list"),
    ],
)
def test_a_wrong_cell_is_named_with_its_row(
    server: Running, change: dict[str, Any], field: str, words: str
) -> None:
    reply = server.client.post("/predict", json=[ROW, {**ROW, **change}])
    assert reply.status_code == 422
    assert reply.json()["error"].startswith(words)
    assert (reply.json()["row"], reply.json()["field"]) == (1, field)


def test_lists_are_bounded(server: Running) -> None:
    reply = server.client.post("/predict", json=[])
    assert (reply.status_code, reply.json()["error"]) == (
        422, "the list holds no rows; send at least one",
    )  # fmt: skip
    reply = server.client.post("/predict", content=b"[" + b"1," * 1000 + b"1]", headers=JSON)
    assert reply.status_code == 422
    assert "1,001 rows are more than the 1,000 that one request may send" in reply.json()["error"]


def test_a_network_that_gives_nan_is_an_answer_of_its_own(models: Path) -> None:
    served = load("shop", "1", models / "shop.retro")
    outputs = np.array([[0.0, 1.0], [np.nan, 1.0], [np.inf, np.inf]], np.float32)
    found = served.answers_of(outputs)
    assert isinstance(found[0], dict)
    assert [str(each) for each in found[1:]] == ["the network gives NaN or infinity for it"] * 2


def test_a_program_that_disagrees_is_not_served(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Served, "answers", lambda self, features: [
        {"value": "no", "probabilities": {"no": 0.9999, "yes": 0.0001}}])  # fmt: skip
    with pytest.raises(RunError, match="the compiled network does not answer as the model does"):
        load("shop", "1", models / "shop.retro")
