"""From a config to a job: read, understand, split, and only then learn what rows look like."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrograd.compile.fitting import LimitError
from retrograd.data import (
    Preprocessor,
    Schema,
    Split,
    Table,
    Ways,
    fit_preprocessor,
    infer_schema,
    read_table,
    rows_digest,
    settled_source,
    source_title,
    spellings_of,
    split_table,
)
from retrograd.data.audit import audit
from retrograd.data.columns import Rows
from retrograd.data.finding import Finding
from retrograd.recipe.config import Config, DataConfig, bytes_of
from retrograd.recipe.footprint import Footprint, planned, require_limit, state_bytes
from retrograd.recipe.start import start_of
from retrograd.recipe.threshold import cost_vector
from retrograd.recipe.training import Job, Part, make_job
from retrograd.tensor.errors import InputError
from retrograd.train.state import count_parameters


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run before its first step: what there is to say about it, and all that training takes.

    config: without open choices.  notes: sentences that the data's owner should see.
    directory: where the run is written, or None if it has no directory.
    """

    config: Config
    table: Table
    schema: Schema
    split: Split
    preprocessor: Preprocessor
    job: Job
    data_digest: str
    notes: tuple[str, ...] = ()
    directory: Path | None = None

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        return count_parameters(self.job.state)

    @functools.cached_property
    def audit(self) -> tuple[Finding, ...]:
        """What was found about the parts: leaks first. It is looked for when it is asked for."""
        return audit(self.table, self.schema, self.split, ways_of(self.config.data))

    @property
    def footprint(self) -> Footprint:
        """What training holds in memory, in bytes, by the plan of its program."""
        data = _data_bytes(self.table, self.job.train, self.job.validation)
        return planned(self.job.memory, self.parameters, data)


def prepare(
    config: Config,
    table: Table | None = None,
    *,
    schema: Schema | None = None,
    split: Split | None = None,
) -> Prepared:
    """Read the data and make everything ready, with statistics from training rows only.

    ``table`` is used instead of the config's source; a run that is opened again has its ``schema``
    and ``split`` already. Raises DataError for data that cannot be trained on, InputError for
    options that do not fit it.
    """
    table = read_source(config.data) if table is None else table
    data = config.data
    kinds = _not_features(data) | data.kinds
    schema = schema or infer_schema(table, data.target, task=data.task, kinds=kinds)
    _require_sense(data, schema)
    start = start_of(config, table, schema)
    if start is not None:
        config, schema = start.config, start.schema
    split = split or _split(table, schema, data, config.seed)
    if start is None:
        preprocessor = fit_preprocessor(table, schema, split.train)
    else:
        preprocessor = start.preprocessor
    config = dataclasses.replace(config, data=_settled(data, schema))
    validation = part_of(table, preprocessor, split.validation) if len(split.validation) else None
    train = part_of(table, preprocessor, split.train)
    data_bytes = _data_bytes(table, train, validation)
    outputs = max(len(schema.classes), 1)
    job = make_job(
        config, outputs, train, validation, norms=True, data=data_bytes,
        net=None if start is None else start.net,
    )  # fmt: skip
    notes = schema.notes + preprocessor.notes(table)
    return Prepared(job.config, table, schema, split, preprocessor, job, rows_digest(table), notes)


def _split(table: Table, schema: Schema, data: DataConfig, seed: int) -> Split:
    return split_table(
        table, schema, seed=seed, validation=data.validation, test=data.test,
        stratify=data.stratify, ways=ways_of(data),
    )  # fmt: skip


def require_room(prepared: Prepared) -> None:
    """Raise InputError if the config limits the memory and no plan of the run keeps to that."""
    limit = prepared.config.stopping.memory
    if limit is None:
        return
    try:
        require_limit(prepared.footprint, bytes_of(limit))
    except LimitError as error:
        job, state = prepared.job, state_bytes(prepared.job.state)
        data = _data_bytes(prepared.table, job.train, job.validation)
        kept = Footprint(4 * prepared.parameters, 3 * state, error.plain - state, data)
        require_limit(kept, bytes_of(limit), error.smallest + 2 * state + data)
        raise


def _data_bytes(table: Table, train: Part, validation: Part | None) -> int:
    parts = [train] if validation is None else [train, validation]
    return table.memory + sum(part.inputs.nbytes + part.targets.nbytes for part in parts)


def read_source(data: DataConfig) -> Table:
    """Return the table of a config's source; raises InputError if it names none."""
    if data.source is None:
        raise InputError(
            "reading the data",
            "the config names no source: the table was given in memory",
            "give the same table again, as table=...",
        )
    return read_table(data.source, spellings=spellings_of(data.kinds))


def part_of(table: Table, preprocessor: Preprocessor, rows: Rows) -> Part:
    """Return some rows as the network sees them."""
    chosen = table.take(rows)
    targets = preprocessor.transform_target(chosen)
    is_amount = targets.dtype.kind == "f"
    return Part(
        preprocessor.transform(chosen), targets[:, np.newaxis] if is_amount else targets, rows=rows
    )


def ways_of(data: DataConfig) -> Ways:
    """Return how a config parts the rows."""
    return Ways(
        group=data.group,
        time=data.time_column,
        part=data.part_column,
        folds=data.folds,
        fold=data.fold or 1,
    )


def _require_sense(data: DataConfig, schema: Schema) -> None:
    """Refuse one run for all folds, and costs of what is no class."""
    if data.costs:
        cost_vector(data.costs, schema.classes)
    if data.folds is not None and data.fold is None:
        raise InputError(
            f"one run with folds={data.folds}",
            "a run is of one fold",
            "say which, as fold=1, or let `retrograd train --folds` go through all",
        )


def _not_features(data: DataConfig) -> dict[str, str]:
    """Return the columns that only part the rows: new rows will be of other groups."""
    names = (data.group, data.part_column)
    return {name: "drop" for name in names if name is not None and name != data.target}


def _settled(data: DataConfig, schema: Schema) -> DataConfig:
    """Return the config with what was inferred, and a path that holds from everywhere."""
    source = None if data.source is None else settled_source(data.source)
    return dataclasses.replace(data, source=source, target=schema.target, task=schema.task.value)


def run_name(source: Any) -> str:
    """Return what a run is called: the source's own name, made a plain file name.

    >>> run_name("data/my shop.csv"), run_name(None)
    ('my shop', 'table')
    """
    stem = source_title(str(source)) if source is not None else ""
    plain = "".join(c if c.isalnum() or c in "._ +-" else "_" for c in stem)[:100]
    return plain.lstrip("._ +-").rstrip() or "table"
