"""Cells of a CSV file that only the rule may judge, found without a Python object per cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import EXACT_WHOLE, MISSING_TEXTS, Rows
from retrograd.data.csv_blocks import Block

_MISSING_BYTES = np.array([text.encode() for text in MISSING_TEXTS], dtype="S8")


def odd_columns(block: Block, numbers: list[int], values: npt.NDArray[np.float64]) -> set[int]:
    """Return the columns with a cell that only `settle` may judge.

    values (columns, rows): as polars read them.  Judged by `settle` are leading zeros, quotes,
    infinities, whole numbers that float64 may change, and texts that are not among the missing.
    """
    content = np.frombuffer(block.content, dtype=np.uint8)
    starts, ends = block.starts[:, numbers].T, block.ends[:, numbers].T
    first = content[starts]
    last = len(content) - 1
    sign = (first == ord("-")) | (first == ord("+"))
    lead = content[np.minimum(starts + sign, last)]
    follow = content[np.minimum(starts + sign + 1, last)]
    odd = (first == ord('"')) & (ends > starts)
    odd |= (lead == ord("0")) & (follow >= ord("0")) & (follow <= ord("9"))
    odd |= np.abs(values) >= EXACT_WHOLE
    column, row = np.nonzero(np.isnan(values) & (ends > starts))
    if len(column):
        known = _are_missing_texts(content, starts[column, row], ends[column, row])
        odd[column[~known], row[~known]] = True
    return {numbers[i] for i in np.flatnonzero(odd.any(axis=1)).tolist()}


def _are_missing_texts(
    content: npt.NDArray[np.uint8], starts: Rows, ends: Rows
) -> npt.NDArray[np.bool_]:
    """Return for each cell whether it spells a missing value; no Python object per cell."""
    places = starts[:, None] + np.arange(8)
    letters = content[np.minimum(places, len(content) - 1)]
    letters = np.where(places < ends[:, None], letters, 0).astype(np.uint8)
    known = np.isin(letters.view("S8").ravel(), _MISSING_BYTES)
    return np.asarray(known & (ends - starts <= 8), dtype=np.bool_)
