"""Rows cut into batches, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.data.columns import Rows
from retrograd.data.shuffling import permutation
from retrograd.tensor.errors import DataError

Array = npt.NDArray[Any]


class Batch(NamedTuple):
    """Rows that one step sees together.

    inputs (batch, ...) float32.  targets (batch,) int64 labels or (batch, ...) float32 amounts.
    weights (batch,) float32, or None: every row counts the same.
    """

    inputs: Array
    targets: Array
    weights: Array | None = None


def batch_rows(
    n: int,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    shuffle: bool = True,
    drop_last: bool = False,
) -> list[Rows]:
    """Return the row numbers of every batch of one epoch.

    The order is a function of (n, seed, epoch): explanation and resuming find the same batches.
    Every row is in exactly one batch; the last one may be short, unless `drop_last` drops it.

    Raises DataError for a batch size below 1, or if dropping leaves no batch.

    >>> [rows.tolist() for rows in batch_rows(5, batch_size=2, seed=0, epoch=0, shuffle=False)]
    [[0, 1], [2, 3], [4]]
    """
    asked = f"cutting {n} rows into batches of {batch_size}"
    if batch_size < 1:
        raise DataError(asked, "a batch holds at least one row", "give batch_size=1 or more")
    if drop_last and 0 < n < batch_size:
        raise DataError(
            asked, "the only batch is short and would be dropped", f"give batch_size={n} or less"
        )
    order = permutation(n, seed, epoch, 0xBA7C) if shuffle else np.arange(n, dtype=np.int64)
    stop = n - n % batch_size if drop_last else n
    return [order[start : start + batch_size] for start in range(0, stop, batch_size)]


def batches(
    inputs: Array,
    targets: Array,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    weights: Array | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
) -> Iterator[Batch]:
    """Yield the batches of one epoch; see `batch_rows`.

    inputs (rows, ...), targets (rows, ...), weights (rows,) or None.

    Raises DataError if these do not have the same number of rows.

    >>> x, y = np.zeros((3, 2), np.float32), np.array([0, 1, 0])
    >>> [batch.inputs.shape for batch in batches(x, y, batch_size=2, seed=0, epoch=0)]
    [(2, 2), (1, 2)]
    """
    sizes = {"inputs": len(inputs), "targets": len(targets)}
    if weights is not None:
        sizes["weights"] = len(weights)
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} have {size} rows" for name, size in sizes.items())
        raise DataError("making batches", found, "give as many of each")
    cuts = batch_rows(
        len(inputs),
        batch_size=batch_size,
        seed=seed,
        epoch=epoch,
        shuffle=shuffle,
        drop_last=drop_last,
    )
    return (
        Batch(inputs[rows], targets[rows], None if weights is None else weights[rows])
        for rows in cuts
    )
