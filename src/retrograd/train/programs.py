"""Programs of one step: one for each shape of batches, all on one state that stays in memory."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, cast

from retrograd.compile.engines import Memory
from retrograd.compile.resident import Resident
from retrograd.train.batch import as_tensors
from retrograd.train.state import TrainState

MOST_PROGRAMS = 8
"""Programs that are kept: batches whose shapes never end must not fill the memory."""


class Programs:
    """A step, compiled when it is first needed for a shape of batches."""

    def __init__(
        self, step: Callable[..., Any], state: TrainState, memory: int | None = None
    ) -> None:
        """Take a step and the state that it begins with; each program keeps to so many bytes."""
        self.step, self._limit = step, memory
        self._first = state
        self._models: dict[Hashable, Resident] = {}
        self._known: dict[Hashable, Resident] = {}
        self._last: Resident | None = None
        self._is_claimed = False

    def find(self, key: Hashable, batch: Any) -> Resident:
        """Return the program for a batch whose shape has this key."""
        found = self._known.get(key)
        if found is None:
            found = self._made(key, batch)
            while len(self._known) >= MOST_PROGRAMS:
                self._known.pop(next(iter(self._known)))
            self._known[key] = found
        self._last = found
        return found

    def has(self, key: Hashable) -> bool:
        """Return whether the program for such batches is there already."""
        return key in self._known

    def _made(self, key: Hashable, batch: Any) -> Resident:
        last, model = self._last, self._models.get(key)
        if model is None:
            store = None if last is None else last.store
            # Not checked: training looks at its own steps, and can name the rows as well.
            given = as_tensors(batch)
            return Resident(
                self.step, self.state, given, store=store, is_checked=False, memory=self._limit
            )
        if last is not None:
            return model.twin(last.store)
        found = model.twin()
        found.set_state(self._first)
        return found

    @property
    def names(self) -> list[str]:
        """The names of the metrics, in the order of their arrays."""
        return [] if self._last is None else self._last.names

    @property
    def state(self) -> TrainState:
        """The state now: a copy that later steps do not change."""
        return self._first if self._last is None else cast(TrainState, self._last.state)

    def set_state(self, state: TrainState) -> None:
        """Go on from another state of the same types."""
        if self._last is None:
            self._first = state
        else:
            self._last.set_state(state)

    def claim(self, state: TrainState) -> Programs:
        """Return the programs on a state that nobody else goes on from: these, the first time."""
        if self._is_claimed:
            return self.twin(state)
        self._is_claimed = True
        self.set_state(state)
        return self

    def twin(self, state: TrainState) -> Programs:
        """Return the same programs on a state of their own; nothing is compiled again."""
        other = Programs(self.step, state, self._limit)
        other._models = self._known
        return other

    @property
    def memory(self) -> Memory | None:
        """What the largest program works in, or None before there is one."""
        return max((p.memory for p in self._known.values()), key=lambda m: m.total, default=None)
