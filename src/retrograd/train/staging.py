"""Staging: the steps of a run, many in one call where they are short, on a state that stays.

The state lies in the program's memory, where every step overwrites it. Whoever asks for the state
as of an earlier step gets it by replay: from a copy that was kept, with the same program and the
same batches, bit for bit.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from retrograd.compile.resident import Resident
from retrograd.tensor.types import Array
from retrograd.train.batch import as_tensors, read_batch
from retrograd.train.programs import Programs
from retrograd.train.snapshot import Snapshot, StepMetrics
from retrograd.train.state import TrainState, is_trustworthy

CALL_SECONDS = 5e-3
"""How long steps that are put into one call may take; nobody is heard meanwhile."""
SHORT_SECONDS = 5e-4
"""Steps that take longer are not put together: the call is a small part of them."""
MOST_STEPS = 256
MOST_BYTES = 2**22
"""Bytes of batches that are put together."""
KEEP_SECONDS = 2.0
"""Seconds of steps after which the state is copied again, so that no replay takes longer."""

Place = tuple[int, int]
"""An epoch, and how many of its batches are done."""


class Taken(NamedTuple):
    """A step that was taken: its rows, its metrics, the state after it, its loss.

    ``is_finite`` says whether all its metrics are numbers.
    """

    rows: int
    metrics: StepMetrics
    snapshot: Snapshot
    is_finite: bool


class _Kept(NamedTuple):
    state: TrainState
    place: Place


class _Replay:
    """A second run of the programs, which goes where somebody wants to know the state."""

    def __init__(self, programs: Programs, place: Place, batches: Iterator[Any]) -> None:
        self.programs, self.place, self._batches = programs, place, batches

    def go(self, position: int) -> TrainState:
        epoch, done = self.place
        for batch in itertools.islice(self._batches, position - done):
            key, arrays = read_batch(batch)
            self.programs.find(key, batch).take_one(arrays)
        self.place = (epoch, position)
        return self.programs.state


class Runner:
    """Takes the steps of a run, and knows the state as of each of them."""

    def __init__(self, programs: Programs, batches: Callable[[int], Iterable[Any]]) -> None:
        """Take the programs, and the batches of each epoch."""
        self._programs, self._batches = programs, batches
        self._lock = threading.RLock()
        self._kept: list[_Kept] = []
        self._kept_at = 0.0
        self._place: Place | None = None
        self._copy: TrainState | None = None
        self._replay: _Replay | None = None
        self._pace = math.inf

    def begin(self, place: Place, state: TrainState) -> None:
        """Go on from a state at a place of the run."""
        with self._lock:
            if state is not self._copy:
                self._programs.set_state(state)
            self._place, self._copy, self._replay = place, state, None
            self._kept, self._kept_at = [_Kept(state, place)], time.perf_counter()

    def state_at(self, place: Place) -> TrainState:
        """Return the state at a place that is not before the copies that are kept."""
        return self._find(self._kept[:], place)

    def batch(self, place: Place) -> Any:
        """Return the batch that the step from this place takes."""
        epoch, position = place
        return as_tensors(next(itertools.islice(self._batches(epoch), position, None)))

    def steps(self, place: Place) -> Iterator[Taken]:
        """Take the steps that are left of an epoch, and yield them one by one."""
        epoch, position = place
        batches = itertools.islice(self._batches(epoch), position, None)
        given = next(batches, None)
        while given is not None:
            started = time.perf_counter()
            key, arrays = read_batch(given)
            is_new = not self._programs.has(key)
            program = self._programs.find(key, given)
            count = 1 if is_new else self._count(arrays)
            if count > 1 or started - self._kept_at > KEEP_SECONDS:
                self._keep(is_checked=count == 1)
            if count == 1:
                rows, given = [_rows(arrays)], None
                found = self._run(partial(program.take_one, arrays), (epoch, position + 1))
                found = [x[None] for x in found]
            else:
                rows, given = _fill(program, key, arrays, batches, count)
                after = (epoch, position + len(rows))
                found = self._run(partial(program.take, len(rows)), after)
            if not is_new:
                self._pace = (time.perf_counter() - started) / len(rows)
            yield from self._told(rows, found, (epoch, position))
            position += len(rows)
            given = next(batches, None) if given is None else given

    def _run(self, take: Callable[[], list[Array]], after: Place) -> list[Array]:
        """Take steps that lead to a place; whoever reads states waits meanwhile."""
        with self._lock:
            self._place = self._copy = None
            found = take()
            self._place = after
        return found

    def _count(self, arrays: Sequence[Array]) -> int:
        """Return how many steps to put into the next call."""
        if self._pace > SHORT_SECONDS:
            return 1
        size = sum(array.nbytes for array in arrays)
        most = min(MOST_STEPS, MOST_BYTES // max(size, 1))
        return max(1, min(most, int(CALL_SECONDS / self._pace)))

    def _told(self, rows: list[int], arrays: list[Array], start: Place) -> Iterator[Taken]:
        """Yield the steps of a call that began at ``start``."""
        names = self._programs.names
        numbers = [x.tolist() if x.ndim == 1 else [] for x in arrays]
        find, (epoch, position) = partial(self._find, self._kept[-1:]), start
        for i, count in enumerate(rows):
            is_finite = all(math.isfinite(row[i]) for row in numbers if row)
            position += 1
            metrics = StepMetrics(names, arrays, numbers, i)
            yield Taken(count, metrics, Snapshot(find, (epoch, position)), is_finite)

    def _keep(self, *, is_checked: bool) -> None:
        """Copy the state, to replay from; ``is_checked`` if it may be the only copy."""
        with self._lock:
            assert self._place is not None
            kept = _Kept(self._now(), self._place)
        if is_checked and not is_trustworthy(kept.state):
            return  # the next steps will fail, and want to know where it began
        # A state whose weights broke is found out one step later: the copy before serves then.
        self._kept = [kept] if is_checked else [*self._kept[-1:], kept]
        self._kept_at = time.perf_counter()

    def _now(self) -> TrainState:
        if self._copy is None:
            self._copy = self._programs.state
        return self._copy

    def _find(self, kept: list[_Kept], place: Place) -> TrainState:
        with self._lock:
            if self._place == place:
                return self._now()
            known = (k for k in reversed(kept) if k.place[0] == place[0] and k.place <= place)
            base: _Kept = next(known)
            if base.place == place:
                return base.state
            replay = self._replay
            if replay is None or not base.place <= replay.place <= place:
                epoch, position = base.place
                rest = itertools.islice(self._batches(epoch), position, None)
                replay = _Replay(self._programs.twin(base.state), base.place, rest)
            self._replay = replay
            return replay.go(place[1])


def _fill(
    program: Resident, key: Hashable, arrays: Sequence[Array], batches: Iterator[Any], count: int
) -> tuple[list[int], Any]:
    """Put batches of one shape in their places; return their rows, and a batch of another shape."""
    program.put(0, count, arrays)
    rows = [_rows(arrays)]
    for given in itertools.islice(batches, count - 1):
        other, arrays = read_batch(given)
        if other != key:
            return rows, given
        program.put(len(rows), count, arrays)
        rows.append(_rows(arrays))
    return rows, None


def _rows(arrays: Sequence[Array]) -> int:
    return len(arrays[0]) if arrays and arrays[0].shape else 1
