"""Classifier and Regressor: scikit-learn's own battery, and what it does not ask."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import retrograd
from retrograd.api.fitting import fit_scale
from retrograd.tensor.errors import DataError, InputError, NonFiniteError

X, Y = load_iris(return_X_y=True)
QUICK: dict[str, Any] = {"epochs": 40, "hidden": (16,), "random_state": 0}


def battery(estimator: Any) -> None:
    results = check_estimator(estimator, on_skip=None)
    done = {result["status"] for result in results}
    skipped = [r["check_name"] for r in results if r["status"] == "skipped"]
    assert done <= {"passed", "skipped"}
    assert skipped == ["check_array_api_input"], "it asks for an environment variable"
    assert len(results) > 50


@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_scikit_learns_battery(kind: str) -> None:
    battery(getattr(retrograd, kind)(epochs=30, hidden=(16,)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Classifier", "Regressor"])
def test_scikit_learns_battery_with_the_defaults(kind: str) -> None:
    battery(getattr(retrograd, kind)())


def test_it_learns() -> None:
    classifier = retrograd.Classifier(random_state=0).fit(X, Y)
    assert classifier.score(X, Y) > 0.93
    assert classifier.n_iter_ == len(classifier.history_)
    x, y = load_diabetes(return_X_y=True)
    assert retrograd.Regressor(random_state=0).fit(x, y).score(x, y) > 0.45


def test_the_random_state_decides_every_bit() -> None:
    first, second, other = (
        retrograd.Classifier(**QUICK | {"random_state": seed}).fit(X, Y).predict_proba(X)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    generator = np.random.RandomState(3)
    drawn = retrograd.Classifier(**QUICK | {"random_state": generator}).fit(X, Y)
    again = retrograd.Classifier(**QUICK | {"random_state": np.random.RandomState(3)}).fit(X, Y)
    assert np.array_equal(drawn.predict_proba(X), again.predict_proba(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copies_predict_the_same_bits(dtype: type) -> None:
    x = X.astype(dtype)
    fitted = retrograd.Classifier(**QUICK).fit(x, Y)
    assert {array.dtype for array in fitted.fitted_.arrays.values()} == {np.dtype(dtype)}
    for twin in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert np.array_equal(twin.predict_proba(x), fitted.predict_proba(x))


def test_labels_may_be_texts() -> None:
    names = np.array(["setosa", "versicolor", "virginica"])[Y]
    fitted = retrograd.Classifier(**QUICK).fit(X, names)
    assert fitted.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert set(fitted.predict(X)) <= set(names)


def test_it_works_in_pipelines_and_grids() -> None:
    quick = retrograd.Classifier(**QUICK | {"learning_rate": 0.02})
    pipeline = make_pipeline(StandardScaler(), quick)
    assert cross_val_score(pipeline, X, Y, cv=3).mean() > 0.9
    grid = GridSearchCV(retrograd.Classifier(**QUICK), {"hidden": [(2,), (16,)]}, cv=2)
    assert grid.fit(X, Y).best_params_["hidden"] in [(2,), (16,)]


def test_feature_names_are_kept() -> None:
    frame = load_iris(as_frame=True).data
    fitted = retrograd.Classifier(**QUICK).fit(frame, Y)
    assert fitted.feature_names_in_.tolist() == frame.columns.tolist()
    assert fitted.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame[frame.columns[::-1]])


def test_weights_count_rows() -> None:
    rows = np.repeat(np.arange(0, 150, 3), 1)
    weights = np.tile([0.0, 1.0, 2.0], 50)[: len(rows)]
    repeated = np.repeat(rows, weights.astype(int))
    weighted = retrograd.Classifier(**QUICK).fit(X[rows], Y[rows], sample_weight=weights)
    again = retrograd.Classifier(**QUICK).fit(X[repeated], Y[repeated])
    assert np.allclose(weighted.predict_proba(X), again.predict_proba(X), atol=1e-6)


def test_what_is_refused() -> None:
    with pytest.raises(DataError, match="all of one class, 1; give rows of at least two classes"):
        retrograd.Classifier().fit(X, np.ones(len(X), int))
    with pytest.raises(ValueError, match="must contain at least one non-zero number"):
        retrograd.Classifier().fit(X, Y, sample_weight=np.zeros(len(X)))
    with pytest.raises(InputError, match="use one of identity, sigmoid"):
        retrograd.Classifier(activation="rleu").fit(X, Y)
    with pytest.raises(NotFittedError):
        retrograd.Regressor().predict(X)


def test_training_that_breaks_down_says_so() -> None:
    with pytest.raises(NonFiniteError, match="training, step"):
        retrograd.Regressor(
            learning_rate=1e30, optimizer="sgd", schedule="constant", epochs=30, random_state=0
        ).fit(X, Y)


def test_scales_of_odd_columns() -> None:
    values = np.array([[1e300, 5.0, 1e-300], [-1e300, 5.0, 3e-300]])
    found = fit_scale(values, None)
    assert np.allclose(found.apply(values), [[1.0, 0.0, -1.0], [-1.0, 0.0, 1.0]])
    weighted = fit_scale(np.array([[0.0], [4.0]]), np.array([3.0, 1.0]))
    assert weighted.shift.tolist() == [1.0]
