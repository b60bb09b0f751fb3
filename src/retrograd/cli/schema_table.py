"""The schema as one table: column, kind, missing, values, how it is encoded, and why."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from retrograd.cli.output import width

if TYPE_CHECKING:
    from retrograd.data import ColumnReport

MOST_COLUMNS = 24
"""Entries of the table; what is left over is counted in one more line."""
_HEADINGS = ("column", "kind", "missing", "values", "encoded as", "why")
_WIDEST = (18, 14, 9, 9)  # letters of the columns that are cut; the last two are folded
_COUNT = re.compile(r"^[\d,]+ different ")


def column_lines(reports: Sequence[ColumnReport]) -> list[str]:
    """Return the table of columns; neighbours that are treated alike share an entry."""
    rows = []
    for (kind, treated, why, _), group in groupby(reports, key=_likeness):
        alike = list(group)
        missing = sum(r.missing for r in alike)
        if len(alike) == 1:
            (only,) = alike
            name, values, treated = only.column, f"{only.values:,}", only.encoding
        else:
            name, values = f"{alike[0].column} … {alike[-1].column}", ""
            kind = f"{len(alike)} {kind}s"
        rows.append([name, kind, f"{missing:,}" if missing else "", values, treated, why])
    lines = _laid_out([list(_HEADINGS), *rows[:MOST_COLUMNS]])
    left = len(rows) - MOST_COLUMNS
    return [*lines, f"… {left} more: see schema.json in the run"] if left > 0 else lines


def _likeness(report: ColumnReport) -> tuple[str, str, str, bool]:
    """Return what a column shares with neighbours that are treated alike, numbers left out."""
    treated = re.sub(r"\(value - \S+\) / [-+.\de]+", "(value - center) / spread", report.encoding)
    return report.kind, treated, _why(report), report.missing > 0


def _why(report: ColumnReport) -> str:
    """Return the reason without the count beside it, and why the target is the target."""
    why = report.why.partition(" (")[0] if report.kind.endswith(" target") else report.why
    return _COUNT.sub("", why)


def _laid_out(rows: list[list[str]]) -> list[str]:
    """Return the lines of a table whose last two columns share what is left of the width."""
    cut = [min(max(len(row[i]) for row in rows), widest) for i, widest in enumerate(_WIDEST)]
    left = max(width() - sum(cut) - 2 * len(cut), 32)
    longest = max(len(row[4]) for row in rows)
    encoded = min(longest, left // 2)
    lines = []
    for row in rows:
        start = "".join(
            f"{_fit(cell, size):<{size}}  " for cell, size in zip(row, cut, strict=False)
        )
        folded = textwrap.wrap(row[4], encoded) or [""]
        reasons = textwrap.wrap(row[5], left - encoded - 2) or [""]
        for place in range(max(len(folded), len(reasons))):
            how = folded[place] if place < len(folded) else ""
            why = reasons[place] if place < len(reasons) else ""
            head = start if place == 0 else " " * len(start)
            lines.append(f"{head}{how:<{encoded}}  {why}".rstrip())
    return lines


def _fit(cell: str, length: int) -> str:
    return cell if len(cell) <= length else cell[: length - 1] + "…"
