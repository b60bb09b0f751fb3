"""What a run holds in memory, known before it begins: what cannot fit is refused in time."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any, NamedTuple

from retrograd.compile.engines import Memory
from retrograd.compile.store import size_of
from retrograd.recipe.config import Config
from retrograd.recipe.network import Size
from retrograd.tensor.errors import InputError
from retrograd.tree import leaves

_NUMBER = 4  # bytes of a float32
_SLOTS = {"sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "rmsprop": 1, "lion": 1, "muon": 1}


class Footprint(NamedTuple):
    """Bytes: the weights alone, the states, everything else that a step works in, the data."""

    parameters: int
    training: int
    batch: int
    data: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.training + self.batch + self.data


def planned(memory: Memory, parameters: int, data: int) -> Footprint:
    """Return what a run takes by the plan of its step's program: exact, and known before it runs.

    The state stands there three times: in the program, as the copy that explains failures, and as
    the best so far. ``parameters`` are numbers, ``data`` bytes.
    """
    step = memory.arena + memory.batch + memory.outputs
    return Footprint(parameters * _NUMBER, 3 * memory.state, step, data)


def step_room(limit: int, state: int, data: int) -> int:
    """Return the bytes that a limit leaves for a step's program, which holds one state itself."""
    return limit - 2 * state - data


def state_bytes(state: Any) -> int:
    """Return the bytes of a state's arrays."""
    return sum(size_of(x.type) for x in leaves(state).values())


def require_limit(needed: Footprint, limit: int, smallest: int = 0) -> None:
    """Raise InputError if a run takes more than the memory that it is given.

    ``smallest`` are the bytes that it takes with values made anew instead of kept.
    """
    if max(needed.total, smallest) > limit:
        least = f"; {words_of(smallest)} with values made anew" if smallest else ""
        raise InputError(
            f"training in {words_of(limit)}",
            f"it takes {words_of(needed.total)}: {words_of(needed.training)} for the states, "
            f"{words_of(needed.batch)} for a step, {words_of(needed.data)} for the data{least}",
            "give more memory, a smaller batch_size, or smaller hidden layers",
        )


def words_of(count: int) -> str:
    """Return an amount of memory in words.

    >>> words_of(12), words_of(1_500_000)
    ('12 bytes', '1.5 MB')
    """
    units = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    size, unit = next((u for u in units if count >= u[0]), (1.0, "bytes"))
    return f"{count / size:.{0 if size == 1 else 1}f} {unit}"


def footprint(config: Config, size: Size, table_bytes: int = 0) -> Footprint:
    """Return about what a chosen config takes, from its sizes alone: asked before it is built.

    Weights stand there three times (they, their gradients, the best so far), and the optimizer adds
    its slots; activations stand there about four times, forward and backward.

    >>> from retrograd.recipe.network import choose
    >>> size = Size(1000, 8, 1)
    >>> footprint(choose(Config(), size, is_validated=True), size).parameters
    10756
    """
    network, members = config.network, config.network.members or 1
    first = size.features + (network.pieces or 0) * size.numbers
    sizes = (first, *(network.hidden or ()), size.outputs)
    numbers = sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
    if members > 1:  # scales and shifts of each, and heads of their own
        numbers += members * (2 * sum(sizes[1:-1]) + (sizes[-2] + 1) * sizes[-1])
    slots = _SLOTS.get(config.optimization.optimizer or "", 2)
    batch = (config.optimization.batch_size or 1) * (first + members * sum(sizes[1:])) * 4
    data = size.rows * (size.features + 1)
    return Footprint(
        numbers * _NUMBER,
        numbers * (3 + slots) * _NUMBER,
        batch * _NUMBER,
        data * _NUMBER + table_bytes,
    )


def require_memory(needed: Footprint, limit: int | None = None) -> None:
    """Raise InputError if the weights and a batch cannot fit into this machine's memory.

    ``limit`` is in bytes; by default the memory that the machine has.
    """
    limit = machine_memory() if limit is None else limit
    wanted = needed.training + needed.batch
    if limit is not None and wanted > limit:
        raise InputError(
            f"training {needed.parameters // _NUMBER:,} parameters",
            f"it takes {wanted / 1e9:,.1f} GB and this machine has {limit / 1e9:,.1f} GB",
            "give smaller hidden layers, or a smaller batch_size",
        )


def machine_memory() -> int | None:
    """Return the bytes of memory of this machine, or None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
