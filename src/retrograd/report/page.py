"""The page: all sections of a run, as one HTML file that loads nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import retrograd
from retrograd.data import Table
from retrograd.report.about_cost import cost_section, repeat_section
from retrograd.report.about_data import data_section, split_section
from retrograd.report.about_results import (
    errors_section,
    estimate_section,
    influence_section,
    matter_of,
    test_blocks,
)
from retrograd.report.about_training import network_section, training_section
from retrograd.report.blocks import Plot, Section, Words
from retrograd.report.drawing import to_files, to_svg
from retrograd.report.judged import Judged, judge_validation
from retrograd.report.material import Material, read_material
from retrograd.report.telling import clean, interval, number, words
from retrograd.tensor.errors import InputError


@dataclass(frozen=True, eq=False)
class Report:
    """A run's report: the page, and its pictures.

    headline: the measure, its value and its interval, in words.
    """

    name: str
    html: str
    plots: tuple[Plot, ...]
    headline: str


def make_report(directory: str | Path, table: Table | None = None) -> Report:
    """Return the report of a run, whose sealed test part stays closed.

    ``table`` is the data, for runs trained from a table in memory. Where the data is gone or has
    changed, the page says so and leaves out what needs rows. Raises FileFormatError for a run
    without its files, InputError where a package is missing.
    """
    _require_packages()
    material = read_material(directory, table)
    judged = None
    if material.table is not None and len(material.split.validation):
        judged = judge_validation(material, material.table)
    sections = _sections(material, judged)
    plots = tuple(block for s in sections for block in s.blocks if isinstance(block, Plot))
    headline = _headline(material, judged)
    return Report(material.name, _render(material, judged, sections, headline), plots, headline)


def _require_packages() -> None:
    try:
        import jinja2
        import matplotlib as drawing
    except ImportError as error:
        raise InputError(
            "making a report",
            f"the package {error.name} is not installed",
            "pip install matplotlib jinja2",
        ) from None
    assert jinja2 is not None
    assert drawing is not None


def _sections(material: Material, judged: Judged | None) -> list[Section]:
    if judged is None:
        why = material.why or "the run set no validation rows apart"
        gap = Words((f"Nothing can be said of rows: {why}.",), "warning")
        results = [Section("estimate", "How good it is", (gap, *test_blocks(material)))]
    else:
        matter = matter_of(material, judged)
        results = [
            estimate_section(material, judged),
            errors_section(material, judged, matter),
            influence_section(material, judged, matter),
        ]
    return [
        *results,
        data_section(material),
        split_section(material),
        network_section(material),
        training_section(material),
        cost_section(material),
        repeat_section(material),
    ]


def _headline(material: Material, judged: Judged | None) -> str:
    if judged is None:
        return ""
    found = judged.evaluation
    low_high = interval(found.estimate)
    return f"{words(found.measure)} {number(found.estimate.value)} ({low_high})"


def _render(
    material: Material, judged: Judged | None, sections: list[Section], headline: str
) -> str:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_finalize,
    )  # fmt: skip
    counter = iter(range(10**6))

    def svg(plot: Plot) -> Markup:
        label = clean(f"{plot.title}. {plot.text}")
        # The only markup that is not the template's own: every text in it is escaped by its maker.
        return Markup(to_svg(plot.figure, f"p{next(counter)}", label))

    evaluation = None if judged is None else judged.evaluation
    return environment.get_template("page.html.jinja").render(
        title=f"{material.model.schema.target} – {material.name}",
        run=material.name,
        target=material.model.schema.target,
        verdict="" if evaluation is None else evaluation.verdict,
        tiles=_tiles(material, judged),
        headline=headline,
        sections=sections,
        style=Markup(_source("page.css")),
        version=retrograd.__version__,
        svg=svg,
    )


def _tiles(material: Material, judged: Judged | None) -> list[tuple[str, str, str]]:
    """Return the few numbers at the top: what, how much, and what it means."""
    found = []
    if judged is not None:
        estimate = judged.evaluation.estimate
        word = words(judged.evaluation.measure)
        found.append((word, number(estimate.value), f"95 %: {interval(estimate)}"))
        if judged.evaluation.comparisons:
            best = judged.evaluation.comparisons[-1]
            found.append((f"{best.name} baseline", number(best.estimate.value), "on the same rows"))
    schema = material.model.schema
    used = f"{len(schema.features)} columns used"
    found.append(("rows", f"{schema.rows:,}", used))
    found.append(("numbers in the network", f"{material.model.parameters:,}", _layers(material)))
    return found


def _layers(material: Material) -> str:
    hidden = material.config.network.hidden
    return f"hidden layers: {', '.join(map(str, hidden))}" if hidden else "no hidden layer"


def _source(name: str) -> str:
    return resources.files("retrograd.report").joinpath(name).read_text(encoding="utf-8")


def _finalize(value: Any) -> Any:
    """Spell out what cannot be printed; markup is the template's own and stays as it is."""
    return clean(value) if type(value) is str else value


def plot_files(report: Report) -> dict[str, bytes]:
    """Return every picture as files: their names, and what is in them."""
    found: dict[str, bytes] = {}
    for place, plot in enumerate(report.plots, 1):
        plain = re.sub(r"[^a-z0-9]+", "-", plot.name.lower()).strip("-")[:40]
        for suffix, data in to_files(plot.figure).items():
            found[f"{place:02d}-{plain}{suffix}"] = data
    return found
