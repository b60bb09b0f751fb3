"""The flags of ``retrograd train``: each is an option of `retrograd.recipe.config` by its own name.

A flag that is not given is left out, and the recipe chooses; the run's config.toml holds what was
chosen.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Group, Parameter

from retrograd.recipe.config import (
    ActivationName,
    LossName,
    NormalizationName,
    OptimizerName,
    ScheduleName,
    Task,
)

DATA = Group.create_ordered("Data")
NETWORK = Group.create_ordered("Network")
UPDATE = Group.create_ordered("Loss and update")
STOPPING = Group.create_ordered("Stopping")


def _flag(group: Group, words: str, **settings: Any) -> Parameter:
    return Parameter(group=group, help=words, **settings)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Everything that can be chosen about a run."""

    task: Annotated[
        Task | None, _flag(DATA, "What kind of prediction; inferred from the target if not given.")
    ] = None
    kinds: Annotated[
        list[str] | None,
        _flag(DATA, "Correct a column's kind: COLUMN=number|category|boolean|date|drop, or "
              "with how it is written: 'COLUMN=number 1.234,5', 'COLUMN=date DD/MM/YYYY'.",
              name="--kind", negative=""),
    ] = None  # fmt: skip
    validation: Annotated[
        float | None, _flag(DATA, "Fraction of rows that choose the best epoch. [0.15]")
    ] = None
    test: Annotated[
        float | None, _flag(DATA, "Fraction of rows sealed until `retrograd test`. [0.15]")
    ] = None
    stratify: Annotated[
        bool | None, _flag(DATA, "Whether every part gets its share of each class. [yes]")
    ] = None
    group: Annotated[
        str | None,
        _flag(DATA, "Column whose equal cells stay together in one part: a customer, a patient."),
    ] = None
    time_column: Annotated[
        str | None,
        _flag(DATA, "Column of dates or numbers: train on the past, test on the latest."),
    ] = None
    part_column: Annotated[
        str | None, _flag(DATA, "Column that says train, validation or test for each row.")
    ] = None
    folds: Annotated[
        int | None, _flag(DATA, "Train this many networks, each tested on rows of its own.")
    ] = None
    fold: Annotated[int | None, _flag(DATA, "Train only for this one of the folds, from 1.")] = None
    costs: Annotated[
        list[str] | None,
        _flag(DATA, "Cost of taking a row of this class for another: CLASS=5, or for two classes "
              "false_negative=5.", name="--cost", negative=""),
    ] = None  # fmt: skip
    hidden: Annotated[
        str | None,
        _flag(NETWORK, "Units of each hidden layer, such as 64,32; 0 for none."),
    ] = None
    members: Annotated[
        int | None, _flag(NETWORK, "Networks that share their large weights and answer together.")
    ] = None
    pieces: Annotated[
        int | None, _flag(NETWORK, "Most stretches that each number is cut into; 0 for none.")
    ] = None
    plain: Annotated[
        bool | None,
        _flag(NETWORK, "One network of bare numbers: --members 1 --pieces 0.", negative=""),
    ] = None
    activation: Annotated[
        ActivationName | None, _flag(NETWORK, "Function after each hidden layer.")
    ] = None
    dropout: Annotated[
        float | None, _flag(NETWORK, "Fraction of hidden units dropped in each step.")
    ] = None
    normalization: Annotated[
        NormalizationName | None, _flag(NETWORK, "Normalisation between layers.")
    ] = None
    init: Annotated[
        str | None, _flag(NETWORK, "Start from this network: a run, or a model file.")
    ] = None
    loss: Annotated[
        LossName | None, _flag(UPDATE, "Loss of a regression; classes use cross-entropy.")
    ] = None
    optimizer: Annotated[OptimizerName | None, _flag(UPDATE, "How weights follow gradients.")] = (
        None
    )
    learning_rate: Annotated[float | None, _flag(UPDATE, "Length of each update.")] = None
    schedule: Annotated[
        ScheduleName | None, _flag(UPDATE, "How the learning rate changes over the run.")
    ] = None
    warm_up: Annotated[
        float | None, _flag(UPDATE, "Part of the run in which the learning rate rises.")
    ] = None
    batch_size: Annotated[int | None, _flag(UPDATE, "Rows in each step.")] = None
    weight_decay: Annotated[float | None, _flag(UPDATE, "L2: pull of weights towards zero.")] = None
    l1: Annotated[float | None, _flag(UPDATE, "L1: pull that makes weights exactly zero.")] = None
    clip: Annotated[float | None, _flag(UPDATE, "Longest gradient, by its global norm.")] = None
    ema: Annotated[
        float | None, _flag(UPDATE, "Decay of averaged weights, such as 0.999, used at the end.")
    ] = None
    accumulate: Annotated[
        int | None, _flag(UPDATE, "Batches whose gradients are averaged into one update.")
    ] = None
    label_smoothing: Annotated[
        float | None, _flag(UPDATE, "Part of each label spread over all classes.")
    ] = None
    balanced: Annotated[
        bool | None, _flag(UPDATE, "Weight classes by their rarity.", negative="")
    ] = None
    epochs: Annotated[int | None, _flag(STOPPING, "Most passes over the training rows.")] = None
    steps: Annotated[int | None, _flag(STOPPING, "Most updates.")] = None
    time: Annotated[str | None, _flag(STOPPING, "Longest training time: 90s, 5m or 1h.")] = None
    until: Annotated[
        str | None, _flag(STOPPING, 'Stop when reached: "loss<0.1", "accuracy>0.95".')
    ] = None
    patience: Annotated[
        int | None, _flag(STOPPING, "Epochs without improvement before the best weights return.")
    ] = None
    tolerance: Annotated[
        float | None,
        _flag(STOPPING, "Relative change of the loss below which it has converged."),
    ] = None
    memory: Annotated[
        str | None, _flag(STOPPING, "Refuse a run whose plan takes more: 500MB or 2GB.")
    ] = None

    def given(self) -> dict[str, Any]:
        """Return the options that were given, by the recipe's names."""
        chosen = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        chosen = {name: value for name, value in chosen.items() if value is not None}
        if chosen.pop("balanced", False):
            chosen["class_weights"] = "balanced"
        if chosen.pop("plain", False):
            chosen = {"members": 1, "pieces": 0} | chosen
        if "hidden" in chosen:
            chosen["hidden"] = _sizes(chosen["hidden"])
        if "kinds" in chosen:
            chosen["kinds"] = dict(map(_column_kind, chosen["kinds"]))
        if "costs" in chosen:
            chosen["costs"] = dict(map(class_cost, chosen["costs"]))
        return chosen


def _sizes(text: str) -> tuple[int, ...]:
    """Return the sizes in "64,32"; raises InputError if they are no whole numbers."""
    from retrograd.tensor.errors import InputError

    try:
        sizes = tuple(int(size) for size in text.replace("x", ",").split(","))
    except ValueError:
        raise InputError(f"--hidden {text}", "it is not a list of sizes", "write 64,32") from None
    return () if sizes == (0,) else sizes


def class_cost(text: str) -> tuple[str, float]:
    """Return (class, cost) of ``CLASS=5``; raises InputError for anything else.

    >>> class_cost("yes=5")
    ('yes', 5.0)
    """
    from retrograd.tensor.errors import InputError

    label, equals, cost = text.rpartition("=")
    try:
        return label, float(cost if equals and label else "")
    except ValueError:
        found = "it is not CLASS=number"
        raise InputError(f"--cost {text}", found, "write --cost yes=5") from None


def _column_kind(text: str) -> tuple[str, str]:
    """Return (column, kind) of ``COLUMN=kind``; raises InputError for anything else."""
    from retrograd.tensor.errors import InputError

    column, equals, kind = text.rpartition("=")
    if not equals or not column:
        raise InputError(f"--kind {text}", "it is not COLUMN=kind", "write --kind zip=category")
    return column, kind
