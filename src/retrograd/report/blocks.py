"""What a page is made of: sections of sentences, facts, tables, pictures and listings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Words:
    """Sentences, a paragraph each.  tone: "plain", or "warning" for what needs a decision."""

    sentences: tuple[str, ...]
    tone: str = "plain"
    kind: str = "words"


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and a value."""

    pairs: tuple[tuple[str, str], ...]
    kind: str = "facts"


@dataclass(frozen=True)
class Grid:
    """A table.  numeric: the columns that are aligned right.  caption: what one sees in it.

    is_narrow: half a page is wide enough.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    numeric: frozenset[int] = frozenset()
    is_narrow: bool = False
    kind: str = "grid"


@dataclass(frozen=True, eq=False)
class Plot:
    """A picture.  name: of its file.  caption: what one sees.  text: the same for who sees none."""

    name: str
    figure: Figure
    title: str
    caption: str
    text: str
    is_tall: bool = False
    kind: str = "plot"


@dataclass(frozen=True)
class Listing:
    """Text as a machine reads it, such as a command.  folded: shown when asked for."""

    title: str
    text: str
    folded: bool = False
    kind: str = "listing"


Block = Words | Facts | Grid | Plot | Listing


@dataclass(frozen=True)
class Section:
    """A part of the page: its place in links, its title, and what is in it."""

    place: str
    title: str
    blocks: tuple[Block, ...]
