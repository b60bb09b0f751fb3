"""Asking, before hours of work, whether a file can be written at the end."""

from __future__ import annotations

import os
from pathlib import Path


def require_writable(path: Path, option: str, may_replace: bool = False) -> None:
    """Raise InputError unless a file can be written there without losing what is there."""
    from retrograd.tensor.errors import InputError

    asked, folder = f"{option} {path}", path.parent
    if path.is_dir():
        raise InputError(asked, "it is a directory", "give the name of a file")
    if not folder.is_dir():
        raise InputError(asked, f"there is no directory {str(folder)!r}", "make it first")
    if os.path.lexists(path) and not may_replace:
        replace = ", or give --replace" if option == "--to" else ""
        raise InputError(asked, "it exists already", f"choose another name{replace}")
    if not os.access(folder, os.W_OK):
        raise InputError(asked, f"nobody may write in {str(folder)!r}", "choose another directory")
