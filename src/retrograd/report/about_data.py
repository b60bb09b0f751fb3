"""The page's first part: the data, what was understood of it, and how its rows were parted."""

from __future__ import annotations

from retrograd.data import describe
from retrograd.data.finding import Finding
from retrograd.report.blocks import Block, Facts, Grid, Section, Words
from retrograd.report.material import Material
from retrograd.report.telling import share

_MOST_COLUMNS = 200  # in the table of the schema


def data_section(material: Material) -> Section:
    """Return the schema as a table, with what its owner should know."""
    schema, model = material.model.schema, material.model
    reports = describe(schema, model.preprocessor)
    rows = tuple(
        (r.column, r.kind, f"{r.missing:,}", f"{r.values:,}" if r.values else "", r.encoding, r.why)
        for r in reports[:_MOST_COLUMNS]
    )
    more = len(reports) - len(rows)
    hidden = f" {more:,} columns more are not shown." if more else ""
    blocks: list[Block] = [
        Facts(
            (
                ("source", material.config.data.source or "a table in memory"),
                ("rows", f"{schema.rows:,}"),
                ("columns used", f"{len(schema.features)} of {len(schema.columns)}"),
                ("features made of them", f"{len(model.preprocessor.feature_names):,}"),
                ("predicts", f"{schema.target} ({schema.task.value})"),
            )
        ),
        Grid(
            ("column", "kind", "missing", "values", "what the network sees", "why"), rows,
            "Every column as it was understood; statistics come from training rows only." + hidden,
            frozenset({2, 3}),
        ),
    ]  # fmt: skip
    if schema.notes:
        blocks.append(Words(schema.notes))
    return Section("data", "Data", tuple(blocks))


_PURPOSES = {
    "train": "the network learns from these",
    "validation": "choose the best epoch, and are judged in this report",
    "test": "sealed: opened by retrograd test only, and counted",
}


def split_section(material: Material) -> Section:
    """Return the parts, and whether rows leak between them."""
    sizes = {name: len(getattr(material.split, name)) for name in _PURPOSES}
    total = max(1, sum(sizes.values()))
    rows = tuple(
        (name, f"{size:,}", share(size / total), _PURPOSES[name]) for name, size in sizes.items()
    )
    blocks: list[Block] = [
        Grid(("part", "rows", "share", "what for"), rows, _how(material), frozenset({1, 2}))
    ]
    blocks += _audit_blocks(material)
    return Section("split", "Split and audit", tuple(blocks))


def _how(material: Material) -> str:
    data, seed = material.config.data, material.config.seed
    drawn = "every class in its share" if data.stratify else "at random"
    return f"Split before every statistic, {drawn}, from seed {seed}."


def _audit_blocks(material: Material) -> list[Block]:
    """Return what the audit of the split says: alarms apart from what is good to know."""
    if material.audit is None:
        return [Words(("The split could not be audited, since the data could not be read.",))]
    alarms = tuple(_sentence(finding) for finding in material.audit if finding.is_alarm)
    others = tuple(_sentence(finding) for finding in material.audit if not finding.is_alarm)
    none = ("The audit found nothing that leaks from one part into another.",)
    blocks: list[Block] = [Words(alarms, "warning") if alarms else Words(none)]
    return [*blocks, Words(others)] if others else blocks


def _sentence(finding: Finding) -> str:
    text = str(finding)
    return f"{text[:1].upper()}{text[1:]}."
