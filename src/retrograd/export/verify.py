"""Export, step by step: written, tried beside the model on rows, and kept only if it agrees."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from retrograd.data import Table
from retrograd.export import Answers, Format, Request, Written, costs_of, format_of
from retrograd.export.program import FEATURES, stages_of
from retrograd.export.trial import Trial, trial_of
from retrograd.recipe.model import Model
from retrograd.recipe.predictions import Predictions, outputs_of
from retrograd.tensor.errors import InputError, RunError
from retrograd.tensor.tensor import from_array
from retrograd.tensor.types import Array
from retrograd.train.files import replace_file

TOLERANCE: Final = 1e-5
"""How far an export may be from the model.

Amounts: this part of the amount, or of the target's standard deviation where that is larger.
Probabilities: this much, times the row's largest logit where that is above 1 (a logit in float32
is known to a part of its own size). Labels: the same, unless two classes are as close as that.
"""


@dataclass(frozen=True)
class Exported:
    """What was written: its files, the first of which is the one that was asked for.

    rows, origin: on how many rows it was tried, and where they come from; 0 where this machine
    cannot run it.  difference: the largest, in parts of what is allowed.  seconds: of one row.
    """

    format: str
    files: tuple[Path, ...]
    size: int
    rows: int
    origin: str
    difference: float
    seconds: float | None
    notes: tuple[str, ...]


def export_model(
    model: Model,
    to: Path,
    *,
    format: str | None = None,
    target: str = "",
    directory: Path | None = None,
    replace: bool = False,
) -> Exported:
    """Write a model for use elsewhere, after proving that the file answers as the model does.

    to: the file; its suffix says which format, unless ``format`` names one.  target: a machine,
    for native formats.  directory: the model's run, whose validation rows are then tried.

    Raises InputError for a network or a path that cannot be, and RunError, naming the first layer
    that differs, for a file that does not agree; then nothing is left behind.
    """
    kind = format_of(to, format)
    written = kind.write(Request(model, to.name, target))
    places = tuple(to.with_name(name) for name in written.files)
    _require_free(places, replace)
    trial, answers, difference = None, None, 0.0
    if written.is_runnable:
        trial = trial_of(model, directory)
        answers, difference = _try(kind, written, model, trial, to)
    for place, data in zip(places, written.files.values(), strict=True):
        replace_file(place, data)
    return Exported(
        format=kind.name,
        files=places,
        size=sum(map(len, written.files.values())),
        rows=0 if trial is None else trial.rows.n_rows,
        origin="" if trial is None else trial.origin,
        difference=difference,
        seconds=None if answers is None else answers.seconds,
        notes=written.notes,
    )


def _require_free(places: tuple[Path, ...], replace: bool) -> None:
    for place in places:
        if not replace and (place.exists() or place.is_symlink()):
            raise InputError(
                f"exporting to {str(place)!r}",
                "it exists already",
                "choose another name, or give --replace",
            )


def _try(
    kind: Format, written: Written, model: Model, trial: Trial, to: Path
) -> tuple[Answers, float]:
    """Let the files predict in a place of their own; raises RunError if they do not agree."""
    with tempfile.TemporaryDirectory(prefix="retrograd-export-") as folder:
        for name, data in written.files.items():
            (Path(folder) / name).write_bytes(data)
        path = Path(folder) / to.name
        answers = kind.run(path, trial.rows)
        difference = compare(answers, model, trial.rows)
        worst = int(np.argmax(difference))
        if difference[worst] <= 1.0:
            return answers, float(difference[worst])
        found = kind.stages(path, trial.rows)
    place = first_difference(found, model, trial.rows) if found else "the file"
    raise RunError(
        f"exporting to {str(to)!r}",
        f"its answer differs from the model's in row {worst} of {trial.rows.n_rows} "
        f"({difference[worst] * TOLERANCE:.1e} instead of at most {TOLERANCE:.0e}); "
        f"the first to differ is {place}",
        "nothing was written; report this as a fault of ours, or choose another format",
    )


def compare(answers: Answers, model: Model, rows: Table) -> npt.NDArray[np.float64]:
    """Return how far each row's answer is from the model's, in parts of what is allowed.  (rows,)

    Infinite where it is no answer at all.
    """
    expected = model.predict(rows)
    if len(answers.values) != len(expected):
        return np.full(max(len(expected), 1), np.inf)
    if expected.probabilities is None:
        size = np.maximum(np.abs(expected.values), model.preprocessor.scale)
        away = np.abs(np.asarray(answers.values, np.float64) - expected.values) / size
    else:
        away = _class_difference(answers, expected, model, rows)
    return np.where(np.isnan(away), np.inf, away) / TOLERANCE


def _class_difference(
    answers: Answers, expected: Predictions, model: Model, rows: Table
) -> npt.NDArray[np.float64]:
    assert expected.probabilities is not None
    logits = outputs_of(model.net, model.preprocessor.transform(rows))
    size = np.maximum(np.abs(logits).max(axis=1), 1.0)
    away: npt.NDArray[np.float64] = np.zeros(len(expected))
    if answers.probabilities is not None:
        if answers.probabilities.shape != expected.probabilities.shape:
            return np.full(len(expected), np.inf)
        away = np.abs(answers.probabilities - expected.probabilities).max(axis=1) / size
    costs = costs_of(model)
    two = np.sort(logits if costs is None else logits + np.log(costs), axis=1)[:, -2:]
    is_tie = (two[:, 1] - two[:, 0]) / size <= TOLERANCE
    pairs = zip(answers.values.tolist(), expected, strict=True)
    is_other = np.array([str(one) != str(other) for one, other in pairs])
    return np.where(is_other & ~is_tie, np.inf, away)


def first_difference(found: Mapping[str, Array], model: Model, rows: Table) -> str:
    """Return the first stage at which a file computes something else than the model, in words."""
    features = model.preprocessor.transform(rows)
    stages = stages_of(model.net, from_array(features))
    expected = {FEATURES: features, **{name: x.numpy() for name, x in stages.items()}}
    for name, own in expected.items():
        if name not in found:
            continue
        if found[name].shape != own.shape:
            return _called(name, model)
        room = TOLERANCE * np.maximum(np.abs(own).max(axis=-1, keepdims=True), 1.0)
        away = np.abs(found[name] - own)
        bad = ~(away <= room) & ~(np.isnan(found[name]) & np.isnan(own))
        if bad.any():
            column = int(np.argwhere(bad)[0][-1])
            return _called(name, model, column)
    return "what is made of the last layer's output"


def _called(name: str, model: Model, column: int | None = None) -> str:
    if name != FEATURES:
        return f"the layer {name}"
    names = model.preprocessor.feature_names
    return "the preprocessing" + ("" if column is None else f" of {names[column]!r}")
