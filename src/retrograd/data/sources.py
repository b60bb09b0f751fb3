"""Files that hold tables: opened without hanging, told apart by their first bytes."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from retrograd.data import csv_file, frames, named_sets
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError

# First bytes -> what the file is.  UTF-32 must stand before UTF-16: it begins with the same two.
_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32 text", "save it as UTF-8"),
    (b"\x00\x00\xfe\xff", "UTF-32 text", "save it as UTF-8"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (b"\x1f\x8b", "compressed by gzip", "unpack it with gunzip first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it with unzstd first"),
    (b"BZh", "compressed by bzip2", "unpack it with bunzip2 first"),
    (b"\xfd7zXZ", "compressed by xz", "unpack it with unxz first"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV"),
    (b"PAR1", "Parquet", "name it .parquet"),
)
_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")


def suggestion(word: str, names: Iterable[str]) -> str:
    """Return what to try instead of an unknown name: the nearest ones, or a few of them all.

    >>> suggestion("prise", ["price", "colour"])
    "did you mean 'price'?"
    """
    names = list(names)
    by_fold = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(word.casefold(), list(by_fold), n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(by_fold[name]) for name in near)}?"
    shown = ", ".join(repr(name) for name in names[:8])
    return f"choose one of {shown}{', ...' if len(names) > 8 else ''}"


def read_file(path: Path) -> Table:
    """Read a table from a file, by its suffix.

    Raises DataError naming the file for what is missing, no regular file, unreadable, or empty.
    """
    asked = f"reading {str(path)!r}"
    suffix = path.suffix.lower()
    with open_regular(path, asked) as file:
        if suffix not in _SUFFIXES:
            raise DataError(
                asked,
                f"tables come in {', '.join(_SUFFIXES)}, not {suffix or 'without a suffix'}",
                "rename or convert the file",
            )
        start = file.read(8)
        if not start:
            raise DataError(asked, "the file is empty", "give a file with a header and rows")
        if suffix == ".parquet":
            return frames.read_parquet(path, asked)
        for mark, found, remedy in _MARKS:
            if start.startswith(mark):
                raise DataError(asked, f"the file is {found}, not UTF-8 text", remedy)
        return csv_file.read_text(file, path, asked)


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
    tables = [name for name in beside if name.lower().endswith(_SUFFIXES)]
    near = difflib.get_close_matches(str(path), [*tables, *named_sets.names()], n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(name) for name in near)}?"
    return f"give a path, or a data set: {', '.join(named_sets.names())}"
