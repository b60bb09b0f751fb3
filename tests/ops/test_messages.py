"""Every refusal of an op says what was asked, what was found, and what to try."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd import ops
from retrograd.autodiff import grad
from retrograd.ops.arithmetic import Add
from retrograd.ops.choice import Where
from retrograd.ops.comparison import Equal, LogicalAnd
from retrograd.ops.contraction import Matmul
from retrograd.ops.gathering import Scatter
from retrograd.ops.indexing import ScatterAdd
from retrograd.ops.movement import Transpose
from retrograd.ops.random import FoldIn
from retrograd.ops.slicing import Pad, Slice
from retrograd.tensor.errors import DTypeError, IndexRangeError, InputError, ShapeError
from retrograd.tensor.history import apply
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import DType

X = tensor(np.zeros((2, 3), np.float32))
Y = tensor(np.zeros((3, 2), np.float32))
WIDE = tensor(np.zeros((2, 3)))
WHOLE = tensor(np.zeros((2, 3), np.int64))
MASK = tensor(np.zeros((2, 3), bool))
SCALAR = tensor(1.0)
EMPTY = tensor(np.zeros((0, 3), np.float32))
KEY = ops.key(0)


def bad_rule(x: Tensor) -> Tensor:
    return ops.replace_gradient(ops.sum(x), lambda g, out, x: (g,), x)


CASES: list[tuple[type[Exception], str, Callable[[], Any]]] = [
    # arithmetic and choice
    (DTypeError, "add of float32[2, 3] and float64[2, 3]: the dtypes differ; cast one: "
     "ops.cast(x, DType.float32)", lambda: X + WIDE),
    (ShapeError, "add of shapes (2, 3) and (3, 2): lengths 2 and 3 differ on an axis, none is 1; "
     "make the axes equal, or reshape one to length 1", lambda: X + Y),
    (ShapeError, "add of float32[2, 3] and float32[3, 2]: the primitive takes equal shapes; "
     "call ops.add, which broadcasts, or use broadcast_to", lambda: apply(Add(), X, Y)),
    (DTypeError, "add of bool[2, 3] and bool[2, 3]: these are not numbers; cast them: "
     "ops.cast(x, DType.float32)", lambda: MASK + MASK),
    (DTypeError, "divide of int64[2, 3] and int64[2, 3]: these are not floats", lambda: WHOLE / 2),
    (DTypeError, "combining int64[2, 3] with 0.5: a fraction does not fit an integer tensor; "
     "cast the tensor to a float dtype first", lambda: WHOLE * 0.5),
    (DTypeError, "negative of bool[2, 3]: the dtype is not a number", lambda: -MASK),
    (DTypeError, "exp of int64[2, 3]: the dtype is not a float; cast it: ops.cast(x, "
     "DType.float32)", lambda: ops.exp(WHOLE)),
    (DTypeError, "power of int64[2, 3] and int64[2, 3]: these are not floats",
     lambda: ops.power(WHOLE, 3)),
    (InputError, "clip to [2, 1]: the lower bound is above the upper; exchange them",
     lambda: ops.clip(X, 2, 1)),
    (DTypeError, "where with a condition float32[2, 3]: it is no bool; compare first: x > 0",
     lambda: ops.where(X, X, X)),
    (ShapeError, "where of bool[2, 3], float32[3, 2] and float32[3, 2]: the primitive takes equal "
     "shapes; call ops.where", lambda: apply(Where(), MASK, Y, Y)),
    # comparison
    (DTypeError, "equal of float32[2, 3] and float64[2, 3]: the dtypes differ", lambda: X == WIDE),
    (ShapeError, "equal of float32[2, 3] and float32[3, 2]: the primitive takes equal shapes; "
     "call ops.equal", lambda: apply(Equal(), X, Y)),
    (DTypeError, "logical_and of bool[2, 3] and float32[2, 3]: it takes bools; compare first, "
     "for example x > 0", lambda: ops.logical_and(MASK, X)),
    (DTypeError, "logical_not of float32[2, 3]: it takes bools", lambda: ops.logical_not(X)),
    (ShapeError, "logical_and of bool[2, 3] and bool[3, 2]: the primitive takes equal shapes; "
     "call ops.logical_and, which broadcasts", lambda: apply(LogicalAnd(), MASK, MASK.T)),
    # contraction
    (ShapeError, "matmul of float32[2, 3] by float32[2, 3]: the inner axes 3 and 2 differ; did "
     "you mean b.T?", lambda: X @ X),
    (ShapeError, "matmul of float32[2, 3] by float32[2, 2]: the inner axes 3 and 2 differ; make "
     "the columns of a the rows of b", lambda: X @ (X @ Y)),
    (ShapeError, "matmul of float32[2, 3] by float32[]: one has no axes; use *",
     lambda: X @ SCALAR),
    (DTypeError, "matmul of bool[2, 3] by bool[3, 2]: bool has no product; cast to a number",
     lambda: MASK @ MASK.T),
    (ShapeError, "matmul of float32[2, 3] by float32[1, 3, 2]: the primitive takes two or more "
     "axes with equal leading ones; call ops.matmul", lambda: apply(Matmul(), X, Y[None])),
    # movement
    (ShapeError, "broadcast_to of float32[2, 3]: it does not stretch to shape (3,)",
     lambda: ops.broadcast_to(X, (3,))),
    (ShapeError, "broadcast_to of shapes (2, 3) and (4,): lengths 3 and 4 differ",
     lambda: ops.broadcast_to(X, (4,))),
    (DTypeError, "sum of bool[2, 3]: bool has no sum; cast it: ops.cast(x, DType.int64)",
     lambda: ops.sum(MASK)),
    (ShapeError, "sum along axis 2: the tensor has 2 axes; give an axis from -2 to 1",
     lambda: ops.sum(X, 2)),
    (ShapeError, "sum along axis 0: the tensor has 0 axes; give no axis",
     lambda: ops.sum(SCALAR, 0)),
    (ShapeError, "sum along axes (0, -2): an axis is named twice; name each axis once",
     lambda: ops.sum(X, (0, -2))),
    (ShapeError, "reshape of float32[2, 3] to (4,): 6 elements do not make 4; keep the product",
     lambda: ops.reshape(X, (4,))),
    (ShapeError, "reshape of float32[2, 3] to (-1, -1): a length is negative; use one -1",
     lambda: ops.reshape(X, (-1, -1))),
    (ShapeError, "transpose of float32[]: it has fewer than two axes; reshape it",
     lambda: SCALAR.T),
    (ShapeError, "transpose of float32[2, 3] by (0, 0): these are not its axes, each once; "
     "permute (0, 1)", lambda: apply(Transpose((0, 0)), X)),
    # flow
    (ShapeError, "a replaced backward rule: it gave float32[] as the gradient of a float32[2, 3]; "
     "return gradients of the inputs' own types",
     lambda: grad(bad_rule)(X)),
    # slicing and joining
    (ShapeError, "slice of float32[2, 3] at starts (0, 0), steps (1, 1), lengths (2, 4): an "
     "element lies outside of shape (2, 3); give one start, step and length an axis, all inside",
     lambda: apply(Slice((0, 0), (2, 4), (1, 1)), X)),
    (ShapeError, "pad of float32[2, 3] at starts (0, 0), steps (1, 2), lengths (2, 3): an element "
     "lies outside of shape (2, 3)", lambda: apply(Pad((2, 3), (0, 0), (1, 2)), X)),
    (ShapeError, "pad of float32[2, 3] by [(1, 1)]: there is not one pair of widths from 0 up for "
     "each axis; give ((before, after), ...); to cut, slice", lambda: ops.pad(X, [(1, 1)])),
    (ShapeError, "pad of float32[2, 3] by [(-1, 0), (0, 0)]",
     lambda: ops.pad(X, [(-1, 0), (0, 0)])),
    (DTypeError, "combining int64[2, 3] with 0.5", lambda: ops.pad(WHOLE, [(1, 1), (1, 1)], 0.5)),
    (ShapeError, "concatenate of no tensors: the list is empty; give at least one",
     lambda: ops.concatenate([])),
    (ShapeError, "concatenate of float32[2, 3] and float32[3, 2] along axis 0: the other axes "
     "differ; make them equal, or use another axis", lambda: ops.concatenate([X, Y])),
    (ShapeError, "concatenate along axis 2: the tensor has 2 axes",
     lambda: ops.concatenate([X], 2)),
    (DTypeError, "concatenate of float32[2, 3] and float64[2, 3]: the dtypes differ",
     lambda: ops.concatenate([X, WIDE])),
    (ShapeError, "stack of no tensors: the list is empty; give at least one",
     lambda: ops.stack([])),
    (ShapeError, "stack of float32[2, 3] and float32[3, 2]: the shapes differ; make them equal, "
     "or concatenate along an axis that may differ", lambda: ops.stack([X, Y])),
    # subscripts
    (ShapeError, "indexing float32[2, 3] with 3 parts: it has fewer axes, or '...' stands twice; "
     "give at most 2 indices and one '...'", lambda: X[0, 0, 0]),
    (ShapeError, "or '...' stands twice", lambda: X[..., 0, ...]),
    (IndexRangeError, "index 2 on axis 0 of float32[2, 3]: the axis has 2 places; give an index "
     "from -2 to 1", lambda: X[2]),
    (IndexRangeError, "index -4 on axis 1 of float32[2, 3]", lambda: X[:, -4]),
    (IndexRangeError, "index 0 on axis 0 of float32[0, 3]: the axis has 0 places; there is nothing "
     "to index", lambda: EMPTY[0]),
    (InputError, "indexing with a mask: how many elements it picks depends on numbers, and shapes "
     "must not; keep the shape with ops.where(mask, x, 0.0), or pick with NumPy before",
     lambda: X[MASK]),
    (InputError, "indexing with float: an index is an integer, a slice, '...', None or a tensor of "
     "integers; convert it", lambda: X[1.0]),
    (InputError, "indexing with bool", lambda: X[True]),
    (InputError, "indexing float32[2, 3] with two index tensors: only one may be given; take along "
     "one axis after the other, or reshape and take once", lambda: X[[0], [0]]),
    # indices
    (IndexRangeError, "take at index 3: it is not in 0..2; count from 0; nothing wraps around and "
     "nothing is clipped",
     lambda: ops.take(X, [0, 3], 1)),
    (IndexRangeError, "take at index -1: it is not in 0..2", lambda: ops.take(X, [-1], 1)),
    (IndexRangeError, "take at index 0: there is nothing to choose from",
     lambda: ops.take(EMPTY, [0])),
    (DTypeError, "take at float32[1]: indices are integers; cast: ops.cast(x, DType.int64)",
     lambda: ops.take(X, [0.0])),
    (IndexRangeError, "scatter_add at index 2: it is not in 0..1",
     lambda: ops.scatter_add(X, [2], np.zeros((1, 3), np.float32))),
    (ShapeError, "scatter_add of float32[2, 3] at int64[3], axis 0: the updates do not have the "
     "axes (3,) there; give one number for each index", lambda: ops.scatter_add(X, [0, 1, 1], X)),
    (DTypeError, "scatter_add of bool[2, 3]: bools have no sum; cast them to a number",
     lambda: apply(ScatterAdd(0, 2), tensor([0, 1]), MASK)),
    (IndexRangeError, "gather at index 9: it is not in 0..2; count from 0",
     lambda: ops.gather(X, [[0], [9]], 1)),
    (ShapeError, "gather of float32[2, 3] at int64[3, 1], axis 1: the other axes differ; give the "
     "indices the shape of x but for that axis", lambda: ops.gather(X, [[0], [0], [0]], 1)),
    (ShapeError, "gather of float32[2, 3] at int64[1], axis 1", lambda: ops.gather(X, [0], 1)),
    (DTypeError, "gather at float32[2, 3]: indices are integers", lambda: ops.gather(X, X, 0)),
    (ShapeError, "scatter of float32[2, 3] at int64[2]: the shapes differ; give one number for "
     "each index", lambda: apply(Scatter(0, 2), tensor([0, 1]), X)),
    (DTypeError, "scatter of bool[2, 3]: bools have no sum",
     lambda: apply(Scatter(0, 2), WHOLE, MASK)),
    (IndexRangeError, "one_hot of label 3: it is not in 0..2; count from 0",
     lambda: ops.one_hot([0, 3], 3)),
    (DTypeError, "one_hot at float32[2]: indices are integers", lambda: ops.one_hot([0.0, 1.0], 3)),
    # reductions and scans
    (ShapeError, "max of float32[0, 3] over axes (0,): there are no elements to choose from; "
     "leave empty tensors out, or reduce another axis", lambda: ops.max(EMPTY, 0)),
    (ShapeError, "min of float32[0, 3] over axes (0, 1)", lambda: ops.min(EMPTY)),
    (DTypeError, "max of bool[2, 3]: the dtype is not a number", lambda: ops.max(MASK)),
    (DTypeError, "logsumexp of int64[2, 3]: the dtype is not a float; cast it: ops.cast(x, "
     "DType.float32)", lambda: ops.logsumexp(WHOLE)),
    (ShapeError, "argmax of float32[0, 3] along axis 0: there are no elements to choose from; "
     "leave empty tensors out", lambda: ops.argmax(EMPTY, 0)),
    (DTypeError, "cumsum of bool[2, 3]: bool has no sum; cast it to an integer",
     lambda: ops.cumsum(MASK, 0)),
    # creation and random numbers
    (InputError, "arange from 0 to 3: the step is 0; give another step",
     lambda: ops.arange(0, 3, 0)),
    (DTypeError, "full of int32 with 0.5", lambda: ops.full((2,), 0.5, DType.int32)),
    (InputError, "a key of seed -1: it is not in 0..2^64-1; give another seed",
     lambda: ops.key(-1)),
    (DTypeError, "uniform with the key int64[2]: a key is int32[2]; make one: ops.key(seed)",
     lambda: ops.uniform(tensor([1, 2]), (2,))),
    (ShapeError, "split with the key int32[2, 2]: a key is int32[2]",
     lambda: ops.split(ops.split(KEY))),
    (DTypeError, "uniform numbers as int32: they are fractions; take a float dtype",
     lambda: ops.uniform(KEY, (2,), DType.int32)),
    (DTypeError, "fold_in of float32[]: it is no integer; give an integer",
     lambda: ops.fold_in(KEY, 1.5)),
    (ShapeError, "fold_in of int64[2, 3]: the number is no int64 scalar; give one integer",
     lambda: apply(FoldIn(), KEY, WHOLE)),
    (InputError, "bernoulli with probability 1.5: it is not in 0..1; give another",
     lambda: ops.bernoulli(KEY, 1.5, (2,))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "message", "ask"), CASES, ids=[case[1][:40] for case in CASES])
def test_refusal(kind: type[Exception], message: str, ask: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=re.escape(message)) as refused:
        ask()
    assert type(refused.value) is kind
    assert all((refused.value.asked, refused.value.found, refused.value.try_this))


def test_every_raise_of_an_op_has_a_case() -> None:
    """Count them, so that a new refusal without a test fails here."""
    raises = [
        line
        for path in sorted(Path(ops.__file__).parent.glob("*.py"))
        for line in path.read_text().splitlines()
        if re.match(r"\s+raise \w+", line)
    ]
    assert len(raises) == 48
