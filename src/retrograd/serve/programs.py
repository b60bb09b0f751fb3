"""The compiled network of a served model: features in, outputs and answers out.

Programs exist for a few numbers of rows; others are cut and filled up. A row's outputs are the same
bits alone and among others (the compiler's promise), so it does not matter who asks at once.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from retrograd.compile import Bound
from retrograd.compile.compiled import is_native
from retrograd.recipe.model import Model

Floats = npt.NDArray[np.float64]
SIZES: Final = (1, 8, 64)
"""Rows of the programs. Where nothing is compiled only the first is used: NumPy's bits differ."""


class Programs:
    """A model's network, compiled; `seconds` is what the largest program takes, measured."""

    def __init__(self, model: Model, features: int) -> None:
        """Compile for every size, and run each once."""
        net: Any = model.net
        sizes = SIZES if is_native() else SIZES[:1]
        self._bound = {
            n: Bound(lambda x: net(x), np.zeros((n, features), np.float32)) for n in sizes
        }
        self.largest = sizes[-1]
        for size, bound in self._bound.items():
            given = np.zeros((size, features), np.float32)
            bound(given)
            start = time.perf_counter()
            bound(given)
            self.seconds = time.perf_counter() - start

    def outputs(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return what the network gives.  features (rows, features) -> (rows, outputs)"""
        rows, start, parts = len(features), 0, []
        while start < rows:
            left = rows - start
            size = next((n for n in self._bound if n >= left), self.largest)
            part = features[start : start + size]
            if len(part) < size:
                part = np.concatenate(
                    [part, np.zeros((size - len(part), part.shape[1]), part.dtype)]
                )
            parts.append(self._bound[size](part)[: min(size, left)])
            start += size
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def softmax(logits: npt.NDArray[np.float32]) -> Floats:
    """Return probabilities, each row's by itself.  logits (rows, classes) -> float64, the same

    >>> softmax(np.zeros((1, 2), np.float32)).tolist()
    [[0.5, 0.5]]
    """
    with np.errstate(invalid="ignore"):  # infinite ones become NaN, which answers refuse
        shifted = logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        np.exp(shifted, out=shifted)
        shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted
