"""The audit of a split, before any training: what would make the estimate too good to be true.

Nothing is removed and nothing is refused: what is found is named, with its evidence and a remedy.
Labels of the sealed test part are used for three questions only, none of which can choose a
network: whether rows repeat others, whether a column was made of all labels, and which classes
there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from retrograd.data.audit_columns import column_findings
from retrograd.data.audit_rows import row_findings
from retrograd.data.audit_view import Floats, View, numbers_of, score, view_of
from retrograd.data.columns import DateColumn, Rows
from retrograd.data.finding import Finding, percent
from retrograd.data.parting import times_of
from retrograd.data.schema import Schema
from retrograd.data.split import AT_RANDOM, Split, Ways
from retrograd.data.table import Table


def audit(
    table: Table, schema: Schema, split: Split, ways: Ways = AT_RANDOM
) -> tuple[Finding, ...]:
    """Return what is found about the parts of a table, alarms first.

    Looked for: copies and near copies across parts; a column that alone predicts the target too
    well; a number that only counts the rows and orders the target; a column that is a statistic of
    the target over all rows; groups in two parts; training rows later than those they are tested
    on; classes that are missing from a part.

    >>> from retrograd.data.inferring import infer_schema
    >>> from retrograd.data.named_sets import load
    >>> from retrograd.data.split import split_table
    >>> table = load("iris")
    >>> schema = infer_schema(table)
    >>> any(found.is_alarm for found in audit(table, schema, split_table(table, schema, seed=0)))
    False
    """
    view = view_of(table, schema, split, ways)
    found = [*column_findings(view), *row_findings(view), *_times(view)]
    return tuple(sorted(found, key=lambda finding: not finding.is_alarm))


def _times(view: View) -> Iterator[Finding]:
    """Give the columns of dates along which the parts are mixed, or run backwards."""
    if view.ways.time is not None:
        yield from _untimed(view, view.ways.time)
        return
    for feature in view.schema.features:
        column = view.table.columns.get(feature.name)
        if not isinstance(column, DateColumn) or not len(view.split.test):
            continue
        times = numbers_of(column)
        later = _earlier_share(times, view.split.test, view.split.train)
        if later > 0.95:
            yield _backwards(view, feature.name, later)
        elif later > 0.05 and view.ways.part is None:
            yield _mixed(view, feature.name, column, later)


def _untimed(view: View, name: str) -> Iterator[Finding]:
    parts = (view.split.train, view.split.validation, view.split.test)
    has_label = view.labels >= 0 if view.labels.dtype.kind == "i" else ~np.isnan(view.labels)
    left = int(has_label.sum()) - sum(map(len, parts))
    missing = int(np.isnan(times_of(view.table.columns[name], name)[has_label]).sum())
    if left and missing:
        yield Finding(
            "time", False, f"{missing:,} rows have no {name!r}, and are in no part",
            "fill them in to use these rows", (name,),
        )  # fmt: skip


def _earlier_share(times: Floats, test: Rows, train: Rows) -> float:
    """Return how likely a test row is older than a training row, both drawn at random, less ties.

    0 where the test is all later, about 1/2 where both are mixed, 1 where time runs backwards.
    """
    known, asked = np.sort(times[train]), times[test]
    known, asked = known[~np.isnan(known)], asked[~np.isnan(asked)]
    if not len(known) or not len(asked):
        return 0.0
    return float(np.mean(1 - np.searchsorted(known, asked, side="right") / len(known)))


def _backwards(view: View, name: str, later: float) -> Finding:
    return Finding(
        "time", True,
        f"time runs backwards: by {name!r}, the training rows are later than the test rows "
        f"({percent(later)} of all pairs)",
        f"let the latest rows test: --time-column {name}", (name,),
    )  # fmt: skip


def _mixed(view: View, name: str, column: DateColumn, later: float) -> Finding:
    skill = score(view, column).skill
    evidence = (
        f"rows to train and to test are mixed in time: by {name!r}, {percent(later)} of the pairs "
        "train on the later row"
    )
    if skill > 0.05:
        evidence += f", and the nearest days alone say {percent(skill)} of {view.schema.target!r}"
    remedy = f"if it is the future that you predict, test on it: --time-column {name}"
    return Finding("time", False, evidence, remedy, (name,))
