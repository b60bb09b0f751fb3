"""Norms of every layer at every step: of the gradient, the weights, and what the update moved.

They are outputs of the step's program, and a run keeps them in ``recording/norms.bin``: for each
step its number (int64) and three float32 for each trained leaf, all little-endian;
``recording/norms.json`` names the leaves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retrograd import ops
from retrograd.optim import global_norm
from retrograd.tensor.errors import FileFormatError, RunError
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import Array
from retrograd.train.files import read_file, replace_file, write_all

NORMS = "layer_norms"
"""The name among a step's metrics."""
KINDS = ("gradient", "weight", "update")


class Norms(NamedTuple):
    """What was recorded. steps (n,): their numbers.  leaves: names.  values (n, leaves, 3)."""

    steps: Array
    leaves: tuple[str, ...]
    values: Array

    def of(self, leaf: str, kind: str) -> Array:
        """Return one of "gradient", "weight", "update" of a leaf at all steps, (n,)."""
        found: Array = self.values[:, self.leaves.index(leaf), KINDS.index(kind)]
        return found


def layer_norms(
    gradients: dict[str, Tensor], before: dict[str, Tensor], after: dict[str, Tensor]
) -> Tensor:
    """Return the Euclidean norms of gradient, weight before and update of each leaf, (leaves, 3).

    >>> from retrograd.tensor.tensor import tensor
    >>> x, y = {"w": tensor([3.0, 4.0])}, {"w": tensor([3.0, 3.0])}
    >>> layer_norms(x, x, y)
    tensor([[5., 5., 1.]], float32[1, 3])
    """
    rows = [
        # The gradient's as all of it is measured, so that its squares are added up only once.
        ops.stack([ops.cast(global_norm({name: g}), "float32"), _norm(w), _norm(after[name] - w)])
        for (name, g), w in zip(gradients.items(), before.values(), strict=True)
    ]
    return ops.stack(rows)


def _norm(x: Tensor) -> Tensor:
    return ops.cast(ops.sqrt(ops.sum(ops.square(x))), "float32")


def _row(leaves: int) -> np.dtype[Any]:
    return np.dtype([("step", "<i8"), ("values", "<f4", (leaves, len(KINDS)))])


class NormsLog:
    """The open recording of a run, one row a step; nothing is made before the first row.

    Raises RunError, naming the file and why, where the system refuses.
    """

    def __init__(self, directory: Path) -> None:
        """Take the directory, which need not exist."""
        self.path = directory / "norms.bin"

    def append(self, leaves: tuple[str, ...], rows: Iterable[tuple[int, Array]]) -> None:
        """Write rows of (step, norms (leaves, 3))."""
        data = np.array(list(rows), _row(len(leaves))).tobytes()
        try:
            self.path.parent.mkdir(exist_ok=True)
            names = self.path.with_suffix(".json")
            if not names.exists():
                replace_file(names, json.dumps({"leaves": leaves, "kinds": KINDS}).encode())
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                write_all(descriptor, data)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise RunError(
                f"writing {str(self.path)!r}",
                error.strerror or str(error),
                "make room, or choose another directory",
            ) from None

    def size(self) -> int:
        """Return the length in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, size: int) -> None:
        """Drop everything after this many bytes, if there is more."""
        if size < self.size():
            os.truncate(self.path, size)


def read_norms(directory: Path | str) -> Norms:
    """Return the norms of every step of a run, from its directory.

    Raises FileFormatError if the run recorded none, or the files are damaged.
    """
    path = Path(directory) / "recording" / "norms.bin"
    asked = f"reading {str(path)!r}"
    try:
        names = json.loads(read_file(path.with_suffix(".json"), asked))
        leaves = tuple(str(name) for name in names["leaves"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, FileFormatError):
            raise
        found = "norms.json does not name the leaves"
        raise FileFormatError(asked, found, "train again") from None
    data, row = read_file(path, asked), _row(len(leaves))
    # A crash may leave a torn row at the end.
    table = np.frombuffer(data, row, len(data) // row.itemsize)
    return Norms(table["step"], leaves, table["values"])
