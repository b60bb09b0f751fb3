"""What is known of a tensor before any of its numbers: shape and dtype."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
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
    largest: float
    """The largest finite number, rounded to a float where it is an integer."""

    def __init__(self, name: str) -> None:
        self.numpy = np.dtype(name)
        self.is_float = name.startswith("float")
        self.is_integer = name.startswith("int")
        limits = np.finfo(name) if self.is_float else np.iinfo(name) if self.is_integer else None
        self.largest = float(limits.max) if limits else 1.0

    def __repr__(self) -> str:
        """Return the name that NumPy uses."""
        return str(self.value)


_BY_NUMPY = {dtype.numpy: dtype for dtype in DType}
_NAMES = ", ".join(dtype.value for dtype in DType)


DTypeLike = DType | str | type | np.dtype[Any]


def as_dtype(dtype: DTypeLike) -> DType:
    """Return the DType of that name, or of NumPy's dtype; raises DTypeError if there is none.

    >>> as_dtype("float64"), as_dtype(np.int32)
    (float64, int32)
    """
    if isinstance(dtype, DType):
        return dtype
    try:
        return _BY_NUMPY[np.dtype(dtype)]
    except (KeyError, TypeError):
        raise DTypeError(
            f"the dtype {dtype!r}", "tensors do not have it", f"give one of {_NAMES}"
        ) from None


def dtype_of(array: Array) -> DType:
    """Return the DType of a NumPy array.

    Raises DTypeError for types that tensors do not have (complex, objects, text, float16).
    """
    try:
        return _BY_NUMPY[array.dtype]
    except KeyError:
        is_object = array.dtype.kind == "O"
        meaning = " (mixed kinds, or integers beyond 64 bits)" if is_object else ""
        raise DTypeError(
            "making a tensor",
            f"dtype {array.dtype}{meaning} is not one of {_NAMES}",
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


MOST_ELEMENTS = 2**46
"""No address space holds more; a longer shape is a mistake, refused before memory is asked for."""


def as_shape(shape: Iterable[int] | int, asked: str) -> Shape:
    """Return lengths as a shape; raises ShapeError for a negative one, a fraction, or too many.

    >>> as_shape(3, "zeros"), as_shape([2, 3], "zeros")
    ((3,), (2, 3))
    """
    lengths = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if not all(isinstance(n, int | np.integer) for n in lengths):
        found, repair = "a length is no whole number", "give whole numbers"
    elif any(n < 0 for n in lengths):
        found, repair = "a length is negative", "give lengths of 0 or more"
    # An axis of length 0 does not make the others free: NumPy bounds them all the same.
    elif math.prod(max(int(n), 1) for n in lengths) > MOST_ELEMENTS:
        found, repair = "no memory holds so many elements", "give shorter lengths"
    else:
        return tuple(map(int, lengths))
    raise ShapeError(f"{asked} of shape {lengths}", found, repair)


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
    given = (axes,) if isinstance(axes, int | np.integer) else tuple(axes)
    result = tuple(sorted(normalise_axis(axis, rank, asked) for axis in given))
    if len(set(result)) < len(result):
        raise ShapeError(
            f"{asked} along axes {given}", "an axis is named twice", "name each axis once"
        )
    return result
