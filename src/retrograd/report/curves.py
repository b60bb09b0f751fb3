"""Pictures of training: how the loss fell, at what rate, and how large the gradients were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from retrograd.report.drawing import BLUE, GREEN, GREY, ORANGE, SERIES, drawn
from retrograd.report.telling import shortened, words
from retrograd.tensor.types import Array
from retrograd.train.norms import Norms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 300  # that a curve keeps: more are not seen


def loss_figure(epochs: list[dict[str, float]], best: int | None) -> Figure:
    """Return the loss of training and validation rows over the epochs, the kept one marked."""
    places = [row["epoch"] for row in epochs]

    def draw(axes: Axes) -> None:
        for name, label, colour in (
            ("loss", "training rows", BLUE), ("validation_loss", "validation rows", ORANGE)
        ):  # fmt: skip
            values = [row.get(name, np.nan) for row in epochs]
            if np.isfinite(values).any():
                axes.plot(places, values, color=colour, label=label, marker=_dot(values))
        if best is not None and len(places) > 1:
            axes.axvline(best, color=GREY, linewidth=1, linestyle=(0, (3, 3)), label="kept")
        _name(axes, "epoch", "loss")
        axes.legend()

    return drawn(draw)


def metric_figure(
    epochs: list[dict[str, float]], names: list[str], best: int | None, scale: float = 1.0
) -> Figure:
    """Return the validation metrics over the epochs, multiplied by ``scale``."""
    places = [row["epoch"] for row in epochs]

    def draw(axes: Axes) -> None:
        for name, colour in zip(names, SERIES, strict=False):
            values = [row.get(name, np.nan) * scale for row in epochs]
            axes.plot(places, values, color=colour, label=words(name), marker=_dot(values))
        if best is not None and len(places) > 1:
            axes.axvline(best, color=GREY, linewidth=1, linestyle=(0, (3, 3)))
        _name(axes, "epoch", "on validation rows")
        axes.legend()

    return drawn(draw)


def rate_figure(steps: Array, rates: Array) -> Figure:
    """Return the learning rate over the steps."""

    def draw(axes: Axes) -> None:
        axes.plot(*_thinned(steps, rates), color=GREEN)
        axes.set_ylim(bottom=0)
        _name(axes, "step", "learning rate")

    return drawn(draw)


def norms_figure(norms: Norms, kind: str, leaves: list[str]) -> Figure:
    """Return the norms of a kind ("gradient", "update" ...) of some leaves, on a logarithm's scale.

    Each curve is a running median, since single steps jump about.
    """

    def draw(axes: Axes) -> None:
        for leaf, colour in zip(leaves, SERIES, strict=False):
            values = norms.of(leaf, kind).astype(np.float64)
            steps, smooth = _medians(norms.steps, values)
            axes.plot(steps, smooth, color=colour, label=shortened(leaf))
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, place: "")
        _name(axes, "step", f"norm of the {kind}")
        axes.legend(ncols=2)

    return drawn(draw)


def _name(axes: Axes, x: str, y: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.margins(x=0.02)


def _dot(values: list[float]) -> str:
    return "o" if len(values) < 3 else ""


def _thinned(x: Array, y: Array) -> tuple[Array, Array]:
    places = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(int))
    return x[places], y[places]


def _medians(steps: Array, values: npt.NDArray[np.float64]) -> tuple[Array, Array]:
    """Return the medians of about 150 stretches, and the steps in their middles."""
    parts = min(len(steps), _POINTS // 2)
    cuts = np.array_split(np.arange(len(steps)), parts)
    positive = np.where(values > 0, values, np.nan)
    found = [np.nanmedian(positive[cut]) if (values[cut] > 0).any() else np.nan for cut in cuts]
    return np.array([steps[cut[len(cut) // 2]] for cut in cuts]), np.array(found)
