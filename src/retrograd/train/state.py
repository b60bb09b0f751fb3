"""TrainState: everything that one training step changes, as one tree of tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from retrograd.tensor.tensor import Tensor
from retrograd.tree import leaves


class TrainState(NamedTuple):
    """What a step takes and returns; saved leaf by leaf, under the leaf's own name.

    params: the trained leaves by name.  optimizer: the optimizer's own state.
    statistics: the untrained leaves by name.  step: int64 scalar, the steps done.
    key: int32 (2,), where the randomness of every step comes from; it never changes.
    """

    params: dict[str, Tensor]
    optimizer: Any
    statistics: dict[str, Tensor]
    step: Tensor
    key: Tensor


def is_finite(tree: Any) -> bool:
    """Return whether every float of a tree is a finite number; traced tensors cannot be asked.

    >>> from retrograd.tensor.tensor import tensor
    >>> is_finite({"weight": tensor([1.0, float("inf")])})
    False
    """
    return all(
        bool(np.isfinite(x.numpy()).all()) for x in leaves(tree).values() if x.dtype.is_float
    )


def count_parameters(state: TrainState) -> int:
    """Return how many numbers are trained."""
    return sum(x.size for x in state.params.values())


def is_trustworthy(state: TrainState) -> bool:
    """Return whether parameters and statistics are finite; optimizers may keep an infinity."""
    return is_finite(state.params) and is_finite(state.statistics)
