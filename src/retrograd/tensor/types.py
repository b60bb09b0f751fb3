"""What is known of a tensor before any of its numbers: shape and dtype."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.tensor.errors import DTypeError, ShapeError

Shape = tuple[int, ...]
Array = npt.NDArray[Any]


class DType(enum.Enum):
    """The element types that tensors have.

    >>> DType.float32.is_float, DType.int64.is_float
    (True, False)
    """

    float32 = "float32"
    float64 = "float64"
    int32 = "int32"
    int64 = "int64"
    bool = "bool"

    # Plain attributes, not properties: they are read at every operation.
    numpy: np.dtype[np.generic]
    is_float: bool  # type: ignore[valid-type]  # `bool` is the member above, here it is the type
    is_integer: bool  # type: ignore[valid-type]

    def __init__(self, name: str) -> None:
        self.numpy = np.dtype(name)
        self.is_float = name.startswith("float")
        self.is_integer = name.startswith("int")

    def __repr__(self) -> str:
        """Return the name that NumPy uses."""
        return str(self.value)


_BY_NUMPY = {dtype.numpy: dtype for dtype in DType}


def dtype_of(array: Array) -> DType:
    """Return the DType of a NumPy array.

    Raises DTypeError for types that tensors do not have (complex, objects, text, float16).
    """
    try:
        return _BY_NUMPY[array.dtype]
    except KeyError:
        raise DTypeError(
            "making a tensor",
            f"dtype {array.dtype} is not one of {', '.join(d.value for d in DType)}",
            "convert with .astype('float32') first",
        ) from None


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and dtype together.

    >>> TensorType((32, 784), DType.float32)
    float32[32, 784]
    """

    shape: Shape
    dtype: DType

    @property
    def size(self) -> int:
        """Number of elements, as a Python int that cannot overflow."""
        return math.prod(self.shape)

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"{self.dtype.value}[{', '.join(map(str, self.shape))}]"


def broadcast_shapes(asked: str, *shapes: Shape) -> Shape:
    """Return the shape that all shapes stretch to, by NumPy's rule.

    Raises ShapeError, which names the operation ``asked``, when two lengths differ and none is 1.

    >>> broadcast_shapes("add", (3, 1), (4,))
    (3, 4)
    """
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = []
    for lengths in zip(*padded, strict=True):
        wanted = {length for length in lengths if length != 1} or {1}
        if len(wanted) > 1:
            raise ShapeError(
                f"{asked} of shapes {' and '.join(map(str, shapes))}",
                f"lengths {' and '.join(map(str, sorted(wanted)))} differ on an axis, none is 1",
                "make the axes equal, or reshape one to length 1",
            )
        result.append(wanted.pop())
    return tuple(result)


def normalise_axis(axis: int, rank: int, asked: str) -> int:
    """Return the axis counted from the front; raises ShapeError if there is no such axis.

    >>> normalise_axis(-1, 3, "sum")
    2
    """
    if not -rank <= axis < rank:
        raise ShapeError(
            f"{asked} along axis {axis}",
            f"the tensor has {rank} axes",
            f"give an axis from {-rank} to {rank - 1}" if rank else "give no axis",
        )
    return axis % rank


def normalise_axes(axes: int | tuple[int, ...] | None, rank: int, asked: str) -> tuple[int, ...]:
    """Return sorted axes from the front; ``None`` means all of them.

    Raises ShapeError for an axis that is absent or named twice.

    >>> normalise_axes((-1, 0), 3, "sum")
    (0, 2)
    """
    if axes is None:
        return tuple(range(rank))
    given = (axes,) if isinstance(axes, int) else tuple(axes)
    result = tuple(sorted(normalise_axis(axis, rank, asked) for axis in given))
    if len(set(result)) < len(result):
        raise ShapeError(
            f"{asked} along axes {given}", "an axis is named twice", "name each axis once"
        )
    return result
