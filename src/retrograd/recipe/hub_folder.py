"""A model as a plain directory in the layout of the Hugging Face hub, and back.

README.md is the card with YAML front matter, model.safetensors the whole model file (its record is
in the metadata, so it reads alone), and config.json what other programs look for first.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from retrograd.recipe.architecture import encode
from retrograd.recipe.card import Card, card_of, to_markdown
from retrograd.recipe.model import Model, pack, unpack
from retrograd.tensor.errors import FileFormatError, InputError, RunError
from retrograd.train.directory import RunPaths
from retrograd.train.files import read_file, replace_file

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def write_folder(directory: str | Path, model: Model, card: Card | None = None) -> list[Path]:
    """Write a model as a directory, which is made if it is absent, and return its files.

    Raises InputError for a directory that holds anything else, RunError if the system refuses.
    """
    place = Path(directory)
    _require_own(place)
    card = card_of(model) if card is None else card
    data = pack(model)
    config = json.dumps(_config(model, data), indent=2, ensure_ascii=False, allow_nan=False)
    readme = to_markdown(card, with_front_matter=True)
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise RunError(
            f"making the directory {str(place)!r}",
            error.strerror or str(error),
            "choose a place that you may write in",
        ) from None
    files = {WEIGHTS: data, CONFIG: f"{config}\n".encode(), CARD: readme.encode()}
    for name, content in files.items():
        replace_file(place / name, content)
    return [place / name for name in (CARD, CONFIG, WEIGHTS)]


def _require_own(place: Path) -> None:
    """Refuse a directory with files that are not of such a model: nothing of others is replaced."""
    asked = f"writing a model into the directory {str(place)!r}"
    if place.exists() and not place.is_dir():
        raise InputError(asked, "it is a file", "give the name of a directory")
    if place.is_dir() and any(place.iterdir()) and not is_folder(place):
        raise InputError(asked, "it holds other things", "give an empty or a new directory")


def is_folder(directory: Path) -> bool:
    """Return whether a directory is in this layout."""
    return (directory / WEIGHTS).is_file()


def model_path(path: Path) -> Path:
    """Return the file that a model is in: of a run, of such a directory, or the file itself."""
    if not path.is_dir():
        return path
    return path / WEIGHTS if is_folder(path) else RunPaths(path).model


def load_folder(directory: str | Path) -> Model:
    """Return the model of a directory in this layout.

    Raises FileFormatError as `load_model` does, and if config.json is of another model.
    """
    place = Path(directory)
    asked = f"reading the model in {str(place)!r}"
    data = read_file(place / WEIGHTS, asked)
    model = unpack(data, asked)
    if (place / CONFIG).exists():
        _check_config(read_file(place / CONFIG, asked), data, asked)
    return model


def _config(model: Model, data: bytes) -> dict[str, Any]:
    """Return what programs that look through hubs want to know; the model itself needs none."""
    schema = model.schema
    return {
        "library_name": "retrograd",
        "model_type": "retrograd",
        "retrograd_version": model.version,
        "task": schema.task.value,
        "target": schema.target,
        "classes": list(schema.classes),
        "columns": {column.name: column.kind.value for column in schema.features},
        "architecture": encode(model.net),
        "parameters": model.parameters,
        "weights": {"file": WEIGHTS, "sha256": hashlib.sha256(data).hexdigest()},
    }


def _check_config(text: bytes, data: bytes, asked: str) -> None:
    """Refuse a config.json that names other weights; its other fields are for reading only."""
    try:
        digest = json.loads(text)["weights"]["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = "its config.json does not say which weights it is of"
        raise FileFormatError(asked, found, "write the directory anew") from None
    if digest != hashlib.sha256(data).hexdigest():
        found = "its config.json is of other weights than its model.safetensors"
        raise FileFormatError(asked, found, "bring the two that belong together")
