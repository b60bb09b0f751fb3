"""One writer a run: a lock that names its holder and dies with its process."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

from retrograd.tensor.errors import InputError, RunError


def acquire(path: Path) -> int:
    """Take the lock file and write process and host into it; return its open descriptor.

    The system frees the lock when the descriptor is closed or the process dies, however it dies,
    so a file left behind locks nobody out. Raises InputError, naming process and host, if another
    writer holds it, and RunError if the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError as error:
        raise RunError(
            f"locking {str(path.parent)!r}",
            error.strerror or str(error),
            "choose a directory that you may write in",
        ) from None
    if not _try_lock(descriptor):
        holder = os.pread(descriptor, 300, 0) if hasattr(os, "pread") else b""
        os.close(descriptor)
        raise InputError(
            f"writing to the run {str(path.parent)!r}",
            f"{_name(holder)} is writing to it",
            "wait until it ends, or train into another directory",
        )
    with contextlib.suppress(OSError):  # on a full disk the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on host {socket.gethostname()}\n".encode())
    return descriptor


def _name(holder: bytes) -> str:
    text = holder.decode(errors="replace").strip()
    return text if text.isprintable() and text else "another process"


if sys.platform == "win32":

    def _try_lock(descriptor: int) -> bool:
        import msvcrt

        # Far behind the text, which others may then still read.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:

    def _try_lock(descriptor: int) -> bool:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
