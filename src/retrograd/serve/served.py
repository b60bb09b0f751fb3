"""A model as it is served: its name and version, its compiled network, and how answers are made."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.recipe.model import Model, load_model
from retrograd.serve.programs import Programs, softmax
from retrograd.serve.rows import RowEncoder, RowError, view_of
from retrograd.tensor.errors import NonFiniteError, RunError

Features = npt.NDArray[np.float32]
Answer = dict[str, Any]
_CLOSE = 1e-4  # between NumPy's outputs and the program's: they add in another order


@dataclass(frozen=True, eq=False)
class Served:
    """A loaded model; `loaded` is when, in seconds since 1970."""

    name: str
    version: str
    path: Path
    model: Model
    encoder: RowEncoder
    programs: Programs
    loaded: float = field(default_factory=time.time)

    @property
    def target(self) -> str:
        """The column that is predicted."""
        return self.model.schema.target

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, or nothing for amounts."""
        return self.model.schema.classes

    def features(self, rows: list[Any], first: int = 0) -> tuple[Features, list[Any]]:
        """Return the features of rows, and what was odd in each; raises RowError.

        ``first`` is the number of the first row, for messages.
        """
        features = np.zeros((len(rows), self.encoder.width), np.float32)
        view = view_of(features)
        odd = [
            self.encoder.encode(row, view, i * self.encoder.width, first + i)
            for i, row in enumerate(rows)
        ]
        return features, odd

    def answers(self, features: Features) -> list[Answer | RowError]:
        """Return for each row the value, and a probability for each class."""
        return self.answers_of(self.programs.outputs(features))

    def answers_of(self, outputs: Features) -> list[Answer | RowError]:
        """Return what the network's outputs mean.  outputs (rows, classes), or (rows, 1)"""
        if not self.classes:
            amounts = self.model.preprocessor.inverse_target(outputs[:, 0]).tolist()
            return [{"value": a} if math.isfinite(a) else _not_finite() for a in amounts]
        probabilities = softmax(outputs).tolist()
        best = outputs.argmax(axis=1).tolist()
        return [
            {"value": self.classes[i], "probabilities": dict(zip(self.classes, p, strict=True))}
            if p[0] == p[0] else _not_finite()
            for i, p in zip(best, probabilities, strict=True)
        ]  # fmt: skip

    def row_answer(self, answer: Answer, odd: Any, row: dict[str, Any]) -> Answer:
        """Return an answer with the sentences about its row."""
        return {**answer, "notes": self.encoder.notes(odd, row) if odd else []}


def _not_finite() -> RowError:
    return RowError("the network gives NaN or infinity for it")


def load(name: str, version: str, path: Path) -> Served:
    """Read a model's file, compile it, and try it.

    Raises FileFormatError for a file that is no model, RunError if the compiled network does not
    answer as the model itself does.
    """
    model = load_model(path)
    encoder = RowEncoder(model.preprocessor, model.schema.spellings)
    served = Served(name, version, path, model, encoder, Programs(model, encoder.width))
    _try(served)
    for tally in encoder.drift.values():
        tally[:] = [0] * len(tally)
    return served


def _try(served: Served) -> None:
    """Compare the answers with the model's own, on a usual row and on one that has nothing."""
    row = served.encoder.example()
    for each in (row, dict.fromkeys(row)):
        features, _ = served.features([each])
        (answer,) = served.answers(features)
        try:
            expected = served.model.predict({name: [cell] for name, cell in each.items()})
        except NonFiniteError:
            continue  # the model refuses the row; so does the server
        if isinstance(answer, RowError) or not _agree(answer, expected, served):
            raise RunError(
                f"serving {str(served.path)!r}",
                "the compiled network does not answer as the model does",
                "predict in batches with `retrograd predict`, and report this as a fault of ours",
            )


def _agree(answer: Answer, expected: Any, served: Served) -> bool:
    if expected.probabilities is not None:
        found = np.array(list(answer["probabilities"].values()))
        return bool(np.abs(found - expected.probabilities[0]).max() < _CLOSE)
    unit = abs(float(expected.values[0])) + served.model.preprocessor.scale
    return bool(abs(answer["value"] - float(expected.values[0])) <= _CLOSE * unit)
