"""Store: the memory of a state that a resident step goes on from and changes."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from retrograd.compile.arrays import PAGE, aligned
from retrograd.tensor.types import Array, TensorType


class Store:
    """A state's arrays, which every program that goes on from them shares.

    Native programs write into one block of memory that stays; evaluated ones put new arrays in.
    One program runs at a time: all of them work in one arena, as large as the largest needs.
    """

    def __init__(self, types: Sequence[TensorType], *, is_native: bool) -> None:
        """Make room for a state of these types."""
        self.types = tuple(types)
        self.lock = threading.RLock()
        self._is_native = is_native
        self._offsets, size = _spread(self.types)
        self._block = aligned(size if is_native else 0, PAGE)
        self.arrays: list[Array] = self._views(self._block) if is_native else []
        self._arena = aligned(0)
        self.arena = self._arena.ctypes.data

    def reserve(self, size: int) -> None:
        """Make the arena at least so many bytes large."""
        if size > len(self._arena):
            with self.lock:
                self._arena = aligned(size)
                self.arena = self._arena.ctypes.data

    def load(self, arrays: Sequence[Array]) -> None:
        """Take a copy of a state."""
        if not self._is_native:
            self.arrays = list(arrays)
            return
        for own, given in zip(self.arrays, arrays, strict=True):
            own[...] = given

    def save(self) -> list[Array]:
        """Return arrays that later steps do not change."""
        return self._views(self._block.copy()) if self._is_native else list(self.arrays)

    def twin(self) -> Store:
        """Return another store with a copy of the state."""
        other = Store(self.types, is_native=self._is_native)
        with self.lock:
            other.load(self.arrays)
        return other

    def _views(self, block: Array) -> list[Array]:
        return [
            np.ndarray(t.shape, t.dtype.numpy, block, offset)
            for t, offset in zip(self.types, self._offsets, strict=False)
        ]


def size_of(type: TensorType) -> int:
    """Return the bytes of a value of this type."""
    return int(type.size * type.dtype.numpy.itemsize)


def _spread(types: Sequence[TensorType]) -> tuple[list[int], int]:
    """Return where each array of a state starts, and the size of all.

    Large ones start at a page, each a little further into it than the one before: matrices that
    are walked together, such as weights and their moments, would otherwise fall into the same few
    sets of the cache, row after row.
    """
    offsets, end = [], 0
    for number, type in enumerate(types):
        size = size_of(type)
        start = _rounded(end)
        if size >= PAGE:
            start = -(-end // PAGE) * PAGE + number * 11 % 32 * 128
        offsets.append(start)
        end = start + size
    return offsets, end


def _rounded(size: int) -> int:
    return -(-size // 64) * 64
