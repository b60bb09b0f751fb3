"""What the last opening of the sealed test part said, kept in the run as `test.json`.

So that a report can show it without opening that part again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrograd.train.directory import RunPaths
from retrograd.train.files import read_file, replace_file


def keep_result(directory: Path, result: Mapping[str, Any]) -> None:
    """Write what an opening said, and of which model; raises RunError if the system refuses."""
    record = {"model_digest": _digest_of_model(directory), **result}
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    replace_file(directory / "test.json", text.encode())


def read_result(directory: Path) -> dict[str, Any] | None:
    """Return what the last opening said of the run's model as it is now.

    None if the part was never opened, if the model is another one since (training went on), or if
    the file is damaged: the ledger counts openings, this is only their echo.
    """
    path = directory / "test.json"
    if not path.exists():
        return None
    try:
        record = json.loads(read_file(path, "reading the test result"))
        is_own = record["model_digest"] == _digest_of_model(directory)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if is_own else None


def _digest_of_model(directory: Path) -> str:
    model = read_file(RunPaths(directory).model, "reading the model")
    return hashlib.sha256(model).hexdigest()
