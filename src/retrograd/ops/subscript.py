"""x[...]: NumPy's basic indexing, and one tensor of integers, as slices, reshapes and takes."""

from __future__ import annotations

from types import EllipsisType
from typing import Any

import numpy as np

from retrograd.ops.indexing import take
from retrograd.ops.movement import reshape
from retrograd.ops.slicing import Slice
from retrograd.tensor.errors import IndexRangeError, InputError, ShapeError
from retrograd.tensor.history import apply
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import DType


def getitem(x: TensorLike, key: Any) -> Tensor:
    """Return x[key]: integers, slices with steps of either sign, ``...``, None, one index tensor.

    A slice is cut to the axis as in Python. An index tensor replaces its axis by its own axes and
    its numbers are refused outside 0..n-1. Raises IndexRangeError for an integer outside the axis,
    ShapeError for too many, InputError for a mask or anything else.

    >>> getitem([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], (1, slice(None, None, -2)))
    tensor([6., 4.], float32[2])
    """
    x = as_tensor(x)
    parts = _full_key(key, x)
    sliced = _slice(x, [part for part in parts if part is not None])
    shape, axis, chosen = [], 0, None
    for part in parts:
        if part is None:
            shape.append(1)
            continue
        if isinstance(part, Tensor):
            chosen = (part, len(shape))
        if not isinstance(part, int):
            shape.append(sliced.shape[axis])
        axis += 1
    shaped = reshape(sliced, tuple(shape))
    return shaped if chosen is None else take(shaped, chosen[0], chosen[1])


def _full_key(key: Any, x: Tensor) -> list[int | slice | Tensor | None]:
    """Return one part for each axis of x, and None for each axis that is added."""
    parts = [_part(part) for part in (key if isinstance(key, tuple) else (key,))]
    given = sum(part is not None and part is not Ellipsis for part in parts)
    ellipses = [i for i, part in enumerate(parts) if part is Ellipsis]
    if given > x.rank or len(ellipses) > 1:
        raise ShapeError(
            f"indexing {x.type} with {len(parts)} parts",
            "it has fewer axes, or '...' stands twice",
            f"give at most {x.rank} indices and one '...'",
        )
    at = ellipses[0] if ellipses else len(parts)
    rest = [slice(None)] * (x.rank - given)
    full = [*parts[:at], *rest, *parts[at + 1 :]]
    if sum(isinstance(part, Tensor) for part in full) > 1:
        raise InputError(
            f"indexing {x.type} with two index tensors",
            "only one may be given",
            "take along one axis after the other, or reshape and take once",
        )
    return full


def _part(part: Any) -> Any:
    if part is None or isinstance(part, slice | EllipsisType):
        return part
    if isinstance(part, int | np.integer) and not isinstance(part, bool):
        return int(part)
    if isinstance(part, Tensor | np.ndarray | list):
        indices = as_tensor(part)
        if indices.dtype is not DType.bool:
            return indices
        raise InputError(
            "indexing with a mask",
            "how many elements it picks depends on numbers, and shapes must not",
            "keep the shape with ops.where(mask, x, 0.0), or pick with NumPy before",
        )
    raise InputError(
        f"indexing with {type(part).__name__}",
        "an index is an integer, a slice, '...', None or a tensor of integers",
        "convert it",
    )


def _slice(x: Tensor, parts: list[Any]) -> Tensor:
    """Return x with slices cut and integers cut to length 1."""
    starts, lengths, steps = [], [], []
    for axis, (part, n) in enumerate(zip(parts, x.shape, strict=True)):
        if isinstance(part, int):
            if not -n <= part < n:
                raise IndexRangeError(
                    f"index {part} on axis {axis} of {x.type}",
                    f"the axis has {n} places",
                    f"give an index from {-n} to {n - 1}" if n else "there is nothing to index",
                )
            start, length, step = part % n, 1, 1
        else:
            given = range(n)[part if isinstance(part, slice) else slice(None)]
            length, step = len(given), given.step if len(given) > 1 else 1
            start = given.start if length else 0
        starts.append(start)
        lengths.append(length)
        steps.append(step)
    if tuple(lengths) == x.shape and all(step == 1 for step in steps):
        return x
    return apply(Slice(tuple(starts), tuple(lengths), tuple(steps)), x)
