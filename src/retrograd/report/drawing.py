"""Pictures: one style for all of them, and how they become part of a page or files of their own."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's colours, which people with any colour vision tell apart.
BLUE, ORANGE, GREEN, PINK, SKY, GREY = (
    "#0072b2", "#d55e00", "#009e73", "#b0578d", "#3c8fc0", "#8a9099"
)  # fmt: skip
SERIES: Final = (BLUE, ORANGE, GREEN, PINK, SKY, GREY)
INK = "#0a0b0c"  # becomes the colour of the page's text, light or dark
_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none", "svg.hashsalt": "retrograd", "text.parse_math": False,
    "font.family": "sans-serif", "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9,
    "legend.fontsize": 8.5, "legend.frameon": False, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GREY, "xtick.color": GREY,
    "ytick.color": GREY, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7, "axes.grid": True,
    "grid.color": GREY, "grid.alpha": 0.22, "grid.linewidth": 0.6, "lines.linewidth": 1.7,
    "lines.solid_capstyle": "round", "figure.facecolor": "none", "axes.facecolor": "none",
    "axes.unicode_minus": False, "path.simplify_threshold": 0.5,
}  # fmt: skip
_PAPER: Final[dict[str, Any]] = {"facecolor": "white", "dpi": 160}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the page; letters that a font lacks are the reader's browser's task."""
    from matplotlib import rc_context

    with warnings.catch_warnings(), rc_context(cast(Any, _STYLE)):
        warnings.simplefilter("ignore")
        yield


def drawn(draw: Callable[[Axes], None], width: float = 5.2, height: float = 3.0) -> Figure:
    """Return a figure with one pair of axes, on which ``draw`` has drawn. Sizes are in inches."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure((width, height), layout="constrained")
        draw(figure.add_subplot())
    return figure


def to_svg(figure: Figure, prefix: str, label: str) -> str:
    """Return a figure as an `svg` element to stand in a page.

    Its ids begin with ``prefix``, so that they are unique in the page; ``label`` is read to those
    who do not see it. Text stays text, in the page's own font and colour.
    """
    text = _raw_svg(figure)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.S)
    text = re.sub(r'\bid="([^"]*)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'\b(?:xlink:)?href="#([^"]*)"', rf'href="#{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]*)\)", rf"url(#{prefix}-\1)", text)
    text = re.sub(r"font: (?:(\d+) )?([\d.]+px) [^;\"]*", r"font-size: \2", text)
    text = text.replace(INK, "currentColor")
    text = re.sub(r"\n\s*", "\n", text)
    box = re.search(r'viewBox="([^"]*)"', text)
    assert box is not None
    start = f'<svg class="plot" viewBox="{box[1]}" role="img" aria-label="{_quoted(label)}">'
    return start + text[text.index(">") + 1 :].strip()


def _quoted(text: str) -> str:
    from html import escape

    return escape(text, quote=True)


def _raw_svg(figure: Figure) -> str:
    file = io.StringIO()
    with style():
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def to_files(figure: Figure) -> dict[str, bytes]:
    """Return a figure as files by suffix: `.svg` and `.png`, with dark letters on white."""
    found = {}
    with style():
        for suffix in ("svg", "png"):
            file = io.BytesIO()
            options: dict[str, Any] = {"metadata": {"Date": None}} if suffix == "svg" else {}
            figure.savefig(file, format=suffix, **_PAPER, **options)
            found[f".{suffix}"] = file.getvalue()
    return found
