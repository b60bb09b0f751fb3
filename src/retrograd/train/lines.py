"""Logs of one JSON record a line: appended whole, readable after a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from retrograd.tensor.errors import FileFormatError, RunError
from retrograd.train.files import read_file, write_all


class LineLog:
    """An open log. Each call appends its records as whole lines in one write.

    Raises RunError, naming the file and why, where the system refuses.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file, and cut off a line that a crash left torn."""
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        try:
            self._descriptor = os.open(path, flags, 0o666)
            try:
                self.cut(_whole_lines(path))
            except OSError:
                self.close()
                raise
        except OSError as error:
            raise _failure(path, error) from None

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write records, which hold no NaN, one a line."""
        text = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
        before = self.size()
        try:
            write_all(self._descriptor, text.encode())
        except OSError as error:
            self.cut(before)  # no half line stays before later ones
            raise _failure(self.path, error) from None

    def size(self) -> int:
        """Return the length in bytes."""
        return os.fstat(self._descriptor).st_size

    def sync(self) -> int:
        """Make what was written survive a power cut, and return the length in bytes."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise _failure(self.path, error) from None
        return self.size()

    def cut(self, size: int) -> None:
        """Drop everything after this many bytes, if there is more."""
        if size < self.size():
            os.ftruncate(self._descriptor, size)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _whole_lines(path: Path) -> int:
    """Return the number of bytes up to the end of the last whole line."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a log; a torn last line, which a crash may leave, is left out.

    Raises FileFormatError, naming the line, for anything else that is not a record.
    """
    asked = f"reading {str(path)!r}"
    *lines, _ = read_file(path, asked).split(b"\n")
    return [_record(line, f"{asked}, line {number}") for number, line in enumerate(lines, 1)]


def _record(line: bytes, asked: str) -> dict[str, Any]:
    try:
        record = json.loads(line.decode())
        if isinstance(record, dict):
            return record
    except (ValueError, RecursionError):
        pass
    raise FileFormatError(asked, "it is not a JSON record", "remove the line, or the file")


def _failure(path: Path, error: OSError) -> RunError:
    return RunError(
        f"writing {str(path)!r}",
        error.strerror or str(error),
        "make room, or choose another directory; what was written before is intact",
    )
