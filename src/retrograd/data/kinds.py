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
)
from retrograd.data.conversions import (
    BOOLEAN_PAIRS,
    as_booleans,
    as_dates,
    as_numbers,
    as_text,
)
from retrograd.data.mixed import refuse_mixed, sample
from retrograd.data.schema import ColumnKind, ColumnSchema
from retrograd.data.settling import PLAIN, TEXT
from retrograd.data.suggesting import suggestion
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

MOST_CATEGORIES = 50  # one-hot columns of one category; rarer ones share a code
_FEWEST_IDENTIFIERS = 20  # below, different values in every row are no sign of an identifier
_ID_NAME = re.compile(
    r"(?:.*[_\s.-])?(?:id|uuid|guid|index|rownames?|key)|unnamed.*", re.IGNORECASE
)
_ID_CAMEL = re.compile(r".*[a-z](?:Id|ID)")
Kind = tuple[ColumnKind, str]


def decide(
    table: Table, target: str, wanted: Mapping[str, ColumnKind | str]
) -> tuple[ColumnSchema, ...]:
    """Return the schema of every column but the target."""
    asked = f"reading the columns of {table.name!r}"
    for name in wanted:
        if name == target and _wanted(wanted[name], asked)[1]:
            continue  # how its labels are written, which was known when they were read
        if name not in table.columns or name == target:
            others = [other for other in table.columns if other != target]
            found = f"no column to choose a kind for is called {name!r}"
            raise DataError(asked, found, suggestion(name, others))
    columns = []
    for name, column in table.columns.items():
        if name != target:
            kind, spelling = _wanted(wanted[name], asked) if name in wanted else (None, "")
            _check_spelling(table, name, column, spelling)
            columns.append(_decide_one(table, name, column, kind, spelling))
    if not any(column.kind.is_used for column in columns):
        why = "; ".join(f"{c.name!r}: {c.kind.value}, {c.reason}" for c in columns[:3])
        found = f"no column is left to predict from ({why})"
        raise DataError(asked, found, "give columns, or choose their kinds")
    return tuple(columns)


def spellings_of(kinds: Mapping[str, ColumnKind | str]) -> dict[str, str]:
    """Return how texts are to be read in columns whose kinds are chosen: for `read_table`.

    After a kind may stand how it is written: "number 1.234,5", "date DD/MM/YYYY".  Categories and
    what is dropped are not searched for numbers that people write.

    >>> spellings_of({"price": "number 1.234,5", "zip": "category", "age": "number"})
    {'price': '1.234,5', 'zip': 'plain'}
    """
    found = {}
    for name, kind in kinds.items():
        word, _, spelling = str(kind.value if isinstance(kind, ColumnKind) else kind).partition(" ")
        if spelling:
            found[name] = spelling.strip()
        elif word not in ("number", "date"):
            found[name] = PLAIN
    return found


def _wanted(kind: ColumnKind | str, asked: str) -> tuple[ColumnKind, str]:
    """Return the kind that a word names, and how it is written if that stands behind it.

    `drop` is a kind for any column that should not be used.
    """
    if isinstance(kind, ColumnKind):
        return kind, ""
    names = {member.value: member for member in ColumnKind} | {"drop": ColumnKind.identifier}
    word, _, spelling = str(kind).partition(" ")
    if word not in names:
        raise DataError(asked, f"no kind is called {kind!r}", suggestion(word, names))
    if spelling and word not in ("number", "date"):
        found = f"the kind {kind!r} says how texts are written, and {word} takes no such thing"
        raise DataError(asked, found, f"say {word!r}, or 'number 1.234,5', or 'date DD/MM/YYYY'")
    return names[word], spelling.strip()


def _check_spelling(table: Table, name: str, column: Column, spelling: str) -> None:
    """Refuse a way of writing that came too late: the texts were read without it."""
    if not spelling or isinstance(column, NumberColumn | DateColumn):
        return  # texts of which some are none of that kind are looked at later
    if not len(as_numbers(column)[1]) < len(column.codes) and not (
        len(as_dates(column)[1]) < len(column.codes)
    ):
        raise DataError(
            f"reading column {name!r} of {table.name!r}",
            f"no cell was read as {spelling!r}",
            f"read the table with it: read_table(..., spellings={{{name!r}: {spelling!r}}})",
        )


def _decide_one(
    table: Table, name: str, column: Column, wanted: ColumnKind | None, spelling: str
) -> ColumnSchema:
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
    if not isinstance(column, TextColumn) and column.spelling:
        reason = f"{reason}, {column.spelling.why}"
    return ColumnSchema(
        name, kind, reason, missing, unique, infinite, spelling or spelling_of(column)
    )


def spelling_of(column: Column) -> str:
    """Return how a column's texts were read, so that others can be read alike; "" for plainly."""
    if not isinstance(column, TextColumn):
        return column.spelling.text if column.spelling else ""
    return "" if set(_used_texts(column)) <= {"false", "true"} else TEXT


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
        used = {text.casefold() for text in _used_texts(column)}
        for pair in BOOLEAN_PAIRS:
            if used == set(pair):
                return ColumnKind.boolean, f"only {pair[0]} and {pair[1]}"
    refuse_mixed(table, name, column)
    texts = sample(column)
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
