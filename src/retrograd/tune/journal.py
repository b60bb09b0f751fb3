"""The journal of a study: one line a fact, shared by processes, whole after any kill.

Optuna writes it, under a lock of ours that the system frees when its holder dies, however it dies;
Optuna's own locks would keep others waiting for half a minute after a kill.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrograd.tensor.errors import FileFormatError, InputError, RunError
from retrograd.train.lock import acquire

if TYPE_CHECKING:
    from optuna import Study

NAME = "retrograd"
_PATIENCE = 60.0  # seconds that a lock, held for milliseconds, may be waited for


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting for others; raises RunError if it is held for a minute."""
    descriptor, until = None, time.monotonic() + _PATIENCE
    while descriptor is None:
        try:
            descriptor = acquire(path)
        except InputError as error:
            if time.monotonic() > until:
                raise RunError(f"sharing {str(path.parent)!r}", error.found, "end it") from None
            time.sleep(0.005)
    try:
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether a living process holds a lock file."""
    if not path.exists():
        return False
    try:
        os.close(acquire(path))
    except InputError:
        return True
    return False


class _Lock:
    """The lock as Optuna asks for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: Any = None

    def acquire(self) -> bool:
        """Wait for the lock, and hold it."""
        self._held = locked(self._path)
        self._held.__enter__()
        return True

    def release(self) -> None:
        """Let go of it."""
        self._held.__exit__(None, None, None)


def open_journal(path: Path) -> Study:
    """Return the Optuna study in a journal file, made if it is not there.

    A last line without its end, which only a power cut leaves behind, is cut off first. Raises
    FileFormatError for a journal that cannot be read.
    """
    optuna = _quiet_optuna()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    lock = path.with_name("journal.lock")
    try:
        with locked(lock):
            _cut_torn_line(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            backend = JournalFileBackend(str(path), lock_obj=_Lock(lock))  # type: ignore[arg-type]
            storage = JournalStorage(backend)
            study: Study = optuna.create_study(
                study_name=NAME, storage=storage, load_if_exists=True
            )
            return study
    except OSError as error:
        found = error.strerror or str(error)
        raise RunError(f"opening {str(path)!r}", found, "choose another directory") from None
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(
            f"reading the journal {str(path)!r}",
            f"it is damaged ({type(error).__name__})",
            "bring a copy of it back, or begin a new study",
        ) from None


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        data = file.read()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            file.truncate(end)
            os.fsync(file.fileno())


def _quiet_optuna() -> Any:
    """Return Optuna, which otherwise speaks on standard error of every trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna
