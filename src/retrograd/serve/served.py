"""A model as it is served: its name and version, its compiled network, and how answers are made."""

from __future__ import annotations

import functools
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.recipe.conformal import with_coverage
from retrograd.recipe.model import Model, load_model
from retrograd.recipe.predictions import Predictions
from retrograd.recipe.threshold import cost_vector, decide
from retrograd.serve.programs import Floats, Programs, softmax
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
        shares = softmax(outputs)
        costs = self._costs
        best = (outputs.argmax(axis=1) if costs is None else decide(shares, costs)).tolist()
        return [
            {"value": self.classes[i], "probabilities": dict(zip(self.classes, p, strict=True))}
            if p[0] == p[0] else _not_finite()
            for i, p in zip(best, shares.tolist(), strict=True)
        ]  # fmt: skip

    @functools.cached_property
    def _costs(self) -> Floats | None:
        """What it costs to miss each class, if training was told."""
        costs = self.model.config.data.costs
        return cost_vector(costs, self.classes) if costs else None

    def surer(self, answer: Answer, coverage: float) -> Answer:
        """Return an answer with an interval, or a set of classes, that holds the truth as often.

        Raises InputError for a coverage that the validation rows cannot tell.
        """
        shares = answer.get("probabilities")
        values = np.array([answer["value"]])
        table = None if shares is None else np.array([list(shares.values())])
        given = Predictions(self.target, values, table, self.classes)
        found = with_coverage(given, self.model.conformal, coverage)
        if found.sets is not None:
            inside = zip(self.classes, found.sets[0].tolist(), strict=True)
            return {**answer, "set": [name for name, has in inside if has]}
        assert found.lower is not None
        assert found.upper is not None
        return {**answer, "interval": [float(found.lower[0]), float(found.upper[0])]}

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
        if np.abs(found - expected.probabilities[0]).max() >= _CLOSE:
            return False
        top = np.sort(found * (1 if served._costs is None else served._costs))[::-1]
        return bool(answer["value"] == expected.values[0] or top[0] - top[1] < _CLOSE)
    unit = abs(float(expected.values[0])) + served.model.preprocessor.scale
    return bool(abs(answer["value"] - float(expected.values[0])) <= _CLOSE * unit)
