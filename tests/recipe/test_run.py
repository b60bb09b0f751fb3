"""Runs: nothing leaks, the same seed gives the same bits, and going on equals never stopping."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.recipe.conftest import OPTIONS, columns, write_csv

from retrograd.data import Table, read_table
from retrograd.recipe.config import Config, configure
from retrograd.recipe.model import load_model
from retrograd.recipe.prepare import Prepared, prepare, run_name
from retrograd.recipe.run import (
    SPLIT,
    Outcome,
    read_history,
    read_split,
    resume,
    run,
    split_path,
)
from retrograd.recipe.toml import read_config
from retrograd.tensor.errors import DataError, FileFormatError, InputError, NonFiniteError
from retrograd.train.events import Checkpointed, Event, Started, StepDone, Stopped
from retrograd.train.sealed import seal


def config_in(home: Path, **options: Any) -> Config:
    return configure(target="sold", directory=str(home / "runs"), **{**OPTIONS, **options})


def test_a_run_leaves_everything_behind(outcome: Outcome) -> None:
    names = {path.name for path in outcome.directory.iterdir()}
    # Another test may have opened the shared run's test part before.
    assert names - {"test.json"} == {
        "checkpoints", "config.toml", "cost.jsonl", "events.jsonl", "lock",
        "metrics.jsonl", "model.retro", "recording", "schema.json", "split.safetensors",
    }  # fmt: skip
    assert outcome.directory.name == "shop-1"
    schema = json.loads((outcome.directory / "schema.json").read_text())
    assert schema == outcome.model.schema.to_json()
    assert load_model(outcome.directory / "model.retro").metrics == outcome.model.metrics
    assert {"loss", "validation_loss", "accuracy", "epoch"} <= outcome.model.metrics.keys()


def test_the_config_repeats_the_run(outcome: Outcome, tmp_path: Path) -> None:
    written = read_config(outcome.directory / "config.toml")
    assert written == outcome.prepared.config
    assert written.data.task == "binary"
    again = run(configure(written, directory=str(tmp_path)))
    model = "model.retro"
    arrays = [load_model(run_.directory / model) for run_ in (outcome, again)]
    assert np.array_equal(*(m.net.layers[0].weight.numpy() for m in arrays))
    assert again.model.metrics == outcome.model.metrics


def test_events_arrive_in_order(tmp_path: Path, table: Table) -> None:
    heard: list[Prepared | Event] = []
    outcome = run(config_in(tmp_path), table, listen=heard.append)
    assert isinstance(heard[0], Prepared)
    assert heard[0].directory == outcome.directory
    assert heard[0].parameters > 0
    assert heard[0].footprint.total > heard[0].footprint.parameters
    assert isinstance(heard[1], Started)
    assert isinstance(heard[-1], Stopped)
    assert any(isinstance(event, Checkpointed) for event in heard)
    history = read_history(outcome.directory)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]


def test_the_best_epoch_is_kept(outcome: Outcome) -> None:
    history = read_history(outcome.directory)
    best = min(history, key=lambda row: row["validation_loss"])
    assert outcome.model.metrics == best


def test_no_row_but_those_of_training_has_any_influence(tmp_path: Path) -> None:
    """Cells of the test part may be anything: network and preprocessing stay the same bits."""
    clean = columns()
    first = run(config_in(tmp_path), read_table(clean))
    split, _ = read_split(first.directory)
    poisoned = {name: list(cells) for name, cells in clean.items()}
    for row in split.test:
        poisoned["size"][row], poisoned["price"][row] = 1e9, -1e9
        poisoned["colour"][row], poisoned["day"][row] = "violet", "1999-01-01"
    second = run(config_in(tmp_path), read_table(poisoned))
    assert [len(part) for part in (split.train, split.validation, split.test)] == [112, 24, 24]
    assert np.array_equal(read_split(second.directory)[0].test, split.test)
    assert second.model.preprocessor == first.model.preprocessor
    for a, b in zip(first.model.net.layers, second.model.net.layers, strict=True):
        if hasattr(a, "weight"):
            assert np.array_equal(a.weight.numpy(), b.weight.numpy())
    assert second.model.metrics == first.model.metrics


def test_validation_rows_do_not_shape_the_preprocessing(tmp_path: Path) -> None:
    clean = columns()
    prepared = prepare(config_in(tmp_path), read_table(clean))
    for row in prepared.split.validation:
        clean["size"][row] = 1e9
    assert prepare(config_in(tmp_path), read_table(clean)).preprocessor == prepared.preprocessor


def test_the_seed_decides_every_bit(tmp_path: Path, table: Table) -> None:
    runs = [run(config_in(tmp_path, seed=seed), table).directory for seed in (1, 1, 2)]
    models = [(path / "model.retro").read_bytes() for path in runs]
    metrics = [(path / "metrics.jsonl").read_bytes() for path in runs]
    assert models[0] == models[1] != models[2]
    assert metrics[0] == metrics[1] != metrics[2]


@pytest.mark.parametrize("stop_after", [1, 7, 13, 29])
def test_going_on_equals_never_stopping(tmp_path: Path, table: Table, stop_after: int) -> None:
    options: dict[str, Any] = {"normalization": "batch", "ema": 0.9, "schedule": "cosine"}
    whole = run(config_in(tmp_path, **options), table).directory
    steps: list[int] = []

    def listen(event: Prepared | Event) -> None:
        steps.extend([event.step] if isinstance(event, StepDone) else [])

    def stop() -> str | None:
        return "interrupted" if steps and steps[-1] >= stop_after else None

    begun = run(config_in(tmp_path, **options), table, listen=listen, should_stop=stop)
    assert begun.stopped.reason == "interrupted"
    assert begun.stopped.is_resumable
    ended = resume(begun.directory, table)
    assert ended.stopped.reason == "epochs"
    for name in ("model.retro", "metrics.jsonl"):
        assert (ended.directory / name).read_bytes() == (whole / name).read_bytes()


def test_limits_may_change_on_going_on(tmp_path: Path, table: Table) -> None:
    begun = run(config_in(tmp_path, epochs=2), table)
    ended = resume(begun.directory, table, epochs=4)
    assert len(read_history(ended.directory)) == 4
    assert resume(begun.directory, table, epochs=4).stopped.step == ended.stopped.step
    with pytest.raises(InputError, match="a run goes on as it began: only its limits can change"):
        resume(begun.directory, table, hidden=(3,))
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        resume(begun.directory, table, epoch=3)


def test_changed_data_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "shop.csv"
    write_csv(source, columns())
    begun = run(config_in(tmp_path, source=str(source)))
    write_csv(source, columns(seed=5))
    with pytest.raises(DataError, match="is not what it was when the run began"):
        resume(begun.directory)


def test_a_table_in_memory_must_be_given_again(tmp_path: Path, table: Table) -> None:
    begun = run(config_in(tmp_path), table)
    with pytest.raises(InputError, match="the table was given in memory; give the same table"):
        resume(begun.directory)


def test_a_run_without_validation_or_test(tmp_path: Path, table: Table) -> None:
    outcome = run(config_in(tmp_path, validation=0, test=0, patience=3), table)
    assert set(outcome.model.metrics) == {"epoch", "step", "loss"}
    assert len(outcome.prepared.split.train) == table.n_rows


def test_amounts_are_learnt(tmp_path: Path, table: Table) -> None:
    outcome = run(configure(config_in(tmp_path, epochs=40), target="price"), table)
    assert outcome.model.metrics["r2"] > 0.5
    found = outcome.model.predict(table)
    assert found.probabilities is None
    assert list(found.to_columns()) == ["price"]
    assert 15 < np.mean(found.values) < 45


def test_training_that_breaks_down_keeps_the_best(tmp_path: Path, table: Table) -> None:
    wild = config_in(tmp_path, learning_rate=1e20, optimizer="sgd", schedule="constant")
    with pytest.raises(NonFiniteError, match="training, step"):
        run(wild, table)


def test_nothing_is_written_for_data_that_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column is called 'sould'"):
        run(configure(config_in(tmp_path), target="sould"), read_table(columns()))
    assert not (tmp_path / "runs").exists()


def test_damaged_splits_and_logs_are_refused(tmp_path: Path, table: Table) -> None:
    begun = run(config_in(tmp_path, epochs=1), table).directory
    whole = split_path(begun).read_bytes()
    split_path(begun).write_bytes(whole[:-9])
    with pytest.raises(FileFormatError, match="reading the split"):
        resume(begun, table)
    rows = {name: np.zeros((2, 2), np.int64) for name in ("train", "validation", "test")}
    names = ("data_digest", "test_digest", "config_digest", "schema_digest")
    digests = json.dumps(dict.fromkeys(names, ""))
    for parts, record, message in [
        (rows, digests, "its parts are not lists of rows"),
        ({}, digests, "its record cannot be read"),
        (rows, "[]", "its record cannot be read"),
        (rows, digests[:-1] + ', "data_digest": ""}', "its record cannot be read"),
    ]:
        split_path(begun).write_bytes(seal(SPLIT, parts, record))
        with pytest.raises(FileFormatError, match=message):
            read_split(begun)
    split_path(begun).write_bytes(whole)
    (begun / "schema.json").write_text("[" * 100_000)
    with pytest.raises(FileFormatError, match="it is not JSON"):
        resume(begun, table)
    with (begun / "metrics.jsonl").open("a") as log:
        log.write('{"end_of_epoch": true, "loss": []}\n')
    with pytest.raises(FileFormatError, match="a metric is not a number"):
        read_history(begun)


@pytest.mark.parametrize("name", ["config.toml", "schema.json"])
def test_a_beginning_that_was_edited_is_refused(tmp_path: Path, table: Table, name: str) -> None:
    begun = run(config_in(tmp_path, epochs=1), table).directory
    path = begun / name
    path.write_text(path.read_text().replace('"number"', '"category"').replace("0.15", "0.2"))
    with pytest.raises(FileFormatError, match=f"{name}': it is not what it was when the run began"):
        resume(begun, table, epochs=2)


def test_duplicates_across_the_parts_are_noted(tmp_path: Path) -> None:
    twice = {name: cells + cells for name, cells in columns(80).items()}
    prepared = prepare(config_in(tmp_path), read_table(twice))
    assert any("rows that repeat others, test in train" in str(found) for found in prepared.audit)


def test_names_of_runs_are_plain() -> None:
    assert [run_name(x) for x in ("a/b.c.csv", "..", "x?y.csv", 7)] == ["b.c", "table", "x_y", "7"]
