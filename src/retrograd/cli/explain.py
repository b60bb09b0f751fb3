"""``retrograd explain``: one row's forward pass, loss, backward pass and update in numbers."""

from __future__ import annotations

from pathlib import Path

from retrograd.cli.output import Output, width
from retrograd.cli.runs import open_run

_OUTPUT = Output()


def explain(
    run: Path,
    /,
    *,
    row: int | None = None,
    step: int | None = None,
    layer: str | None = None,
    unit: str | None = None,
    weight: str | None = None,
    output: Output = _OUTPUT,
) -> int:
    """Show one row's forward pass, loss, backward pass and update in numbers.

    Args:
        run: The run directory.
        row: Number of a training row in the data, from 0. [the first of the batch]
        step: Which step, from 1; the run is replayed up to it. [the one after the last]
        layer: Show this layer, such as layers.0. [the strongest path through all]
        unit: Show this unit, such as "layers.2[3]".
        weight: Show this weight, such as "layers.2.weight[7,3]".
        output: How to print it.
    """
    from retrograd.explain.terminal import lines

    explanation = open_run(run).explain(row, step=step, unit=unit, weight=weight, layer=layer)
    drawn = lines(explanation, width=width(), ascii=output.uses_ascii)
    output.result(explanation.to_dict(), drawn)
    return 0 if explanation.ok else 1
