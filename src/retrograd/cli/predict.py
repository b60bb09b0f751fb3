"""``retrograd predict``: a trained network answers for the rows of a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from retrograd.cli.options import class_cost
from retrograd.cli.output import Output
from retrograd.cli.runs import open_either
from retrograd.cli.writing import require_writable

if TYPE_CHECKING:
    from retrograd.recipe.predictions import Predictions

_OUTPUT = Output()


def predict(
    run: Path,
    table: str,
    /,
    *,
    coverage: Annotated[float | None, Parameter(show_default=False)] = None,
    costs: Annotated[
        list[str] | None, Parameter(name="--cost", negative="", show_default=False)
    ] = None,
    to: Path | None = None,
    replace: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    output: Output = _OUTPUT,
) -> None:
    """Predict the rows of a table with a trained network.

    Args:
        run: A run directory, or a model.retro file.
        table: A file or database like those of train, with its columns; others are not used.
        coverage: Also give intervals or sets that hold the truth this often: 0.9.
        costs: Cost of taking a row of this class for another, CLASS=5. [those of training]
        to: Write the predictions into this .csv file instead of printing them.
        replace: Write the file even if there is one of this name.
        output: How to print it.
    """
    if to is not None:
        require_writable(to, "--to", may_replace=replace)
    stated = None if costs is None else dict(map(class_cost, costs))
    predictions = open_either(run).predict(table, coverage=coverage, costs=stated)
    for note in predictions.notes:
        output.wrap(f"note: {note}", indent=6)
    columns = predictions.to_columns()
    if to is not None:
        from retrograd.train.files import replace_file

        replace_file(to, as_csv(columns).encode())
        record = {"rows": len(predictions), "file": str(to), "notes": list(predictions.notes)}
        output.result(record, [f"wrote {len(predictions):,} predictions to {to}"])
        return
    record = {"target": predictions.target, "notes": list(predictions.notes), "columns": columns}
    output.result(record, _rows(predictions))


def _rows(predictions: Predictions) -> list[str]:
    return as_csv(predictions.to_columns()).splitlines()


def as_csv(columns: dict[str, list[object]]) -> str:
    r"""Return columns as CSV text.

    >>> as_csv({"sold": ["yes"], "probability of yes": [0.75]})
    'sold,probability of yes\nyes,0.75\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
