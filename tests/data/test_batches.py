"""Batches hold every row once, in an order that only seed and epoch decide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data import batch_rows, batches
from retrograd.tensor.errors import DataError


@given(
    n=st.integers(0, 60), size=st.integers(1, 20), seed=st.integers(0, 9), epoch=st.integers(0, 9)
)
def test_every_row_is_in_one_batch(n, size, seed, epoch):
    cuts = batch_rows(n, batch_size=size, seed=seed, epoch=epoch)
    assert sorted(row for rows in cuts for row in rows.tolist()) == list(range(n))
    assert all(len(rows) == size for rows in cuts[:-1])
    again = batch_rows(n, batch_size=size, seed=seed, epoch=epoch)
    assert [rows.tolist() for rows in cuts] == [rows.tolist() for rows in again]


def test_epochs_and_seeds_differ():
    orders = {
        tuple(np.concatenate(batch_rows(50, batch_size=8, seed=seed, epoch=epoch)).tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


def test_the_same_order_for_ever():
    rows = batch_rows(6, batch_size=4, seed=1, epoch=2)
    assert [part.tolist() for part in rows] == [[1, 5, 2, 4], [0, 3]]


def test_batches_carry_the_rows_of_their_numbers():
    inputs, targets = np.arange(20.0).reshape(10, 2), np.arange(10)
    weights = np.linspace(0, 1, 10)
    options = {"batch_size": 4, "seed": 0, "epoch": 3}
    cuts = batch_rows(10, **options)
    found = list(batches(inputs, targets, weights=weights, **options))
    assert [len(batch.inputs) for batch in found] == [4, 4, 2]
    for rows, batch in zip(cuts, found, strict=True):
        np.testing.assert_array_equal(batch.inputs, inputs[rows])
        np.testing.assert_array_equal(batch.targets, targets[rows])
        np.testing.assert_array_equal(batch.weights, weights[rows])


def test_the_last_batch_is_dropped_only_on_request():
    cuts = batch_rows(10, batch_size=4, seed=0, epoch=0, drop_last=True, shuffle=False)
    assert [rows.tolist() for rows in cuts] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_batches_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="batches of 0: a batch holds at least one row"):
        batch_rows(3, batch_size=0, seed=0, epoch=0)
    with pytest.raises(DataError, match="the only batch is short and would be dropped"):
        batch_rows(3, batch_size=4, seed=0, epoch=0, drop_last=True)
    with pytest.raises(DataError, match="inputs have 3 rows, targets have 2 rows; give as many"):
        batches(np.zeros(3), np.zeros(2), batch_size=1, seed=0, epoch=0)
