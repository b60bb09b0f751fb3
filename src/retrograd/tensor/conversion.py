"""From what people write to arrays that tensors hold: what is converted, and what is refused.

Nothing changes its value on the way without a word: a number that does not fit is refused here.
`cast_array`, which people ask for by name, is the one place that cuts off and saturates.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retrograd.tensor.errors import DTypeError, InputError, ShapeError
from retrograd.tensor.types import Array, DType, as_dtype, dtype_of


def read_array(values: Any, dtype: DType | str | None) -> Array:
    """Return a native, contiguous copy of the values; see `retrograd.tensor.tensor.tensor`."""
    if isinstance(values, np.ndarray) and type(values) is not np.ndarray:
        _refuse_masks(values)
    array = _copied(values)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if dtype is not None:
        return fitted(array, as_dtype(dtype))
    # Python's own floats have no dtype to keep; arrays, NumPy's scalars and columns of tables do.
    is_python = isinstance(values, float | list | tuple) and not isinstance(values, np.generic)
    return fitted(array, DType.float32) if is_python and array.dtype == np.float64 else array


def _copied(values: Any) -> Array:
    try:
        return np.array(values, order="C")
    except ValueError as error:
        raise ShapeError(
            "making a tensor of nested sequences",
            "they are not equally long, or hold sequences beside numbers",
            "pad them to one length",
        ) from error


def _refuse_masks(values: Array) -> None:
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise InputError(
            "making a tensor of a masked array",
            "what the mask hides would come back as numbers",
            "fill it first: values.filled(0.0)",
        )


def fitted(array: Array, dtype: DType) -> Array:
    """Return the numbers in another dtype; raises DTypeError if one would change its value.

    Floats may be rounded to a float, but not to infinity.

    >>> fitted(np.array([1.0, 2.0]), DType.int32)
    array([1, 2], dtype=int32)
    """
    if array.dtype == dtype.numpy:
        return array
    if array.dtype.kind not in "biuf":
        dtype_of(array)
    cast = _cast_or_none(array, dtype)
    if cast is None:
        both = array.dtype.kind == "f" and dtype.is_integer
        is_between = both and bool(_is_inside(array, dtype).all())
        raise DTypeError(
            f"making a tensor of {dtype.value}",
            "the numbers have fractions" if is_between else "a number does not fit",
            "round them first, or take a wider dtype",
        )
    return cast


def _cast_or_none(array: Array, dtype: DType) -> Array | None:
    """Return the cast, or None if a number would become another."""
    if array.dtype.kind not in "biuf":
        return None
    with np.errstate(all="ignore"):
        cast: Array = array.astype(dtype.numpy)
    if dtype.is_float:
        became_infinite = np.isinf(cast) & np.isfinite(array)
        return None if became_infinite.any() else cast
    # Rounded to a float again, the largest integer would pass for the number above it.
    is_inside = array.dtype.kind != "f" or not dtype.is_integer or _is_inside(array, dtype).all()
    return cast if is_inside and np.array_equal(array, cast) else None


def _is_inside(array: Array, dtype: DType) -> Array:
    """Return where floats, cut off, are among the integers of the dtype."""
    lowest = float(np.iinfo(dtype.value).min)
    # Both bounds are powers of two, which every float holds; the largest integer it may not.
    return (array >= lowest) & (array < -lowest)


def beside(value: Any, dtype: DType, asked: str) -> Array:
    """Return Python numbers in the dtype of the tensor that they meet.

    Raises DTypeError for a fraction that would become an integer, and for what does not fit.

    >>> beside(0.5, DType.float64, "adding")
    array(0.5)
    """
    if type(value) is float and dtype.is_float and not dtype.largest < abs(value) < math.inf:
        return np.asarray(value, dtype.numpy)  # by far the most frequent: 0.9 * m
    array = _copied(value)
    if array.dtype.kind == "f" and not dtype.is_float:
        raise DTypeError(
            f"{asked} with {value}",
            "a fraction does not fit an integer tensor",
            "cast the tensor to a float dtype first",
        )
    cast = _cast_or_none(array, dtype)
    if cast is None:
        raise DTypeError(
            f"{asked} with {value}",
            f"it does not fit {dtype.value}",
            "cast the tensor to a wider dtype first",
        )
    return cast


def cast_array(array: Array, dtype: DType) -> Array:
    """Return the array in another dtype, with one answer on every machine.

    Floats go to integers by cutting off the fraction; beyond the ends by the nearest end, and NaN
    is 0 (C leaves all this undefined, and processors differ). Integers wrap around.

    >>> cast_array(np.array([-1.7, 1e30, np.nan]), DType.int32)
    array([        -1, 2147483647,          0], dtype=int32)
    """
    if array.dtype.kind != "f" or not dtype.is_integer:
        return array.astype(dtype.numpy)
    is_inside = _is_inside(array, dtype)
    cast = np.where(is_inside, array, 0).astype(dtype.numpy)
    if is_inside.all():
        return cast
    ends = np.iinfo(dtype.value)
    beyond = np.where(array > 0, ends.max, np.where(array < 0, ends.min, 0)).astype(dtype.numpy)
    return np.where(is_inside, cast, beyond)
