"""Making tensors, asking for their numbers, and what is refused."""

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest

from retrograd.autodiff import watch
from retrograd.tensor.errors import DTypeError, RetrogradError, ShapeError, TraceError
from retrograd.tensor.history import differentiating, history, leave_scope, placeholder
from retrograd.tensor.tensor import Tensor, as_tensor, from_array, tensor
from retrograd.tensor.types import (
    DType,
    TensorType,
    broadcast_shapes,
    dtype_of,
    normalise_axes,
    normalise_axis,
)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (1.5, DType.float32),
        (1, DType.int64),
        (True, DType.bool),
        ([[1.0, 2.0]], DType.float32),
        (np.float64([1.0]), DType.float64),
        (np.float64(1.0), DType.float64),
        (np.int32([1]), DType.int32),
        (np.array([1.0, 2.0], ">f4"), DType.float32),
        (np.arange(10.0)[::-3], DType.float64),
        (np.asfortranarray(np.ones((2, 3))), DType.float64),
    ],
)
def test_dtypes_and_layouts(values: Any, dtype: DType) -> None:
    made = tensor(values)
    assert made.dtype is dtype
    np.testing.assert_array_equal(made.numpy(), np.asarray(values))
    assert made.numpy().dtype.isnative
    assert made.numpy().flags.c_contiguous


def test_a_tensor_keeps_its_own_numbers() -> None:
    given = np.ones(3)
    made = tensor(given)
    given[0] = 7
    assert made.numpy().tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        made.numpy()[0] = 7
    assert tensor(made) is made
    assert from_array(given).array is given


def test_asking_for_a_dtype() -> None:
    assert tensor([1, 2], DType.float64).dtype is DType.float64
    assert tensor([1.0, 2.0], "int32").numpy().tolist() == [1, 2]
    with pytest.raises(DTypeError, match=r"tensor of int32: the numbers have fractions; round"):
        tensor([1.5], DType.int32)
    for values in (["text"], [object()], [1j], np.float16([1])):
        with pytest.raises(DTypeError, match=r"is not one of float32, .*convert with \.astype"):
            tensor(values)
    with pytest.raises(DTypeError, match="making a tensor: dtype"):
        tensor(["1"], DType.float32)


def test_as_tensor() -> None:
    like = tensor([1.0], DType.float64)
    assert as_tensor(2, like).dtype is DType.float64
    assert as_tensor(np.float32(2), like).dtype is DType.float32
    assert as_tensor(like, like) is like
    assert as_tensor(2.5).dtype is DType.float32


def test_reading_it() -> None:
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert (x.shape, x.rank, x.size, len(x)) == ((2, 2), 2, 4, 2)
    assert not x.is_traced
    assert np.asarray(x, np.float64).dtype == np.float64
    assert float(tensor(2.0)) == 2.0
    assert int(tensor(2)) == 2
    assert bool(tensor(2.0))
    assert tensor(2.0).item() == 2.0
    assert [row.numpy().tolist() for row in x] == [[1, 2], [3, 4]]
    with pytest.raises(TypeError, match="a scalar tensor has no length"):
        len(tensor(1.0))
    assert repr(tensor([1.0])) == "tensor([1.], float32[1])"
    np.testing.assert_array_equal(np.ones((2, 2)).astype(np.float32) + x, x.numpy() + 1)
    assert {x: 1}[x] == 1  # hashed by identity, although == is elementwise


def test_operators() -> None:
    x = tensor([1.0, 2.0])
    for found, expected in [
        (x + 1, [2, 3]), (1 + x, [2, 3]), (x - 1, [0, 1]), (1 - x, [0, -1]), (x * 3, [3, 6]),
        (3 * x, [3, 6]), (x / 2, [0.5, 1]), (2 / x, [2, 1]), (x**3, [1, 8]), (2.0**x, [2, 4]),
        (-x, [-1, -2]), (x == 1, [True, False]), (x != 1, [False, True]), (x < 2, [True, False]),
        (x <= 1, [True, False]), (x > 1, [False, True]), (x >= 2, [False, True]), (x @ x, 5),
    ]:  # fmt: skip
        np.testing.assert_array_equal(found.numpy(), expected)
    assert (x == "text") is False


def test_a_traced_tensor_has_no_numbers() -> None:
    x = placeholder(TensorType((2,), DType.float32))
    assert x.is_traced
    assert repr(x) == "tensor(float32[2], traced)"
    with pytest.raises(TraceError, match=r"reading the numbers of a float32\[2\]: .* ops\.where"):
        x.numpy()
    with pytest.raises(TraceError):
        bool(x > 0)
    assert (x * 2 + 1).type == x.type
    assert (x * 2).inputs[0] is x


def test_copies_share_the_numbers() -> None:
    x = tensor([1.0])
    np.testing.assert_array_equal(copy.copy(x), x)
    np.testing.assert_array_equal(copy.deepcopy(x), x)


def test_nothing_is_remembered_outside_a_scope() -> None:
    x = tensor([1.0])
    assert (x * 2).op is None
    with differentiating():
        assert (x * 2).op is None  # nobody watches x
        kept = watch(x) * 2
        assert kept.op is not None
        assert leave_scope(kept) is kept
    assert leave_scope(kept).op is None


def test_what_leaves_a_scope_is_freed() -> None:
    def inside() -> tuple[Tensor, "weakref.ref[Tensor]"]:
        with differentiating():
            middle = watch(tensor([1.0])) * 2
            out = middle + 1
        return leave_scope(out), weakref.ref(middle)

    gc.disable()
    try:
        out, middle = inside()
        assert middle() is None  # by reference counts alone: there are no cycles
        assert out.numpy().tolist() == [3]
    finally:
        gc.enable()


def test_history_is_in_order_and_deep() -> None:
    with differentiating():
        x = watch(tensor([0.0]))
        for _ in range(5000):
            x = x + 1
    order = history([x])
    # Each step also has its constant 1, and watching has the tensor that is watched.
    assert len(order) == 2 + 2 * 5000
    place = {id(y): i for i, y in enumerate(order)}
    assert all(place[id(y)] < place[id(z)] for z in order for y in z.inputs)
    assert order[-1] is x
    assert x.item() == 5000


def test_types() -> None:
    assert str(TensorType((2, 3), DType.bool)) == "bool[2, 3]"
    assert TensorType((2**40, 2**40), DType.float32).size == 2**80
    assert TensorType((2,), DType.int32) == TensorType((2,), DType.int32)
    assert [d for d in DType if d.is_float] == [DType.float32, DType.float64]
    assert [d for d in DType if d.is_integer] == [DType.int32, DType.int64]
    assert dtype_of(np.zeros(1, np.int64)) is DType.int64
    assert repr(DType.float32) == "float32"


def test_broadcasting_shapes() -> None:
    assert broadcast_shapes("add", (), (2, 1), (3,)) == (2, 3)
    assert broadcast_shapes("add", (1,), (0,)) == (0,)
    with pytest.raises(ShapeError, match=r"mix of shapes \(2,\) and \(3,\): lengths 2 and 3"):
        broadcast_shapes("mix", (2,), (3,))


def test_axes() -> None:
    assert normalise_axis(-2, 3, "f") == 1
    assert normalise_axes(None, 3, "f") == (0, 1, 2)
    assert normalise_axes(-1, 3, "f") == (2,)
    with pytest.raises(ShapeError, match="f along axis 3: the tensor has 3 axes; give an axis"):
        normalise_axis(3, 3, "f")
    with pytest.raises(ShapeError, match=r"f along axes \(1, -2\): an axis is named twice"):
        normalise_axes((1, -2), 3, "f")


def test_an_error_has_three_parts() -> None:
    error = RetrogradError("asked", "found", "try")
    assert str(error) == "asked: found; try"
    assert (error.asked, error.found, error.try_this) == ("asked", "found", "try")
    assert isinstance(ShapeError("a", "b", "c"), ValueError)
    assert isinstance(DTypeError("a", "b", "c"), TypeError)
