"""What a network has to beat: a guess that ignores the columns, a linear model, boosted trees.

They are fitted on the rows that the network has seen: those to train and those to validate.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.data import Preprocessor, Table
from retrograd.data.columns import Column, DateColumn, NumberColumn, Rows, TextColumn
from retrograd.data.conversions import as_text
from retrograd.data.encodings import CategoryEncoding
from retrograd.recipe.training import Part
from retrograd.tensor.types import Array

Floats = npt.NDArray[np.float64]
_MOST_ROWS = 50_000  # that the linear model sees; more hardly change it
_MOST_BOOSTED = 500_000


class Baseline(NamedTuple):
    """A rival, in words, and what it says of the test rows.

    predicted: probabilities (rows, classes), or standardised amounts (rows, 1).
    """

    name: str
    description: str
    predicted: Floats


def trivial_baseline(train: Part, inputs: Array, classes: tuple[str, ...]) -> Baseline:
    """Return the guess of the most frequent training class, or of the mean training amount.

    The mean is the constant with the least squared error, as the most frequent class is the one
    with the best accuracy.
    """
    if classes:
        shares = np.bincount(train.targets, minlength=len(classes)) / len(train.targets)
        words = f"always {classes[int(shares.argmax())]!r}, the most frequent class"
        return Baseline("trivial", words, np.tile(shares, (len(inputs), 1)))
    mean = train.targets.astype(np.float64).mean()
    return Baseline("trivial", "always the training mean", np.full((len(inputs), 1), mean))


def linear_baseline(train: Part, inputs: Array, classes: tuple[str, ...]) -> Baseline:
    """Return logistic regression, or ridge regression, on the same prepared training rows.

    Fitted by scikit-learn with its own defaults, on at most 50,000 rows, evenly spread.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    step = -(-len(train.inputs) // _MOST_ROWS)
    x = train.inputs[::step].astype(np.float64)
    y = train.targets[::step]
    words = f"logistic regression on {len(x):,} rows" if classes else f"ridge on {len(x):,} rows"
    if not classes:
        fitted = Ridge().fit(x, y[:, 0].astype(np.float64))
        return Baseline("linear", words, fitted.predict(inputs)[:, np.newaxis])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it could still improve a little is no news here
        fitted = LogisticRegression(max_iter=1000).fit(x, y)
    return Baseline("linear", words, _all_classes(fitted, inputs, len(classes)))


def boosted_baseline(
    table: Table, rows: Rows, tested: Table, preprocessor: Preprocessor
) -> Baseline:
    """Return gradient-boosted trees on the columns as they are.

    scikit-learn's HistGradientBoosting with its own defaults, on these rows of the table (at most
    500,000, evenly spread): numbers with their gaps, categories as the numbers 0, 1, ... in the
    order of their names, dates as days.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    rows = rows[:: -(-len(rows) // _MOST_BOOSTED)]
    known = table.take(rows)
    x, asked = _columns(known, known, preprocessor), _columns(known, tested, preprocessor)
    y = preprocessor.transform_target(known)
    if not preprocessor.classes:
        fitted = HistGradientBoostingRegressor(random_state=0).fit(x, y.astype(np.float64))
        words = f"gradient-boosted trees on {len(x):,} rows"
        return Baseline("boosted", words, fitted.predict(asked)[:, np.newaxis])
    fitted = HistGradientBoostingClassifier(random_state=0).fit(x, y)
    words = f"gradient-boosted trees on {len(x):,} rows"
    found = np.zeros((len(asked), len(preprocessor.classes)))
    found[:, fitted.classes_] = fitted.predict_proba(asked)
    return Baseline("boosted", words, found)


def _columns(known: Table, asked: Table, preprocessor: Preprocessor) -> Floats:
    """Return (rows, columns) of a table as trees take it; what is missing or unknown is NaN."""
    names = [encoding.column for encoding in preprocessor.encodings]
    categories = {e.column for e in preprocessor.encodings if isinstance(e, CategoryEncoding)}
    columns = [
        _ordinal(known.columns[name], asked.columns[name], name in categories) for name in names
    ]
    return np.stack(columns, axis=1)


def _ordinal(known: Column, asked: Column, is_category: bool) -> Floats:
    if isinstance(asked, NumberColumn) and not is_category:
        return np.where(np.isfinite(asked.values), asked.values, np.nan)
    if isinstance(asked, DateColumn):
        days = asked.values.astype("datetime64[s]").astype(np.int64) / 86_400
        return np.where(np.isnat(asked.values), np.nan, days)
    cells = as_text(known)
    used = np.unique(cells.codes[cells.codes >= 0])
    place = {str(text): i for i, text in enumerate(cells.levels[used].tolist())}
    return _placed(as_text(asked), place)


def _placed(column: TextColumn, place: dict[str, int]) -> Floats:
    found = [float(place.get(text, np.nan)) for text in column.levels.tolist()]
    return np.array([*found, np.nan])[column.codes]  # the last answers -1: missing


def _all_classes(fitted: Any, inputs: Array, count: int) -> Floats:
    """Return probabilities with a column for each class, also for those it never saw."""
    found = np.zeros((len(inputs), count))
    found[:, fitted.classes_] = fitted.predict_proba(inputs.astype(np.float64))
    return found
