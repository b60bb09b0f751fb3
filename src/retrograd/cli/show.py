"""``retrograd show``: the card of a model, and a directory that model hubs take."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from retrograd.cli.output import Output, table, width
from retrograd.cli.runs import open_either

if TYPE_CHECKING:
    from retrograd.recipe.card import Card

_OUTPUT = Output()


def show(
    model: Path,
    /,
    *,
    markdown: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    to_folder: Path | None = None,
    output: Output = _OUTPUT,
) -> None:
    """Show what a network predicts, from what, how well, and what it is not for.

    Args:
        model: A run directory, a model.retro file, or a directory in Hugging Face layout.
        markdown: Print the card as Markdown.
        to_folder: Write a directory in Hugging Face layout: card, config.json, weights.
        output: How to print it.
    """
    from retrograd.api.run import Run
    from retrograd.recipe.card import read_card, to_markdown
    from retrograd.recipe.hub_folder import model_path, write_folder

    opened = open_either(model)
    card = read_card(model_path(model), opened.model if isinstance(opened, Run) else opened)
    if to_folder is not None:
        files = write_folder(to_folder, opened.model if isinstance(opened, Run) else opened, card)
        record = {"folder": str(to_folder), "files": [file.name for file in files]}
        names = ", ".join(file.name for file in files)
        output.result(record, [f"wrote {to_folder}: {names}"])
    elif markdown:
        output.result(card.to_dict(), to_markdown(card).rstrip("\n").split("\n"))
    else:
        output.result(card.to_dict(), card_lines(card))


def card_lines(card: Card) -> list[str]:
    """Return the card for a terminal."""
    from retrograd.recipe.card_text import interval_of, origin_of

    lines = [f"{card.target}: {card.task}", *_wrapped(card.use)]
    if card.measures:
        rows = [[m.name.replace("_", " "), f"{m.value:.4g}", interval_of(m)] for m in card.measures]
        lines += ["", *table(rows, ["on validation rows", "value", "95 % interval"])]
    rows = [[c["column"], c["kind"], c["encoding"]] for c in card.columns]
    lines += ["", *table(rows, ["column", "kind", "what the network sees"])]
    layers = [[x.name, x.kind, x.output, f"{x.numbers:,}"] for x in card.layers]
    lines += ["", *table(layers, ["layer", "kind", "gives", "numbers"]), ""]
    lines += table([list(pair) for pair in origin_of(card)], ["origin", ""])
    lines += ["", "limits"]
    for sentence in card.limits:
        lines += textwrap.wrap(sentence, width(), initial_indent="- ", subsequent_indent="  ")
    return [line.rstrip() for line in lines]


def _wrapped(sentences: tuple[str, ...]) -> list[str]:
    return textwrap.wrap(" ".join(sentences), width())
