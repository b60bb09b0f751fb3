"""The loss of a row and the first delta, substituted: one template for each loss.

Every loss here is a sum over outputs of the row, whose parts and slopes a template gives from the
predictions in float64. Others are shown by differences of the loss itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd import nn
from retrograd.explain.capture import Pass
from retrograd.explain.record import Formula, Numbers64, Term
from retrograd.explain.seen import Seen, evaluated, floor_of, product, short
from retrograd.nn.containers import name_of
from retrograd.tensor.tensor import as_tensor, from_array


@dataclass(frozen=True)
class RowLoss:
    """One row's loss in parts: ``parts`` add up to it, ``slope(k)`` is dL at output k."""

    template: str
    parts: tuple[Term, ...]
    slope_template: str
    slope: Callable[[int], tuple[Term, ...]]
    words: str = ""


Settings = Mapping[str, Any]


def unwrapped(loss: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the loss inside partials, and the settings that they gave it.

    >>> from functools import partial
    >>> unwrapped(partial(nn.cross_entropy, label_smoothing=0.1))[1]
    {'label_smoothing': 0.1}
    """
    settings: dict[str, Any] = {}
    while isinstance(loss, functools.partial):
        settings = {**loss.keywords, **settings}
        loss = loss.func
    return loss, settings


def _softmax(z: Numbers64) -> Numbers64:
    powers: Numbers64 = np.exp(z - z.max())
    shares: Numbers64 = powers / powers.sum()
    return shares


def cross_entropy(seen: Seen, z: Numbers64, target: Any, settings: Settings) -> RowLoss:
    """L = -sum of t_c ln p_c with p = softmax(z); its slope is p_k sum(t) - t_k."""
    label, k = int(target), len(z)
    smoothing = settings.get("label_smoothing", 0.0)
    wanted = np.full(k, smoothing / k)
    wanted[label] += 1 - smoothing
    given = settings.get("class_weights")
    if given is not None:
        wanted = wanted * np.asarray(as_tensor(given).numpy(), np.float64)
    p = _softmax(z)
    total = float(wanted.sum())
    shown = [c for c in np.argsort(-wanted, kind="stable")[:6] if wanted[c]]
    logs = z - z.max() - np.log(np.exp(z - z.max()).sum())
    parts = [
        evaluated(
            f"-{'' if wanted[c] == 1 else short(wanted[c]) + '·'}ln p[{seen.class_name(int(c))}]",
            -wanted[c] * logs[c],
            p=p[c],
        )
        for c in shown
    ]
    hidden = [c for c in range(k) if c not in shown and wanted[c]]
    if hidden:
        parts.append(
            evaluated(f"… {len(hidden)} more", -float(np.sum(wanted[hidden] * logs[hidden])))
        )

    def slope(c: int) -> tuple[Term, ...]:
        first = Term(f"p[{seen.class_name(c)}]", float(p[c]))
        if total != 1:
            first = product(f"p[{seen.class_name(c)}]·Σt", None, p=p[c], **{"Σt": total})
        return first, Term("-y" if given is None else "-t", -float(wanted[c]))

    plain = not smoothing and given is None
    return RowLoss(
        "L = -ln p[label], p = softmax(z)" if plain else "L = -Σ_c t_c·ln p_c, p = softmax(z)",
        tuple(parts),
        "δ_k = p_k - y_k" if given is None else "δ_k = p_k·Σt - t_k",
        slope,
        _named_probabilities(seen, p, label),
    )


def _named_probabilities(seen: Seen, p: Numbers64, label: int) -> str:
    order = [int(c) for c in np.argsort(-p, kind="stable")[:3]]
    shown = order if label in order else [*order[:2], label]
    return "p = softmax(z): " + ", ".join(f"{seen.class_name(c)} {p[c]:.4f}" for c in shown)


def binary_cross_entropy(seen: Seen, z: Numbers64, target: Any, settings: Settings) -> RowLoss:
    """L = -t ln p - (1 - t) ln(1 - p) with p = 1/(1 + e^-z); its slope is p - t."""
    t = np.asarray(target, np.float64).ravel()
    p = 1 / (1 + np.exp(-np.clip(z, -700, 700)))
    costs = t * np.logaddexp(0, -z), (1 - t) * np.logaddexp(0, z)
    parts = [
        evaluated(label, float(cost[k]), p=p[k])
        for label, cost in zip(("-t·ln p", "-(1-t)·ln(1-p)"), costs, strict=True)
        for k in np.flatnonzero(cost)
    ]

    def slope(k: int) -> tuple[Term, ...]:
        return Term("p", float(p[k])), Term("-t", -float(t[k]))

    template = "L = -t·ln p - (1-t)·ln(1-p), p = 1/(1+e^-z)"
    return RowLoss(template, tuple(parts), "δ = p - t", slope, f"p = {', '.join(map(short, p))}")


def mean_squared_error(seen: Seen, z: Numbers64, target: Any, settings: Settings) -> RowLoss:
    """L = (prediction - target)^2; its slope is 2 (prediction - target)."""
    t = np.asarray(target, np.float64).ravel()
    gaps = z - t
    order = np.argsort(-np.abs(gaps), kind="stable")
    parts = [product("(ŷ-t)²", int(k), **{"ŷ-t": gaps[k], "again": gaps[k]}) for k in order[:6]]
    if len(order) > 6:
        parts.append(evaluated(f"… {len(order) - 6} more", float(np.sum(gaps[order[6:]] ** 2))))

    def slope(k: int) -> tuple[Term, ...]:
        return Term("2·ŷ", 2 * float(z[k])), Term("-2·t", -2 * float(t[k]))

    words = f"prediction {', '.join(map(short, z[:3]))}, target {', '.join(map(short, t[:3]))}"
    return RowLoss("L = (ŷ - t)²", tuple(parts), "δ = 2(ŷ - t)", slope, words)


LOSSES: Mapping[Callable[..., Any], Callable[[Seen, Numbers64, Any, Settings], RowLoss]] = {
    nn.cross_entropy: cross_entropy,
    nn.binary_cross_entropy: binary_cross_entropy,
    nn.mean_squared_error: mean_squared_error,
}


def by_differences(seen: Seen) -> RowLoss:
    """Return any loss made of rows, by calling it: in float64, and beside itself for the slopes."""
    captured, place = seen.captured, seen.place
    row = np.asarray(captured.predictions[place : place + 1], np.float64)
    target = _wide(captured.batch.targets)[place : place + 1]
    name = name_of(captured.loss_function)

    def at(values: Numbers64) -> float:
        loss = captured.loss_function(from_array(values), as_tensor(target), reduction="none")
        return float(np.sum(loss.numpy()))

    def slope(k: int) -> tuple[Term, ...]:
        h = 1e-5 * max(1.0, float(np.abs(row).max()))
        step = np.zeros(row.size)
        step[k] = h
        moved = step.reshape(row.shape)
        difference = (at(row + moved) - at(row - moved)) / (2 * h)
        return (evaluated("(L(z+h) - L(z-h))/2h", difference, h=h),)

    parts = (evaluated(f"{name}(ŷ, t)", at(row)),)
    return RowLoss(f"L = {name}(ŷ, t)", parts, "δ = dL/dz", slope)


def _wide(targets: Any) -> Any:
    array = np.asarray(targets)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def row_loss(seen: Seen) -> RowLoss | None:
    """Return the explained row's loss in parts, None for a loss that is not made of rows."""
    if seen.captured.rows is None:
        return None
    loss, settings = unwrapped(seen.captured.loss_function)
    template = LOSSES.get(loss)
    target = np.asarray(seen.captured.batch.targets)[seen.place]
    if template is None or seen.captured.predictions.ndim > 2:
        return by_differences(seen)
    return template(seen, seen.of_row(seen.captured.predictions), target, settings)


def share(captured: Pass, place: int) -> float:
    """Return what part of the batch's loss the row's own loss is: 1/batch size if all count alike.

    The mean is over all numbers that the loss has, and divides by the sum of their weights.
    """
    rows = captured.rows
    assert rows is not None
    weights = np.ones(len(rows))
    if captured.batch.weights is not None:
        weights = np.asarray(captured.batch.weights, np.float64).reshape(len(rows), -1).mean(1)
    loss, settings = unwrapped(captured.loss_function)
    counts = weights
    if loss is nn.cross_entropy and settings.get("class_weights") is not None:
        of_class = np.asarray(as_tensor(settings["class_weights"]).numpy(), np.float64)
        counts = weights * of_class[np.asarray(captured.batch.targets)]
    if settings.get("reduction", "mean") == "sum":
        return float(weights[place])
    return float(weights[place] / (counts.sum() * (rows.size / len(rows)) or 1.0))


def loss_formulas(seen: Seen) -> list[Formula]:
    """Return the row's loss and the batch's, both substituted."""
    captured, own = seen.captured, row_loss(seen)
    if own is None or captured.rows is None:
        return []
    rows = np.asarray(captured.rows, np.float64).reshape(captured.batch_size, -1).sum(1)
    value = float(rows[seen.place])
    row = seen.formula("loss", "loss", "L", own.template, own.parts, value, words=own.words)
    shares = np.array([share(captured, n) for n in range(len(rows))])
    batch = seen.summed(
        "loss",
        "loss",
        "batch",
        "L = Σ_n L_n·share_n",
        rows * shares,
        lambda n: product(f"place {n} of the batch", n, L=rows[n], share=shares[n]),
        captured.loss,
        of_row=None,
    )
    if captured.penalty is None:
        return [row, batch]
    terms = [Term("loss of the batch", captured.loss), Term("penalty", captured.penalty)]
    total = seen.formula("loss", "loss", "total", "L + penalty", terms, captured.total, of_row=None)
    return [row, batch, total]


def first_delta(seen: Seen, unit: int) -> list[Formula]:
    """Return delta at one output of the network."""
    captured, own = seen.captured, row_loss(seen)
    if own is None:
        return []
    found = seen.delta(captured.at_predictions)
    factor = share(captured, seen.place) * captured.batch_size
    scale = () if abs(factor - 1) < 1e-12 else (("weight", factor),)
    path = f"output[{seen.class_name(unit)}]"
    return [
        seen.formula(
            "backward",
            path,
            "δ",
            own.slope_template,
            own.slope(unit),
            found[unit],
            scale=scale,
            floor=1.0 if captured.predictions.ndim < 3 else floor_of(found),
        )
    ]
