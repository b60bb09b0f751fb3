"""One way to shuffle, the same on every machine and with every version of NumPy."""

from __future__ import annotations

import numpy as np

from retrograd.data.columns import Rows
from retrograd.tensor.errors import DataError


def permutation(n: int, *key: int) -> Rows:
    """Return 0 to n - 1 in an order that depends on n and the key alone.

    NumPy promises the raw bits of PCG64 for ever, but not what `Generator.permutation` makes of
    them, so the order is read off the bits: they are sorted.

    Raises DataError for a negative seed.

    >>> permutation(5, 0).tolist() == permutation(5, 0).tolist()
    True
    """
    if any(part < 0 for part in key):
        raise DataError("shuffling rows", f"the seed {min(key)} is negative", "give 0 or more")
    bits = np.random.PCG64(list(key)).random_raw(n)
    return np.argsort(bits, kind="stable").astype(np.int64, copy=False)
