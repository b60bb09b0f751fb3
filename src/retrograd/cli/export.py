"""``retrograd export``: a trained network as a file that works without us, proved first."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from retrograd.cli.output import Output
from retrograd.cli.runs import open_either
from retrograd.cli.writing import require_writable

if TYPE_CHECKING:
    from retrograd.export.verify import Exported

_OUTPUT = Output()


def export(
    run: Path,
    /,
    *,
    to: Path,
    format: str | None = None,
    target: str = "",
    replace: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    output: Output = _OUTPUT,
) -> None:
    """Write a trained network as a file that works elsewhere, and prove it on rows first.

    Args:
        run: A run directory, or a model.retro file.
        to: The file to write, such as shop.onnx, shop.py, shop.so, shop.o or shop.wasm, or a
            directory for it.
        format: What to write, where the suffix does not say it: onnx, numpy, native or wasm.
        target: For native code: host, x86-64, x86-64-v3, arm64, cortex-m, riscv64 or riscv32.
        replace: Write the file even if there is one of this name.
        output: How to print it.
    """
    from retrograd.api.run import Run
    from retrograd.export.verify import export_model

    opened = open_either(run)
    model = opened.model if isinstance(opened, Run) else opened
    directory = run if run.is_dir() else run.parent
    place = _place(to, format, run)
    require_writable(place, "--to", may_replace=replace)
    exported = export_model(
        model, place, format=format, target=target, directory=directory, replace=replace
    )
    record = asdict(exported) | {"files": [str(file) for file in exported.files]}
    output.result(record, _lines(exported))
    for note in exported.notes:
        output.wrap(f"note: {note}", indent=6)


def _place(to: Path, format: str | None, run: Path) -> Path:
    """Return the file to write: in a directory, one called after the run."""
    from retrograd.export import format_of

    if not to.is_dir():
        return to
    name = (run if run.is_dir() else run.resolve().parent).resolve().name
    return to / f"{name}{format_of(to, format).suffixes[0]}"


def _lines(exported: Exported) -> list[str]:
    files = ", ".join(map(str, exported.files))
    lines = [f"wrote {files} ({_size(exported.size)})"]
    if exported.rows:
        allowed = "agrees with the model" if exported.difference else "equal to the model"
        lines.append(f"{allowed} on {exported.rows} rows: {exported.origin}")
        lines.append(f"largest difference: {exported.difference * 1e-5:.1g} (allowed: 1e-05)")
    else:
        lines.append("not tried: this machine cannot run it")
    if exported.seconds is not None:
        lines.append(f"one row takes {_time(exported.seconds)}")
    if (line := _next(exported)) is not None:
        lines.append(line)
    return lines


def _next(exported: Exported) -> str | None:
    first = exported.files[0]
    if first.suffix == ".py":
        return f"next: python {shlex.quote(str(first))} rows.csv"
    if first.suffix == ".wasm":
        return f'next: import {{ load }} from "./{first.stem}.mjs"'
    if first.suffix in (".so", ".o"):
        return f'next: #include "{first.stem}.h", which says how it is called'
    return None


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.2g} µs"
