"""What is predicted: which column, whether classes or an amount, and the classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import Column, DateColumn, NumberColumn, TextColumn, is_missing
from retrograd.data.conversions import as_numbers, as_text, text_at
from retrograd.data.schema import Schema, Task
from retrograd.data.suggesting import suggestion
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

_USUAL_NAMES = ("target", "label", "labels", "y", "class", "outcome")
MOST_NUMBER_CLASSES = 20  # whole numbers with more values than this are amounts
MOST_CLASSES = 1000
_LARGEST_AMOUNT = 1e300  # errors of several deviations stay finite


@dataclass(frozen=True)
class Decision:
    """The task, why, its classes in code order (none for regression), and rows without a label."""

    task: Task
    reason: str
    classes: tuple[str, ...]
    unlabelled: int


def choose(table: Table, target: str | None) -> tuple[str, str]:
    """Return the target's name and why it is the target."""
    asked = f"choosing what to predict in {table.name!r}"
    names = list(table.columns)
    if target is not None:
        if target not in table.columns:
            raise DataError(asked, f"no column is called {target!r}", suggestion(target, names))
        return target, "you named it"
    if len(names) < 2:
        found = f"the table has {len(names)} column{'' if len(names) == 1 else 's'}"
        raise DataError(asked, found, "give one to predict from and one to predict")
    if table.target is not None:
        return table.target, f"{table.name!r} says so"
    folded = {name.casefold(): name for name in reversed(names)}
    for usual in _USUAL_NAMES:
        if usual in folded:
            return folded[usual], f"a column called {folded[usual]!r} is usually the target"
    return names[-1], "it is the last column; name another one to predict that"


def decide(table: Table, name: str, task: Task | str | None) -> Decision:
    """Decide the task from the target's values, or check the one that was asked for."""
    column = table.columns[name]
    asked = f"predicting {name!r} in {table.name!r}"
    missing = is_missing(column)
    _check_target(table, column, missing, asked)
    wanted = _wanted(task, asked)
    if wanted == "regression":
        return _as_amount(table, column, missing, asked, "you asked for regression")
    reason = _amount_reason(column) if wanted is None else ""
    if reason:
        return _as_amount(table, column, missing, asked, reason)
    counts = _counts(column)
    reason = _class_reason(column, counts) if wanted is None else f"you asked for {wanted}"
    return _as_classes(table, counts, missing, asked, reason, wanted)


def _wanted(task: Task | str | None, asked: str) -> str | None:
    """Return the name of the task that was asked for."""
    words = [*(member.value for member in Task), "classification"]
    word = task.value if isinstance(task, Task) else task
    if word is not None and word not in words:
        raise DataError(asked, f"no task is called {word!r}", suggestion(str(word), words))
    return word


def _check_target(table: Table, column: Column, missing: npt.NDArray[np.bool_], asked: str) -> None:
    """Refuse a target without two different labels, with dates, or with infinite amounts."""
    labelled = len(missing) - int(missing.sum())
    if isinstance(column, DateColumn) and labelled:
        raise DataError(asked, "the column holds dates", "predict a number or a class")
    if labelled < 2:
        found = f"{labelled} of {len(missing)} rows {'has' if labelled == 1 else 'have'} a label"
        raise DataError(asked, found, "give at least two labelled rows")
    if isinstance(column, NumberColumn) and np.isinf(column.values).any():
        rows = np.flatnonzero(np.isinf(column.values))
        found = f"{len(rows)} labels are infinite, the first at {table.place(int(rows[0]))}"
        raise DataError(asked, found, "correct or empty these cells")
    present = column.codes if isinstance(column, TextColumn) else column.values
    present = present[~missing]
    if (present == present[0]).all():
        only = text_at(column, int(np.flatnonzero(~missing)[0]))
        raise DataError(
            asked, f"every label is {only!r}", "give rows with at least two different labels"
        )


def _counts(column: Column) -> dict[str, int]:
    """Return how many rows have each label, in code order."""
    text = as_text(column)
    counts = np.bincount(text.codes[text.codes >= 0], minlength=len(text.levels))
    return {
        level: count
        for level, count in zip(text.levels.tolist(), counts.tolist(), strict=True)
        if count
    }


def _amount_reason(column: Column) -> str:
    """Return why the labels are amounts, or nothing."""
    if not isinstance(column, NumberColumn):
        return ""
    present = column.values[~np.isnan(column.values)]
    distinct = len(np.unique(present))
    if distinct == 2:
        return ""
    if (present != np.floor(present)).any():
        return f"{distinct} different numbers, not all of them whole"
    if distinct > MOST_NUMBER_CLASSES:
        return f"{distinct} different whole numbers are taken for amounts"
    if len(present) < 3 * distinct:
        return f"{distinct} different whole numbers in {len(present)} rows"
    return ""


def _class_reason(column: Column, counts: dict[str, int]) -> str:
    """Return why the labels are classes."""
    if isinstance(column, NumberColumn):
        return (
            f"only {len(counts)} different numbers are taken for classes; "
            "say task='regression' if they are amounts"
        )
    return f"{len(counts)} different texts"


def _as_amount(
    table: Table, column: Column, missing: npt.NDArray[np.bool_], asked: str, reason: str
) -> Decision:
    """Return the decision for regression, after checking that labels are numbers."""
    values, bad = as_numbers(column)
    if len(bad):
        first = text_at(column, int(bad[0]))
        raise DataError(
            asked,
            f"{first!r} at {table.place(int(bad[0]))} is no number",
            "predict classes, or correct the cell",
        )
    huge = np.flatnonzero(np.abs(values) > _LARGEST_AMOUNT)
    if len(huge):
        raise DataError(
            asked,
            f"{values[huge[0]]:g} at {table.place(int(huge[0]))} is too large an amount",
            "give it in a larger unit",
        )
    return Decision(Task.regression, reason, (), int(missing.sum()))


def _as_classes(
    table: Table,
    counts: dict[str, int],
    missing: npt.NDArray[np.bool_],
    asked: str,
    reason: str,
    wanted: str | None,
) -> Decision:
    """Return the decision for classification, after checking that classes can be learnt."""
    rare = [label for label, count in counts.items() if count == 1]
    labelled = sum(counts.values())
    if len(counts) > MOST_CLASSES or len(rare) > labelled / 2:
        raise DataError(
            asked,
            f"{len(counts)} different labels in {labelled} rows are too many for classes",
            "name another target, or say task='regression' for numbers",
        )
    if rare:
        others = f" and {len(rare) - 1} other classes" if len(rare) > 1 else ""
        raise DataError(
            asked,
            f"class {rare[0]!r}{others} has only one row",
            "give it more rows, or empty its label",
        )
    if wanted == "binary" and len(counts) != 2:
        raise DataError(asked, f"{len(counts)} classes are not two", "say task='multiclass'")
    found = Task.binary if len(counts) == 2 else Task.multiclass
    if wanted == "multiclass" and found is Task.binary:
        raise DataError(asked, "there are only two classes", "say task='binary'")
    return Decision(found, reason, tuple(counts), int(missing.sum()))


def target_values(table: Table, schema: Schema) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    """Return the labels of every row: int64 codes of `schema.classes`, or float64 amounts.

    (rows,); a missing label is -1, or NaN.

    Raises DataError if the target's column is missing, a label is no number, is infinite, or is
    none of the classes.

    >>> from retrograd.data.inferring import infer_schema
    >>> from retrograd.data.reading import read_table
    >>> table = read_table({"size": [1, 2, 3, 4], "sold": ["no", "yes", "no", "yes"]})
    >>> target_values(table, infer_schema(table)).tolist()
    [0, 1, 0, 1]
    """
    asked = f"reading the labels {schema.target!r} of {table.name!r}"
    if schema.target not in table.columns:
        raise DataError(asked, "there is no such column", suggestion(schema.target, table.columns))
    column = table.columns[schema.target]
    if schema.task.is_classification:
        return label_codes(table, column, schema.classes, asked)
    values, bad = as_numbers(column)
    bad = np.union1d(bad, np.flatnonzero(np.isinf(values)))
    if len(bad):
        first = text_at(column, int(bad[0]))
        raise DataError(
            asked,
            f"{first!r} at {table.place(int(bad[0]))} is no finite number",
            "correct or empty the cell",
        )
    return values


def label_codes(
    table: Table, column: Column, classes: tuple[str, ...], asked: str
) -> npt.NDArray[np.int64]:
    """Return the class code of every row, -1 where the label is missing."""
    place = {label: code for code, label in enumerate(classes)}
    text = as_text(column)
    # The last entry answers code -1 (missing); -2 marks a label that is no class.
    codes = [*(place.get(level, -2) for level in text.levels.tolist()), -1]
    labels = np.array(codes, dtype=np.int64)[text.codes]
    unknown = np.flatnonzero(labels == -2)
    if len(unknown):
        first = text_at(column, int(unknown[0]))
        raise DataError(
            asked,
            f"{first!r} at {table.place(int(unknown[0]))} is none of the {len(classes)} classes "
            f"({', '.join(classes[:8])}{', ...' if len(classes) > 8 else ''})",
            "correct the label, or train with rows of this class",
        )
    return labels
