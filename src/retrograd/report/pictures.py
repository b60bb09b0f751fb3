"""Pictures of results: confusion, residuals, calibration, groups, importance, dependence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from retrograd.recipe.intervals import Estimate
from retrograd.report.drawing import BLUE, GREY, INK, ORANGE, SERIES, SKY, drawn
from retrograd.report.influence import Dependence, Importance
from retrograd.report.judged import Bin
from retrograd.report.telling import number, shortened
from retrograd.tensor.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_DOTS = 1500


def estimates_figure(measure: str, named: list[tuple[str, Estimate]]) -> Figure:
    """Return estimates of one measure with their intervals, the network's first."""

    def draw(axes: Axes) -> None:
        for place, (_, estimate) in enumerate(named):
            colour = BLUE if place == 0 else GREY
            if not np.isnan(estimate.low):
                ends = [estimate.low, estimate.high]
                axes.plot(ends, [place, place], color=colour, linewidth=3, alpha=0.55)
            axes.plot([estimate.value], [place], "o", color=colour, markersize=7)
            axes.annotate(
                number(estimate.value),
                (estimate.value, place),
                (0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
            )
        axes.set_yticks(range(len(named)), [shortened(name) for name, _ in named])
        axes.set_ylim(len(named) - 0.5, -0.7)
        axes.margins(x=0.12)
        axes.set_xlabel(measure)
        axes.grid(visible=False, axis="y")

    return drawn(draw, height=0.75 + 0.42 * len(named))


def confusion_figure(counts: npt.NDArray[np.int64], classes: tuple[str, ...]) -> Figure:
    """Return which classes were taken for which, as shares of each class's rows."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [shortened(name, 14) for name in classes]

    def draw(axes: Axes) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        colours = LinearSegmentedColormap.from_list("blues", ["#0072b200", "#0072b2"])
        axes.pcolormesh(shares, cmap=colours, vmin=0, vmax=1, edgecolor=GREY, linewidth=0.3)
        axes.invert_yaxis()
        for i, j in np.ndindex(*counts.shape):
            if counts[i, j]:
                colour = "white" if shares[i, j] > 0.5 else INK
                axes.text(
                    j + 0.5,
                    i + 0.5,
                    f"{counts[i, j]:,}",
                    ha="center",
                    va="center",
                    fontsize=8.5,
                    color=colour,
                )
        places = np.arange(len(names)) + 0.5
        is_long = sum(map(len, names)) > 60
        axes.set_xticks(
            places, names, rotation=45 if is_long else 0, ha="right" if is_long else "center"
        )
        axes.set_yticks(places, names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.grid(visible=False)
        axes.tick_params(length=0)

    side = float(np.clip(1.2 + 0.34 * len(classes), 2.6, 5.2))
    return drawn(draw, height=side)


def residual_figure(targets: Array, values: Array, target: str) -> Figure:
    """Return predicted amounts over true ones, with the line on which both are equal."""
    step = -(-len(targets) // _MOST_DOTS)

    def draw(axes: Axes) -> None:
        ends = [float(targets.min()), float(targets.max())]
        axes.plot(
            targets[::step],
            values[::step],
            "o",
            color=BLUE,
            markersize=3,
            alpha=0.4,
            markeredgewidth=0,
            rasterized=len(targets) > 400,
        )
        axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (3, 3)))
        axes.set_xlabel(f"true {shortened(target)}")
        axes.set_ylabel("predicted")

    return drawn(draw)


def error_figure(targets: Array, values: Array) -> Figure:
    """Return how often errors of each size occur."""

    def draw(axes: Axes) -> None:
        errors = values - targets
        inner = np.quantile(errors, [0.005, 0.995])
        axes.hist(np.clip(errors, *inner), bins=40, color=BLUE, alpha=0.85)
        axes.axvline(0, color=ORANGE, linewidth=1)
        axes.set_xlabel("predicted minus true")
        axes.set_ylabel("rows")

    return drawn(draw)


def reliability_figure(bins: list[Bin], said: str) -> Figure:
    """Return what came true over what was said, with intervals."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (3, 3)))
        x = [each.said for each in bins]
        y = [each.true.value for each in bins]
        below = [max(0.0, each.true.value - each.true.low) for each in bins]
        above = [max(0.0, each.true.high - each.true.value) for each in bins]
        axes.errorbar(x, y, yerr=[below, above], fmt="none", ecolor=SKY, elinewidth=1.2)
        axes.plot(x, y, "o-", color=BLUE, markersize=4.5, linewidth=1.2)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(said)
        axes.set_ylabel("came true")

    return drawn(draw, height=3.3)


def importance_figure(found: list[Importance], error: str) -> Figure:
    """Return the rise of the error for each column, the most important on top."""

    def draw(axes: Axes) -> None:
        for place, each in enumerate(found):
            axes.barh(place, each.rise, height=0.62, color=BLUE, alpha=0.85)
            axes.plot([each.low, each.high], [place, place], color=ORANGE, linewidth=1.4)
        axes.set_yticks(range(len(found)), [shortened(each.column) for each in found])
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.set_xlabel(f"rise of the {error}")
        axes.grid(visible=False, axis="y")

    return drawn(draw, height=0.8 + 0.27 * max(len(found), 2))


def dependence_figure(found: Dependence, outputs: list[int], names: list[str], y: str) -> Figure:
    """Return the mean answer over the values of a column, with the tenth to the ninth tenth."""

    def draw(axes: Axes) -> None:
        is_one = len(outputs) == 1
        x = np.arange(len(found.labels)) if found.values is None else found.values
        for output, name, colour in zip(outputs, names, SERIES, strict=False):
            means, low, high = (part[:, output] for part in (found.means, found.low, found.high))
            if found.values is None:
                axes.errorbar(
                    x,
                    means,
                    yerr=[np.maximum(means - low, 0), np.maximum(high - means, 0)],
                    fmt="o",
                    color=colour,
                    elinewidth=1,
                    label=name,
                )
            else:
                axes.plot(x, means, color=colour, label=name)
                if is_one:
                    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        _label_places(axes, found, x)
        axes.set_xlabel(shortened(found.column))
        axes.set_ylabel(shortened(y, 34))
        if not is_one:
            axes.legend()

    return drawn(draw, height=2.6)


def _label_places(axes: Axes, found: Dependence, x: Array) -> None:
    """Name the places of texts and dates; numbers name themselves."""
    if found.values is None:
        is_long = sum(len(shortened(label, 12)) for label in found.labels) > 45
        names = [shortened(label, 12) for label in found.labels]
        axes.set_xticks(
            x, names, rotation=35 if is_long else 0, ha="right" if is_long else "center"
        )
        axes.set_xlim(-0.6, len(x) - 0.4)
    elif found.are_dates:
        few = np.unique(np.linspace(0, len(x) - 1, 4).astype(int))
        axes.set_xticks(x[few], [found.labels[i] for i in few])
