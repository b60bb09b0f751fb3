"""Files that are whole or absent: written beside, synced, renamed; read only if regular."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from retrograd.tensor.errors import FileFormatError, RunError


def replace_file(path: Path, data: bytes, intact: str = "what was there before is intact") -> None:
    """Write a file whole or not at all: a new file beside it, fsync, rename, fsync the directory.

    Raises RunError that names the file, why, and what is ``intact`` (full disk, failing disk, no
    permission, too many open files); nothing half-written is left under the name.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        _write_synced(new, data)
        os.replace(new, path)
        sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise RunError(
            f"writing {str(path)!r}",
            error.strerror or str(error),
            f"make room, or choose another directory; {intact}",
        ) from None


def _write_synced(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte: the system may take fewer than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_directory(path: Path) -> None:
    """Make a rename in this directory survive a power cut; Windows syncs its directories itself."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path, asked: str) -> bytes:
    """Return the bytes of a regular file.

    Raises FileFormatError, beginning with ``asked``, if it is missing, unreadable, a directory, a
    pipe or a device: opening those could wait for ever.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                with open(descriptor, "rb", closefd=False) as file:
                    return file.read()
        finally:
            os.close(descriptor)
        found = "it is not a regular file"
    except (OSError, ValueError, MemoryError) as error:
        found = getattr(error, "strerror", None) or str(error) or "it does not fit the memory"
    raise FileFormatError(asked, found, "give the path of a file that retrograd wrote")
