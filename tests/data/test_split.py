"""Splits are disjoint, complete, in proportion, and a function of their arguments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.data import (
    duplicates_across,
    infer_schema,
    read_table,
    row_hashes,
    rows_digest,
    split_rows,
    split_table,
)
from retrograd.data.shuffling import permutation
from retrograd.tensor.errors import DataError


@settings(max_examples=200, deadline=None)
@given(
    labels=st.lists(st.integers(-1, 4), min_size=20, max_size=200),
    seed=st.integers(0, 2**64),
    stratify=st.booleans(),
)
def test_parts_are_disjoint_and_hold_every_labelled_row(labels, seed, stratify):
    labels = np.array(labels + [0, 1] * 10)
    split = split_rows(labels, len(labels), seed=seed, stratify=stratify)
    parts = [split.train, split.validation, split.test]
    together = np.concatenate(parts)
    assert sorted(together.tolist()) == np.flatnonzero(labels >= 0).tolist()
    assert all((np.diff(part) > 0).all() for part in parts)
    size = len(together)
    assert [len(part) for part in parts[1:]] == [round(0.15 * size)] * 2
    if stratify:
        for label in range(5):
            of_label = [int((labels[part] == label).sum()) for part in parts]
            if sum(of_label):
                assert of_label[0] >= 1
                for count, share in zip(of_label, (0.7, 0.15, 0.15), strict=True):
                    assert abs(count - share * sum(of_label)) <= 3


def test_classes_have_their_share_in_every_part():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    split = split_rows(labels, 1000, seed=3)
    assert np.bincount(labels[split.train]).tolist() == [420, 210, 70]
    assert np.bincount(labels[split.test]).tolist() == [90, 45, 15]


def test_a_class_of_two_rows_always_trains():
    labels = np.repeat([0, 1, 2, 3], [50, 2, 2, 46])
    for seed in range(100):
        assert set(labels[split_rows(labels, 100, seed=seed).train]) == {0, 1, 2, 3}


def test_amounts_are_spread_evenly():
    amounts = np.exp(np.random.default_rng(0).standard_normal(2000))
    split = split_rows(amounts, 2000, seed=0)
    for part in (split.validation, split.test):
        counts = np.histogram(amounts[part], np.quantile(amounts, np.linspace(0, 1, 11)))[0]
        assert counts.min() >= 27
        assert counts.max() <= 33
    amounts[5] = np.nan
    split = split_rows(amounts, 2000, seed=0)
    assert 5 not in np.concatenate([split.train, split.validation, split.test])


def test_the_same_rows_for_ever():
    """Fixed numbers: a change here would move rows of stored runs from training to test."""
    assert permutation(8, 0, 1).tolist() == [7, 4, 5, 1, 6, 2, 0, 3]
    assert split_rows(None, 20, seed=7).test.tolist() == [4, 11, 18]
    assert split_rows(np.array([0, 1] * 10), 20, seed=7).test.tolist() == [8, 11, 13]


def test_seeds_differ_and_shares_can_be_zero():
    labels = np.array([0, 1] * 50)
    assert (
        split_rows(labels, 100, seed=0).test.tolist()
        != split_rows(labels, 100, seed=1).test.tolist()
    )
    split = split_rows(labels, 100, seed=0, validation=0, test=0.5)
    assert (len(split.train), len(split.validation), len(split.test)) == (50, 0, 50)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"validation": -0.1}, "validation=-0.1 is no share"),
        ({"test": 1.0}, "test=1.0 is no share"),
        ({"validation": 0.5, "test": 0.5}, "leave nothing to train on"),
        ({"n_rows": 3}, "3 labelled rows give 1 for training, 1 for validation and 1 for test"),
        ({"n_rows": 0}, "0 labelled rows give 0 for training"),
        ({"labels": np.zeros(3, int)}, r"labels have the shape \(3,\); give one label a row"),
        ({"seed": -1}, "the seed -1 is negative"),
    ],
)
def test_splits_that_cannot_be_are_refused(options, found):
    with pytest.raises(DataError, match=found):
        split_rows(**({"labels": None, "n_rows": 100, "seed": 0} | options))


def test_equal_rows_across_parts_are_counted():
    values = np.random.default_rng(0).standard_normal(100)
    values[50:] = values[:50]
    read = read_table({"id": np.arange(100), "a": values, "y": [0, 1] * 50})
    split = split_table(read, infer_schema(read), seed=0)
    assert sum(duplicates_across(read, split).values()) == 0  # the id makes every row its own
    counts = duplicates_across(read, split, ["a", "y"])
    inside = [set(values[part]) for part in (split.train, split.validation, split.test)]
    assert counts == {
        "validation in train": sum(values[i] in inside[0] for i in split.validation),
        "test in train": sum(values[i] in inside[0] for i in split.test),
        "test in validation": sum(values[i] in inside[1] for i in split.test),
    }
    assert counts["test in train"] > 0


def test_fingerprints_know_cells_not_storage():
    first = read_table(
        {"a": [0.0, np.nan], "b": ["x", "y"], "c": np.array(["2020-01-01"] * 2, "M8")}
    )
    second = read_table(
        {"a": [-0.0, -np.nan], "b": ["x", "y"], "c": np.array(["2020-01-01"] * 2, "M8")}
    )
    assert row_hashes(first).tolist() == row_hashes(second).tolist()
    assert row_hashes(first.take(np.array([1]))).tolist() == row_hashes(first)[1:].tolist()
    assert row_hashes(first, ["b", "a"]).tolist() != row_hashes(first, ["a", "b"]).tolist()
    assert row_hashes(read_table({"a": [1.0], "b": ["x"]})).tolist() == [3972802409323929040]


def test_digest_depends_on_rows_names_and_cells():
    read = read_table({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    digests = {
        rows_digest(read),
        rows_digest(read, np.array([0, 1])),
        rows_digest(read, np.array([1, 0])),
        rows_digest(read_table({"a": [1, 2, 3], "c": ["x", "y", "z"]})),
    }
    assert len(digests) == 4
    assert rows_digest(read, np.arange(3)) == rows_digest(read)
