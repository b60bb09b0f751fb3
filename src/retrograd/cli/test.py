"""``retrograd test``: the sealed part is opened, counted, and the network judged on it."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from retrograd.cli.output import Output, table, width
from retrograd.cli.runs import open_run

if TYPE_CHECKING:
    from retrograd.recipe.evaluate import Evaluation
    from retrograd.recipe.intervals import Estimate

_OUTPUT = Output()


def test(
    run: Path,
    /,
    *,
    data: str | None = None,
    require_better: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    output: Output = _OUTPUT,
) -> int:
    """Open the sealed test part and print an honest estimate.

    Args:
        run: The run directory.
        data: Judge on these labelled rows instead, which opens and counts nothing.
        require_better: Exit with 1 if the network does not beat every baseline.
        output: How to print it.
    """
    evaluation = open_run(run).test(data)
    output.result(evaluation.to_dict() | {"run": str(run)}, report_lines(evaluation))
    failed = require_better and bool(evaluation.comparisons) and not evaluation.beats_baselines
    return 1 if failed else 0


def report_lines(evaluation: Evaluation) -> list[str]:
    """Return the estimates with intervals, the baselines beside them, and the verdict."""
    opened = {None: "not the sealed part", 1: "opened for the first time"}.get(
        evaluation.openings, f"opened {evaluation.openings} times: the estimate wears out"
    )
    lines = [f"test: {evaluation.rows:,} rows, {opened}", ""]
    rows = [
        [name.replace("_", " "), f"{e.value:.4g}", _interval(e)]
        for name, e in evaluation.estimates.items()
    ]
    lines += table(rows, [evaluation.target[:24], "estimate", "95 % interval"])
    if evaluation.coverage is not None:
        made = "intervals" if "r2" in evaluation.estimates else "sets of classes"
        lines += ["", *textwrap.wrap(
            f"{made} made for 90 % of new rows (predict --coverage 0.9) hold the truth in "
            f"{evaluation.coverage} of these", width())]  # fmt: skip
    if evaluation.comparisons:
        word = evaluation.measure.replace("_", " ")
        better = "the network is better by"
        rows = [
            [c.name, f"{c.estimate.value:.4g}", f"{c.difference}", c.description]
            for c in evaluation.comparisons
        ]
        lines += ["", *table(rows, ["baseline", word[:24], better, "what it does"], 29)]
    for sentence in (evaluation.verdict, *evaluation.notes):
        lines += ["", *textwrap.wrap(sentence, width())]
    return lines


def _interval(estimate: Estimate) -> str:
    if math.isnan(estimate.low):
        return "too few rows"
    return f"{estimate.low:.4g} – {estimate.high:.4g}"
