"""Rows as an Arrow stream, and the predictions as another one."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import numpy as np
import polars as pl

from retrograd.data import Preprocessor, Table, read_table
from retrograd.data.columns import is_missing
from retrograd.data.conversions import as_numbers, as_text
from retrograd.data.encodings import CategoryEncoding, NumberEncoding
from retrograd.recipe.conformal import with_coverage
from retrograd.recipe.predictions import Predictions
from retrograd.serve.arrow_stream import read_stream
from retrograd.serve.batching import Batcher
from retrograd.serve.refusal import RefusedError
from retrograd.serve.rows import RowError
from retrograd.serve.served import Served
from retrograd.serve.settings import Limits
from retrograd.tensor.errors import InputError


async def answer(
    batcher: Batcher, body: bytes, limits: Limits, coverage: float | None = None
) -> bytes:
    """Return the predictions for an Arrow stream as an Arrow stream: a row for each row.

    The columns are the target and, for classes, `probability of CLASS`. Raises RefusedError for
    what is no such stream, or whose columns do not fit.
    """
    frame = read_stream(body, limits.rows)
    try:
        found, drift, rows = await asyncio.to_thread(_predict, batcher.served, frame, coverage)
    except InputError as error:
        raise RefusedError(422, f"{error.asked}: {error.found}") from None
    batcher.batches += 1
    batcher.rows += rows
    for column, counts in drift.items():
        tally = batcher.served.encoder.drift[column]
        tally[:] = [a + b for a, b in zip(tally, counts, strict=True)]
    return found


def _predict(
    served: Served, frame: pl.DataFrame, coverage: float | None
) -> tuple[bytes, dict[str, list[int]], int]:
    """Return the stream of predictions, the counts of odd cells, and the number of rows."""
    spellings = served.model.schema.spellings
    table = read_table(frame, name="the Arrow stream", spellings=spellings)
    outputs = served.programs.outputs(served.model.preprocessor.transform(table))
    found = _predictions(served, outputs)
    if coverage is not None:
        found = with_coverage(found, served.model.conformal, coverage)
    columns = found.to_columns()
    stream = io.BytesIO()
    pl.DataFrame(columns).write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    return stream.getvalue(), drift_of(served.model.preprocessor, table), table.n_rows


def _predictions(served: Served, outputs: Any) -> Predictions:
    """Return the answers as columns, in the form of `Model.predict`."""
    answers = served.answers_of(outputs)
    for row, answer in enumerate(answers):
        if isinstance(answer, RowError):
            raise RowError(answer.found, row)
    values = np.array([answer["value"] for answer in answers if isinstance(answer, dict)])
    table = None
    if served.classes:
        rows = [list(a["probabilities"].values()) for a in answers if isinstance(a, dict)]
        table = np.array(rows)
    return Predictions(served.target, values, table, served.classes)


def drift_of(preprocessor: Preprocessor, table: Table) -> dict[str, list[int]]:
    """Return for each column the cells by oddity: fine (not counted), missing, unseen, outside."""
    counts = {}
    for encoding in preprocessor.encodings:
        column = table.columns[encoding.column]
        missing, unseen, outside = int(is_missing(column).sum()), 0, 0
        if isinstance(encoding, CategoryEncoding):
            known = set(encoding.categories)
            text = as_text(column)
            strange = np.array([*(level not in known for level in text.levels.tolist()), False])
            unseen = int(strange[text.codes].sum())
        elif isinstance(encoding, NumberEncoding):
            values, _ = as_numbers(column)
            known_values = values[np.isfinite(values)]
            outside = int(((known_values < encoding.low) | (known_values > encoding.high)).sum())
        counts[encoding.column] = [0, missing, unseen, outside]
    return counts
