"""Batches as a step takes them: trees of tensors."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from retrograd.tensor.tensor import from_array
from retrograd.tensor.types import Array
from retrograd.tree import flatten, leaves


def as_tensors(batch: Any) -> Any:
    """Return a batch with its arrays as tensors, so that a step can be compiled for it.

    >>> as_tensors((np.zeros(2, np.float32), None))
    (tensor([0., 0.], float32[2]), None)
    """
    if isinstance(batch, np.ndarray | np.generic):
        return from_array(np.asarray(batch))
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(as_tensors, batch))
    if isinstance(batch, tuple | list):
        return type(batch)(map(as_tensors, batch))
    if isinstance(batch, Mapping):
        return {name: as_tensors(part) for name, part in batch.items()}
    return batch


def count_rows(batch: Any) -> int:
    """Return the length of a batch's first part; 1 for a scalar.

    >>> count_rows(as_tensors((np.zeros((3, 2)), np.zeros(3))))
    3
    """
    first = next(iter(leaves(batch).values()), None)
    return first.shape[0] if first is not None and first.shape else 1


def read_batch(batch: Any) -> tuple[Hashable, Sequence[Array]]:
    """Return a key of a batch's shape and structure, and its arrays in the order of its leaves.

    >>> key, arrays = read_batch((np.zeros(2, np.float32), None))
    >>> key == read_batch((np.ones(2, np.float32), None))[0], len(arrays)
    (True, 1)
    """
    kind = type(batch)
    if issubclass(kind, tuple) and all(type(x) in _PLAIN for x in batch):
        # Runs at every step: the usual batch, a tuple of arrays, needs no tensors.
        arrays = [x for x in batch if x is not None]
        if all(x.dtype.isnative for x in arrays):
            return (kind, *((x.dtype.char, x.shape) if x is not None else x for x in batch)), arrays
    found, key = flatten(as_tensors(batch))
    return key, [x.numpy() for x in found]


_PLAIN = (np.ndarray, type(None))
