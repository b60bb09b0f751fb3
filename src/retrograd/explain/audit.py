"""Every number of a pass checked at once, as the shown formulas check a few."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retrograd import nn
from retrograd.autodiff import grad
from retrograd.explain.capture import Numbers, Pass, Visit
from retrograd.explain.generic import wide
from retrograd.explain.layers import curve_of, is_elementwise
from retrograd.explain.record import TOLERANCE, Audit, Phase
from retrograd.explain.seen import floor_of


def audits(captured: Pass) -> tuple[Audit, ...]:
    """Return a verdict for each layer with a template: its outputs, deltas, and gradients."""
    return tuple(row for visit in captured.visits for row in _audit(captured, visit))


def _audit(captured: Pass, visit: Visit) -> Iterator[Audit]:
    if isinstance(visit.layer, nn.Linear):
        yield from _dense(captured, visit)
    elif is_elementwise(visit):
        yield from _elementwise(captured, visit)


def _compare(
    phase: Phase, path: str, what: str, found: Numbers, expected: Numbers, bound: Numbers
) -> Audit:
    gaps = np.abs(np.asarray(found, np.float64) - expected) / bound
    failed = int(np.sum(~(gaps <= 1)))
    return Audit(phase, path, what, gaps.size, failed, float(np.max(gaps, initial=0.0)))


def _dense(captured: Pass, visit: Visit) -> Iterator[Audit]:
    x = np.asarray(visit.x, np.float64).reshape(-1, visit.x.shape[-1])
    dy = np.asarray(visit.dy, np.float64).reshape(-1, visit.dy.shape[-1])
    w = np.asarray(visit.layer.weight.numpy(), np.float64)
    bias = visit.layer.bias
    b = np.zeros(w.shape[1]) if bias is None else np.asarray(bias.numpy(), np.float64)
    sizes = np.abs(x) @ np.abs(w) + np.abs(b)
    y = visit.y.reshape(-1, w.shape[1])
    yield _compare(
        "forward", visit.path, "every z", y, x @ w + b, TOLERANCE * np.maximum(1.0, sizes)
    )
    if visit.source is not None:
        dx = visit.dx.reshape(-1, w.shape[0])
        floor = floor_of(np.asarray(dx, np.float64))
        sizes = np.abs(dy) @ np.abs(w.T)
        bound = TOLERANCE * np.maximum(floor, sizes)
        yield _compare("backward", visit.path, "every delta handed back", dx, dy @ w.T, bound)
    yield from _gradients(captured, visit, x, dy)


def _gradients(captured: Pass, visit: Visit, x: Numbers, dy: Numbers) -> Iterator[Audit]:
    prefix = f"{visit.path}." if visit.path else ""
    expected = {"weight": (x.T @ dy, np.abs(x).T @ np.abs(dy))}
    if visit.layer.bias is not None:
        expected["bias"] = (dy.sum(0), np.abs(dy).sum(0))
    for field, (sums, sizes) in expected.items():
        leaf = prefix + field
        found = np.asarray(captured.grads[leaf].numpy(), np.float64)
        extra = _penalty(captured, leaf)
        bound = TOLERANCE * np.maximum(floor_of(found), sizes + np.abs(extra))
        yield _compare("backward", leaf, "every gradient", found, sums + extra, bound)


def _penalty(captured: Pass, leaf: str) -> Numbers:
    if captured.penalty_function is None:
        return np.zeros(())
    return np.asarray(grad(captured.penalty_function)(dict(captured.params))[leaf].numpy())


def _elementwise(captured: Pass, visit: Visit) -> Iterator[Audit]:
    if curve_of(visit.layer) is not None:
        expected = np.asarray(visit.layer(wide(visit.x)).numpy())
    else:
        expected = np.asarray(visit.x, np.float64) * visit.slope
    bound = TOLERANCE * np.maximum(1.0, np.abs(expected))
    yield _compare("forward", visit.path, "every output", visit.y, expected, bound)
    product = np.asarray(visit.slope, np.float64) * visit.dy
    floor = floor_of(np.asarray(visit.dx, np.float64))
    bound = TOLERANCE * np.maximum(floor, np.abs(product))
    yield _compare("backward", visit.path, "every delta", visit.dx, product, bound)
