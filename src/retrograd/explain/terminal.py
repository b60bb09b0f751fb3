"""An explanation as lines of text: at most 80 columns, words beside every mark, no colour.

``█`` draws what adds, ``▒`` what takes away; with ``ascii`` they are ``#`` and ``-``, and the marks
are words. The digits are those of the record.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from retrograd.explain.record import Audit, Check, Explanation, Feature, Formula, Phase, Term
from retrograd.explain.seen import short

WIDTH = 80
BAR = 14
SHOWN_FEATURES = 6

_TITLES: Mapping[Phase, str] = {
    "forward": "FORWARD: what each unit is made of, from the input to the output",
    "loss": "LOSS: how far the answer is from the target",
    "backward": "BACKWARD: how the loss would change, from the output to the weights",
    "update": "UPDATE: how the weight moves",
}

_ASCII = {
    "✓": "ok",
    "✗": "WRONG",
    "█": "#",
    "▒": "-",
    "·": "*",
    "…": "..",
    "→": "->",
    "←": "<-",
    "≈": "~",
    "−": "-",
    "Σ": "sum",
    "∂": "d",
    "δ": "delta",
    "Δ": "d",
    "σ": "sigma",
    "μ": "mu",
    "β": "beta",
    "γ": "gamma",
    "λ": "lambda",
    "ε": "eps",
    "ρ": "rho",
    "α": "alpha",
    "Φ": "Phi",
    "φ": "phi",
    "√": "root",
    "²": "^2",
    "³": "^3",
    "ŷ": "y",
    "x̂": "xhat",
    "\u0302": "^",
}


@dataclass(frozen=True)
class _Style:
    """How it is written: the width, and whether only ASCII may be used."""

    width: int
    ascii: bool


def lines(explanation: Explanation, *, width: int = WIDTH, ascii: bool = False) -> list[str]:
    """Return the explanation as lines of at most ``width`` columns."""
    style = _Style(width, ascii)
    drawn = [*_head(explanation), *_batch(explanation, style)]
    for phase, title in _TITLES.items():
        formulas = explanation.phase(phase)
        if formulas:
            drawn += ["", title]
        for formula in formulas:
            drawn += _formula(formula, explanation, style)
    drawn += ["", *_after(explanation), "", *_verdict(explanation)]
    return [piece for line in drawn for piece in _fitted(line, style)]


def _fitted(line: str, style: _Style) -> Iterator[str]:
    """Yield a line, folded under its own indentation where it is too wide."""
    text = _plain(line) if style.ascii else line
    if len(text) <= style.width:
        yield text.rstrip()
        return
    indent = " " * (len(text) - len(text.lstrip()))
    yield from textwrap.wrap(
        text.strip(), style.width, initial_indent=indent, subsequent_indent=indent + "    "
    )


def _plain(text: str) -> str:
    for mark, words in _ASCII.items():
        text = text.replace(mark, words)
    return text.encode("ascii", "replace").decode("ascii")


def _head(e: Explanation) -> Iterator[str]:
    where = f" = {e.where}" if e.where else ""
    yield f"{e.network} · step {e.step}{where} · row {e.row}, target {e.target} · {e.exact}"
    verdict = "as wanted" if e.prediction == e.target else "so far"
    yield f"The network answers {e.prediction} ({verdict}); this step teaches it {e.target}."


def _batch(e: Explanation, style: _Style) -> Iterator[str]:
    yield ""
    others = f"one of {e.batch_size} rows" if e.batch_size > 1 else "the only row"
    yield f"BATCH: row {e.row} is {others} of this step, at place {e.place}"
    order = sorted(e.features, key=lambda feature: -abs(feature.received))
    shown = order[:SHOWN_FEATURES]
    name_width = max((min(len(f.name), 28) for f in shown), default=0)
    for feature in shown:
        yield f"   {_feature(feature, name_width)}"
    hidden = len(e.features) - len(shown)
    if hidden > 0:
        yield f"   … {hidden} more, each smaller than these"


def _feature(feature: Feature, width: int) -> str:
    name = feature.name if len(feature.name) <= 28 else feature.name[:27] + "…"
    source = "" if feature.source is None else f" (in your data: {feature.source[:24]})"
    return f"{name:>{width}} = {short(feature.received):>10}{source}"


def _formula(f: Formula, e: Explanation, style: _Style) -> Iterator[str]:
    yield ""
    yield f"{f.path}   {f.template}"
    if f.examples:
        yield from _examples(f, e.place, style)
    else:
        largest = max((abs(t.value) for t in f.terms), default=0.0)
        label_width = max((min(len(t.label), 30) for t in f.terms), default=0)
        for term in f.terms:
            yield from _term(term, largest, label_width, style)
    tail = _tail(f)
    if tail:
        yield f"   {tail}"
    if f.words:
        yield f"   {f.words}"
    yield f"   {f.symbol} = {short(f.value)}   {_check(f.check, f)}"


def _examples(f: Formula, place: int, style: _Style) -> Iterator[str]:
    """Yield a bar for each row of the batch, the largest first, the explained one always."""
    largest = max((abs(v) for v in f.examples), default=0.0)
    order = sorted(range(len(f.examples)), key=lambda n: -abs(f.examples[n]))
    shown = order[:6] if place in order[:6] else [*order[:5], place]
    factors = {t.index: t for t in f.terms}
    for n in shown:
        mark = " <- this row" if n == place else ""
        term = factors.get(n)
        product = ""
        if term is not None and len(term.factors) == 2:
            product = " · ".join(f"{short(v):>10}" for _, v in term.factors) + " ="
        value = f.examples[n]
        yield f"   place {n:<4}{product:>25} {short(value):>10}  {_bar(value, largest)}{mark}"
    hidden = len(f.examples) - len(shown)
    if hidden > 0:
        yield f"   … {hidden} more = {short(_others(f, shown))}"


def _others(f: Formula, shown: list[int]) -> float:
    return math.fsum(v for n, v in enumerate(f.examples) if n not in shown)


def _term(term: Term, largest: float, label_width: int, style: _Style) -> Iterator[str]:
    label = term.label if len(term.label) <= 30 else term.label[:29] + "…"
    bar = _bar(term.value, largest)
    if term.function or not term.factors:
        yield f"   {label:>{label_width}} = {short(term.value):>10}  {bar}"
        return
    product = " · ".join(f"{short(value)}" for _, value in term.factors)
    line = f"   {label:>{label_width}} = {product:>21} = {short(term.value):>10}  {bar}"
    if len(line) > style.width:
        yield f"   {label} = {product}"
        line = f"   {'':>{label_width}} = {short(term.value):>10}  {bar}"
    yield line


def _bar(value: float, largest: float) -> str:
    if not largest or not math.isfinite(value) or not math.isfinite(largest):
        return ""
    length = round(BAR * abs(value) / largest)
    return ("█" if value > 0 else "▒") * length


def _tail(f: Formula) -> str:
    """Return the rest, the bias and the factors in front of the sum, if there are any."""
    parts = []
    if f.rest is not None and not f.examples:
        parts.append(f"… {f.rest.n} more = {short(f.rest.value)}")
    if f.bias is not None:
        parts.append(f"{'penalty' if f.examples else 'bias'} {short(f.bias)}")
    parts += [f"times {name} = {short(value)}" for name, value in f.scale]
    return ", ".join(parts)


def _check(check: Check, f: Formula) -> str:
    engine = f"engine {f.value:.9g}"
    if check.ok:
        return f"✓ {engine}, difference {check.abs:.0e}"
    return f"✗ {engine}, but this adds up to {check.sum64:.9g}: off by {check.abs:.1e}"


def _after(e: Explanation) -> Iterator[str]:
    yield "AFTER: the same batch once more, with the new weights"
    yield f"   loss {short(e.total)} → {short(e.total_after)}"
    yield f"   predicted {e.predicted:+.4g}, actual {e.actual:+.4g}"
    if e.prediction_agrees:
        yield "   ✓ the straight line that the gradient draws holds for a step this small"
    elif e.predicted and e.actual / e.predicted < 0:
        yield "   ✗ the loss went the other way: the step was too large for the straight line"
    else:
        yield "   ✗ they differ: the loss bends within this step, so the straight line is rough"


def _verdict(e: Explanation) -> Iterator[str]:
    shown = len(e.formulas)
    failed = [f for f in e.formulas if not f.check.ok]
    numbers = sum(row.numbers for row in e.audits)
    broken = [row for row in e.audits if not row.ok]
    if e.ok:
        yield f"✓ all {shown} formulas shown add up, and so do {numbers} more numbers of this step"
    else:
        yield f"✗ {len(failed)} of {shown} formulas do not add up"
        yield from (_broken(row) for row in broken)
    yield from e.notes


def _broken(row: Audit) -> str:
    return f"   ✗ {row.path}: {row.failed} of {row.numbers} numbers wrong ({row.what}, {row.phase})"
