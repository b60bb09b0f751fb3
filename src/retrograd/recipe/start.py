"""A run that starts from a network that is there already, and from its way of seeing columns.

`init` names a model: a run's directory, a model.retro, or what `retrograd import` wrote. Its
network and its preprocessing are taken as they are, since weights mean what they mean only behind
the numbers that they were trained on; the table may be another one with the same columns.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from retrograd.data import Preprocessor, Schema, Table, rows_digest
from retrograd.data.schema import ColumnKind, ColumnSchema
from retrograd.recipe.calibration import uncalibrated
from retrograd.recipe.config import Config, NetworkConfig
from retrograd.recipe.model import Model, unpack
from retrograd.tensor.errors import DataError, InputError
from retrograd.train.directory import RunPaths
from retrograd.train.files import read_file

_PARTING: Final = (
    "validation", "test", "stratify", "group", "time_column", "part_column", "folds", "fold"
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Start:
    """What a run begins with; ``config`` says which file it was, by its digest, and its layers."""

    config: Config
    net: Any
    schema: Schema
    preprocessor: Preprocessor


def start_of(config: Config, table: Table, schema: Schema) -> Start | None:
    """Return what a config's ``init`` names, None if it names nothing.

    Raises InputError if layers are asked for besides, or if rows that the model has learnt would be
    tested on; DataError for a table with other labels or columns; FileFormatError for no model.
    """
    network = config.network
    if network.init is None:
        return None
    path = Path(network.init)
    path = RunPaths(path).model if path.is_dir() else path
    asked = f"starting from {str(path)!r}"
    data = read_file(path, asked)
    digest = hashlib.sha256(data).hexdigest()
    if network.init_digest not in (None, digest):
        found = "it is not the file that it was when the run began"
        raise DataError(asked, found, "bring the old file back, or train a new run")
    model = unpack(data, asked)
    if network.init_digest is None:
        _require_open(network, asked)
        _require_unseen(config, model, table, asked)
    schema = _schema_for(model, schema, asked)
    preprocessor = dataclasses.replace(
        model.preprocessor, target=schema.target, unused=tuple(c.name for c in schema.dropped)
    )
    place = os.path.abspath(path)
    settled = dataclasses.replace(model.config.network, init=place, init_digest=digest)
    config, net = dataclasses.replace(config, network=settled), uncalibrated(model.net)
    return Start(config, net, schema, preprocessor)


def _require_open(network: NetworkConfig, asked: str) -> None:
    """Refuse layers that are asked for: the model has its own."""
    given = {field.name for field in dataclasses.fields(network)} - {"init", "init_digest"}
    for name in sorted(given):
        if getattr(network, name) is not None:
            found = f"its layers are made, and {name} is given"
            raise InputError(asked, found, f"leave {name} out")


def _require_unseen(config: Config, model: Model, table: Table, asked: str) -> None:
    """Refuse other parts of the same table: the model has learnt what would be tested on."""
    if rows_digest(table) != model.data_digest:
        return
    same = config.seed == model.config.seed and all(
        getattr(config.data, name) == getattr(model.config.data, name) for name in _PARTING
    )
    if not same:
        raise InputError(
            asked,
            "it was trained on this table with other parts, so it knows rows of this test part",
            f"keep its parts: seed {model.config.seed}, validation and test as they were",
        )


def _schema_for(model: Model, schema: Schema, asked: str) -> Schema:
    """Return the schema of the table with the model's columns and order of classes."""
    own = model.schema
    if set(schema.classes) != set(own.classes):
        _other_labels(schema, own, asked)
    known = {encoding.column for encoding in model.preprocessor.encodings}
    lacking = sorted(known - {column.name for column in schema.columns})
    if lacking:
        raise DataError(asked, f"it reads the column {lacking[0]!r}", "give a table that has it")
    kinds = {column.name: column for column in own.columns}
    columns = tuple(
        dataclasses.replace(column, kind=kinds[column.name].kind, reason="the model reads it so")
        if column.name in known
        else _unread(column)
        for column in schema.columns
    )
    return dataclasses.replace(schema, columns=columns, classes=own.classes)


def _unread(column: ColumnSchema) -> ColumnSchema:
    if not column.kind.is_used:
        return column
    reason = "the model to start from does not read it"
    return dataclasses.replace(column, kind=ColumnKind.identifier, reason=reason)


def _other_labels(schema: Schema, own: Schema, asked: str) -> NoReturn:
    """Refuse a table whose labels are not the model's."""
    words = [", ".join(each.classes[:6]) or "amounts" for each in (own, schema)]
    raise DataError(
        asked,
        f"it predicts {words[0]}, and {schema.target!r} holds {words[1]}",
        "train a new network, or import it with --classes",
    )
