"""Kernels and groups: the records that scheduling makes of a graph."""

from __future__ import annotations

from typing import NamedTuple

from retrograd.tensor.element import Element, Loops
from retrograd.tensor.types import Shape


class Output(NamedTuple):
    """A value and what its element at the kernel's variables is."""

    value: int
    element: Element


class Kernel(NamedTuple):
    """One walk over an iteration space that computes the elements of one or more buffers.

    ``variables`` are the index elements, one an axis of the outputs: a variable, or 0 for an axis
    of length 1. A kernel of the second form has ``loops``, and no elements. ``scale`` is how many
    rows of what it reads go into one of its own.
    """

    variables: tuple[Element, ...]
    extents: Shape
    outputs: tuple[Output, ...]
    loops: Loops | None = None
    scale: int = 1

    @property
    def values(self) -> tuple[int, ...]:
        """Return the values that it computes."""
        return tuple(output.value for output in self.outputs)


class Group(NamedTuple):
    """Kernels that a thread runs one after the other for a few rows, then for the next few.

    Inside a group a kernel reads what another computed only in its own row. Groups of one stage
    need nothing of each other; between stages all threads wait.
    """

    stage: int
    rows: int
    kernels: tuple[Kernel, ...]


class Schedule(NamedTuple):
    """All groups in the order of their stages, and the values that live in one group alone."""

    groups: tuple[Group, ...]
    local: frozenset[int]
