"""The update of one weight, substituted: wrappers from the outside in, then the optimizer itself.

An optimizer is a pair of functions; its settings are what they close over, and its slots are in its
state. Each template gives the textbook's line from these and the engine's own numbers, and the
check says whether it reproduces the engine's next weight. What has no template is shown as before
and after.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retrograd.explain.changes import CHANGES, settings_of
from retrograd.explain.optimizers import MOVES, Move, Slots
from retrograd.explain.record import Formula, Term
from retrograd.explain.seen import Seen, product
from retrograd.explain.weights import Weight
from retrograd.optim import accumulate, decoupled_weight_decay, ema, reduce_on_plateau
from retrograd.optim.memory import AccumulateState
from retrograd.optim.optimizer import Optimizer
from retrograd.tensor.tensor import Tensor

Params = Mapping[str, Tensor]


@dataclass(frozen=True)
class _Layer:
    """What is left of an optimizer after some wrappers were taken off.

    ``grads`` are as the wrappers so far made them. ``shrinks`` are terms that they add to the move,
    ``multiplier`` scales all of it; ``is_plain`` is False at a wrapper without a template, which
    stays on.
    """

    optimizer: Optimizer
    before: Any
    after: Any
    grads: Params
    formulas: tuple[Formula, ...] = ()
    shrinks: tuple[Term, ...] = ()
    multiplier: float = 1.0
    is_plain: bool = True


def update_formulas(seen: Seen, weight: Weight) -> list[Formula]:
    """Return the lines that lead from a weight's gradient to its next value."""
    captured = seen.captured
    layer = _Layer(
        captured.optimizer, captured.optimizer_before, captured.optimizer_after, captured.grads
    )
    while layer.is_plain and (peeled := _peel(seen, weight, layer)) is not None:
        layer = peeled
    template = MOVES.get(type(layer.before))
    if template is None or not layer.is_plain:
        return [*layer.formulas, _before_and_after(seen, weight, layer)]
    slots = _slots(seen, weight, layer)
    try:
        move = template(slots)
    except KeyError:  # an optimizer of the user's own that keeps a state of ours
        return [*layer.formulas, _before_and_after(seen, weight, layer)]
    return [*layer.formulas, *move.formulas, _final(seen, weight, layer, move)]


def _peel(seen: Seen, weight: Weight, layer: _Layer) -> _Layer | None:
    """Take off the outermost wrapper; None at the optimizer itself."""
    settings = settings_of(layer.optimizer.update)
    inner = settings.get("optimizer")
    if not isinstance(inner, Optimizer):
        return None
    maker = layer.optimizer.update.__qualname__.partition(".")[0]
    try:
        if "change" in settings:
            return _changed(seen, weight, layer, inner, settings)
        handler: Callable[..., _Layer] = WRAPPERS.get(maker, _unknown)
        return handler(seen, weight, layer, inner, settings)
    except (KeyError, AttributeError):  # a stranger's wrapper that looks like one of ours
        return replace(layer, is_plain=False)


def _unknown(
    seen: Seen, weight: Weight, layer: _Layer, inner: Optimizer, settings: Mapping[str, Any]
) -> _Layer:
    return replace(layer, is_plain=False)


def _averaged(
    seen: Seen, weight: Weight, layer: _Layer, inner: Optimizer, settings: Mapping[str, Any]
) -> _Layer:
    """Pass by what only keeps an average of the parameters."""
    return replace(layer, optimizer=inner, before=layer.before.inner, after=layer.after.inner)


def _scaled(
    seen: Seen, weight: Weight, layer: _Layer, inner: Optimizer, settings: Mapping[str, Any]
) -> _Layer:
    """Multiply the whole move by what the plateaus so far have left of it."""
    factor = layer.multiplier * float(layer.before.multiplier)
    passed = _averaged(seen, weight, layer, inner, settings)
    return replace(passed, multiplier=factor)


def _number(values: Params, weight: Weight) -> float:
    return float(values[weight.leaf].numpy()[weight.index])


def ulps(seen: Seen, *sizes: float) -> float:
    """Return 4 units in the last place of the largest number, in the dtype of the parameters."""
    kind = np.dtype(next(iter(seen.captured.params.values())).numpy().dtype)
    largest = np.asarray(max(map(abs, sizes)), kind)
    return 4 * float(np.spacing(largest)) if np.isfinite(largest) else math.inf


def _line(
    seen: Seen,
    weight: Weight,
    symbol: str,
    template: str,
    terms: list[Term],
    value: float,
    **more: Any,
) -> Formula:
    sizes = [t.value for t in terms] + [value]
    scale = float(np.prod([v for _, v in more.get("scale", ())]))
    more.setdefault("bound", ulps(seen, *(s * scale for s in sizes[:-1]), value))
    return seen.formula(
        "update",
        weight.path,
        symbol,
        template,
        terms,
        value,
        bound_rule="4 units in the last place",
        of_row=None,
        **more,
    )


def _changed(
    seen: Seen, weight: Weight, layer: _Layer, inner: Optimizer, settings: Mapping[str, Any]
) -> _Layer:
    """Show what a wrapper makes of the gradient: its own function is asked."""
    params = seen.captured.params
    changed = settings["change"](layer.grads, params)
    g, after = _number(layer.grads, weight), _number(changed, weight)
    own = settings_of(settings["change"])
    show = CHANGES.get(str(settings.get("asked")))
    if show is None:
        template, terms, words = "g ← changed g", [Term("changed g", after)], ""
    else:
        template, terms, words = show(own, g, _number(params, weight), layer.grads, weight)
    line = _line(seen, weight, "g", template, terms, after, words=words)
    return replace(layer, optimizer=inner, grads=changed, formulas=(*layer.formulas, line))


def _shrunk(
    seen: Seen, weight: Weight, layer: _Layer, inner: Optimizer, settings: Mapping[str, Any]
) -> _Layer:
    """Keep the decay that acts on the weight itself as a term of the last line."""
    if not settings["applies_to"](weight.leaf):
        return replace(layer, optimizer=inner)
    rate = float(settings["learning_rate"](layer.before).item())
    w = _number(seen.captured.params, weight)
    term = product("-lr·λ·w", None, **{"-lr": -rate}, λ=settings["rate"], w=w)
    return replace(layer, optimizer=inner, shrinks=(*layer.shrinks, term))


def _accumulated(
    seen: Seen, weight: Weight, layer: _Layer, inner: Optimizer, settings: Mapping[str, Any]
) -> _Layer:
    """Show the mean of the gradients that were waiting, or that the weight still waits."""
    waiting, steps = int(layer.before.waiting) + 1, settings["steps"]
    if waiting < steps:
        return replace(layer, is_plain=False)
    total = {
        name: Tensor(
            x.type, np.asarray((x.numpy() + layer.grads[name].numpy()) / steps, x.numpy().dtype)
        )
        for name, x in layer.before.total.items()
    }
    terms = [
        Term("sum of the waiting g", _number(layer.before.total, weight)),
        Term("g", _number(layer.grads, weight)),
    ]
    scale = (("1/steps", 1 / steps),)
    line = _line(
        seen,
        weight,
        "g",
        "g ← mean of the last gradients",
        terms,
        _number(total, weight),
        scale=scale,
    )
    return replace(
        layer,
        optimizer=inner,
        before=layer.before.inner,
        after=layer.after.inner,
        grads=total,
        formulas=(*layer.formulas, line),
    )


WRAPPERS: Mapping[str, Callable[..., _Layer]] = {
    decoupled_weight_decay.__name__: _shrunk,
    accumulate.__name__: _accumulated,
    ema.__name__: _averaged,
    reduce_on_plateau.__name__: _scaled,
}
"""Wrappers that do more than change the gradient, by the function that makes them."""


def _slots(seen: Seen, weight: Weight, layer: _Layer) -> Slots:
    rate = layer.optimizer.learning_rate

    def line(symbol: str, template: str, terms: list[Term], value: float) -> Formula:
        return _line(seen, weight, symbol, template, terms, value)

    def slot(name: str, is_after: bool) -> float:
        return _number(getattr(layer.after if is_after else layer.before, name), weight)

    return Slots(
        g=_number(layer.grads, weight),
        learning_rate=math.nan if rate is None else float(rate(layer.before).item()),
        t=int(layer.before.step) + 1,
        settings=settings_of(layer.optimizer.update),
        slot=slot,
        line=line,
    )


def _final(seen: Seen, weight: Weight, layer: _Layer, move: Move) -> Formula:
    """The last line: the weight, what it loses and gains, and the engine's next weight."""
    captured = seen.captured
    w, after = _number(captured.params, weight), _number(captured.params_after, weight)
    terms = [Term("w", w), *layer.shrinks, *move.terms]
    template = "w ← w" + "".join(f" {_signed(t.label)}" for t in terms[1:])
    if layer.multiplier != 1.0:
        terms = [terms[0], *(_times(t, layer.multiplier) for t in terms[1:])]
        template += ", the move times the plateau's factor"
    moved = sum(t.value for t in terms[1:])
    return _line(
        seen,
        weight,
        "w",
        template,
        terms,
        after,
        bound=ulps(seen, w, after - w, moved),
        words=move.words,
    )


def _signed(label: str) -> str:
    return f"- {label[1:]}" if label.startswith("-") else f"+ {label}"


def _times(term: Term, factor: float) -> Term:
    return replace(term, value=term.value * factor, factors=(*term.factors, ("plateau", factor)))


def _before_and_after(seen: Seen, weight: Weight, layer: _Layer) -> Formula:
    captured = seen.captured
    w, after = _number(captured.params, weight), _number(captured.params_after, weight)
    name = type(layer.before).__name__.removesuffix("State")
    terms = [Term("w", w), Term("Δw", after - w)]
    words = f"no line-by-line formula is known for {name}: before and after"
    if isinstance(layer.before, AccumulateState) and after == w:
        words = "the gradient waits to be averaged with the next ones: no weight moves yet"
    return _line(seen, weight, "w", "w ← w + Δw", terms, after, words=words)
