"""Cache: compiled objects kept on disk between processes.

A cache of code is code: whoever can write into it can make its owner run anything. So the
directory belongs to its owner alone, and each entry carries a digest that is keyed by a secret of
that directory and covers the entry's name; nothing is loaded before its digest is right. Whatever
else goes wrong (damage, a full disk, another process, no directory at all) costs a compilation,
never an error.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LARGEST = 64 << 20  # bytes of one entry
MOST_ENTRIES = 512
MOST_BYTES = 256 << 20
_SUFFIX = ".object"
_UNFINISHED = ".new"
_KEY = "key"
_DIGEST = 32  # bytes, of the secret key too
_FORGOTTEN = 3600  # seconds after which an unfinished file has no writer any more


@dataclass(frozen=True)
class Cache:
    """Entries by name in a directory of its owner's own; without a directory it holds nothing.

    >>> Cache(None).write("a1", b"code")
    >>> Cache(None).read("a1") is None
    True
    """

    directory: Path | None

    def read(self, key: str) -> bytes | None:
        """Return what was written under a key, or None if there is nothing that can be trusted."""
        if self.directory is None:
            return None
        try:
            if not _is_private(self.directory):
                return None
            secret = _secret(self.directory)
            path = self.directory / (key + _SUFFIX)
            entry = _read(path, LARGEST + _DIGEST)
        except OSError:
            return None
        if secret is None or entry is None or len(entry) < _DIGEST:
            return None
        data = entry[_DIGEST:]
        if not hmac.compare_digest(entry[:_DIGEST], _digest(secret, key, data)):
            return None
        with suppress(OSError):
            os.utime(path)  # eviction goes by it: what is used stays
        return data

    def write(self, key: str, data: bytes) -> None:
        """Keep data under a key, if that is possible, in place of whatever is there."""
        if self.directory is None or len(data) > LARGEST:
            return
        with suppress(OSError):
            _make(self.directory)
            secret = _made_secret(self.directory) if _is_private(self.directory) else None
            if secret is None:
                return
            with _new(self.directory, _digest(secret, key, data) + data) as path:
                _put(path, self.directory / (key + _SUFFIX))
            _evict(self.directory)


def default() -> Cache:
    """Return the cache of this user: in ``$RETROGRAD_CACHE``, or where the system keeps caches."""
    try:
        return Cache(_place().resolve())
    except (OSError, RuntimeError):  # no home, or links that lead in circles
        return Cache(None)


def name_of(*parts: str) -> str:
    """Return the key for all that an entry depends on, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def _place() -> Path:
    given = os.environ.get("RETROGRAD_CACHE")
    if given:
        return Path(given)
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "retrograd"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "retrograd"
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # The specification asks that a relative path there be ignored.
    return (Path(shared) if os.path.isabs(shared) else Path.home() / ".cache") / "retrograd"


# Trust


def _digest(secret: bytes, key: str, data: bytes) -> bytes:
    """Return the keyed digest of an entry: of its name, its length and its data."""
    name = key.encode()
    sizes = len(name).to_bytes(8, "little") + len(data).to_bytes(8, "little")
    digest = hashlib.blake2b(sizes + name, key=secret, digest_size=_DIGEST)
    digest.update(data)
    return digest.digest()


def _is_private(directory: Path) -> bool:
    """Return whether only we can write here, after closing a directory of ours that is open.

    Who may write into a directory above could put another in its place. Raises OSError.
    """
    state = os.lstat(directory)
    if not stat.S_ISDIR(state.st_mode):
        return _refused(directory, "is not a directory")
    if not _is_ours(state):
        return _refused(directory, "belongs to another user")
    if not hasattr(os, "geteuid"):  # Windows keeps a user's own folders private by other means
        return True
    for parent in directory.parents:
        above = os.lstat(parent)
        is_shared = above.st_mode & 0o020 and not _is_own_group(above.st_gid)
        if (above.st_mode & 0o002 or is_shared) and not above.st_mode & stat.S_ISVTX:
            return _refused(directory, f"lies in {parent}, where others can write")
    if state.st_mode & 0o077:
        if state.st_mode & 0o022:  # a key that others may have put there says nothing
            (directory / _KEY).unlink(missing_ok=True)
        directory.chmod(0o700)
    return True


def _is_ours(state: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or state.st_uid == os.geteuid()


def _is_own_group(number: int) -> bool:
    """Return whether a group is named as we are and has nobody else, as many systems make them."""
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(number), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    is_own = group.gr_name == user.pw_name and group.gr_gid == user.pw_gid
    return is_own and set(group.gr_mem) <= {user.pw_name}


@functools.cache
def _refused(directory: Path, reason: str) -> bool:
    """Say once a process why a cache is not used; return False."""
    import logging

    logging.getLogger("retrograd.compile").warning(
        "the cache of compiled programs is not used: %s %s; set RETROGRAD_CACHE to a directory of"
        " your own",
        directory,
        reason,
    )
    return False


def _secret(directory: Path) -> bytes | None:
    """Return the directory's key, if it has one that nobody else could read. Raises OSError."""
    secret = _read(directory / _KEY, _DIGEST, is_secret=True)
    return secret if secret is not None and len(secret) == _DIGEST else None


def _made_secret(directory: Path) -> bytes | None:
    """Return the directory's key, made if it has none; of racing makers one wins.

    Raises OSError.
    """
    path = directory / _KEY
    with suppress(FileNotFoundError):
        secret = _secret(directory)
        if secret is not None:
            return secret
        _remove(path)
    with _new(directory, secrets.token_bytes(_DIGEST)) as made, suppress(FileExistsError):
        if os.name == "nt":
            os.rename(made, path)  # never replaces there, as a link never does elsewhere
        else:
            os.link(made, path)
    return _secret(directory)


# Files: every function here may raise OSError


def _read(path: Path, most: int, is_secret: bool = False) -> bytes | None:
    """Return a file's bytes, or None unless it is a regular file of ours of at most that size.

    Opening never waits for the other end of a pipe, and never follows a link.
    """
    names = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
    flags = functools.reduce(lambda all, name: all | getattr(os, name, 0), names, os.O_RDONLY)
    opened = os.open(path, flags)
    try:
        state = os.fstat(opened)
        is_open = is_secret and hasattr(os, "geteuid") and state.st_mode & 0o077
        if not stat.S_ISREG(state.st_mode) or not _is_ours(state) or is_open:
            return None
        if state.st_size > most:
            return None
        with open(opened, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(opened)


@contextmanager
def _new(directory: Path, data: bytes) -> Iterator[Path]:
    """Write a new file of a name that nobody has, and remove it unless it was moved away."""
    path = directory / f".{secrets.token_hex(16)}{_UNFINISHED}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)
        yield path
    finally:
        with suppress(OSError):
            path.unlink()


def _put(path: Path, place: Path) -> None:
    """Move a finished file to its place, whatever is there."""
    try:
        os.replace(path, place)
    except (IsADirectoryError, PermissionError):
        _remove(place)
        os.replace(path, place)


def _remove(path: Path) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        path.rmdir()
    else:
        path.unlink()


def _make(directory: Path) -> None:
    """Make a directory and those above it, for their owner alone."""
    for path in (*reversed(directory.parents), directory):
        with suppress(FileExistsError):
            if not path.exists():
                path.mkdir(mode=0o700)


def _evict(directory: Path) -> None:
    """Remove the entries used longest ago beyond the limits, and files that were never finished.

    Other processes may do the same at the same time.
    """
    found = []
    with os.scandir(directory) as files:
        for file in files:
            with suppress(FileNotFoundError):
                state = file.stat(follow_symlinks=False)
                if file.name.endswith(_SUFFIX) and stat.S_ISREG(state.st_mode):
                    found.append((state.st_mtime_ns, state.st_size, file.path))
                elif file.name.endswith(_UNFINISHED) and state.st_mtime < time.time() - _FORGOTTEN:
                    os.unlink(file.path)
    total = 0
    for count, (_, size, path) in enumerate(sorted(found, reverse=True)):
        total += size
        if count >= MOST_ENTRIES or total > MOST_BYTES:
            with suppress(FileNotFoundError):
                os.unlink(path)
