"""Opening files without hanging: what is no regular file is refused, whatever it is called."""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from retrograd.data import named_sets
from retrograd.tensor.errors import DataError

SUFFIXES = (
    ".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".pq", ".arrow", ".feather", ".ipc",
    ".xlsx", ".db", ".sqlite", ".sqlite3", ".duckdb",
)  # fmt: skip
_LISTED = (*SUFFIXES, ".gz", ".zst")


def open_regular(path: Path, asked: str) -> BinaryIO:
    """Open a regular file for reading bytes; a pipe or device is refused instead of waited for."""
    try:
        # O_NONBLOCK: opening a pipe without a writer would otherwise wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _O_BINARY)
    except FileNotFoundError:
        raise DataError(asked, "there is no such file or data set", _nearest(path)) from None
    except IsADirectoryError:
        raise DataError(asked, "it is a directory", "give one file of it") from None
    except PermissionError:
        raise DataError(
            asked, "it may not be read (permission denied)", "ask its owner, or chmod u+r"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(asked, f"it cannot be opened ({reason})", "check the path") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise DataError(asked, "it is a directory", "give one file of it")
        raise DataError(
            asked, "it is a pipe or a device, not a file", "write its content to a file first"
        )
    return os.fdopen(descriptor, "rb")


_O_BINARY = getattr(os, "O_BINARY", 0)  # Windows translates line ends without it


def _nearest(path: Path) -> str:
    """Return the names that a missing file may have meant: its neighbours and the data sets."""
    try:
        beside = [str(path.parent / name) for name in os.listdir(path.parent or ".")]
    except OSError:
        beside = []
    tables = [name for name in beside if name.lower().endswith(_LISTED)]
    near = difflib.get_close_matches(str(path), [*tables, *named_sets.names()], n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(name) for name in near)}?"
    return f"give a path, or a data set: {', '.join(named_sets.names())}"
