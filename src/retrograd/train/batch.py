"""Batches as a step takes them: trees of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from retrograd.tensor.tensor import from_array
from retrograd.tree import leaves


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
