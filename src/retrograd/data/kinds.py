"""What each column is taken for, and why: numbers, categories, dates, or nothing of use."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from retrograd.data.columns import (
    Column,
    DateColumn,
    Floats,
    NumberColumn,
    TextColumn,
    is_code,
    is_missing,
    number_of,
)
from retrograd.data.conversions import (
    BOOLEAN_PAIRS,
    as_booleans,
    as_dates,
    as_numbers,
    as_text,
    text_at,
)
from retrograd.data.schema import ColumnKind, ColumnSchema, Task
from retrograd.data.sources import suggestion
from retrograd.data.table import Table
from retrograd.data.targets import Decision
from retrograd.tensor.errors import DataError

MOST_CATEGORIES = 50  # one-hot columns of one category; rarer ones share a code
_FEWEST_IDENTIFIERS = 20  # below, different values in every row are no sign of an identifier
_ID_NAME = re.compile(
    r"(?:.*[_\s.-])?(?:id|uuid|guid|index|rownames?|key)|unnamed.*", re.IGNORECASE
)
_ID_CAMEL = re.compile(r".*[a-z](?:Id|ID)")
_MOSTLY = 0.9  # share of numbers from which a column of texts is a damaged column of numbers
Kind = tuple[ColumnKind, str]


def decide(
    table: Table, target: str, wanted: Mapping[str, ColumnKind | str]
) -> tuple[ColumnSchema, ...]:
    """Return the schema of every column but the target."""
    asked = f"reading the columns of {table.name!r}"
    for name in wanted:
        if name not in table.columns or name == target:
            others = [other for other in table.columns if other != target]
            found = f"no column to choose a kind for is called {name!r}"
            raise DataError(asked, found, suggestion(name, others))
    columns = []
    for name, column in table.columns.items():
        if name != target:
            kind = _kind_named(wanted[name], asked) if name in wanted else None
            columns.append(_decide_one(table, name, column, kind))
    if not any(column.kind.is_used for column in columns):
        why = "; ".join(f"{c.name!r}: {c.kind.value}, {c.reason}" for c in columns[:3])
        found = f"no column is left to predict from ({why})"
        raise DataError(asked, found, "give columns, or choose their kinds")
    return tuple(columns)


def _kind_named(kind: ColumnKind | str, asked: str) -> ColumnKind:
    """Return the kind that a word names; `drop` is one for any column that should not be used."""
    if isinstance(kind, ColumnKind):
        return kind
    names = {member.value: member for member in ColumnKind} | {"drop": ColumnKind.identifier}
    if kind not in names:
        raise DataError(asked, f"no kind is called {kind!r}", suggestion(str(kind), names))
    return names[kind]


def _decide_one(table: Table, name: str, column: Column, wanted: ColumnKind | None) -> ColumnSchema:
    """Return one column's schema."""
    missing = int(is_missing(column).sum())
    infinite = 0
    if isinstance(column, NumberColumn):
        infinite = int(np.isinf(column.values).sum())
    unique = count_unique(column)
    if wanted is not None:
        kind, reason = wanted, "you said so"
        _check_wanted(table, name, column, kind)
    elif unique == 0:
        found = "no cell has a value" if not infinite else "no cell has a finite value"
        kind, reason = ColumnKind.empty, found
    elif unique == 1 and missing + infinite == 0:
        kind, reason = ColumnKind.constant, "every cell is the same"
    elif isinstance(column, NumberColumn):
        kind, reason = _kind_of_numbers(name, column.values, unique)
    elif isinstance(column, DateColumn):
        kind, reason = ColumnKind.date, "every cell is a date"
    else:
        kind, reason = _kind_of_texts(table, name, column, unique)
    return ColumnSchema(name, kind, reason, missing, unique, infinite)


def count_unique(column: Column) -> int:
    """Return how many different values a column has; missing and infinite cells are none."""
    if isinstance(column, TextColumn):
        used = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels))
        return int((used > 0).sum())
    if isinstance(column, DateColumn):
        return len(np.unique(column.values[~np.isnat(column.values)]))
    present = column.values[np.isfinite(column.values)]
    if len(present) > 1 << 16:
        import polars

        return polars.Series(present).n_unique()  # hashing: three times faster than sorting
    return len(np.unique(present))


def _kind_of_numbers(name: str, values: Floats, unique: int) -> Kind:
    """Return number, or identifier for whole numbers that only count or name the rows."""
    present = values[np.isfinite(values)]
    whole = bool((present == np.floor(present)).all())
    if whole and unique == len(present) >= _FEWEST_IDENTIFIERS:
        if _is_id_name(name):
            return ColumnKind.identifier, "every row has its own number, and its name says so"
        if float(present.max() - present.min()) == unique - 1:
            return ColumnKind.identifier, "it counts the rows: every number once, without a gap"
    return ColumnKind.number, f"{unique:,} different {'whole numbers' if whole else 'numbers'}"


def _is_id_name(name: str) -> bool:
    return bool(_ID_NAME.fullmatch(name) or _ID_CAMEL.fullmatch(name))


def _kind_of_texts(table: Table, name: str, column: TextColumn, unique: int) -> Kind:
    """Return category, boolean, identifier or text; refuse numbers with a few bad cells."""
    present = int((column.codes >= 0).sum())
    if unique == 2:
        pair = tuple(sorted(text.casefold() for text in _used_texts(column)))
        if pair in BOOLEAN_PAIRS:
            return ColumnKind.boolean, f"only {pair[0]} and {pair[1]}"
    _refuse_mixed(table, name, column)
    texts = _sample(column)
    words = sum(len(text.split()) for text in texts) / len(texts)
    if unique > _FEWEST_IDENTIFIERS and unique > present / 2:
        if words >= 3:
            return ColumnKind.text, f"{unique:,} different texts of {words:.0f} words on average"
        return ColumnKind.identifier, f"{unique:,} different texts in {present:,} cells"
    if unique > MOST_CATEGORIES and words >= 6:
        return ColumnKind.text, f"{unique:,} different texts of {words:.0f} words on average"
    reason = f"{unique:,} different {'codes' if all(map(is_code, texts)) else 'texts'}"
    if unique > MOST_CATEGORIES:
        reason += f"; the {MOST_CATEGORIES} most frequent are told apart"
    return ColumnKind.category, reason


def _used_texts(column: TextColumn) -> list[str]:
    """Return the texts that stand in a cell."""
    used = np.unique(column.codes[column.codes >= 0])
    return [str(text) for text in column.levels[used]]


def _sample(column: TextColumn) -> list[str]:
    """Return at most 1,000 of the texts, evenly spaced."""
    step = max(1, len(column.levels) // 1000)
    return [str(text) for text in column.levels[::step]]


def _refuse_mixed(table: Table, name: str, column: TextColumn) -> None:
    """Refuse a column that is numbers but for a few cells: a guess would change their meaning."""
    texts = _sample(column)
    if sum(number_of(text) is not None for text in texts) < max(10, _MOSTLY * len(texts)):
        return
    if any(map(is_code, texts)):
        return  # digits with leading zeros and the like: codes among which some look like numbers
    _, bad = as_numbers(column)
    present = int((column.codes >= 0).sum())
    if not 0 < len(bad) <= (1 - _MOSTLY) * present:
        return
    first = text_at(column, int(bad[0]))
    raise DataError(
        f"reading column {name!r} of {table.name!r}",
        f"{present - len(bad):,} cells are numbers, but {table.place(int(bad[0]))} holds {first!r}"
        + (f" (and {len(bad) - 1:,} more are none)" if len(bad) > 1 else ""),
        f"correct it, or choose the column's kind: {{{name!r}: 'number'}} reads it as missing, "
        f"{{{name!r}: 'category'}} keeps texts",
    )


def _check_wanted(table: Table, name: str, column: Column, kind: ColumnKind) -> None:
    """Refuse a kind under which no cell has a value."""
    if not kind.is_used:
        return
    if kind is ColumnKind.number:
        useful = bool(np.isfinite(as_numbers(column)[0]).any())
    elif kind is ColumnKind.date:
        useful = not np.isnat(as_dates(column)[0]).all()
    elif kind is ColumnKind.boolean:
        useful = not np.isnan(as_booleans(column)[0]).all()
    else:
        useful = bool((as_text(column).codes >= 0).any())
    if not useful:
        raise DataError(
            f"reading column {name!r} of {table.name!r} as {kind.value}",
            f"no cell is a {kind.value}",
            "choose another kind, or leave the choice out",
        )


def leak_notes(
    table: Table, target: str, columns: tuple[ColumnSchema, ...], decision: Decision
) -> tuple[str, ...]:
    """Return a warning for every feature that tells the target outright."""
    copies = [
        column.name
        for column in columns
        if column.kind.is_used
        and _tells(table.columns[column.name], table.columns[target], decision.task)
    ]
    return tuple(
        f"column {name!r} tells {target!r} outright: if it is not known before {target!r} is, "
        f"drop it with {{{name!r}: 'drop'}}"
        for name in copies
    )


def _tells(feature: Column, target: Column, task: Task) -> bool:
    """Return whether a feature equals the target, up to names (classes) or unit (amounts)."""
    both = ~(is_missing(feature) | is_missing(target))
    if both.sum() < 3:
        return False
    if isinstance(feature, NumberColumn) and task is Task.regression:
        return _is_same_amount(feature.values[both], as_numbers(target)[0][both])
    if not task.is_classification or isinstance(feature, DateColumn):
        return False
    labels = as_text(target).codes[both].astype(np.int64)
    codes = (
        np.unique(feature.values[both], return_inverse=True)[1]
        if isinstance(feature, NumberColumn)
        else feature.codes[both].astype(np.int64)
    )
    pairs = np.unique(codes * (labels.max() + 1) + labels)
    return len(pairs) == len(np.unique(codes)) == len(np.unique(labels))


def _is_same_amount(a: Floats, b: Floats) -> bool:
    """Return whether one is the other times a constant plus a constant."""
    finite = np.isfinite(a)
    a, b = a[finite], b[finite]
    if len(a) < 3 or not a.any():
        return False
    a, b = a / np.abs(a).max(), b / (np.abs(b).max() or 1.0)  # products of 1e300 overflow
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    return size > 0 and abs(float(np.dot(a, b))) > (1 - 1e-12) * size
