"""What a table's columns mean: their kinds, the target, the task, and the reason for each."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from retrograd.data.plain import read_field, read_member, read_records, read_texts
from retrograd.tensor.errors import FileFormatError


class ColumnKind(enum.Enum):
    """What a column is taken for; the last four are not given to the network.

    >>> ColumnKind.date.is_used, ColumnKind.identifier.is_used
    (True, False)
    """

    number = "number"
    category = "category"
    boolean = "boolean"
    date = "date"
    identifier = "identifier"
    constant = "constant"
    empty = "empty"
    text = "text"

    @property
    def is_used(self) -> bool:
        """Return whether columns of this kind become features."""
        return self.value in ("number", "category", "boolean", "date")


class Task(enum.Enum):
    """What is predicted: one of two classes, one of several, or an amount."""

    binary = "binary"
    multiclass = "multiclass"
    regression = "regression"

    @property
    def is_classification(self) -> bool:
        """Return whether classes are predicted."""
        return self is not Task.regression


@dataclass(frozen=True)
class ColumnSchema:
    """One column that is not the target.

    reason: why it has this kind, in words.  missing, infinite: cells.  unique: different values.
    spelling: how its texts are written, where that is not the plain form: "1.234,5", "DD/MM/YYYY",
    or "text" for texts that are never taken for numbers.
    """

    name: str
    kind: ColumnKind
    reason: str
    missing: int
    unique: int
    infinite: int = 0
    spelling: str = ""


@dataclass(frozen=True)
class Schema:
    """What a table means.

    columns: every column but the target, in the table's order.
    classes: the labels as texts, in the order of their codes 0, 1, ...; empty for regression.
    rows: rows of the table.  unlabelled: those whose target is missing; they are not used.
    notes: sentences that its owner should see.
    target_spelling: how the labels are written, as `ColumnSchema.spelling` says it.
    """

    columns: tuple[ColumnSchema, ...]
    target: str
    target_reason: str
    task: Task
    task_reason: str
    classes: tuple[str, ...]
    rows: int
    unlabelled: int = 0
    notes: tuple[str, ...] = ()
    target_spelling: str = ""

    @property
    def features(self) -> tuple[ColumnSchema, ...]:
        """Return the columns that are given to the network."""
        return tuple(column for column in self.columns if column.kind.is_used)

    @property
    def dropped(self) -> tuple[ColumnSchema, ...]:
        """Return the columns that are not."""
        return tuple(column for column in self.columns if not column.kind.is_used)

    @property
    def spellings(self) -> dict[str, str]:
        """Return how the texts of every column are to be read, so that they mean what they did."""
        spellings = {column.name: column.spelling or "plain" for column in self.columns}
        return spellings | {self.target: self.target_spelling or "plain"}

    def to_json(self) -> dict[str, Any]:
        """Return the schema as plain dicts, lists, texts and numbers."""
        columns = [
            {
                "name": column.name,
                "kind": column.kind.value,
                "reason": column.reason,
                "missing": column.missing,
                "unique": column.unique,
                "infinite": column.infinite,
                "spelling": column.spelling,
            }
            for column in self.columns
        ]
        return {
            "columns": columns,
            "target": self.target,
            "target_reason": self.target_reason,
            "task": self.task.value,
            "task_reason": self.task_reason,
            "classes": list(self.classes),
            "rows": self.rows,
            "unlabelled": self.unlabelled,
            "notes": list(self.notes),
            "target_spelling": self.target_spelling,
        }

    @staticmethod
    def from_json(value: object) -> Schema:
        """Return the schema that `to_json` wrote.  Raises FileFormatError naming what is wrong."""
        asked = "reading a schema"
        schema = Schema(
            columns=tuple(_column(item, asked) for item in read_records(value, "columns", asked)),
            target=read_field(value, "target", str, asked),
            target_reason=read_field(value, "target_reason", str, asked),
            task=read_member(value, "task", Task, asked),
            task_reason=read_field(value, "task_reason", str, asked),
            classes=read_texts(value, "classes", asked),
            rows=read_field(value, "rows", int, asked),
            unlabelled=read_field(value, "unlabelled", int, asked),
            notes=read_texts(value, "notes", asked),
            target_spelling=_spelling(value, "target_spelling", asked),
        )
        wanted = {Task.binary: len(schema.classes) == 2, Task.regression: not schema.classes}
        if not wanted.get(schema.task, len(schema.classes) > 2):
            raise FileFormatError(
                asked,
                f"the task is {schema.task.value} with {len(schema.classes)} classes",
                "the file was changed: use an untouched copy",
            )
        return schema


def _column(item: object, asked: str) -> ColumnSchema:
    """Return one column's schema from its plain form."""
    return ColumnSchema(
        name=read_field(item, "name", str, asked),
        kind=read_member(item, "kind", ColumnKind, asked),
        reason=read_field(item, "reason", str, asked),
        missing=read_field(item, "missing", int, asked),
        unique=read_field(item, "unique", int, asked),
        infinite=read_field(item, "infinite", int, asked),
        spelling=_spelling(item, "spelling", asked),
    )


def _spelling(value: object, key: str, asked: str) -> str:
    """Return how texts are written; files of before there were such ways do not say."""
    is_said = isinstance(value, dict) and key in value
    return read_field(value, key, str, asked) if is_said else ""
