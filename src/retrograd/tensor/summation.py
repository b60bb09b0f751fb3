"""Sums that keep their digits along every axis.

NumPy adds pairwise along the axis whose elements lie side by side, and one after the other along
all others: the sum of two million float32 rows near 1000 is then off by 1.6 % (3e-7 here).
"""

from __future__ import annotations

import numpy as np

from retrograd.tensor.types import Array

BLOCK = 128
"""How many numbers are added one after the other: as in NumPy's own pairwise sums."""


def total(x: Array, axes: tuple[int, ...]) -> Array:
    """Return the sum over sorted axes, which vanish, in the dtype of x.

    Rounding errors grow with the logarithm of the number of elements.

    >>> total(np.ones((1000, 2), np.float32), (0,))
    array([1000., 1000.], dtype=float32)
    """
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    lie_together = x.flags.c_contiguous and axes[:1] == (x.ndim - len(axes),)
    if count <= BLOCK or lie_together:
        together: Array = np.add.reduce(x, axis=axes, dtype=x.dtype)
        return together
    for axis in reversed(axes):
        x = _along(x, axis)
    return x


def _along(x: Array, axis: int) -> Array:
    """Return the sum along one axis: of blocks, then of their sums, until one block is left."""
    while x.shape[axis] > BLOCK:
        blocks, left = divmod(x.shape[axis], BLOCK)
        whole, rest = np.split(x, [x.shape[axis] - left], axis)
        parts = whole.reshape(*x.shape[:axis], blocks, BLOCK, *x.shape[axis + 1 :])
        sums = np.add.reduce(parts, axis=axis + 1, dtype=x.dtype)
        tail = np.add.reduce(rest, axis=axis, dtype=x.dtype, keepdims=True)
        x = np.concatenate([sums, tail], axis)
    return np.asarray(np.add.reduce(x, axis=axis, dtype=x.dtype))
