"""Data sets that come with the packages, by name: no download, one word."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from retrograd.data.arrays import column_of
from retrograd.data.columns import Column, NumberColumn, recode
from retrograd.data.parquet_files import read_parquet
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
    return (_digits() if name == "digits" else None) or _of_scikit_learn(name)


def _digits() -> Table | None:
    """Return the digits as scikit-learn's own file has them, without the seconds of its import.

    None if the file is not where it used to be.
    """
    found = find_spec("sklearn")
    places = (found.submodule_search_locations if found else None) or []
    files = (Path(place) / "datasets" / "data" / "digits.csv.gz" for place in places)
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return None
    cells = np.loadtxt(file, delimiter=",")
    columns: dict[str, Column] = {
        f"pixel_{i // 8}_{i % 8}": NumberColumn(np.ascontiguousarray(cells[:, i]))
        for i in range(64)
    }
    columns["digit"] = column_of(cells[:, 64].astype(np.int64), "reading digits")
    return Table("digits", columns, target="digit")


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
