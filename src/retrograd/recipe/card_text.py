"""A card of a model as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrograd.recipe.card import Card, Measure


def markdown(card: Card) -> str:
    """Return the card's text; names from data are escaped, so that they stay text."""
    parts = [
        f"# Predicts {_plain(card.target)}",
        _paragraph(card.use),
        "## How good it is",
        _table(
            ("measure", "value", "95 % interval"),
            [(m.name.replace("_", " "), f"{m.value:.4g}", interval_of(m)) for m in card.measures],
        )
        if card.measures
        else "It was trained without validation rows, so nothing is known.",
        "## Limits",
        "\n".join(f"- {_plain(sentence)}" for sentence in card.limits),
        "## Columns",
        _table(
            ("column", "kind", "what the network sees"),
            [(c["column"], c["kind"], c["encoding"]) for c in card.columns],
        ),
        "## Network",
        _table(
            ("layer", "kind", "gives", "numbers"),
            [(x.name, x.kind, x.output, f"{x.numbers:,}") for x in card.layers],
        ),
        "## Origin",
        _table(("what", "value"), origin_of(card)),
    ]
    return "\n\n".join(parts) + "\n"


def interval_of(measure: Measure) -> str:
    """Return an interval in words, nothing where none is known.

    >>> from retrograd.recipe.card import Measure
    >>> interval_of(Measure("accuracy", 0.8, 0.7, 0.9)), interval_of(Measure("f1", 0.8, None, None))
    ('0.7 – 0.9', '')
    """
    if measure.low is None or measure.high is None:
        return ""
    return f"{measure.low:.4g} – {measure.high:.4g}"


def origin_of(card: Card) -> list[tuple[str, str]]:
    """Return where a model comes from, in pairs."""
    parts = ", ".join(f"{count:,} {name}" for name, count in card.parts.items())
    return [
        ("made by", f"retrograd {card.version}"),
        ("made at", card.made or "unknown"),
        ("rows", f"{card.rows:,}" + (f" ({parts})" if parts else "")),
        ("data digest", card.data_digest or "unknown"),
        ("model digest", card.model_digest),
        ("size", f"{card.size:,} bytes, {card.parameters:,} numbers"),
        ("columns not used", ", ".join(card.unused) or "none"),
    ]


def _paragraph(sentences: Sequence[str]) -> str:
    return " ".join(map(_plain, sentences))


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    lines += [f"| {' | '.join(map(_plain, row))} |" for row in rows]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line.

    >>> print(_plain("a|b <i>*x*").replace(chr(92), "~"))
    a~|b ~<i>~*x~*
    """
    line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(text.split()))
    return re.sub(r"([\\`*_\[\]<|#])", r"\\\1", line)
