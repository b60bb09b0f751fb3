"""The accuracy suite's table: means over seeds, and ranks among models that saw the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.tables import MADE

ORDER = ("network", "plain", "members", "pieces", "mlp", "trees", "linear")
Trials = Sequence[dict[str, Any]]


def report(trials: Trials) -> str:
    """Return Markdown: a row a table, then mean ranks and whole times, made tables apart."""
    models = [name for name in ORDER if any(t["model"] == name for t in trials)]
    head = ["table", "rows", "seeds", "measure", *models, "half an interval"]
    lines = [_row(head), _row(["---"] * len(head))]
    lines += [_table(own, models) for own in _by_table(trials)]
    for words, is_made in (("real tables", False), ("made tables", True)):
        chosen = [t for t in trials if (t["table"] in MADE) is is_made]
        ranks = [_ranks(own, models) for own in _by_table(chosen)]
        complete = [found for found in ranks if found is not None]
        if complete:
            means = np.mean(complete, axis=0)
            shown = [f"{value:.2f}" for value in means]
            lines.append(_row([f"mean rank, {words}", "", "", "", *shown, ""]))
    seconds = [sum(t["seconds"] for t in trials if t["model"] == name) for name in models]
    lines.append(_row(["seconds, all", "", "", "", *(f"{s:.0f}" for s in seconds), ""]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _by_table(trials: Trials) -> list[list[dict[str, Any]]]:
    ordered = sorted(trials, key=lambda t: (t["table"] in MADE, t["table"], t["seed"]))
    return [list(own) for _, own in groupby(ordered, key=lambda t: t["table"])]


def _table(own: Trials, models: Sequence[str]) -> str:
    """Return a table's row; the best mean of a model that saw every seed is bold."""
    first = own[0]
    scores = {name: [t["score"] for t in own if t["model"] == name] for name in models}
    best = (max if first["measure"] == "accuracy" else min)(
        mean(found) for found in scores.values() if found
    )
    cells = []
    for found in scores.values():
        text = f"{mean(found):.4g}" if found else ""
        text = f"**{text}**" if found and mean(found) == best else text
        cells.append(text + (f" ± {stdev(found):.2g}" if len(found) > 1 else ""))
    half = mean(t["half_interval"] for t in own if t["model"] == models[0] or len(models) == 1)
    seeds = len({t["seed"] for t in own})
    return _row(
        [first["table"], f"{first['rows']:,}", str(seeds), first["measure"], *cells, f"{half:.2g}"]
    )


def _ranks(own: Trials, models: Sequence[str]) -> list[float] | None:
    """Return each model's mean rank over the seeds that all of them saw, None if there is none."""
    found = []
    for _, trials in groupby(sorted(own, key=lambda t: t["seed"]), key=lambda t: t["seed"]):
        scores = {t["model"]: t["score"] for t in trials}
        if all(name in scores for name in models):
            sign = -1 if own[0]["measure"] == "accuracy" else 1
            values = np.array([sign * scores[name] for name in models])
            ties = (values[:, None] > values).sum(1) + ((values[:, None] == values).sum(1) + 1) / 2
            found.append(ties)
    return None if not found else list(np.mean(found, axis=0))
