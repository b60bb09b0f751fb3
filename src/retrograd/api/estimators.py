"""Classifier and Regressor: networks with scikit-learn's contract, for arrays of numbers.

They fit into pipelines, grids and cross-validation. For tables with categories, dates and missing
values, `retrograd.train` does the preparing as well. This module imports scikit-learn; the front
door loads it when one of its names is asked for.
"""

from __future__ import annotations

import numbers
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from retrograd.api.fitting import (
    Fitted,
    Floats,
    fit_scale,
    outputs_of_fitted,
    train_arrays,
)
from retrograd.recipe.config import Config, configure
from retrograd.recipe.predictions import class_probabilities
from retrograd.tensor.errors import DataError

_DTYPES = [np.float64, np.float32]


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn has no types
    """A network that tells classes apart.

    Parameters are those of `retrograd.recipe.config`, chosen from rows and columns where they are
    None. X (rows, columns) of finite numbers is standardised inside; float32 stays float32.
    ``validation`` is the share of rows held out to stop in time (none below 64 rows).
    ``random_state`` fixes every bit; None draws a seed at each fit.

    After `fit`: ``classes_``, ``n_features_in_``, ``feature_names_in_`` (for DataFrames),
    ``n_iter_`` (epochs), ``history_`` (metrics of each epoch), ``fitted_`` (weights as arrays).

    >>> x, y = np.array([[0.0], [1.0], [2.0], [3.0]] * 5), np.array(["a", "a", "b", "b"] * 5)
    >>> Classifier(random_state=0).fit(x, y).predict([[0.1], [2.9]]).tolist()
    ['a', 'b']
    """

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] | None = None,
        activation: str | None = None,
        dropout: float | None = None,
        normalization: str | None = None,
        optimizer: str | None = None,
        learning_rate: float | None = None,
        schedule: str | None = None,
        weight_decay: float | None = None,
        clip: float | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        patience: int | None = None,
        time: str | None = None,
        validation: float = 0.15,
        label_smoothing: float | None = None,
        class_weights: str = "none",
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.normalization = normalization
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.clip = clip
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.time = time
        self.validation = validation
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train.  X (rows, columns), y (rows,) labels, sample_weight (rows,)

        A row of weight 2 counts as two rows, one of weight 0 as none. Raises ValueError for arrays
        that do not fit, and DataError (a ValueError too) for one class.
        """
        X, y = validate_data(self, X, y, dtype=_DTYPES)
        check_classification_targets(y)
        X, y, weights = _counted(X, y, sample_weight)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                "Classifier.fit",
                f"the rows that count are all of one class, {self.classes_.tolist()[0]!r}",
                "give rows of at least two classes",
            )
        self._scale = fit_scale(X, weights)
        labels = codes.reshape(-1).astype(np.int64)
        self.fitted_ = train_arrays(
            _config(self), len(self.classes_), self._scale.apply(X), labels, weights
        )
        self.n_iter_, self.history_ = self.fitted_.epochs, self.fitted_.history
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the probability of each class.  X (rows, columns) -> (rows, classes)"""
        return class_probabilities(_outputs(self, X))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the likeliest label of each row.  X (rows, columns) -> (rows,)"""
        outputs = _outputs(self, X)
        labels: npt.NDArray[Any] = self.classes_[outputs.argmax(axis=1)]
        return labels


class Regressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn has no types
    """A network that predicts an amount.

    Parameters and attributes are those of `Classifier`, with ``loss`` ("mean_squared_error",
    "mean_absolute_error", "huber" or "log_cosh") instead of those of classes. y is standardised
    inside, and predictions come in its own unit.

    >>> x = np.linspace(-1.0, 1.0, 40)[:, None]
    >>> Regressor(random_state=0).fit(x, 3 * x[:, 0]).score(x, 3 * x[:, 0]) > 0.95
    True
    """

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] | None = None,
        activation: str | None = None,
        dropout: float | None = None,
        normalization: str | None = None,
        optimizer: str | None = None,
        learning_rate: float | None = None,
        schedule: str | None = None,
        weight_decay: float | None = None,
        clip: float | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        patience: int | None = None,
        time: str | None = None,
        validation: float = 0.15,
        loss: str | None = None,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.normalization = normalization
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.clip = clip
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.time = time
        self.validation = validation
        self.loss = loss
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train.  X (rows, columns), y (rows,) numbers, sample_weight (rows,)

        A row of weight 2 counts as two rows, one of weight 0 as none. Raises ValueError for arrays
        that do not fit.
        """
        X, y = validate_data(self, X, y, dtype=_DTYPES, y_numeric=True, ensure_min_samples=2)
        X, y, weights = _counted(X, y, sample_weight)
        amounts = np.asarray(y, dtype=X.dtype)[:, np.newaxis]
        self._scale, self._target_scale = fit_scale(X, weights), fit_scale(amounts, weights)
        targets = self._target_scale.apply(amounts)
        self.fitted_ = train_arrays(_config(self), 1, self._scale.apply(X), targets, weights)
        self.n_iter_, self.history_ = self.fitted_.epochs, self.fitted_.history
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the amount of each row.  X (rows, columns) -> (rows,)"""
        outputs = _outputs(self, X)
        shift, scale = self._target_scale
        amounts: npt.NDArray[np.float64] = outputs[:, 0] * scale[0] + shift[0]
        return amounts


def _config(estimator: Any) -> Config:
    """Return the config of an estimator's parameters, with a seed from its random state."""
    given = estimator.get_params(deep=False)
    state = given.pop("random_state")
    seed = (
        state
        if isinstance(state, numbers.Integral)
        else check_random_state(state).randint(2**31 - 1)
    )
    return configure(seed=int(seed), **{n: v for n, v in given.items() if v is not None})


def _counted(X: Floats, y: Any, sample_weight: Any) -> tuple[Floats, Any, Floats | None]:
    """Return the rows that count, with their weights; None where all count the same."""
    if sample_weight is None:
        return X, y, None
    weights = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
    counts = weights > 0
    return X[counts], y[counts], weights[counts]


def _outputs(estimator: Any, X: Any) -> Floats:
    check_is_fitted(estimator, "fitted_")
    X = validate_data(estimator, X, dtype=_DTYPES, reset=False)
    fitted: Fitted = estimator.fitted_
    return outputs_of_fitted(fitted, estimator._scale.apply(X))
