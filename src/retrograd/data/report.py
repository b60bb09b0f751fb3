"""What was understood of a table, for people: a row for every column."""

from __future__ import annotations

from typing import NamedTuple

from retrograd.data.encodings import (
    BooleanEncoding,
    CategoryEncoding,
    DateEncoding,
    Encoding,
    NumberEncoding,
    feature_names,
)
from retrograd.data.preprocess import Preprocessor
from retrograd.data.schema import Schema


class ColumnReport(NamedTuple):
    """One column, in words.

    missing: cells without a value, infinite ones included.  values: different ones.
    features: how many features were made of it; 0 for the target and what is not used.
    """

    column: str
    kind: str
    missing: int
    values: int
    encoding: str
    why: str
    features: int


def describe(schema: Schema, preprocessor: Preprocessor | None = None) -> list[ColumnReport]:
    """Return one row for every column, the target last.

    >>> from retrograd.data.inferring import infer_schema
    >>> from retrograd.data.reading import read_table
    >>> table = read_table({"size": [1, 2, 2, 4], "sold": ["no", "yes", "no", "yes"]})
    >>> [(row.column, row.kind) for row in describe(infer_schema(table))]
    [('size', 'number'), ('sold', 'binary target')]
    """
    made = {e.column: e for e in preprocessor.encodings} if preprocessor else {}
    rows = []
    for column in schema.columns:
        encoding = made.get(column.name)
        rows.append(
            ColumnReport(
                column.name,
                column.kind.value,
                column.missing + column.infinite,
                column.unique,
                in_words(encoding) if encoding else "" if column.kind.is_used else "dropped",
                column.reason,
                len(feature_names(encoding)) if encoding else 0,
            )
        )
    target = ColumnReport(
        schema.target,
        f"{schema.task.value} target",
        schema.unlabelled,
        len(schema.classes),
        f"{len(schema.classes)} classes" if schema.classes else "(value - mean) / deviation",
        f"{schema.task_reason} ({schema.target_reason})",
        0,
    )
    return [*rows, target]


def in_words(encoding: Encoding) -> str:
    """Return what an encoding does, in a few words."""
    marked = ", missing marked"
    match encoding:
        case NumberEncoding(_, shift, scale, fill, _, _, indicator):
            filled = f", missing: {fill:.4g}, marked" if indicator else ""
            return f"(value - {shift:.4g}) / {scale:.4g}{filled}"
        case BooleanEncoding(_, _, indicator):
            return f"0 or 1{marked if indicator else ''}"
        case CategoryEncoding(_, categories, other, missing):
            extra = " + other" * other + " + missing" * missing
            return f"one of {len(categories)}{extra}"
        case DateEncoding(_, _, parts, indicator):
            names = ", ".join(dict.fromkeys(part.name.split()[0] for part in parts))
            return f"{names or 'nothing that varies'}{marked if indicator else ''}"
