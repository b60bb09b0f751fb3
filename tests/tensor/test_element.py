"""The element language and its interpreter, by small programs."""

import numpy as np
import pytest

from retrograd.tensor import element as el
from retrograd.tensor.element import (
    OUTPUT,
    BufferReader,
    Cast,
    Element,
    Load,
    Loops,
    Store,
    Var,
    call,
    constant,
    fold,
    loop,
    select,
)
from retrograd.tensor.errors import IndexRangeError
from retrograd.tensor.interpret import FUNCTIONS, interpret
from retrograd.tensor.types import Array, DType, TensorType

X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
x = BufferReader(0, TensorType((2, 3), DType.float64))


def run(element: Element | Loops, index: tuple[Var, ...], shape: tuple[int, ...],
        dtype: DType = DType.float64, *inputs: Array) -> Array:  # fmt: skip
    return interpret(element, TensorType(shape, dtype), index, inputs or (X,))


def test_arithmetic_builds_elements() -> None:
    i, j = Var("i"), Var("j")
    element = 1.0 - (2.0 * x(i, j) + 1.0) / 4.0
    np.testing.assert_array_equal(run(element, (i, j), (2, 3)), 1 - (2 * X + 1) / 4)
    element = -(1.0 + x(i, j)) * 2.0 - 1.0
    np.testing.assert_array_equal(run(element, (i, j), (2, 3)), -(1 + X) * 2 - 1)
    np.testing.assert_array_equal(run(12.0 / x(i, j), (i, j), (2, 3)), 12 / X)
    assert constant(3, DType.bool).value is True


def test_numbers_take_the_dtype_of_the_element() -> None:
    assert call("add", constant(1, DType.float32), 2).arguments[1].dtype is DType.float32
    assert call("less", constant(1, DType.float32), 2).dtype is DType.bool
    assert select(constant(True, DType.bool), constant(1, DType.int32), 0).dtype is DType.int32


def test_a_transpose_and_a_broadcast_are_where_they_read() -> None:
    i, j = Var("i"), Var("j")
    np.testing.assert_array_equal(run(x(j, i), (i, j), (3, 2)), X.T)
    np.testing.assert_array_equal(run(x(constant(0), j), (i, j), (4, 3)), np.tile(X[0], (4, 1)))
    assert run(constant(2.0, DType.float64), (i, j), (2, 2)).tolist() == [[2, 2], [2, 2]]


def test_folds() -> None:
    i = Var("i")
    for kind, reduce in [
        ("add", np.sum), ("multiply", np.prod), ("maximum", np.max), ("minimum", np.min),
        ("argmax", np.argmax), ("argmin", np.argmin),
    ]:  # fmt: skip
        element = fold(kind, (3,), lambda k: x(i, k))
        dtype = DType.int64 if kind.startswith("arg") else DType.float64
        assert element.dtype is dtype
        np.testing.assert_array_equal(run(element, (i,), (2,), dtype), reduce(X, axis=1))
    both = fold("add", (2, 3), lambda a, b: x(a, b))
    assert run(both, (), ()) == 21


def test_folds_of_nothing() -> None:
    for kind, value in [("add", 0), ("multiply", 1), ("maximum", -np.inf), ("minimum", np.inf)]:
        assert run(fold(kind, (0,), lambda k: x(k, k)), (), ()) == value


def test_a_select_reads_only_the_side_it_takes() -> None:
    i = Var("i")
    beyond = select(call("less", i, 3), x(constant(0), i), -1.0)
    np.testing.assert_array_equal(run(beyond, (i,), (5,)), [1, 2, 3, -1, -1])
    empty = BufferReader(0, TensorType((0,), DType.float64))
    nothing = select(call("less", i, 0), empty(i), 7.0)
    np.testing.assert_array_equal(run(nothing, (i,), (2,), DType.float64, np.zeros(0)), [7, 7])


def test_a_bad_index_is_refused_where_it_is_read() -> None:
    i = Var("i")
    with pytest.raises(IndexRangeError, match=r"reading index 3: it is not in 0\.\.2; count from"):
        run(x(constant(0), i), (i,), (4,))
    checked = call("checked_index", i, 2)
    with pytest.raises(IndexRangeError, match=r"reading index 2: it is not in 0\.\.1"):
        run(checked, (i,), (3,), DType.int64)
    guarded = select(call("less", i, 2), checked, 9)
    np.testing.assert_array_equal(run(guarded, (i,), (4,), DType.int64), [0, 1, 9, 9])
    inner = select(call("less", i, 3), select(call("less", i, 2), checked, 8), 9)
    np.testing.assert_array_equal(run(inner, (i,), (4,), DType.int64), [0, 1, 8, 9])
    with pytest.raises(IndexRangeError, match="reading index 2"):
        run(select(call("less", i, 3), checked, 9), (i,), (4,), DType.int64)


def test_casts() -> None:
    i = Var("i")
    half = Cast(i, DType.float64) / 2.0
    np.testing.assert_array_equal(run(half, (i,), (3,)), [0, 0.5, 1])
    cut = Cast(Cast(i, DType.float64) * -0.75, DType.int64)
    np.testing.assert_array_equal(run(cut, (i,), (3,), DType.int64), [0, 0, -1])
    wrapped = Cast(i + 2**31 - 1, DType.int32)
    np.testing.assert_array_equal(run(wrapped, (i,), (2,), DType.int32), [2**31 - 1, -(2**31)])


def test_integers_wrap_and_shift_without_sign() -> None:
    largest = constant(2**31 - 1, DType.int32)
    assert run(largest + 1, (), (), DType.int32) == -(2**31)
    minus = constant(-1, DType.int32)
    assert run(call("logical_right_shift", minus, 28), (), (), DType.int32) == 15
    assert run(call("left_shift", constant(1, DType.int32), 31), (), (), DType.int32) == -(2**31)
    assert run(call("floor_divide", minus, 0), (), (), DType.int32) == 0


def test_positions() -> None:
    i, j, k = Var("i"), Var("j"), Var("k")
    flat = run(el.flat_index((i, j, k), (2, 3, 4)), (i, j, k), (2, 3, 4), DType.int64)
    np.testing.assert_array_equal(flat, np.arange(24).reshape(2, 3, 4))
    for axis, part in enumerate(el.unflatten(i, (2, 3, 4))):
        found = run(part, (i,), (24,), DType.int64)
        np.testing.assert_array_equal(found, np.unravel_index(np.arange(24), (2, 3, 4))[axis])


def test_loops_store_in_order() -> None:
    def previous(i: Element) -> tuple[Store]:
        before = select(call("equal", i, 0), constant(1, DType.int64),
                        Load(OUTPUT, (i - 1,), DType.int64) * 2)  # fmt: skip
        return (Store((i,), before),)

    powers = Loops(constant(0), (loop((5,), previous),))
    np.testing.assert_array_equal(run(powers, (), (5,), DType.int64), [1, 2, 4, 8, 16])
    counted = Loops(
        constant(10), (loop((6,), lambda i: (Store((call("remainder", i, 4),), i, add=True),)),)
    )
    np.testing.assert_array_equal(run(counted, (), (4,), DType.int64), [14, 16, 12, 13])


def test_shared_parts_are_computed_once() -> None:
    element: Element = constant(1, DType.int64)
    for _ in range(200):  # as a tree this would have 2^200 nodes
        element = element + element
    assert run(element, (), (), DType.int64) == 0


def test_what_is_no_element_is_refused() -> None:
    with pytest.raises(TypeError, match="'text' is no element"):
        run("text", (), ())  # type: ignore[arg-type]


def test_every_function_has_a_name_that_ops_use() -> None:
    assert {"add", "exp", "erf", "logical_right_shift"} <= set(FUNCTIONS)
    assert set(FUNCTIONS) >= el.COMPARISONS
