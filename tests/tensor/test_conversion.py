"""From what people write to numbers in a tensor: nothing changes its value without a word."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from retrograd import ops
from retrograd.autodiff import grad
from retrograd.tensor.conversion import cast_array
from retrograd.tensor.element import Cast, Const
from retrograd.tensor.errors import DTypeError, InputError, ShapeError
from retrograd.tensor.interpret import interpret
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import DType, TensorType, as_dtype, as_shape

INTS = tensor([1, 2, 3])
SMALL = tensor(np.ones(3, np.int32))
FLOATS = tensor([1.0, 2.0, 3.0])

REFUSED: list[tuple[type[Exception], str, Callable[[], Any]]] = [
    (DTypeError, "combining int64[3] with [0.5, 1.5, 2.5]: a fraction does not fit an integer",
     lambda: ops.add(INTS, [0.5, 1.5, 2.5])),
    (DTypeError, "combining int32[3] with 1099511627776: it does not fit int32; cast the tensor",
     lambda: SMALL + 2**40),
    (DTypeError, "it does not fit int64", lambda: INTS + 2**70),
    (DTypeError, "combining float32[3] with 1e+300: it does not fit float32",
     lambda: FLOATS * 1e300),
    (DTypeError, "combining bool[1] with 2: it does not fit bool", lambda: tensor([True]) == 2),
    (DTypeError, "full of int32 with 1099511627776", lambda: ops.full(2, 2**40, "int32")),
    (DTypeError, "making a tensor of float32: a number does not fit; round them first, or take a "
     "wider dtype", lambda: tensor([1e300])),
    (DTypeError, "making a tensor of int64: a number does not fit",
     lambda: tensor([np.inf], "int64")),
    (DTypeError, "making a tensor of int64: a number does not fit",
     lambda: tensor([np.nan], "int64")),
    (DTypeError, "making a tensor of int64: a number does not fit",
     lambda: tensor(np.array([2.0**63]), "int64")),
    (DTypeError, "making a tensor of int32: a number does not fit",
     lambda: tensor(np.array([2**40]), "int32")),
    (DTypeError, "making a tensor of int64: a number does not fit",
     lambda: tensor(np.array([2**63], np.uint64), "int64")),
    (DTypeError, "making a tensor of int64: the numbers have fractions",
     lambda: ops.arange(0, 1, 0.25)),
    (DTypeError, "making a tensor of int64: the numbers have fractions",
     lambda: tensor(tensor([0.5]), "int64")),
    (DTypeError, "dtype object (mixed kinds, or integers beyond 64 bits) is not one of",
     lambda: tensor(2**70)),
    (DTypeError, "the dtype 'half': tensors do not have it; give one of float32, float64, int32",
     lambda: tensor([1], "half")),
    (ShapeError, "making a tensor of nested sequences: they are not equally long, or hold "
     "sequences beside numbers; pad them to one length", lambda: tensor([[1, 2], [3]])),
    (InputError, "making a tensor of a masked array: what the mask hides would come back as "
     "numbers; fill it first: values.filled(0.0)",
     lambda: tensor(np.ma.masked_array([1.0, 2.0], [False, True]))),
    (ShapeError, "zeros of shape (-1,): a length is negative; give lengths of 0 or more",
     lambda: ops.zeros((-1,))),
    (ShapeError, "ones of shape (1.5,): a length is no whole number; give whole numbers",
     lambda: ops.ones((1.5,))),  # type: ignore[arg-type]
    (ShapeError, "broadcast_to of shape (4611686018427387904,): no memory holds so many elements; "
     "give shorter lengths", lambda: ops.broadcast_to(1.0, (2**62,))),
    (ShapeError, "reshape of shape (0, 1180591620717411303424)",
     lambda: ops.reshape(ops.zeros(0), (0, 2**70))),
    (ShapeError, "pad of shape", lambda: ops.pad(FLOATS, [(2**70, 0)])),
    (ShapeError, "one_hot of shape (-1,)", lambda: ops.one_hot([0], -1)),
    (ShapeError, "uniform of shape", lambda: ops.uniform(ops.key(0), (2**50,))),
    (ShapeError, "split of shape (-1,)", lambda: ops.split(ops.key(0), -1)),
    (ShapeError, "arange of shape", lambda: ops.arange(2**60)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "message", "ask"), REFUSED)
def test_refusal(kind: type[Exception], message: str, ask: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=re.escape(message)) as refused:
        ask()
    assert type(refused.value) is kind


def test_python_numbers_take_the_dtype_that_they_meet() -> None:
    for dtype in (DType.float32, DType.float64):
        x = tensor([1.0, 2.0], dtype)
        for other in (2, 2.0, True, [2, 2], [2.0, 2.0], (2, 2)):
            assert (x * other).dtype is dtype
    assert (SMALL * 2).dtype is DType.int32
    assert (FLOATS * float("inf")).numpy().tolist() == [np.inf] * 3
    assert (FLOATS == [1.0, 0.0, 3.0]).numpy().tolist() == [True, False, True]
    assert np.isnan((FLOATS * float("nan")).numpy()).all()
    assert tensor(2**53 + 1).item() == 2**53 + 1


def test_dtypes_by_any_name() -> None:
    for name in (DType.float64, "float64", np.float64, np.dtype("float64")):
        assert as_dtype(name) is DType.float64
        assert ops.cast(INTS, name).dtype is DType.float64
        assert ops.zeros(2, name).dtype is DType.float64
    assert ops.uniform(ops.key(0), 3, "float64").dtype is DType.float64
    assert ops.one_hot([1], 2, "bool").dtype is DType.bool
    assert as_shape(np.int64(3), "f") == (3,)


def test_tensors_in_a_sequence_keep_their_gradients() -> None:
    def rebuilt(x: Tensor) -> Tensor:
        return ops.sum(ops.square(tensor([[x[0], x[1]], [1.0, x[0]]])))

    assert grad(rebuilt)(FLOATS).numpy().tolist() == [4, 4, 0]
    assert grad(lambda x: ops.sum(ops.multiply([x[0], 2.0], 3.0)))(FLOATS).numpy()[0] == 3
    wide = grad(lambda x: ops.sum(ops.cast(tensor(x, "float64"), "float32")))(FLOATS)
    assert wide.numpy().tolist() == [1, 1, 1]


def test_as_a_numpy_array() -> None:
    assert np.array(INTS).dtype == np.int64
    assert np.array(INTS, copy=True).flags.writeable
    assert not np.asarray(INTS).flags.writeable
    assert np.asarray(INTS, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match=r"int64\[3\] is no array of float32 without a copy"):
        np.asarray(INTS, np.float32, copy=False)


def test_columns_of_tables_keep_their_dtype() -> None:
    polars = pytest.importorskip("polars")
    assert tensor(polars.Series([0.1, 0.2])).dtype is DType.float64


@pytest.mark.parametrize("dtype", [DType.int32, DType.int64])
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_floats_beyond_the_integers(dtype: DType, given: type) -> None:
    """The same on every machine, evaluated and interpreted: the nearest end, and 0 for NaN."""
    ends = np.iinfo(dtype.value)
    edge = given(-float(ends.min))
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, edge, -edge, -1.9, 1.9], given)
    wanted = [0, ends.max, ends.min, ends.max, ends.min, ends.max, ends.min, -1, 1]
    assert ops.cast(tensor(x), dtype).numpy().tolist() == wanted
    below = np.nextafter(edge, given(0))
    assert cast_array(np.array([below]), dtype).tolist() == [int(below)]
    kind = TensorType((), dtype)
    for value, expected in zip(x, wanted, strict=True):
        element = Cast(Const(float(value), DType.float64), dtype)
        assert interpret(element, kind, (), []).item() == expected


def test_operators_of_integers_and_bools() -> None:
    x = tensor([-7, 7])
    assert (x // 2).numpy().tolist() == [-4, 3]
    assert (x % 2).numpy().tolist() == [1, 1]
    assert (100 // x).numpy().tolist() == [-15, 14]
    assert (100 % x).numpy().tolist() == [-5, 2]
    assert abs(x).numpy().tolist() == [7, 7]
    assert +x is x
    assert (~(x > 0) | (x == 7)).numpy().tolist() == [True, True]
    assert ((x > 0) & (x < 9)).numpy().tolist() == [False, True]
    rows = np.eye(3, dtype=np.float32)
    assert (rows @ FLOATS).numpy().tolist() == [1, 2, 3]
    assert f"{FLOATS[1]:.3f} {FLOATS[1]}" == "2.000 tensor(2., float32[])"
