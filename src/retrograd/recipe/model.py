"""Model: a trained network with everything that using it takes, in one file, `model.retro`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

import retrograd
from retrograd.data import Preprocessor, Schema, read_table
from retrograd.recipe.architecture import decode, encode
from retrograd.recipe.config import Config
from retrograd.recipe.conformal import Conformal, with_coverage
from retrograd.recipe.predictions import Predictions, predict_table
from retrograd.recipe.threshold import with_costs
from retrograd.recipe.toml import from_plain, to_plain
from retrograd.tensor.errors import FileFormatError, InputError, RetrogradError
from retrograd.tensor.tensor import from_array
from retrograd.tensor.types import Array
from retrograd.train.events import plain
from retrograd.train.files import read_file, replace_file
from retrograd.train.sealed import Kind, parse, seal, unseal
from retrograd.tree import leaves

KIND: Final = Kind("retrograd-model", 1, "model")
KNOWN: Final = frozenset({"costs"})
"""What a record may name in "requires": optional records without which predictions would differ."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network, what its columns mean, how they become numbers, and where it comes from.

    metrics: those of the validation part.  data_digest: of all rows it was made from.
    version: of the program that made it.  parts: how many rows were in each part, where known.
    conformal: how far off it was on validation rows, for intervals and sets.
    """

    net: Any
    schema: Schema
    preprocessor: Preprocessor
    config: Config
    metrics: Mapping[str, float] = field(default_factory=dict)
    data_digest: str = ""
    version: str = retrograd.__version__
    parts: Mapping[str, int] = field(default_factory=dict)
    conformal: Conformal | None = None

    def __repr__(self) -> str:
        """Return it in one line, without its numbers."""
        what, task = self.schema.target, self.schema.task.value
        return f"Model({what!r}, {task}, {self.parameters:,} numbers)"

    @property
    def parameters(self) -> int:
        """Number of trained numbers and running statistics."""
        return sum(x.size for x in leaves(self.net).values())

    def predict(
        self,
        table: Any,
        *,
        coverage: float | None = None,
        costs: Mapping[str, float] | None = None,
    ) -> Predictions:
        """Return the predictions for a table, or whatever `read_table` reads, or a row as a dict.

        With a ``coverage`` such as 0.9, each has an interval or a set of classes that holds the
        truth as often. ``costs`` (by default those of training) decide between classes.

        Raises DataError for columns that are missing or not what they were in training, InputError
        for a coverage or costs that cannot be.
        """
        if isinstance(table, Mapping) and table and all(map(_is_cell, table.values())):
            table = {name: [cell] for name, cell in table.items()}
        read = read_table(table, spellings=self.schema.spellings)
        found = predict_table(self.net, self.schema, self.preprocessor, read)
        costs = self.config.data.costs if costs is None else costs
        found = with_costs(found, costs) if costs else found
        return found if coverage is None else with_coverage(found, self.conformal, coverage)


def _is_cell(value: object) -> bool:
    return isinstance(value, str | bytes | np.generic) or not hasattr(value, "__iter__")


def save_model(path: str | Path, model: Model) -> None:
    """Write the model into one file, whole or not at all.

    Raises InputError for a network with a layer that files cannot name, RunError if the system
    refuses; what was there before is then intact.
    """
    replace_file(Path(path), pack(model))


def pack(model: Model) -> bytes:
    """Return the bytes of a model's file."""
    record = {
        "architecture": encode(model.net),
        "schema": model.schema.to_json(),
        "preprocessing": model.preprocessor.to_json(),
        "config": to_plain(model.config),
        "metrics": plain(model.metrics),
        "data_digest": model.data_digest,
        "version": model.version,
        **({"parts": dict(model.parts)} if model.parts else {}),
        **({"conformal": model.conformal.to_json()} if model.conformal else {}),
        **({"requires": ["costs"]} if model.config.data.costs else {}),
    }
    arrays = {name: x.numpy() for name, x in leaves(model.net).items()}
    return seal(KIND, arrays, json.dumps(record))


def load_model(path: str | Path) -> Model:
    """Read a model.

    Raises FileFormatError in one sentence for a file that is missing, damaged, hostile, of another
    kind, or of a newer version. Nothing in it is run, and time and memory are bounded by its size.
    """
    asked = f"reading the model {str(path)!r}"
    return unpack(read_file(Path(path), asked), asked)


def unpack(data: bytes, asked: str = "reading a model") -> Model:
    """Return the model of a file's bytes; raises FileFormatError as `load_model` does."""
    arrays, text = unseal(KIND, data, asked)
    try:
        return _from_record(parse(text), arrays, asked)
    except FileFormatError as error:
        told = error if error.asked.startswith(asked) else None
        found = error.found if told else f"{error.asked}: {error.found}"
        raise FileFormatError(asked, found, error.try_this) from None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, OverflowError):
        raise _unfit(asked, "its record cannot be read") from None


def _from_record(record: Any, arrays: Mapping[str, Array], asked: str) -> Model:
    """Return the model, with every part checked by its own type and then against the others."""
    _require_known(record, asked)
    schema = Schema.from_json(record["schema"])
    preprocessor = Preprocessor.from_json(record["preprocessing"])
    if (schema.target, schema.classes) != (preprocessor.target, preprocessor.classes):
        raise _unfit(asked, "its schema and its preprocessing are of different tables")
    try:
        config = from_plain(record["config"], "its config")
    except InputError as error:
        raise _unfit(asked, f"{error.asked}: {error.found}") from None
    net = decode(record["architecture"], arrays, asked)
    _check_fit(net, len(preprocessor.feature_names), max(len(schema.classes), 1), asked)
    return Model(
        net=net,
        schema=schema,
        preprocessor=preprocessor,
        config=config,
        metrics={str(name): float(value) for name, value in record["metrics"].items()},
        data_digest=_text(record["data_digest"]),
        version=_text(record["version"]),
        parts={str(name): int(count) for name, count in record.get("parts", {}).items()},
        conformal=Conformal.from_json(record["conformal"]) if "conformal" in record else None,
    )


def _require_known(record: Any, asked: str) -> None:
    """Refuse a file whose predictions need something that this program does not know.

    What only tells more of a network may be added to files freely, and is passed over by programs
    that do not know it. What changes predictions is also named in the record's list "requires".
    """
    unknown = [name for name in record.get("requires", []) if name not in KNOWN]
    if unknown:
        found = f"its predictions need {_text(unknown[0])[:40]!r}, which this program does not know"
        raise FileFormatError(asked, found, "upgrade retrograd")


def _check_fit(net: Any, features: int, outputs: int, asked: str) -> None:
    """Refuse a network that does not lead from the features to the outputs, by trying one row."""
    try:
        found = net(from_array(np.zeros((1, features), np.float32)))
    except RetrogradError as error:
        raise _unfit(asked, f"its layers do not fit: {error.asked}: {error.found}") from None
    if found.shape != (1, outputs) or not found.dtype.is_float:
        raise _unfit(asked, f"its network gives {found.type} for a row, not {outputs} numbers")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _unfit(asked: str, found: str) -> FileFormatError:
    return FileFormatError(asked, found, "use another copy of the file, or train again")
