"""``retrograd check``: your network's gradients on your data against finite differences."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from retrograd.cli.output import Output, table
from retrograd.cli.runs import open_run

if TYPE_CHECKING:
    from retrograd.diagnose import GradientReport

_OUTPUT = Output()


def check(run: Path, /, *, rows: int = 32, seed: int = 0, output: Output = _OUTPUT) -> int:
    """Check your network's gradients against finite differences.

    Args:
        run: The run directory.
        rows: How many training rows to check on.
        seed: Which weights and directions are drawn.
        output: How to print it.
    """
    report = open_run(run).check(rows=rows, seed=seed)
    output.result(report.to_dict(), report_lines(report))
    return 0 if report.ok else 1


def report_lines(report: GradientReport) -> list[str]:
    """Return one line a direction and one a leaf, then the verdict."""
    lines = [
        f"{report.parameters:,} parameters on {report.rows} rows, in float64, seed {report.seed}",
        "",
    ]
    directions = [
        [
            f"{d.derivative:.6g}",
            f"{d.difference:.6g}",
            f"{d.relative_error:.1e}",
            "–" if math.isnan(d.order) else f"{d.order:.2f}",
            d.verdict,
        ]
        for d in report.directions
    ]
    lines += table(directions, ["along a direction", "measured", "error", "order", "verdict"])
    leaves = [
        [
            leaf.leaf,
            "x".join(map(str, leaf.shape)) or "1",
            f"{leaf.samples}",
            f"{leaf.worst_relative_error:.1e}",
            f"{leaf.float32_error:.1e}",
            leaf.verdict + (f", {leaf.kinks} on a kink" if leaf.kinks else ""),
        ]
        for leaf in report.leaves
    ]
    heads = ["leaf", "shape", "weights", "worst error", "float32 off", "verdict"]
    lines += ["", *table(leaves, heads), ""]
    if report.ok:
        lines.append("The gradients are the derivatives of the loss.")
    else:
        lines.append("A gradient is wrong: see the rows marked so.")
    return lines
