"""`explain_step`: one training step from one row's point of view, every phase in true numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retrograd import nn
from retrograd.autodiff import Rules
from retrograd.data.batches import Batch
from retrograd.explain.audit import audits
from retrograd.explain.capture import Loss, Pass, Penalty, capture
from retrograd.explain.losses import first_delta, loss_formulas
from retrograd.explain.record import (
    Explanation,
    Feature,
    Formula,
    Numbers64,
    Term,
    exact_sum,
)
from retrograd.explain.route import Route, default_output, default_weight, read_unit, route
from retrograd.explain.seen import Seen, short
from retrograd.explain.updates import update_formulas
from retrograd.explain.walk import backward, forward
from retrograd.explain.weights import Weight, read_weight, weight_formulas
from retrograd.optim import Optimizer
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.train.state import TrainState


def explain_step(
    net: Any,
    loss: Loss,
    optimizer: Optimizer,
    state: TrainState,
    batch: Batch,
    row_in_batch: int,
    *,
    unit: str | None = None,
    weight: str | None = None,
    layer: str | None = None,
    row: int | None = None,
    feature_names: Sequence[str] = (),
    class_names: Sequence[str] = (),
    source_values: Sequence[Any] = (),
    exact: str = "exact",
    where: str = "",
    notes: Sequence[str] = (),
    penalty: Penalty | None = None,
    rules: Rules | None = None,
) -> Explanation:
    """Run the step of ``state`` on ``batch`` and explain it from the row at ``row_in_batch``.

    net, loss, optimizer, penalty and rules are those of `train.make_step`. Shown are one unit of
    each layer, from the output of the row's class back along the largest contributions, and the
    weight with the largest a·delta; ``unit`` ("layers.2[3]"), ``weight`` ("layers.2.weight[7,3]")
    and ``layer`` ("layers.2", whose formulas alone are shown) choose others. ``row`` is the row's
    number in the user's data, ``source_values`` what stood there before preparation, by feature.
    ``exact`` says how this state was come by ("exact", "exact (replayed, 23 steps)"), and ``where``
    which step it is to people ("batch 16 of 44, epoch 2"). ``notes`` are said at the end.

    Raises InputError for a row, unit, weight or layer that does not exist, and NonFiniteError for
    a loss that is not a finite number.
    """
    _require_place(row_in_batch, batch)
    captured = capture(net, loss, optimizer, state, batch, penalty=penalty, rules=rules)
    seen = Seen(
        captured,
        row_in_batch,
        row_in_batch if row is None else row,
        tuple(feature_names),
        tuple(map(str, class_names)),
    )
    return explain_pass(
        seen,
        unit=unit,
        weight=weight,
        layer=layer,
        source_values=source_values,
        exact=exact,
        where=where,
        notes=notes,
    )


def explain_pass(
    seen: Seen,
    *,
    unit: str | None = None,
    weight: str | None = None,
    layer: str | None = None,
    source_values: Sequence[Any] = (),
    exact: str = "exact",
    where: str = "",
    notes: Sequence[str] = (),
) -> Explanation:
    """Return the explanation of a pass that was captured; see `explain_step`."""
    captured = seen.captured
    chosen = _chosen(seen, unit, layer)
    formulas = _formulas(seen, chosen, _weight(seen, weight, chosen))
    after = _after(seen)
    return Explanation(
        network=summary(captured.net),
        step=captured.step,
        row=seen.row,
        place=seen.place,
        batch_size=captured.batch_size,
        features=_features(seen, source_values),
        target=_target(seen),
        prediction=_prediction(seen),
        formulas=(*formulas, after),
        audits=audits(captured),
        loss=captured.loss,
        total=captured.total,
        total_after=captured.total_after,
        predicted=after.value,
        exact=exact,
        where=where,
        notes=(*notes, *_notes(captured)),
    )


def _require_place(place: int, batch: Batch) -> None:
    if not 0 <= place < len(batch.inputs):
        raise InputError(
            f"explaining row {place} of the batch",
            f"the batch has {len(batch.inputs)} rows",
            f"give a place from 0 to {len(batch.inputs) - 1}",
        )


def _formulas(seen: Seen, chosen: Route, shown: Weight | None) -> list[Formula]:
    """Return the formulas of all phases but the last."""
    captured = seen.captured
    formulas = [
        *(f for number, u in chosen.items() for f in forward(seen, captured.visits[number], u)),
        *loss_formulas(seen),
        *first_delta(seen, default_output(seen)),
        *backward(seen, chosen),
    ]
    if shown is not None:
        formulas += weight_formulas(seen, shown) + update_formulas(seen, shown)
    return formulas


def _chosen(seen: Seen, unit: str | None, layer: str | None) -> Route:
    captured = seen.captured
    chosen = route(seen, None if unit is None else read_unit(unit, captured))
    if layer is None:
        return chosen
    kept = {
        number: u
        for number, u in chosen.items()
        if captured.visits[number].path == layer
        or captured.visits[number].path.startswith(f"{layer}.")
    }
    if not kept:
        paths = ", ".join(visit.path for visit in captured.visits)
        raise InputError(
            f"explaining the layer {layer!r}",
            "the network has no such layer",
            f"use one of {paths}",
        )
    return kept


def _weight(seen: Seen, weight: str | None, chosen: Route) -> Weight | None:
    if weight is not None:
        return read_weight(weight, seen.captured.params)
    return default_weight(seen, chosen)


def _after(seen: Seen) -> Formula:
    """Return the change of the loss that the gradient promises, leaf by leaf: the sum of g dw."""
    captured = seen.captured
    parts, names = [], list(captured.params)
    for name in names:
        moved = _wide(captured.params_after[name]) - _wide(captured.params[name])
        parts.append(float(np.sum(_wide(captured.grads[name]) * moved)))
    return seen.summed(
        "after",
        "loss",
        "predicted ΔL",
        "ΔL ≈ Σ dL/dw·Δw",
        np.array(parts),
        lambda i: Term(names[i], parts[i], index=i),
        exact_sum(parts),
        of_row=None,
    )


def _wide(x: Tensor) -> Numbers64:
    return x.numpy().astype(np.float64)


def summary(net: Any) -> str:
    """Return a network as people write it: the sizes of its dense layers, and what is between.

    >>> from retrograd import ops
    >>> summary(nn.mlp(ops.key(0), (64, 32, 10)))
    '64-32-10 relu'
    """
    rows = nn.describe(net)
    shapes = [row.parameters["weight"].shape for row in rows if row.kind == "Linear"]
    kinds = dict.fromkeys(row.kind for row in rows if row.kind != "Linear")
    if not shapes:
        return " ".join(kinds)
    sizes = "-".join(str(size) for size in (shapes[0][0], *(shape[1] for shape in shapes)))
    return " ".join([sizes, *kinds])


def _features(seen: Seen, source_values: Sequence[Any]) -> tuple[Feature, ...]:
    received = seen.of_row(np.asarray(seen.captured.batch.inputs))
    sources = [str(value) for value in source_values]
    return tuple(
        Feature(
            seen.features[i] if i < len(seen.features) else f"x{i}",
            float(value),
            sources[i] if i < len(sources) else None,
        )
        for i, value in enumerate(received)
    )


def _target(seen: Seen) -> str:
    target = np.asarray(seen.captured.batch.targets)[seen.place]
    if target.ndim == 0 and target.dtype.kind in "iu":
        return seen.class_name(int(target))
    return ", ".join(f"{value:.6g}" for value in target.ravel())


def _prediction(seen: Seen) -> str:
    """Return what the network answers: a class where targets are classes, else its numbers."""
    predictions = seen.captured.predictions
    if predictions.ndim == 3:  # each member's own, of which an ensemble answers with the mean
        wide = from_array(np.asarray(predictions[seen.place : seen.place + 1], np.float64))
        values = nn.Average()(wide).numpy()[0]
    else:
        values = seen.of_row(predictions)
    if np.asarray(seen.captured.batch.targets).dtype.kind in "iu" and len(values) > 1:
        return seen.class_name(int(np.argmax(values)))
    return ", ".join(short(float(value)) for value in values[:6])


def _notes(captured: Pass) -> tuple[str, ...]:
    if not captured.rules:
        return ()
    names = ", ".join(sorted(op.__name__ for op in captured.rules))
    return (
        f"The backward rule of {names} is replaced in this run; a cross in the backward phase shows"
        " where it departs from the true derivative.",
    )
