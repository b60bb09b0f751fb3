"""Tensors from nothing: zeros, ones, full, arange. Plain values, so no ops."""

from __future__ import annotations

import math

import numpy as np

from retrograd.tensor.conversion import beside, fitted
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor, from_array
from retrograd.tensor.types import DType, DTypeLike, Shape, as_dtype, as_shape


def full(shape: Shape | int, value: float | int | bool, dtype: DTypeLike = DType.float32) -> Tensor:
    """Return a tensor with ``value`` everywhere; raises DTypeError for a fraction in an integer.

    >>> full((2,), 7.0)
    tensor([7., 7.], float32[2])
    """
    wanted = as_dtype(dtype)
    element = beside(value, wanted, f"full of {wanted.value}")
    return from_array(np.full(as_shape(shape, "full"), element, wanted.numpy))


def zeros(shape: Shape | int, dtype: DTypeLike = DType.float32) -> Tensor:
    """Return a tensor of zeros.

    >>> zeros((2,), DType.int64)
    tensor([0, 0], int64[2])
    """
    return from_array(np.zeros(as_shape(shape, "zeros"), as_dtype(dtype).numpy))


def ones(shape: Shape | int, dtype: DTypeLike = DType.float32) -> Tensor:
    """Return a tensor of ones.

    >>> ones((2,))
    tensor([1., 1.], float32[2])
    """
    return from_array(np.ones(as_shape(shape, "ones"), as_dtype(dtype).numpy))


def zeros_like(x: TensorLike) -> Tensor:
    """Return zeros of the type of x, which may be traced.

    >>> zeros_like([1, 2])
    tensor([0, 0], int64[2])
    """
    x = as_tensor(x)
    return zeros(x.shape, x.dtype)


def ones_like(x: TensorLike) -> Tensor:
    """Return ones of the type of x, which may be traced.

    >>> ones_like([1.0, 2.0])
    tensor([1., 1.], float32[2])
    """
    x = as_tensor(x)
    return ones(x.shape, x.dtype)


def arange(
    start: int | float,
    stop: int | float | None = None,
    step: int | float = 1,
    dtype: DTypeLike = DType.int64,
) -> Tensor:
    """Return start, start + step, ... below ``stop``; with one number, 0, 1, ... below it.

    Raises InputError for a step of 0, and DTypeError for fractions in an integer dtype.

    >>> arange(4), arange(4, 0, -2)
    (tensor([0, 1, 2, 3], int64[4]), tensor([4, 2], int64[2]))
    """
    first, last = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise InputError(f"arange from {first} to {last}", "the step is 0", "give another step")
    as_shape(max(0, math.ceil((last - first) / step)), "arange")
    return from_array(fitted(np.arange(first, last, step), as_dtype(dtype)))
