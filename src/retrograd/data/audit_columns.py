"""Columns that know the target: its copies, counters that order it, statistics made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from retrograd.data.audit_view import Floats, Score, View, numbers_of, score
from retrograd.data.columns import Column, DateColumn, NumberColumn, Rows
from retrograd.data.conversions import as_text
from retrograd.data.finding import Finding, percent
from retrograd.data.schema import ColumnKind

_PERFECT = 0.998  # of what is not said by the commonest class
_CLOSE = 0.97  # suspicious where no other column comes near
_FAR = 0.5
_ORDERS = 0.2  # skill of a counter that is no chance
_CHANCE = 0.02  # of the spread that sums of labels have; below it a column knows the labels
_FEWEST_GROUPS = 8
_ID_NAME = re.compile(r"(.*[ _.-])?(id|uid|uuid|key|nr|no|index|row|rowid|number)|.*[a-z]I[dD]")


def column_findings(view: View) -> Iterator[Finding]:
    """Give what is found of single columns."""
    columns = view.table.columns
    used = [feature.name for feature in view.schema.features if feature.name in columns]
    statistics = dict(_statistics(view, used))
    scores = {name: score(view, columns[name]) for name in used}
    counters = {name for name in used if _counts(name, columns[name])}
    for name in used:
        if name in statistics:
            yield statistics[name]
        elif name in counters and scores[name].skill >= _ORDERS:
            yield _counter(view, name, scores[name], is_used=True)
        elif (words := _too_good(view, name, scores)) is not None:
            yield _alone(view, name, scores[name], words)
    for column in view.schema.dropped:
        cells = columns.get(column.name)
        is_counter = column.kind is ColumnKind.identifier and isinstance(cells, NumberColumn)
        if is_counter and cells is not None and _counts(column.name, cells):
            found = score(view, cells)
            if found.skill >= _FAR:
                yield _counter(view, column.name, found, is_used=False)


def _too_good(view: View, name: str, scores: dict[str, Score]) -> str | None:
    """Return what the next best column can do, if this one is too good to be true; else None."""
    own = scores[name]
    few = 30 / max(own.rows, 1) ** 2  # of amounts: what neighbours in few rows are off by
    is_perfect = own.skill >= min(_PERFECT, 1 - few if few < 0.01 else 1.0)
    if not is_perfect and own.skill < _CLOSE:
        return None
    others = {n: s.skill for n, s in scores.items() if n != name and s.skill < _CLOSE}
    if not others:
        return "no other column comes near it" if is_perfect and len(scores) > 1 else None
    best = max(others, key=lambda n: others[n])
    if not (is_perfect and others[best] < 0.9) and not (
        own.skill >= _CLOSE and others[best] < _FAR
    ):
        return None
    return f"the next best, {best!r}, {_words(view, scores[best])}"


def _words(view: View, found: Score) -> str:
    if view.schema.classes:
        return f"{percent(found.right)}"
    return f"{percent(max(found.skill, 0.0))}"


def _alone(view: View, name: str, found: Score, others: str) -> Finding:
    what = "of the rows right" if view.schema.classes else "of the order of the amounts"
    return Finding(
        "column",
        True,
        f"{name!r} alone tells {_words(view, found)} {what} ({found.rows:,} rows, each told by "
        f"others; {others})",
        f"if it is not known before {view.schema.target!r} is, leave it out: --kind {name}=drop",
        (name,),
    )


def _counts(name: str, column: Column) -> bool:
    """Return whether a column numbers the rows: whole numbers, hardly any twice, in their order."""
    if not isinstance(column, NumberColumn):
        return False
    values = numbers_of(column)
    rows = np.flatnonzero(~np.isnan(values))
    values = values[rows]
    for some in (values[:1000], values):  # most columns are no counters, as their beginning tells
        if len(some) < 20 or (some != np.floor(some)).any():
            return False
        if len(np.unique(some)) < 0.95 * len(some):
            return False
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    in_order = abs(float(np.corrcoef(ranks, np.arange(len(rows)))[0, 1])) > 0.99
    return in_order or bool(_ID_NAME.fullmatch(name))


def _counter(view: View, name: str, found: Score, *, is_used: bool) -> Finding:
    what = "of the rows right" if view.schema.classes else "of the order of the amounts"
    evidence = (
        f"{name!r} only numbers the rows, and its order tells {_words(view, found)} {what}: rows "
        f"that lie together share their {view.schema.target!r}"
    )
    if is_used:
        return Finding("counter", True, evidence, f"leave it out: --kind {name}=drop", (name,))
    remedy = "it is not given to the network; look whether other columns follow the same order"
    return Finding("counter", False, evidence, remedy, (name,))


def _statistics(view: View, used: list[str]) -> Iterator[tuple[str, Finding]]:
    """Give the columns whose values are made of the labels of all rows, those to be tested too."""
    labels = view.labels
    is_amount = labels.dtype.kind == "f"
    rows = np.flatnonzero(~np.isnan(labels) if is_amount else labels >= 0)
    keys = {n: k for n in used if (k := _keys(view.table.columns[n], rows)) is not None}
    classes = view.schema.classes[1:2] if len(view.schema.classes) == 2 else view.schema.classes
    for name in used:
        column = view.table.columns[name]
        if isinstance(column, DateColumn) or not isinstance(column, NumberColumn):
            continue
        values = numbers_of(column)[rows]
        for code, label in enumerate(classes[:10]) if classes else [(0, "")]:
            wanted = len(view.schema.classes) == 2 and not is_amount
            indicator = labels[rows] == (1 if wanted else code)
            targets = np.asarray(labels[rows] if is_amount else indicator, dtype=np.float64)
            how = _made_of(values, targets, keys, name)
            if how:
                yield name, _statistic(view, name, label, how)
                break


def _keys(column: Column, rows: Rows) -> Rows | None:
    """Return (rows,) a number for each value of a column with few values, or None."""
    if isinstance(column, NumberColumn | DateColumn):
        return None
    codes = as_text(column).codes[rows].astype(np.int64) + 1
    return codes if 3 * len(np.unique(codes)) <= len(rows) else None


def _made_of(values: Floats, targets: Floats, keys: dict[str, Rows], name: str) -> str:
    """Return how values follow from labels: the mean of like rows, or of all others like it."""
    present = ~np.isnan(values)
    if present.sum() < 3 * _FEWEST_GROUPS or len(np.unique(values[present][:2000])) < 3:
        return ""
    some = values[present][:: -(-int(present.sum()) // 2000)]
    if len(np.unique(some)) <= 0.6 * len(some):  # sorting all is slow, and says no more of others
        distinct, group = np.unique(values[present], return_inverse=True)
        if 3 * len(distinct) <= len(group) and _knows_sums(distinct, group, targets[present]):
            return "the rows that share a value of it have just that mean"
    for key, codes in keys.items():
        counts, sums = np.bincount(codes), np.bincount(codes, weights=targets)
        rows = np.flatnonzero(present & (counts[codes] > 1))
        rows = rows[:: -(-len(rows) // 5000) or 1]
        without = (sums[codes[rows]] - targets[rows]) / (counts[codes[rows]] - 1)
        varies = len(rows) > 30 and np.ptp(without) > 0 and np.ptp(values[rows]) > 0
        if varies and abs(np.corrcoef(without, values[rows])[0, 1]) > 1 - 1e-6:
            return f"it is the mean of the other rows of the same {key!r}"
    return ""


def _knows_sums(values: Floats, group: Rows, targets: Floats) -> bool:
    """Return whether the sums of labels follow from a value and the size of its group.

    The sum S of n labels is a (v n) + b n + c v + d where v is their mean, shifted, scaled or drawn
    towards the mean of all. By chance it is off by about sqrt(n) deviations of a label.
    """
    counts, sums = np.bincount(group), np.bincount(group, weights=targets)
    means = sums / counts
    off = np.bincount(group, weights=(targets - means[group]) ** 2)
    within = float(off.sum() / len(targets))
    several = off > 1e-6 * within * counts  # rows of one class are a sum that many things tell
    if within <= 1e-9 * float(np.var(targets)) or several.sum() < _FEWEST_GROUPS:
        return False
    n, v, s = counts[several], values[several], sums[several]
    v = (v - v.mean()) / (v.std() or 1.0)
    weight = 1 / np.sqrt(n * within)
    terms = np.stack([v * n, n, v, np.ones(len(n))], axis=1) * weight[:, np.newaxis]
    kept = np.ones(len(n), dtype=np.bool_)
    for _ in range(3):  # groups that happen to share a value are outliers
        found, _, rank, _ = np.linalg.lstsq(terms[kept], (s * weight)[kept], rcond=None)
        left = np.abs(terms @ found - s * weight)
        kept = left <= np.quantile(left, 0.8)
    free = int(kept.sum()) - rank
    return free >= 4 and float(np.sqrt(np.sum(left[kept] ** 2) / free)) < _CHANCE


def _statistic(view: View, name: str, label: str, how: str) -> Finding:
    what = f"how often {view.schema.target!r} is {label!r}" if label else view.schema.target
    return Finding(
        "statistic",
        True,
        f"{name!r} is a statistic of {what} over all rows, those of the test too: {how}",
        f"leave it out (--kind {name}=drop), or compute it from training rows only",
        (name,),
    )
