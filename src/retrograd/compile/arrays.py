"""Arrays for programs: where they start, how they lie, and which memory is used once more."""

from __future__ import annotations

import sys

import numpy as np

from retrograd.tensor.types import Array, TensorType

PAGE = 4096
LARGE = 2**16
"""Bytes from which on the memory of an answer is kept for the next one."""


class Answers:
    """Memory for a program's outputs: that of earlier answers, once nobody holds them any more.

    New memory comes from the system page by page, each cleared first, which takes longer than most
    programs do. Two blocks are kept: whoever asks for the next answer often still holds the last.
    """

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._blocks: dict[int, list[Array]] = {}

    def room(self, value: int, type: TensorType) -> Array:
        """Return an array for an output, with whatever stood there before."""
        if type.size * type.dtype.numpy.itemsize < LARGE:
            return empty(type)
        kept = self._blocks.setdefault(value, [])
        for i in range(len(kept)):
            # An answer and every view of it hold its block; the list and the argument do too.
            if sys.getrefcount(kept[i]) <= 2:
                return _at_line(type, kept[i])
        block = _block(type)
        kept[:] = [*kept[-1:], block]
        return _at_line(type, block)


def empty(type: TensorType) -> Array:
    """Return an array of a type, with whatever stood there before; a large one at a cache line."""
    if type.size * type.dtype.numpy.itemsize < PAGE:
        return np.empty(type.shape, type.dtype.numpy)
    return _at_line(type, _block(type))


def _block(type: TensorType) -> Array:
    return np.empty(type.size * type.dtype.numpy.itemsize + 64, np.uint8)


def _at_line(type: TensorType, block: Array) -> Array:
    return np.ndarray(type.shape, type.dtype.numpy, block, -block.ctypes.data % 64)


def contiguous(array: Array) -> Array:
    """Return the array with its elements in order in memory, in the machine's own byte order."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="), order="C")


def room(type: TensorType, number: int) -> Array:
    """Return an array of zeros, at a place in its page that depends on its number.

    Matrices that are walked together, such as weights and their moments, would otherwise fall into
    the same few sets of the cache, row after row.
    """
    size, shift = type.size * type.dtype.numpy.itemsize, number * 11 % 32 * 128
    block = aligned(shift + size, PAGE)[shift:]
    return block.view(type.dtype.numpy).reshape(type.shape)


def aligned(size: int, boundary: int = 64) -> Array:
    """Return so many zero bytes that start at a cache line, or at another boundary."""
    block = np.zeros(size + boundary, np.uint8)
    start = -block.ctypes.data % boundary
    return block[start : start + size]


def uniform(constant: Array) -> float | int | bool | None:
    """Return the number that all elements of a constant are, bit for bit, or None."""
    if constant.size == 0:
        return None
    if not any(constant.strides):
        constant = constant[(slice(1),) * constant.ndim]  # a view of one number
    flat = np.ascontiguousarray(constant).reshape(-1)
    first = flat[:1]
    # Compared as bytes: NaNs are then equal to themselves, and the two zeros are not.
    if flat.size > 1 and flat.tobytes() != first.tobytes() * flat.size:
        return None
    number: float | int | bool = first[0].item()
    return number


def is_held(constant: Array) -> bool:
    """Return whether a constant takes room: not if it is a view of one number."""
    return constant.size <= 1 or any(constant.strides)
