"""From a table to its schema: what every column is, what is predicted, and why."""

from __future__ import annotations

from collections.abc import Mapping

from retrograd.data import kinds as kinds_of
from retrograd.data import targets
from retrograd.data.schema import ColumnKind, Schema, Task
from retrograd.data.table import Table
from retrograd.data.telling import telling_notes


def infer_schema(
    table: Table,
    target: str | None = None,
    *,
    task: Task | str | None = None,
    kinds: Mapping[str, ColumnKind | str] | None = None,
) -> Schema:
    """Decide what every column is, what is predicted, and say why.

    target: the column to predict; by default the one that the data set names, else one called
    target, label, labels, y, class or outcome, else the last.
    task: `binary`, `multiclass`, `classification` or `regression`; by default read off the target.
    kinds: column name -> kind, for columns that would be taken for something else; `drop` drops.
    Behind `number` and `date` may stand how they are written ("number 1.234,5"), which the table
    must have been read with: `read_table(..., spellings=...)`.

    What a cell can be (its kind, the classes) is read off all rows, those that are later set apart
    too: one text among numbers anywhere makes a column no column of numbers. How large or how
    frequent cells are is learnt by `fit_preprocessor`, from training rows alone.

    Raises DataError for an unknown name (the nearest is suggested), fewer than two labelled rows,
    a constant target, a class with one row, no usable feature, or a column that is numbers but
    for a few cells (the first is named).

    >>> from retrograd.data.reading import read_table
    >>> table = read_table({"size": [1.5, 2.0, 3.5, 4.0], "sold": ["no", "no", "yes", "yes"]})
    >>> schema = infer_schema(table, "sold")
    >>> schema.task.value, schema.classes, schema.columns[0].kind.value
    ('binary', ('no', 'yes'), 'number')
    """
    name, target_reason = targets.choose(table, target)
    decision = targets.decide(table, name, task)
    columns = kinds_of.decide(table, name, kinds or {})
    notes = table.notes + telling_notes(table, name, columns, decision.task)
    return Schema(
        columns=columns,
        target=name,
        target_reason=target_reason,
        task=decision.task,
        task_reason=decision.reason,
        classes=decision.classes,
        rows=table.n_rows,
        unlabelled=decision.unlabelled,
        notes=notes,
        target_spelling=kinds_of.spelling_of(table.columns[name]),
    )
