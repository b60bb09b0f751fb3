"""Checkpoints: a training run between two steps, whole, in one sealed file.

Saved are the leaves of the state (and of the best state, where it is another one) under their own
names, and a record of where the run stands. Continuing from it gives the same bits as never having
stopped. A directory keeps the two newest; if the newest is damaged, the one before it serves.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

import retrograd
from retrograd.tensor.errors import FileFormatError
from retrograd.tensor.tensor import from_array
from retrograd.tensor.types import Array
from retrograd.train.events import BestSoFar
from retrograd.train.files import read_file, replace_file
from retrograd.train.sealed import Kind, parse, seal, unseal
from retrograd.train.state import TrainState
from retrograd.train.stopping import Memory
from retrograd.tree import leaves, with_leaves

KIND: Final = Kind("retrograd-checkpoint", 1, "checkpoint")
KEPT: Final = 2
_BEST: Final = "best."
_TRY: Final = "use an older checkpoint, or train again"


@dataclass(frozen=True)
class Progress:
    """Where a run stands between two steps.

    epoch: the running one, from 1.  position: batches of it that are done.  step: steps done.
    seconds: time spent.  loss_sum, rows: what the epoch's mean loss is made of.
    metrics: those of the last full epoch.  memories: of the stopping rules.  best: the best epoch.
    """

    epoch: int = 1
    position: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    rows: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    memories: Mapping[str, Memory] = field(default_factory=dict)
    best: BestSoFar | None = None


class Checkpoint(NamedTuple):
    """What is saved: the state, the best state so far (None: there is none), and the progress."""

    state: TrainState
    best_state: TrainState | None
    progress: Progress


class SavedCheckpoint(NamedTuple):
    """What was read: leaves by name, where the run stood, how long its logs were in bytes."""

    path: Path
    arrays: dict[str, Array]
    progress: Progress
    logs: dict[str, int]


def save_checkpoint(
    directory: Path, checkpoint: Checkpoint, logs: Mapping[str, int] | None = None
) -> Path:
    """Write a checkpoint into a directory, remove all but the two newest, return its path.

    Raises RunError, naming the file and why, if it cannot be written; the ones before are intact.
    """
    path = directory / f"step-{checkpoint.progress.step:012}.safetensors"
    before = list_checkpoints(directory)
    intact = f"{before[-1].name} is intact" if before else "there was no checkpoint before it"
    replace_file(path, pack(checkpoint, logs or {}), intact)
    newest = [*(old for old in before if old < path), path][-KEPT:]
    for old in [*before, *directory.glob(".step-*.new")]:
        if old not in newest:
            old.unlink(missing_ok=True)
    return path


def list_checkpoints(directory: Path) -> list[Path]:
    """Return the checkpoints of a directory, oldest first."""
    return sorted(directory.glob("step-*.safetensors"))


def pack(checkpoint: Checkpoint, logs: Mapping[str, int]) -> bytes:
    """Return the bytes of a checkpoint's file."""
    arrays = {name: x.numpy() for name, x in leaves(checkpoint.state).items()}
    is_best = checkpoint.best_state is checkpoint.state
    if checkpoint.best_state is not None and not is_best:
        arrays |= {_BEST + name: x.numpy() for name, x in leaves(checkpoint.best_state).items()}
    record = {
        "progress": dataclasses.asdict(checkpoint.progress),
        "is_best": is_best,
        "logs": dict(logs),
        "versions": {"retrograd": retrograd.__version__, "numpy": np.__version__},
    }
    return seal(KIND, arrays, json.dumps(record))


def load_checkpoint(path: Path) -> SavedCheckpoint:
    """Read a checkpoint.

    Raises FileFormatError if it is missing, damaged, hostile, or of a newer version.
    """
    asked = f"reading the checkpoint {str(path)!r}"
    arrays, text = unseal(KIND, read_file(path, asked), asked)
    try:
        record = parse(text)
        progress = _progress(record["progress"])
        logs = {str(name): _count(size) for name, size in record["logs"].items()}
        is_best = bool(record["is_best"])
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, OverflowError):
        raise FileFormatError(asked, "its record cannot be read", _TRY) from None
    if is_best:
        arrays |= {_BEST + name: array for name, array in arrays.items()}
    return SavedCheckpoint(path, arrays, progress, logs)


def _progress(record: Any) -> Progress:
    """Return the record with every part of its own type; raises what a wrong part raises."""
    best = record["best"]
    return Progress(
        epoch=_count(record["epoch"]),
        position=_count(record["position"]),
        step=_count(record["step"]),
        seconds=float(record["seconds"]),
        loss_sum=float(record["loss_sum"]),
        rows=_count(record["rows"]),
        metrics={str(name): float(value) for name, value in record["metrics"].items()},
        memories={str(n): tuple(map(float, memory)) for n, memory in record["memories"].items()},
        best=best and BestSoFar(str(best[0]), float(best[1]), _count(best[2]), _count(best[3])),
    )


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value} is not a count")
    return value


def load_newest(directory: Path) -> SavedCheckpoint | None:
    """Read the newest checkpoint that is whole; None if the directory has none.

    A damaged one is named in a warning and the one before it is read. Raises FileFormatError if
    none of them can be read, or if the newest is of a newer version: the older is not asked then.
    """
    failures: list[FileFormatError] = []
    for path in reversed(list_checkpoints(directory)):
        try:
            saved = load_checkpoint(path)
        except FileFormatError as error:
            if error.try_this == "upgrade retrograd":
                raise
            failures.append(error)
            continue
        for failure in failures:
            message = f"{failure.asked}: {failure.found}; going on from {path.name}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        return saved
    if failures:
        raise failures[0]
    return None


def restore(saved: SavedCheckpoint, template: TrainState) -> Checkpoint:
    """Return the checkpoint with its leaves in the tree of ``template``, a fresh state of the run.

    Raises FileFormatError, naming the first leaf that differs, if it is of another network or
    optimizer.
    """
    names = set(leaves(template))
    extra = sorted(n for n in saved.arrays if n.removeprefix(_BEST) not in names)
    if extra:
        raise _mismatch(saved, f"it has {extra[0]!r}, which this run does not")
    has_best = any(name.startswith(_BEST) for name in saved.arrays)
    best = _fill(saved, template, _BEST) if has_best else None
    return Checkpoint(_fill(saved, template, ""), best, saved.progress)


def _fill(saved: SavedCheckpoint, template: TrainState, prefix: str) -> TrainState:
    tensors = {}
    for name, like in leaves(template).items():
        array = saved.arrays.get(prefix + name)
        if array is None:
            raise _mismatch(saved, f"it lacks {name!r}")
        tensors[name] = from_array(array)
        if tensors[name].type != like.type:
            found = f"{name!r} is {tensors[name].type} there and {like.type} here"
            raise _mismatch(saved, found)
    return with_leaves(template, tensors)


def _mismatch(saved: SavedCheckpoint, found: str) -> FileFormatError:
    return FileFormatError(
        f"resuming from {str(saved.path)!r}",
        f"it is of another network or optimizer: {found}",
        "resume with the settings that the run began with",
    )
