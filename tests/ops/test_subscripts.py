"""x[...], slices, padding, joining: as NumPy does, bit for bit."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd import ops
from retrograd.autodiff import grad
from retrograd.compile import compile
from retrograd.tensor.tensor import tensor
from retrograd.tensor.types import DType

X = np.arange(60.0).reshape(3, 4, 5)

part = st.one_of(
    st.integers(-3, 2),
    st.builds(
        slice,
        st.none() | st.integers(-6, 6),
        st.none() | st.integers(-6, 6),
        st.none() | st.integers(1, 3) | st.integers(-3, -1),
    ),
)
keys = st.lists(part, max_size=3).flatmap(
    lambda parts: st.tuples(
        st.just(parts), st.sampled_from([None, ...]), st.integers(0, len(parts)), st.booleans()
    )
)


def built(key: tuple[list[object], object, int, bool]) -> tuple[object, ...]:
    parts, extra, place, wanted = key
    return (*parts[:place], extra, *parts[place:]) if wanted else tuple(parts)


@given(keys)
def test_basic_indexing_is_numpys(key: tuple[list[object], object, int, bool]) -> None:
    given_key = built(key)
    np.testing.assert_array_equal(tensor(X)[given_key], X[given_key])


@given(keys)
def test_the_gradient_of_indexing_counts_what_was_read(
    key: tuple[list[object], object, int, bool],
) -> None:
    given_key = built(key)
    counts = np.zeros_like(X)
    counts[given_key] += 1
    np.testing.assert_array_equal(grad(lambda x: ops.sum(x[given_key]))(tensor(X)), counts)


def test_one_index_tensor_replaces_its_axis() -> None:
    x, indices = tensor(X), np.array([[2, 0], [1, 1]])
    for key in [indices, tensor(indices), indices.tolist(), tensor(indices, DType.int32)]:
        np.testing.assert_array_equal(x[key], X[indices])
    np.testing.assert_array_equal(x[:, indices], X[:, indices])
    np.testing.assert_array_equal(x[1, :, indices], X[1][:, indices])
    np.testing.assert_array_equal(x[..., indices], X[..., indices])
    np.testing.assert_array_equal(x[None, ::-1, indices[0]], X[None, ::-1, indices[0]])
    np.testing.assert_array_equal(x[np.int64(1)], X[1])


def test_a_tensor_is_a_sequence_of_its_rows() -> None:
    assert [row.shape for row in tensor(X)] == [(4, 5)] * 3
    assert len(tensor(X)) == 3


def test_reading_everything_costs_nothing() -> None:
    x = tensor(X)
    assert x[:].array is x.array
    assert x[...].array is x.array


@pytest.mark.parametrize("axes", [None, 0, -1, (0, 2)])
def test_flip(axes: int | tuple[int, ...] | None) -> None:
    np.testing.assert_array_equal(ops.flip(X, axes), np.flip(X, axes))


def test_pad_and_its_value() -> None:
    widths = [(1, 0), (0, 2), (3, 1)]
    for value in (0.0, -2.5):
        padded = ops.pad(X, widths, value)
        np.testing.assert_array_equal(padded, np.pad(X, widths, constant_values=value))
    np.testing.assert_array_equal(ops.pad([1, 2], [(1, 1)], 7), [7, 1, 2, 7])
    np.testing.assert_array_equal(ops.pad([True], [(1, 1)]), [False, True, False])


def test_concatenate_and_stack() -> None:
    y = X[:, :2] + 100
    np.testing.assert_array_equal(ops.concatenate([X, y, X], 1), np.concatenate([X, y, X], 1))
    np.testing.assert_array_equal(ops.concatenate([X, X], -1), np.concatenate([X, X], -1))
    for axis in (0, 1, 3, -1):
        np.testing.assert_array_equal(ops.stack([X, X + 1], axis), np.stack([X, X + 1], axis))
    many = [np.full((1, 2), i) for i in range(300)]
    np.testing.assert_array_equal(ops.concatenate(many), np.concatenate(many))


def test_cumsum_both_ways() -> None:
    for axis, reverse in itertools.product((0, 1, -1), (False, True)):
        turned = np.flip(X, axis) if reverse else X
        expected = np.cumsum(turned, axis)
        expected = np.flip(expected, axis) if reverse else expected
        np.testing.assert_array_equal(ops.cumsum(X, axis, reverse=reverse), expected)


def test_creation() -> None:
    assert ops.zeros((2, 3)).numpy().tolist() == [[0.0] * 3] * 2
    assert ops.ones(2, DType.int32).type == tensor([1, 1], DType.int32).type
    assert ops.full((2,), True, DType.bool).numpy().tolist() == [True, True]
    assert ops.zeros_like(tensor([1, 2])).numpy().tolist() == [0, 0]
    assert ops.ones_like([1.5]).numpy().tolist() == [1.0]
    np.testing.assert_array_equal(ops.arange(2, 9, 3), [2, 5, 8])
    np.testing.assert_array_equal(ops.arange(3, dtype=DType.float64), [0.0, 1.0, 2.0])
    assert compile(ops.zeros_like)(tensor([1.0])).item() == 0.0


def test_numbers_take_the_dtype_of_the_others() -> None:
    for values in (np.float64([1, 2]), tensor([1.0, 2.0], DType.float64)):
        assert ops.add(values, 1).dtype is DType.float64
        assert ops.maximum(0.0, values).dtype is DType.float64
        assert ops.where([True, False], values, 0).dtype is DType.float64
