"""Rows as fingerprints: equal rows have equal ones, on every machine and in every version."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import Column, DateColumn, NumberColumn, Rows
from retrograd.data.split import Split
from retrograd.data.table import Table

Hashes = npt.NDArray[np.uint64]


def row_hashes(table: Table, columns: Sequence[str] | None = None) -> Hashes:
    """Return (rows,) uint64: a fingerprint of the cells of each row.

    columns: which ones count, in which order; by default all.

    >>> from retrograd.data.reading import read_table
    >>> hashes = row_hashes(read_table({"a": [1, 1, 2], "b": ["x", "x", "x"]}))
    >>> bool(hashes[0] == hashes[1]), bool(hashes[0] == hashes[2])
    (True, False)
    """
    mixed = np.zeros(table.n_rows, dtype=np.uint64)
    for name in columns if columns is not None else table.columns:
        mixed = _scramble(mixed ^ _scramble(_bits(table.columns[name])))
    return mixed


def rows_digest(table: Table, rows: Rows | None = None) -> str:
    """Return a digest (64 hexadecimal digits) of column names and the cells of these rows."""
    digest = hashlib.sha256("\x00".join(table.columns).encode())
    hashes = row_hashes(table)
    chosen = hashes if rows is None else hashes[rows]
    digest.update(chosen.astype("<u8").tobytes())
    return digest.hexdigest()


def duplicates_across(
    table: Table, split: Split, columns: Sequence[str] | None = None
) -> dict[str, int]:
    """Return how many rows of a part also stand in an earlier one, cell by cell.

    columns: which cells count; by default all, so give the features and the target where an
    identifier makes every row different.
    The keys are `validation in train`, `test in train` and `test in validation`.
    """
    hashes = row_hashes(table, columns)
    train, validation, test = (hashes[part] for part in (split.train, split.validation, split.test))
    return {
        "validation in train": int(np.isin(validation, train).sum()),
        "test in train": int(np.isin(test, train).sum()),
        "test in validation": int(np.isin(test, validation).sum()),
    }


def _bits(column: Column) -> Hashes:
    """Return (rows,) uint64 that are equal where cells are."""
    if isinstance(column, NumberColumn):
        values = column.values + 0.0  # -0.0 + 0.0 is 0.0
        values[np.isnan(values)] = np.nan  # one of the many NaNs
        return values.view(np.uint64)
    if isinstance(column, DateColumn):
        return column.values.astype("datetime64[us]").astype(np.int64).view(np.uint64)
    hashed = [_text_hash(text) for text in column.levels.tolist()]
    return np.array([*hashed, 0], dtype=np.uint64)[column.codes]  # the last answers -1: missing


def _text_hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _scramble(bits: Hashes) -> Hashes:
    """Return splitmix64's mixing of the next state (Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = bits + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
