"""``retrograd report``: everything about a run on one page, to read, print or send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from retrograd.cli.output import Output
from retrograd.cli.runs import open_run
from retrograd.cli.writing import require_writable

_OUTPUT = Output()


def report(
    run: Path,
    /,
    *,
    to: Path | None = None,
    plots: Path | None = None,
    replace: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    output: Output = _OUTPUT,
) -> None:
    """Write everything about a run on one page that stands alone.

    The network is judged on the validation rows; the sealed test part stays closed.

    Args:
        run: The run directory.
        to: The file to write: .html, or .pdf where a browser is installed. [report.html in the run]
        plots: Also write every picture into this directory, as SVG and PNG.
        replace: Write the file even if there is one of this name.
        output: How to print it.
    """
    from retrograd.recipe.footprint import words_of
    from retrograd.report.page import make_report, plot_files
    from retrograd.report.pdf import find_browser, to_pdf
    from retrograd.train.directory import RunPaths
    from retrograd.train.files import replace_file

    open_run(run)
    place = RunPaths(run).report if to is None else to
    # The run's own report is made of its files: a new one takes nothing from anybody.
    require_writable(place, "--to", may_replace=replace or to is None)
    browser = find_browser() if place.suffix.lower() == ".pdf" else None
    if plots is not None:
        _require_folder(plots)
    made = make_report(run)
    data = to_pdf(made.html, browser) if browser else made.html.encode()
    replace_file(place, data)
    files = [] if plots is None else _write_plots(plots, plot_files(made))
    lines = [made.headline] if made.headline else []
    lines.append(f"wrote {place} ({words_of(len(data))})")
    if files:
        lines.append(f"wrote {len(files)} pictures into {plots}")
    record = {"run": str(run), "file": str(place), "size": len(data), "plots": files}
    output.result(record, lines)


def _require_folder(place: Path) -> None:
    from retrograd.tensor.errors import InputError

    if place.exists() and not place.is_dir():
        raise InputError(f"--plots {place}", "it is a file", "give the name of a directory")
    if not place.exists() and not place.parent.is_dir():
        found = f"there is no directory {str(place.parent)!r}"
        raise InputError(f"--plots {place}", found, "make it first")


def _write_plots(place: Path, files: dict[str, bytes]) -> list[str]:
    from retrograd.train.files import replace_file

    place.mkdir(exist_ok=True)
    for name, data in files.items():
        replace_file(place / name, data)
    return [str(place / name) for name in files]
