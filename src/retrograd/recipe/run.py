"""One run: from a config to a directory with a trained network, telling everything on the way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrograd.data import Schema, Split, Table, row_hashes, rows_digest
from retrograd.recipe.calibration import calibrated, conformal_on
from retrograd.recipe.config import Config, configure, option_homes
from retrograd.recipe.cost import Clocks, record_cost
from retrograd.recipe.model import Model, save_model
from retrograd.recipe.prepare import Prepared, prepare, read_source, require_room, run_name
from retrograd.recipe.toml import read_config, to_toml
from retrograd.recipe.training import require_known_metric, run_job, trained_network
from retrograd.tensor.errors import DataError, FileFormatError, InputError, NonFiniteError
from retrograd.train.checkpoint import SavedCheckpoint
from retrograd.train.directory import RunDirectory, RunPaths, create_run, open_run
from retrograd.train.events import Event, Stopped
from retrograd.train.files import read_file, replace_file
from retrograd.train.lines import read_lines
from retrograd.train.sealed import Kind, parse, seal, unseal

Listen = Callable[[Prepared | Event], None]
ShouldStop = Callable[[], str | None]
PARTS: Final = ("train", "validation", "test")
SPLIT: Final = Kind("retrograd-split", 1, "split")
_DIGESTS: Final = ("data_digest", "test_digest", "config_digest", "schema_digest")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run came to: its directory, its model, how it ended, and what it began with."""

    directory: Path
    model: Model
    stopped: Stopped
    prepared: Prepared


def run(
    config: Config,
    table: Table | None = None,
    *,
    listen: Listen | None = None,
    should_stop: ShouldStop | None = None,
) -> Outcome:
    """Train a network and write everything about it into ``config.directory``/<name>-<n>.

    ``listen`` is told first a `Prepared`, then every event of `fit`. ``should_stop`` is asked after
    every step: a word ends training in order, with a checkpoint that `resume` goes on from. The
    test part is set apart and not looked at.

    Raises DataError and InputError before anything is written, RunError if the system refuses a
    file, and NonFiniteError, after saving the best network so far, if training breaks down.
    """
    prepared = prepare(config, table)
    require_known_metric(prepared.job)
    require_room(prepared)
    name = config.name or run_name(config.data.source)
    with create_run(config.directory, name) as home:
        prepared = dataclasses.replace(prepared, directory=home.root)
        _write_beginning(home.paths, prepared)
        return _train(home, prepared, None, listen, should_stop)


def resume(
    directory: str | Path,
    table: Table | None = None,
    *,
    listen: Listen | None = None,
    should_stop: ShouldStop | None = None,
    **stopping: Any,
) -> Outcome:
    """Go on with a run from its newest checkpoint, bit for bit as if it had never stopped.

    ``table`` is needed if the run was trained from a table in memory. ``stopping`` sets new limits
    (epochs, steps, time, until, patience, tolerance, memory); the learning rate's schedule stays.

    Raises InputError if there is no such run, or another process writes to it, DataError if the
    data changed, FileFormatError if its files are damaged.
    """
    with open_run(directory) as home:
        prepared = reopen(home.root, table)
        limits = _with_limits(prepared.config, stopping)
        job = dataclasses.replace(prepared.job, config=limits)
        prepared = dataclasses.replace(prepared, config=limits, job=job)
        require_room(prepared)
        return _train(home, prepared, home.resume(), listen, should_stop)


def reopen(directory: str | Path, table: Table | None = None) -> Prepared:
    """Return a run as it was before its first step, from its directory; nothing there is changed.

    ``table`` is needed if the run was trained from a table in memory. Raises DataError if the data
    is not what it was, InputError and FileFormatError for missing or damaged files.
    """
    root = Path(directory)
    split, record = read_split(root)
    config, schema = _read_beginning(RunPaths(root), record)
    table = read_source(config.data) if table is None else table
    require_same_data(table, record, f"opening {str(directory)!r}")
    prepared = prepare(config, table, schema=schema, split=split)
    return dataclasses.replace(prepared, directory=root)


def _read_beginning(paths: RunPaths, record: Mapping[str, str]) -> tuple[Config, Schema]:
    """Return the config and the schema that a run began with; another one would not repeat it."""
    config, schema = read_config(paths.config), read_schema(paths.schema)
    for path, name in ((paths.config, "config_digest"), (paths.schema, "schema_digest")):
        asked = f"reading {str(path)!r}"
        if _digest(read_file(path, asked)) != record[name]:
            raise FileFormatError(
                asked,
                "it is not what it was when the run began",
                "bring the old file back, or train a new run with this one",
            )
    return config, schema


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_schema(path: Path) -> Schema:
    """Return the schema in a run's `schema.json`; raises FileFormatError if it is not one."""
    asked = f"reading {str(path)!r}"
    data = read_file(path, asked)
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        raise FileFormatError(asked, "it is not JSON", "train again") from None
    return Schema.from_json(plain)


def _with_limits(config: Config, stopping: Mapping[str, Any]) -> Config:
    homes = option_homes()
    wrong = [name for name in stopping if homes.get(name, "stopping") != "stopping"]
    if wrong:
        raise InputError(
            f"resuming with {wrong[0]}={stopping[wrong[0]]!r}",
            "a run goes on as it began: only its limits can change",
            "train a new run for other options",
        )
    return configure(config, **stopping)


def _train(
    home: RunDirectory,
    prepared: Prepared,
    saved: SavedCheckpoint | None,
    listen: Listen | None,
    should_stop: ShouldStop | None,
) -> Outcome:
    tell: Listen = listen or (lambda event: None)
    tell(prepared)
    stopped: Stopped | None = None
    names, began = prepared.preprocessor.feature_names, Clocks.now()
    try:
        for event in run_job(
            prepared.job, save=home.save, resume_from=saved, should_stop=should_stop,
            feature_names=names,
        ):  # fmt: skip
            home.record(event)
            stopped = event if isinstance(event, Stopped) else None
            tell(event)
    except NonFiniteError:
        if stopped is not None and stopped.best is not None:
            save_model(home.paths.model, _model(home.paths, prepared, stopped))
        raise
    assert stopped is not None
    model = _model(home.paths, prepared, stopped)
    save_model(home.paths.model, model)
    record_cost(home.root, began)
    return Outcome(home.root, model, stopped, prepared)


def _model(paths: RunPaths, prepared: Prepared, stopped: Stopped) -> Model:
    """Return the model of the state that training ended with, and the metrics of its epoch."""
    epochs = read_history(paths.root)
    at = stopped.best.epoch if stopped.best else stopped.epoch
    metrics = next((dict(row) for row in reversed(epochs) if row["epoch"] == at), {})
    net, validation = trained_network(prepared.job, stopped.state), prepared.job.validation
    net = calibrated(net, validation) if prepared.schema.classes else net
    return Model(
        net=net,
        schema=prepared.schema,
        preprocessor=prepared.preprocessor,
        config=prepared.config,
        metrics=metrics,
        data_digest=prepared.data_digest,
        parts={name: len(getattr(prepared.split, name)) for name in PARTS},
        conformal=conformal_on(net, validation, prepared.preprocessor),
    )


def _write_beginning(paths: RunPaths, prepared: Prepared) -> None:
    """Write what a run is made of, before it is trained."""
    config = to_toml(prepared.config).encode()
    schema = json.dumps(prepared.schema.to_json(), indent=1, ensure_ascii=False).encode()
    replace_file(paths.config, config)
    replace_file(paths.schema, schema)
    record = {
        "data_digest": prepared.data_digest,
        "test_digest": digest_of_rows(prepared.table, prepared.split),
        "config_digest": _digest(config),
        "schema_digest": _digest(schema),
    }
    parts = {name: getattr(prepared.split, name) for name in PARTS}
    replace_file(split_path(paths.root), seal(SPLIT, parts, json.dumps(record)))


def split_path(directory: str | Path) -> Path:
    """Return where a run keeps which rows are in which part."""
    return Path(directory) / "split.safetensors"


def read_split(directory: str | Path) -> tuple[Split, dict[str, str]]:
    """Return a run's split, and the digests of its data, test rows, config and schema.

    Raises FileFormatError for a file that is missing, damaged, or not of this shape.
    """
    path = split_path(directory)
    asked = f"reading the split {str(path)!r}"
    arrays, text = unseal(SPLIT, read_file(path, asked), asked)
    try:
        record = parse(text)
        parts = [arrays[name].astype(np.int64) for name in PARTS]
        digests = {name: str(record[name]) for name in _DIGESTS}
    except (ValueError, RecursionError, KeyError, TypeError):
        raise FileFormatError(asked, "its record cannot be read", "train again") from None
    if any(part.ndim != 1 for part in parts):
        raise FileFormatError(asked, "its parts are not lists of rows", "train again")
    return Split(*parts), digests


def digest_of_rows(table: Table, split: Split) -> str:
    """Return a digest of the cells of the test rows, whatever their order or place in the table."""
    hashes = np.sort(row_hashes(table)[split.test])
    return _digest(hashes.astype("<u8").tobytes())


def require_same_data(table: Table, record: Mapping[str, str], asked: str) -> None:
    """Raise DataError unless the table holds exactly the rows that the run was split from."""
    if rows_digest(table) != record["data_digest"]:
        raise DataError(
            asked,
            f"{table.name!r} is not what it was when the run began: cells, rows or columns changed",
            "bring the old data back, or train a new run on the new",
        )


def read_history(directory: str | Path) -> list[dict[str, float]]:
    """Return the metrics of every epoch of a run, in order: epoch, step, loss, validation_loss ...

    Raises FileFormatError for a log that is damaged.
    """
    path = RunPaths(directory).metrics
    rows = [row for row in read_lines(path) if row.pop("end_of_epoch", False)]
    try:
        return [{name: _number(value) for name, value in row.items()} for row in rows]
    except (TypeError, ValueError, OverflowError):
        asked = f"reading {str(path)!r}"
        raise FileFormatError(asked, "a metric is not a number", "remove the line") from None


def _number(value: Any) -> float:
    return value if isinstance(value, int) else float(value)
