"""Snapshots: states as of a step, and metrics of a step, made when somebody reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array
from retrograd.train.state import TrainState


class Snapshot:
    """A state as it was at one place of a run, whenever it is read."""

    __slots__ = ("_find", "_place", "_state")

    def __init__(
        self, find: Callable[[tuple[int, int]], TrainState], place: tuple[int, int]
    ) -> None:
        """Take what finds the state of a place: its epoch, and the batches of it that are done."""
        self._find, self._place = find, place
        self._state: TrainState | None = None

    def read(self) -> TrainState:
        """Return the state; the second time it costs nothing."""
        if self._state is None:
            self._state = self._find(self._place)
        return self._state


class StepMetrics(Mapping[str, Tensor]):
    """The metrics of one step among several that were taken together.

    >>> import numpy as np
    >>> found = StepMetrics(["loss"], [np.float32([0.5, 0.25])], [[0.5, 0.25]], 1)
    >>> found["loss"], found.numbers()
    (tensor(0.25, float32[]), {'loss': 0.25})
    """

    __slots__ = ("_arrays", "_names", "_numbers", "_place")

    def __init__(
        self, names: list[str], arrays: list[Array], numbers: list[list[float]], place: int
    ) -> None:
        """Take all steps' metrics by name, steps first; as lists too where they are scalars."""
        self._names, self._arrays, self._numbers, self._place = names, arrays, numbers, place

    def __getitem__(self, name: str) -> Tensor:
        """Return one metric."""
        if name not in self._names:
            raise KeyError(name)
        return from_array(self._arrays[self._names.index(name)][self._place, ...])

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._names)

    @property
    def loss(self) -> float:
        """The number called "loss"."""
        return self._numbers[self._names.index("loss")][self._place]

    def numbers(self) -> dict[str, float]:
        """Return those that are scalars as Python floats."""
        place = self._place
        return {
            name: row[place] for name, row in zip(self._names, self._numbers, strict=True) if row
        }
