"""What losses ask of their arguments: shapes, dtypes and ranges, with the line to write instead.

Shapes and dtypes are checked always. Numbers are checked where there are some: inside a traced step
there are none, and there the ops refuse a label that is out of range when the step runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrograd import ops
from retrograd.ops.arithmetic import Divide
from retrograd.ops.curves import Sigmoid
from retrograd.ops.exponential import Exp
from retrograd.ops.flow import Alias, Cast
from retrograd.ops.movement import Reshape
from retrograd.ops.slicing import Slice
from retrograd.tensor.errors import DataError, DTypeError, InputError, ShapeError
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor, from_array
from retrograd.tensor.types import Array, DType

_PASSES = (Alias, Cast, Reshape, Slice)
_SUM_TOLERANCE = 1e-3


def as_predictions(name: str, values: TensorLike) -> Tensor:
    """Return the predictions as a tensor; raises DTypeError unless they are floats."""
    predictions = as_tensor(values)
    if not predictions.dtype.is_float:
        raise DTypeError(
            f"{name} of predictions {predictions.type}",
            "predictions are floats",
            "write ops.cast(predictions, DType.float32), or exchange the arguments: predictions "
            "come first",
        )
    return predictions


def paired(name: str, predictions: TensorLike, targets: TensorLike) -> tuple[Tensor, Tensor]:
    """Return both as tensors of one shape and dtype; whole targets are cast.

    Raises ShapeError where they would be stretched, DTypeError for two float dtypes.
    """
    given = as_predictions(name, predictions)
    wanted = as_tensor(targets)
    if given.shape != wanted.shape:
        raise _unequal(name, given, wanted)
    return given, _as_floats(name, wanted, given.dtype)


def _as_floats(name: str, targets: Tensor, dtype: DType) -> Tensor:
    if targets.dtype.is_float and targets.dtype is not dtype:
        raise DTypeError(
            f"{name} of {dtype.value} predictions and targets {targets.type}",
            "the dtypes differ",
            f"write ops.cast(targets, DType.{dtype.value})",
        )
    return ops.cast(targets, dtype)


def _unequal(name: str, predictions: Tensor, targets: Tensor) -> ShapeError:
    """Return the error for shapes that differ, with the repair for the frequent mistakes."""
    p, t = predictions.shape, targets.shape
    found, repair = "the shapes differ", "give one target for each prediction"
    if p == (*t, 1):
        found = "stretched, each prediction would meet every target"
        repair = f"write nn.{name}(predictions[..., 0], targets)"
    elif t == (*p, 1):
        found = "stretched, each prediction would meet every target"
        repair = f"write nn.{name}(predictions, targets[..., 0])"
    elif p[:-1] == t and p:
        found = f"there are {p[-1]} predictions for each target"
        repair = (
            "end the network with one output and write predictions[..., 0]; to choose one of "
            f"{p[-1]} classes, write nn.cross_entropy(logits, labels)"
        )
    elif len(p) == len(t) and p[1:] == t[1:]:
        found = f"there are {p[0]} rows of predictions and {t[0]} of targets"
    return ShapeError(f"{name} of predictions {predictions.type} and targets {targets.type}",
                      found, repair)  # fmt: skip


def classes(name: str, logits: TensorLike, labels: TensorLike) -> tuple[Tensor, Tensor]:
    """Return scores (n, k) and labels (n,) as tensors, the labels integers in 0..k-1.

    Raises ShapeError, DTypeError, and DataError with the row of a label that is out of range.
    """
    scores, chosen = as_predictions(name, logits), as_tensor(labels)
    asked = f"{name} of logits {scores.type} and labels {chosen.type}"
    if scores.rank < 2 or scores.shape[-1] < 2:
        # One class would have probability 1 whatever its score: a loss of 0 that teaches nothing.
        alone = "logits[..., 0]" if scores.rank > 1 else "logits"
        loss = "hinge" if name == "hinge" else "binary_cross_entropy"
        raise ShapeError(
            asked,
            "the logits are not (n, k), one score for each of two classes or more",
            f"for two classes and one score a row, write nn.{loss}({alone}, labels)",
        )
    if chosen.shape == scores.shape:
        raise ShapeError(
            asked,
            "there is a number for each class instead of one label a row",
            f"write nn.{name}(logits, ops.argmax(labels, -1)), or nn.kl_divergence(logits, labels) "
            "for probabilities",
        )
    if chosen.shape != scores.shape[:-1]:
        is_column = chosen.shape == (*scores.shape[:-1], 1)
        raise ShapeError(
            asked,
            "there is not one label for each row",
            f"write nn.{name}(logits, labels[..., 0])" if is_column else "give one label a row",
        )
    if not chosen.dtype.is_integer:
        raise DTypeError(
            asked, "labels are integers", f"write nn.{name}(logits, ops.cast(labels, DType.int64))"
        )
    if chosen.array is not None:
        _require_labels(name, chosen.array, scores.shape[-1])
    return scores, chosen


def _require_labels(name: str, labels: Array, count: int) -> None:
    if not labels.size or (labels.min() >= 0 and labels.max() < count):
        return
    place = int(np.flatnonzero((labels < 0) | (labels >= count))[0])
    if labels.min() == 1 and labels.max() == count:
        repair = f"they start from 1: write nn.{name}(logits, labels - 1)"
    elif labels.min() < 0:
        repair = "leave out rows without a label, or give them the label 0 and the weight 0"
    else:
        repair = f"give the network {int(labels.max()) + 1} outputs, or correct the label"
    raise DataError(
        f"{name} with labels for {count} classes",
        f"row {place} has the label {labels.flat[place]}, outside 0..{count - 1}",
        repair,
    )


def binary(name: str, logits: TensorLike, targets: TensorLike) -> tuple[Tensor, Tensor]:
    """Return scores and targets of one shape, the targets floats in [0, 1].

    Integers and bools are labels 0 and 1. Raises DataError with the row of a target outside.
    """
    scores, wanted = as_predictions(name, logits), as_tensor(targets)
    if scores.shape != wanted.shape:
        raise _unequal(name, scores, wanted)
    if wanted.array is not None:
        require_range(name, wanted.array, 0.0, 1.0, _binary_repair(name, wanted.array))
    if wanted.dtype.is_integer:
        # Taken from a table of two, so that a compiled step refuses other labels as well.
        return scores, ops.take(from_array(np.array([0, 1], scores.dtype.numpy)), wanted)
    return scores, _as_floats(name, wanted, scores.dtype)


def _binary_repair(name: str, targets: Array) -> str:
    if np.isin(targets, (-1, 1)).all():
        return f"write nn.{name}(logits, (targets + 1) / 2)"
    return "give 0, 1 or a probability; for more classes write nn.cross_entropy(logits, labels)"


def distributions(name: str, logits: TensorLike, targets: TensorLike) -> tuple[Tensor, Tensor]:
    """Return scores and probabilities, both (n, k), as tensors.

    Raises DataError for rows that hold something outside [0, 1] or do not add up to 1.
    """
    scores, wanted = as_predictions(name, logits), as_tensor(targets)
    if scores.shape != wanted.shape or scores.rank < 2:
        raise ShapeError(
            f"{name} of logits {scores.type} and targets {wanted.type}",
            "these are not (n, k), a number for each class, both",
            "for labels, one a row, write nn.cross_entropy(logits, labels)",
        )
    if wanted.array is not None and wanted.size:
        repair = "divide each row of targets by its sum"
        require_range(name, wanted.array, 0.0, 1.0, repair)
        sums = wanted.array.sum(-1)
        wrong = np.flatnonzero(np.abs(sums - 1.0) > _SUM_TOLERANCE)
        if len(wrong):
            found = f"row {wrong[0]} adds up to {sums.flat[wrong[0]]:g}, not 1"
            raise DataError(f"{name} of probabilities", found, repair)
    return scores, _as_floats(name, wanted, scores.dtype)


def require_range(name: str, values: Array, low: float, high: float, repair: str) -> None:
    """Raise DataError, with the first row, for a target outside ``low`` to ``high`` or NaN."""
    outside = ~((values >= low) & (values <= high))
    if outside.any():
        row = tuple(int(i) for i in np.argwhere(outside)[0])
        raise DataError(
            f"{name} of targets from {low:g} to {high:g}",
            f"row {', '.join(map(str, row))} is {values[row]:g}",
            repair,
        )


def as_weights(name: str, weights: Any, losses: Tensor) -> Tensor | None:
    """Return sample weights in the losses' dtype, or None.

    They have the losses' leading axes. Raises ShapeError, and DataError for one that is negative or
    not finite.
    """
    if weights is None:
        return None
    given = as_tensor(weights)
    if not given.rank or given.shape != losses.shape[: given.rank]:
        raise ShapeError(
            f"{name} with weights {given.type}",
            f"the losses have shape {losses.shape}",
            f"give one weight a row: shape {losses.shape[:1]}",
        )
    _require_weights(f"{name} with sample weights", given)
    return ops.cast(given, losses.dtype)


def as_class_weights(name: str, weights: Any, logits: Tensor) -> Tensor:
    """Return one weight for each class in the logits' dtype; raises as `as_weights` does."""
    given = as_tensor(weights)
    if given.shape != logits.shape[-1:]:
        raise ShapeError(
            f"{name} with class weights {given.type}",
            f"there are {logits.shape[-1]} classes",
            f"give one weight for each class: shape {logits.shape[-1:]}",
        )
    _require_weights(f"{name} with class weights", given)
    return ops.cast(given, logits.dtype)


def _require_weights(asked: str, weights: Tensor) -> None:
    if weights.array is None:
        return
    wrong = np.flatnonzero(~(np.isfinite(weights.array) & (weights.array >= 0)))
    if len(wrong):
        raise DataError(
            asked,
            f"number {wrong[0]} is {weights.array.flat[wrong[0]]:g}",
            "give finite weights of 0 or more",
        )


def refuse_probabilities(name: str, logits: Tensor) -> None:
    """Raise InputError if the logits are seen to come from a softmax or a sigmoid.

    They are seen while a step is differentiated or traced, when tensors remember their making.
    """
    made = logits
    while isinstance(made.op, _PASSES):
        made = made.inputs[0]
    squashed = "sigmoid" if isinstance(made.op, Sigmoid) else "softmax" if _is_share(made) else ""
    if squashed:
        raise InputError(
            f"{name} of the output of a {squashed}",
            "it takes scores, and makes them probabilities itself",
            f"leave out the {squashed} before the loss",
        )


def _is_share(x: Tensor) -> bool:
    """Return whether x is e / f(e) with e an exponential: a softmax, however it was written."""
    if not isinstance(x.op, Divide):
        return False
    powers, reached = x.inputs[0], [x.inputs[1]]
    for _ in range(6):
        if any(y is powers for y in reached):
            return isinstance(powers.op, Exp)
        reached = [z for y in reached for z in y.inputs]
    return False
