"""Memory: where buffers lie in one block, planned before the run from when each is alive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ALIGNMENT = 64
"""Buffers start at cache lines, so that full vectors never straddle two."""


class Request(NamedTuple):
    """So many bytes from one moment to another, both included."""

    size: int
    first: int
    last: int


class Arena(NamedTuple):
    """The offset of each request, and the size of the whole."""

    offsets: tuple[int, ...]
    size: int


def plan(requests: Sequence[Request]) -> Arena:
    """Return places such that no two requests alive at one moment overlap.

    The largest are placed first, each in the lowest gap that holds it.

    >>> plan([Request(64, 0, 1), Request(64, 1, 2), Request(64, 2, 3)])
    Arena(offsets=(0, 64, 0), size=128)
    """
    order = sorted(range(len(requests)), key=lambda i: (-requests[i].size, i))
    placed: dict[int, int] = {}
    for i in order:
        own = requests[i]
        taken = sorted(
            (placed[j], placed[j] + _rounded(requests[j].size))
            for j in placed
            if requests[j].first <= own.last and own.first <= requests[j].last
        )
        offset = 0
        for start, end in taken:
            if offset + _rounded(own.size) <= start:
                break
            offset = max(offset, end)
        placed[i] = offset
    size = max((placed[i] + _rounded(requests[i].size) for i in placed), default=0)
    return Arena(tuple(placed[i] for i in range(len(requests))), size)


def _rounded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
