"""Data sets that come with the packages, by name: no download, one word."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrograd.data.arrays import column_of
from retrograd.data.columns import Column, NumberColumn, recode
from retrograd.data.frames import read_parquet
from retrograd.data.table import Table

_SETS = Path(__file__).parent / "sets"
_OF_SCIKIT_LEARN = ("digits", "iris", "wine", "breast_cancer", "diabetes")
# name -> what is predicted; `sets/README.md` says where each comes from.
_EMBEDDED = {
    "diamonds": "price",
    "hotel_rates": "avg_price_per_room",
    "credit_data": "Status",
    "churn": "churn",
}


def names() -> tuple[str, ...]:
    """Return the names of all data sets.

    >>> "digits" in names()
    True
    """
    return _OF_SCIKIT_LEARN + tuple(_EMBEDDED)


def load(name: str) -> Table:
    """Return the data set of that name (one of `names()`), which knows its target.

    >>> table = load("iris")
    >>> table.n_rows, table.target, list(table.columns)[0]
    (150, 'species', 'sepal length (cm)')
    """
    if name in _EMBEDDED:
        table = read_parquet(_SETS / f"{name}.parquet", f"reading the data set {name!r}")
        return Table(name, table.columns, target=_EMBEDDED[name])
    return _of_scikit_learn(name)


def _of_scikit_learn(name: str) -> Table:
    """Return a data set that scikit-learn ships; classes get their names where they have any."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    columns: dict[str, Column] = {
        str(feature): NumberColumn(np.ascontiguousarray(bunch.data[:, i], dtype=np.float64))
        for i, feature in enumerate(bunch.feature_names)
    }
    target = {"iris": "species", "wine": "cultivar", "digits": "digit"}.get(name, "target")
    if name in ("iris", "wine", "breast_cancer"):
        codes = np.asarray(bunch.target, dtype=np.int32)
        columns[target] = recode(codes, [str(label) for label in bunch.target_names])
    else:
        columns[target] = column_of(np.asarray(bunch.target), f"reading {name}")
    return Table(name, columns, target=target)
