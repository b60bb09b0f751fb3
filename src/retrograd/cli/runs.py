"""Finding what a verb was pointed at."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrograd.api.run import Run
    from retrograd.recipe.model import Model


def open_either(path: Path) -> Run | Model:
    """Return the run of a directory or the model of a file; raises InputError for neither."""
    from retrograd.api.front import load

    _require_path(path)
    if path.is_dir():
        _require_model(path)
    return load(path)


def require_run(path: Path) -> None:
    """Raise InputError unless a path is a directory that a run was begun in, finished or not."""
    from retrograd.tensor.errors import InputError

    _require_path(path)
    if not path.is_dir() or not (path / "config.toml").exists():
        kind = "directory" if path.is_dir() else "file"
        raise InputError(
            f"opening {str(path)!r}",
            f"it is a {kind}, but no run: it has no config.toml",
            "give the directory that train printed",
        )


def _require_path(path: Path) -> None:
    import difflib

    from retrograd.tensor.errors import InputError

    if not path.exists():
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, beside, n=1)
        raise InputError(
            f"opening {str(path)!r}",
            "there is no such run or model",
            f"did you mean {str(path.parent / near[0])!r}?"
            if near
            else "give the directory that train printed",
        )


def _require_model(directory: Path) -> None:
    from retrograd.tensor.errors import InputError

    # A run, or a directory in the layout of model hubs.
    if any((directory / name).exists() for name in ("model.retro", "model.safetensors")):
        return
    asked = f"opening {str(directory)!r}"
    if (directory / "checkpoints").is_dir():
        raise InputError(
            asked,
            "it has no model.retro: training has not ended in order",
            f"go on with it: retrograd train --resume {shlex.quote(str(directory))}",
        )
    raise InputError(asked, "it is no run: it has no model.retro", "give what train printed")


def open_run(path: Path) -> Run:
    """Return the run of a directory; raises InputError for a bare model file."""
    from retrograd.api.run import Run
    from retrograd.tensor.errors import InputError

    found = open_either(path)
    if not isinstance(found, Run):
        raise InputError(
            f"opening {str(path)!r}",
            "it is a model file, which has neither the rows nor the steps of its run",
            "give the run directory",
        )
    return found
