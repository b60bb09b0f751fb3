"""The rule of each optimizer for one weight: its slots, and the terms by which the weight moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.explain.record import Formula, Term
from retrograd.explain.seen import evaluated, product, short
from retrograd.optim.adam import AdamState, AMSGradState
from retrograd.optim.adaptive import AdaDeltaState, AdaGradState, RMSpropState
from retrograd.optim.lion import LionState
from retrograd.optim.sgd import MomentumState, NesterovState, SGDState


@dataclass(frozen=True)
class Slots:
    """What a rule may use: the gradient that reached it, its settings, and its memory.

    ``slot(name, is_after)`` is the memory's number for this weight, ``t`` the number of this
    update from 1, ``line`` writes a checked formula of a slot.
    """

    g: float
    learning_rate: float
    t: int
    settings: Mapping[str, Any]
    slot: Callable[[str, bool], float]
    line: Callable[[str, str, list[Term], float], Formula]

    def mean(self, name: str, beta: float, what: str, value: float, symbol: str) -> Formula:
        """Return the line of a running mean: name <- beta name + (1 - beta) value."""
        old = self.slot(name, False)
        terms = [
            product(f"{symbol}·{name}", None, **{symbol: beta, name: old}),
            product(f"(1-{symbol})·{what}", None, **{f"1-{symbol}": 1 - beta, what: value}),
        ]
        template = f"{name} ← {symbol}·{name} + (1-{symbol})·{what}"
        return self.line(name, template, terms, self.slot(name, True))


@dataclass(frozen=True)
class Move:
    """The lines of the slots, and the terms that the weight moves by."""

    formulas: tuple[Formula, ...]
    terms: tuple[Term, ...]
    words: str = ""


def _rated(slots: Slots, name: str, value: float) -> Term:
    return product(f"-lr·{name}", None, **{"-lr": -slots.learning_rate, name: value})


def _rate_words(slots: Slots) -> str:
    return f"lr = {slots.learning_rate:.6g} at update {slots.t}"


def sgd(slots: Slots) -> Move:
    """Plain descent: w <- w - lr g."""
    return Move((), (_rated(slots, "g", slots.g),), _rate_words(slots))


def _velocity(slots: Slots) -> Formula:
    keep, old = slots.settings["momentum"], slots.slot("velocity", False)
    terms = [product("μ·v", None, μ=keep, v=old), Term("g", slots.g)]
    return slots.line("v", "v ← μ·v + g", terms, slots.slot("velocity", True))


def momentum(slots: Slots) -> Move:
    """Momentum: v <- mu v + g; w <- w - lr v."""
    step = _rated(slots, "v", slots.slot("velocity", True))
    return Move((_velocity(slots),), (step,), _rate_words(slots))


def nesterov(slots: Slots) -> Move:
    """Nesterov: v <- mu v + g; w <- w - lr (g + mu v)."""
    v, keep = slots.slot("velocity", True), slots.settings["momentum"]
    ahead = product("-lr·μ·v", None, **{"-lr": -slots.learning_rate}, μ=keep, v=v)
    return Move((_velocity(slots),), (_rated(slots, "g", slots.g), ahead), _rate_words(slots))


def _moments(slots: Slots) -> tuple[Formula, Formula]:
    beta1, beta2 = slots.settings["betas"]
    return (
        slots.mean("m", beta1, "g", slots.g, "β1"),
        slots.mean("v", beta2, "g²", slots.g**2, "β2"),
    )


def _adam_term(slots: Slots, second: float, symbol: str) -> tuple[Term, str]:
    """Return -lr m^/(sqrt(v^) + epsilon), with the corrections of both means spelt out."""
    beta1, beta2 = slots.settings["betas"]
    epsilon = slots.settings["epsilon"]
    seen1, seen2 = 1 - beta1**slots.t, 1 - beta2**slots.t
    m = slots.slot("m", True) / seen1
    root = math.sqrt(second / seen2)
    term = evaluated(
        f"-lr·m̂/(√{symbol}̂+ε)",
        -slots.learning_rate * m / (root + epsilon),
        lr=slots.learning_rate,
        **{"m̂": m, f"√{symbol}̂": root, "ε": epsilon},
    )
    words = (
        f"m̂ = m/(1-β1^{slots.t}) = m/{seen1:.6g} = {short(m)}, "
        f"{symbol}̂ = {symbol}/{seen2:.6g}, √{symbol}̂ = {short(root)}; {_rate_words(slots)}"
    )
    return term, words


def adam(slots: Slots) -> Move:
    """Adam: m and v, running means of g and g squared; w <- w - lr m^/(sqrt(v^) + epsilon)."""
    term, words = _adam_term(slots, slots.slot("v", True), "v")
    return Move(_moments(slots), (term,), words)


def amsgrad(slots: Slots) -> Move:
    """As Adam, with the largest v so far."""
    old, v = slots.slot("largest", False), slots.slot("v", True)
    largest = evaluated(f"max({short(old)}, {short(v)})", max(old, v), u=old, v=v)
    line = slots.line("u", "u ← max(u, v)", [largest], slots.slot("largest", True))
    term, words = _adam_term(slots, slots.slot("largest", True), "u")
    return Move((*_moments(slots), line), (term,), words)


def _over_root(slots: Slots, name: str, slot: str) -> Term:
    epsilon, value = slots.settings["epsilon"], slots.slot(slot, True)
    step = -slots.learning_rate * slots.g / (math.sqrt(value) + epsilon)
    return evaluated(
        f"-lr·g/(√{name}+ε)", step, lr=slots.learning_rate, g=slots.g, **{name: value, "ε": epsilon}
    )


def adagrad(slots: Slots) -> Move:
    """AdaGrad: s <- s + g squared; w <- w - lr g/(sqrt(s) + epsilon)."""
    terms = [Term("s", slots.slot("total", False)), product("g·g", None, g=slots.g, again=slots.g)]
    line = slots.line("s", "s ← s + g²", terms, slots.slot("total", True))
    return Move((line,), (_over_root(slots, "s", "total"),), _rate_words(slots))


def rmsprop(slots: Slots) -> Move:
    """RMSprop: v <- decay v + (1 - decay) g squared; w <- w - lr g/(sqrt(v) + epsilon)."""
    line = slots.mean("v", slots.settings["decay"], "g²", slots.g**2, "ρ")
    return Move((line,), (_over_root(slots, "v", "v"),), _rate_words(slots))


def adadelta(slots: Slots) -> Move:
    """AdaDelta: d = sqrt(u + epsilon)/sqrt(v + epsilon) g; w <- w - lr d."""
    rho, epsilon = slots.settings["rho"], slots.settings["epsilon"]
    v, u = slots.slot("v", True), slots.slot("moves", False)
    move = math.sqrt((u + epsilon) / (v + epsilon)) * slots.g
    lines = (
        slots.mean("v", rho, "g²", slots.g**2, "ρ"),
        slots.mean("moves", rho, "d²", move**2, "ρ"),
    )
    return Move(lines, (_rated(slots, "d", move),), f"d = √(u+ε)/√(v+ε)·g = {short(move)}")


def lion(slots: Slots) -> Move:
    """Lion: w <- w - lr sign(beta1 m + (1 - beta1) g)."""
    beta1, beta2 = slots.settings["beta1"], slots.settings["beta2"]
    kind = np.float32  # the sign of a sum near 0 depends on its rounding
    mixed = kind(slots.slot("m", False)) * kind(beta1) + kind(slots.g) * kind(1 - beta1)
    sign = float(np.sign(mixed))
    line = slots.mean("m", beta2, "g", slots.g, "β2")
    return Move((line,), (_rated(slots, "sign(β1·m+(1-β1)·g)", sign),), _rate_words(slots))


MOVES: Mapping[type, Callable[[Slots], Move]] = {
    SGDState: sgd,
    MomentumState: momentum,
    NesterovState: nesterov,
    AdamState: adam,
    AMSGradState: amsgrad,
    AdaGradState: adagrad,
    RMSpropState: rmsprop,
    AdaDeltaState: adadelta,
    LionState: lion,
}
"""The rule of each optimizer, by the state that it keeps."""
