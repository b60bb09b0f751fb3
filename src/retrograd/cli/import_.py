"""``retrograd import``: a dense network from an ONNX file, to predict with and to train further."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from retrograd.cli.output import Output
from retrograd.cli.writing import require_writable

_OUTPUT = Output()


def import_(
    file: Path,
    /,
    *,
    to: Path,
    columns: str | None = None,
    classes: str | None = None,
    target: str | None = None,
    replace: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    output: Output = _OUTPUT,
) -> None:
    """Read a dense network from an ONNX file, and save it as a model.

    Args:
        file: The ONNX file: one of ours, or a dense network of PyTorch, scikit-learn ...
        to: The model file to write, such as net.retro.
        columns: What its inputs are called, in their order: age,income. [x0,x1 ...]
        classes: What its outputs are called: no,yes. [what the file says, else 0,1 ...]
        target: What it predicts. [target]
        replace: Write the file even if there is one of this name.
        output: How to print it.
    """
    from retrograd.export.onnx_import import import_onnx, record_of
    from retrograd.recipe.model import save_model

    require_writable(to, "--to", may_replace=replace)
    imported = import_onnx(file, columns=_names(columns), classes=_names(classes), target=target)
    save_model(to, imported.model)
    for note in imported.notes:
        output.wrap(f"note: {note}", indent=6)
    model, place = imported.model, shlex.quote(str(to))
    of = f"the classes {', '.join(model.schema.classes[:8])}" if model.schema.classes else "amounts"
    output.result(
        {"file": str(to), **record_of(imported)},
        [
            f"wrote {to} ({model.parameters:,} numbers): {model.schema.target} from "
            f"{len(model.preprocessor.encodings)} columns, {of}",
            *_proof(file, imported.difference),
            f"next: retrograd predict {place} new.csv",
        ],
    )


def _proof(file: Path, difference: float | None) -> list[str]:
    if difference is None:
        return []
    words = f"largest difference {difference * 1e-5:.1g} (allowed: 1e-05)"
    return [f"computes what {file} computes: {words}"]


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]
