"""Rows that stand in two parts: copies, near copies, rows of one group; and classes that do not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from retrograd.data.audit_view import Floats, View, numbers_of
from retrograd.data.columns import Column, NumberColumn, Rows, TextColumn
from retrograd.data.finding import Finding, percent
from retrograd.data.parting import group_codes
from retrograd.data.rows import duplicates_across, row_hashes

_MANY = 0.01  # of a part's rows: more copies than this move the estimate
_TESTED = 200  # rows whose nearest neighbours are looked for
_KNOWN = 30_000  # training rows that they are looked for in
_NEIGHBOURS = 10
_NEAR = 0.05  # of the distance to the tenth neighbour
_ALIKE = 0.2
_ENTITY = (
    "customer client patient subject user person member visitor household family student pupil "
    "employee device machine sensor vehicle session visit account owner house animal group site"
)
_GROUP_NAME = re.compile(
    rf"({'|'.join(_ENTITY.split())})s?([ _.-]?(id|uid|uuid|key|code|no|nr|number|name))?|"
    r".*[ _.-](id|uid|uuid)|id",
    re.IGNORECASE,
)


def row_findings(view: View) -> Iterator[Finding]:
    """Give what is found of rows in two parts."""
    yield from _missing_classes(view)
    yield from _copies(view)
    yield from _near_copies(view)
    yield from _groups(view)


def _missing_classes(view: View) -> Iterator[Finding]:
    for code, label in enumerate(view.schema.classes):
        lacking = [
            name
            for name in ("train", "validation", "test")
            if len(rows := getattr(view.split, name)) and not (view.labels[rows] == code).any()
        ]
        if "train" in lacking:
            yield Finding(
                "class", True, f"no row of class {label!r} trains: it can never be predicted",
                "give more rows, or part them in another way",
            )  # fmt: skip
        elif lacking:
            yield Finding(
                "class", False,
                f"no row of class {label!r} is in the {' and the '.join(lacking)} part: nothing "
                "is measured of it there",
                "give more rows, or part them in another way",
            )  # fmt: skip


def _copies(view: View) -> Iterator[Finding]:
    """Give how many rows repeat those of an earlier part, feature by feature."""
    names = [column.name for column in view.schema.features] + [view.schema.target]
    names = [name for name in names if name in view.table.columns]
    found = duplicates_across(view.table, view.split, names)
    sizes = {"validation": len(view.split.validation), "test": len(view.split.test)}
    for where, count in found.items():
        part = where.split()[0]
        if not count or where == "test in validation":
            continue
        share = count / sizes[part]
        is_many = count >= 5 and share >= _MANY
        is_alarm = is_many and share >= 10 * _coincidences(view, names)
        yield Finding(
            "copies", is_alarm,
            f"rows that repeat others, {where}: {count:,} of {sizes[part]:,} ({percent(share)})",
            "their score says little of new rows; remove copies, or name what they share: --group",
        )  # fmt: skip


def _coincidences(view: View, names: list[str]) -> float:
    """Return the share of rows that would meet their like by chance, were columns independent."""
    alike = 1.0
    for name in names:
        hashes = row_hashes(view.table, [name])[view.split.train]
        _, counts = np.unique(hashes, return_counts=True)
        alike *= float(np.sum((counts / len(hashes)) ** 2))
    return -math.expm1(-alike * len(view.split.train))


def _near_copies(view: View) -> Iterator[Finding]:
    """Give how many rows lie far nearer to a training row than rows do.

    With intrinsic dimension d, the distances to the first and the tenth neighbour have
    P(r1 / r10 < t) = 1 - (1 - t^d)^9 by chance; r5 / r10 has the median 2^(-1/d), which tells d.
    Source: Facco et al. 2017, Estimating the Intrinsic Dimension of Datasets by a Minimal
    Neighborhood Information.
    """
    names = _continuous(view)
    asked = view.split.test if len(view.split.test) else view.split.validation
    if len(names) < 3 or len(asked) < 20 or len(view.split.train) < 100:
        return
    asked = asked[:: -(-len(asked) // _TESTED)]
    known = view.split.train[:: -(-len(view.split.train) // _KNOWN)]
    points = _standardised(view, names, known)
    near, place = _neighbours(points[asked], points[known])
    usual = near[:, _NEIGHBOURS - 1]
    is_usable = usual > 0
    if is_usable.sum() < 20:
        return
    middle = float(np.median(near[is_usable, 4] / usual[is_usable]))
    by_chance = 1 - (1 - _NEAR ** (math.log(0.5) / math.log(min(max(middle, 0.1), 0.99)))) ** 9
    is_near = is_usable & (near[:, 0] > 0) & (near[:, 0] < _NEAR * usual)
    is_near &= _agree(view, names, asked, known[place])
    share = float(is_near.sum() / is_usable.sum())
    if is_near.sum() >= 5 and share >= 0.03 + 5 * by_chance:
        row, other = asked[np.argmax(is_near)], known[place[np.argmax(is_near)]]
        yield Finding(
            "copies", True,
            f"near copies: {percent(share)} of {is_usable.sum():,} tested rows have a training row "
            f"at less than a twentieth of the usual distance ({view.table.place(int(row))} and "
            f"{view.table.place(int(other))}, for one); {percent(by_chance)} would by chance",
            "keep what belongs together in one part: --group COLUMN",
            tuple(names),
        )  # fmt: skip


def _continuous(view: View) -> list[str]:
    """Return the features of many different numbers."""
    names = []
    for feature in view.schema.features:
        column = view.table.columns.get(feature.name)
        if isinstance(column, NumberColumn) and feature.unique > 50:
            names.append(feature.name)
    return names


def _standardised(view: View, names: list[str], rows: Rows) -> Floats:
    """Return (table rows, columns): deviations from the mean of these rows, without the tails."""
    columns = []
    for name in names:
        column = view.table.columns[name]
        assert isinstance(column, NumberColumn)
        values = numbers_of(column)
        seen = values[rows]
        seen = seen[~np.isnan(seen)]
        low, high = np.quantile(seen, [0.01, 0.99]) if len(seen) else (0.0, 1.0)
        spread = float(np.clip(seen, low, high).std()) or 1.0
        columns.append(np.nan_to_num((np.clip(values, low, high) - seen.mean()) / spread))
    return np.stack(columns, axis=1)


def _neighbours(asked: Floats, known: Floats) -> tuple[Floats, Rows]:
    """Return the distances to the ten nearest known points, and which is the nearest."""
    squares = np.einsum("ij,ij->i", known, known)
    distances = np.empty((len(asked), _NEIGHBOURS))
    nearest = np.empty(len(asked), dtype=np.int64)
    for i in range(0, len(asked), 50):
        far = squares - 2 * (asked[i : i + 50] @ known.T)
        close = np.argpartition(far, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
        # The short form has lost the digits of small distances: those few are taken anew.
        exact = np.linalg.norm(known[close] - asked[i : i + 50, np.newaxis], axis=2)
        order = np.argsort(exact, axis=1, kind="stable")
        distances[i : i + 50] = np.take_along_axis(exact, order, 1)
        nearest[i : i + 50] = np.take_along_axis(close, order, 1)[:, 0]
    return distances, nearest


def _agree(view: View, names: list[str], asked: Rows, known: Rows) -> np.ndarray:
    """Return whether two rows have the same cells, in nine of ten of the other features."""
    others = [f.name for f in view.schema.features if f.name not in names]
    if not others:
        return np.ones(len(asked), dtype=np.bool_)
    same = [(hashes := row_hashes(view.table, [name]))[asked] == hashes[known] for name in others]
    return np.asarray(np.mean(same, axis=0) >= 0.9)


def _groups(view: View) -> Iterator[Finding]:
    """Give the groups that stand in training and in another part."""
    ways = view.ways
    for name, column in view.table.columns.items():
        if name == view.schema.target:
            continue
        if name == ways.group:
            shared = _shared(view, group_codes(column))
            if shared:
                yield Finding(
                    "group", True,
                    f"{percent(shared)} of the rows to validate and test are of a {name!r} that "
                    "trains too",
                    "part whole groups: leave the column of parts out, or correct it",
                    (name,),
                )  # fmt: skip
        elif (
            ways.group is None
            and ways.time is None
            and _GROUP_NAME.fullmatch(name)
            and _may_group(column)
        ):
            yield from _group(view, name, column)


def _may_group(column: Column) -> bool:
    if not isinstance(column, NumberColumn | TextColumn):
        return False
    codes = group_codes(column)
    groups = int(codes.max(initial=0)) + 1
    return groups >= 10 and len(codes) >= 1.5 * groups


def _shared(view: View, codes: Rows) -> float:
    """Return the share of rows to validate and test whose group trains too."""
    later = np.concatenate([view.split.validation, view.split.test])
    return float(np.isin(codes[later], codes[view.split.train]).mean()) if len(later) else 0.0


def _group(view: View, name: str, column: Column) -> Iterator[Finding]:
    codes = group_codes(column)
    shared, alike = _shared(view, codes), _likeness(view, codes)
    if shared < 0.2:
        return
    rows = f"{percent(shared)} of the rows to validate and test are of a {name!r} that trains too"
    if alike >= _ALIKE:
        rows += f", and rows of one {name!r} are alike in {view.schema.target!r} ({alike:.2f} of 1)"
    yield Finding(
        "group", alike >= _ALIKE, rows,
        f"if new rows will be of others, keep each in one part: --group {name}", (name,),
    )  # fmt: skip


def _likeness(view: View, codes: Rows) -> float:
    """Return how much of the labels' spread lies between groups, chance left out (0 to 1).

    The intraclass correlation of one-way analysis of variance, averaged over classes.
    Source: Shrout & Fleiss 1979, Intraclass Correlations, case 1.
    """
    rows = np.concatenate(view.halves)
    _, group = np.unique(codes[rows], return_inverse=True)
    counts = np.bincount(group)
    groups, n = len(counts), len(rows)
    if groups < 2 or n <= groups:
        return 0.0
    size = (n - float(np.sum(counts.astype(np.float64) ** 2)) / n) / (groups - 1)
    labels = view.labels[rows]
    classes = range(len(view.schema.classes))
    columns = [labels == code for code in classes] if classes else [labels]
    between = within = 0.0
    for column in columns:
        values = np.asarray(column, dtype=np.float64)
        means = np.bincount(group, weights=values) / counts
        between += float(np.sum(counts * (means - values.mean()) ** 2)) / (groups - 1)
        within += float(np.sum((values - means[group]) ** 2)) / (n - groups)
    whole = between + (size - 1) * within
    return (between - within) / whole if whole > 0 else 0.0
