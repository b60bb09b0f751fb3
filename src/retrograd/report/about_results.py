"""The page's part on results: estimates beside baselines, errors, groups, and what matters."""

from __future__ import annotations

import numpy as np

from retrograd.recipe.evaluate import Evaluation
from retrograd.recipe.intervals import Estimate
from retrograd.report.blocks import Block, Grid, Plot, Section, Words
from retrograd.report.groups import Group, groups
from retrograd.report.influence import Dependence, Importance, dependence, importances
from retrograd.report.judged import Judged, confusion, reliability, worst_rows
from retrograd.report.material import Material
from retrograd.report.pictures import (
    confusion_figure,
    dependence_figure,
    error_figure,
    estimates_figure,
    importance_figure,
    reliability_figure,
    residual_figure,
)
from retrograd.report.telling import interval, number, share, shortened, words

_MOST_CLASSES = 20  # of a confusion matrix that is drawn
_CURVES = 6  # columns whose dependence is drawn
_BARS = 20
_GROUPED = 4
_WORST = 10
_CELLS = 5  # columns shown of a bad row
_CLASS_CURVES = 4


def estimate_section(material: Material, judged: Judged) -> Section:
    """Return the estimates of the validation rows, and of the test rows if they were opened."""
    found = judged.evaluation
    named = [("this network", found.estimate)]
    named += [(f"{c.name} baseline", c.estimate) for c in found.comparisons]
    said = ", ".join(f"{name} {estimate}" for name, estimate in named)
    word = words(found.measure)
    blocks: list[Block] = [
        Plot(
            "estimate",
            estimates_figure(word, named),
            f"{word.capitalize()} beside baselines",
            f"On {found.rows:,} validation rows; bars are 95 % intervals.",
            f"{word}: {said}.",
        ),
        _estimates_grid(found),
        _baselines_grid(found),
        Words(tuple(f"{note[:1].upper()}{note[1:]}." for note in found.notes)),
        *test_blocks(material),
    ]
    return Section("estimate", "How good it is", tuple(blocks))


def _estimates_grid(found: Evaluation) -> Grid:
    rows = tuple((words(n), number(e.value), interval(e)) for n, e in found.estimates.items())
    caption = f"Estimates on {found.rows:,} validation rows."
    headings = ("measure", "estimate", "95 % interval")
    return Grid(headings, rows, caption, frozenset({1, 2}), is_narrow=True)


def _baselines_grid(found: Evaluation) -> Grid:
    rows = tuple(
        (c.name, number(c.estimate.value), str(c.difference), c.description)
        for c in found.comparisons
    )
    headings = ("baseline", words(found.measure), "the network is better by", "what it does")
    return Grid(headings, rows, "What a network has to beat, on the same rows.", frozenset({1, 2}))


def test_blocks(material: Material) -> list[Block]:
    """Return what the last opening of the sealed part said; nothing is opened here."""
    if not len(material.split.test):
        return [Words(("This run set no test rows apart.",))]
    if material.test is None:
        opened = f"were opened {_times(material)}, for another network or before more training"
        said = opened if material.openings else "are sealed: nobody has looked at them yet"
        count = len(material.split.test)
        return [Words((f"The {count:,} test rows {said}. retrograd test opens them.",))]
    estimates = material.test.get("estimates", {})
    rows = tuple(
        (words(name), number(each.value), interval(each))
        for name, each in ((n, _estimate(e)) for n, e in estimates.items())
    )
    count = material.test.get("rows", 0)
    caption = f"Estimates on {count:,} test rows, which were opened {_times(material)}."
    grid = Grid(("measure", "estimate", "95 % interval"), rows, caption, frozenset({1, 2}))
    return [grid, Words((str(material.test.get("verdict", "")),))]


def _times(material: Material) -> str:
    return "once" if material.openings == 1 else f"{material.openings} times"


def _estimate(plain: dict[str, float | None]) -> Estimate:
    parts = (plain.get(name) for name in ("value", "low", "high"))
    return Estimate(*(np.nan if part is None else float(part) for part in parts))


def errors_section(material: Material, judged: Judged, matter: list[Importance]) -> Section:
    """Return where the network errs: confusion or residuals, calibration, groups, worst rows."""
    schema = material.model.schema
    shown = [each.column for each in matter if each.rise > 0][:_CELLS]
    blocks: list[Block] = []
    if schema.classes:
        blocks += _class_blocks(judged, schema.classes)
    else:
        blocks += _amount_blocks(judged, schema.target)
    found = groups(judged, schema, [each.column for each in matter][: 2 * _GROUPED], _GROUPED)
    if found:
        blocks.append(_groups_grid(found, judged.evaluation.measure))
    bad = worst_rows(judged, material, shown, _WORST)
    rows = tuple((f"{b.number:,}", b.label, b.said, *b.cells) for b in bad)
    blocks.append(
        Grid(
            ("row", f"true {schema.target}", "predicted", *shown),
            rows,
            "The validation rows that it is most wrong about, by number in the source from 0: look "
            "for wrong labels first, then for what they have in common.",
            frozenset({0}),
        )
    )
    return Section("errors", "Where it errs", tuple(blocks))


def _class_blocks(judged: Judged, classes: tuple[str, ...]) -> list[Block]:
    counts = confusion(judged, len(classes))
    blocks: list[Block] = []
    right = int(np.trace(counts))
    if len(classes) <= _MOST_CLASSES:
        said = f"{right:,} of {counts.sum():,} rows are right. {_confusions(counts, classes, 1)}"
        blocks.append(
            Plot(
                "confusion",
                confusion_figure(counts, classes),
                "Confusion",
                "Rows by true class (down) and predicted class (across); the diagonal is right.",
                said,
            )
        )
    else:
        blocks.append(Words((_confusions(counts, classes, 5),)))
    bins, error = reliability(judged)
    what = (
        f"said probability of {shortened(classes[1], 14)}"
        if len(classes) == 2
        else "said probability"
    )
    caption = (
        "Rows in tenths by what the network said; on the dashed line it is as sure as it should. "
        f"Expected calibration error: {number(error)}."
    )
    said = ", ".join(f"{share(b.said)} came true {share(b.true.value)}" for b in bins)
    blocks.append(
        Plot("calibration", reliability_figure(bins, what), "Calibration", caption, f"{said}.")
    )
    return blocks


def _confusions(counts: np.ndarray, classes: tuple[str, ...], most: int) -> str:
    """Return the most frequent confusions in words."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(i, wrong.shape) for i in order]
    told = [
        f"{classes[i]} taken for {classes[j]} {wrong[i, j]:,} times"
        for i, j in pairs
        if wrong[i, j]
    ]
    return f"Most frequent: {'; '.join(told)}." if told else "No class is taken for another."


def _amount_blocks(judged: Judged, target: str) -> list[Block]:
    errors = judged.values - judged.targets
    half = float(np.median(np.abs(errors)))
    return [
        Plot(
            "residuals",
            residual_figure(judged.targets, judged.values, target),
            "Predicted against true",
            "Each dot is a validation row; on the line it is exact.",
            f"Dots along the diagonal; half of all rows are within {number(half)}.",
        ),
        Plot(
            "errors",
            error_figure(judged.targets, judged.values),
            "Errors",
            f"Half of all rows are within {number(half)}; the mean error is "
            f"{number(float(errors.mean()))}. The outermost hundredth is drawn at the ends.",
            "Histogram of predicted minus true.",
        ),
    ]


def _groups_grid(found: list[Group], measure: str) -> Grid:
    names = [g.column for g in found]
    is_first = [i == 0 or names[i - 1] != name for i, name in enumerate(names)]
    rows = tuple(
        (
            g.column if first else "",
            g.label,
            f"{g.rows:,}",
            number(g.estimate.value),
            interval(g.estimate),
        )
        for g, first in zip(found, is_first, strict=True)
    )
    caption = (
        "Validation rows by group, the columns with the largest differences first. Intervals that "
        "overlap may differ by chance only."
    )
    headings = ("column", "group", "rows", words(measure), "95 % interval")
    return Grid(headings, rows, caption, frozenset({2, 3, 4}))


def matter_of(material: Material, judged: Judged) -> list[Importance]:
    """Return the importance of every column."""
    return importances(material.model, judged)


def influence_section(material: Material, judged: Judged, matter: list[Importance]) -> Section:
    """Return which columns matter, and how the answer depends on the first of them."""
    classes = material.model.schema.classes
    error = "log loss" if classes else "root mean squared error"
    top = matter[:_BARS]
    said = ", ".join(f"{each.column} {number(each.rise)}" for each in top[:8])
    more = (
        f" {len(matter) - len(top)} columns that matter less are not shown."
        if matter[_BARS:]
        else ""
    )
    blocks: list[Block] = [
        Plot(
            "importance",
            importance_figure(top, error),
            "What it listens to",
            f"How much the {error} of validation rows rises when a column's cells are shuffled; "
            f"thin lines span the shuffles. Columns that tell the same share their worth.{more}",
            f"Rise of the {error}: {said}.",
            is_tall=len(top) > 7,
        )
    ]
    for each in [each for each in matter if each.rise > 0][:_CURVES]:
        curve = dependence(material.model, judged, each.column)
        if curve is not None:
            blocks.append(_dependence_plot(material, judged, curve))
    return Section("influence", "What matters", tuple(blocks))


def _dependence_plot(material: Material, judged: Judged, curve: Dependence) -> Plot:
    schema = material.model.schema
    classes = schema.classes
    if len(classes) > 2:
        outputs = np.argsort(-np.ptp(curve.means, axis=0), kind="stable")[:_CLASS_CURVES].tolist()
        names, y = [shortened(classes[i], 14) for i in outputs], "mean probability"
    elif classes:
        outputs, names, y = [1], [], f"probability of {classes[1]}"
    else:
        outputs, names, y = [0], [], f"predicted {schema.target}"
    names = names or [y]
    first = outputs[0]
    means = curve.means[:, first]
    least, most = curve.labels[int(means.argmin())], curve.labels[int(means.argmax())]
    subject = f"the probability of {classes[first]}" if classes else y
    caption = (
        f"{subject[:1].upper()}{subject[1:]} is {number(float(means.min()))} at {least}, "
        f"{number(float(means.max()))} at {most}, on the mean over rows"
    )
    spread = "; the band or line holds eight of ten rows" if len(outputs) == 1 else ""
    return Plot(
        f"dependence-{curve.column}",
        dependence_figure(curve, outputs, names, y),
        curve.column,
        f"{caption}{spread}.",
        f"{caption}.",
    )
