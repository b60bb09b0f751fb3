"""Tensor: a value that remembers how it was made, when anyone may ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrograd.tensor.conversion import beside, fitted, read_array
from retrograd.tensor.errors import TraceError
from retrograd.tensor.types import Array, DType, DTypeLike, Shape, TensorType, as_dtype, dtype_of

if TYPE_CHECKING:
    from retrograd.tensor.op import Op


def _call(function: str, *operands: Any) -> Tensor:
    """Call a function of `retrograd.ops`: the one knot of the house, since ops return tensors."""
    from retrograd import ops

    out: Tensor = getattr(ops, function)(*operands)
    return out


class Tensor:
    """An immutable array with a type; while differentiated or traced, also its making.

    ``op`` and ``inputs`` say how it was made: None and () for a given value or one that nobody may
    ask about. A tensor that is being traced has no numbers yet, and asking for them raises
    TraceError. Operators are sugar for the functions of `retrograd.ops`; Python numbers take the
    tensor's dtype, and tensors of two dtypes do not mix. Comparisons are elementwise.

    >>> x = tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> (x @ x.T + 1).numpy()
    array([[ 6., 12.],
           [12., 26.]], dtype=float32)
    """

    __slots__ = ("__weakref__", "array", "inputs", "op", "type")
    __array_ufunc__ = None  # so that array + tensor asks the tensor

    def __init__(
        self,
        type: TensorType,
        array: Array | None,
        op: Op | None = None,
        inputs: tuple[Tensor, ...] = (),
    ) -> None:
        """Wrap an array that nobody will change; `tensor` is what people call."""
        self.type, self.array, self.op, self.inputs = type, array, op, inputs

    @property
    def shape(self) -> Shape:
        """Lengths of the axes."""
        return self.type.shape

    @property
    def dtype(self) -> DType:
        """Type of each element."""
        return self.type.dtype

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.type.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.type.size

    @property
    def is_traced(self) -> bool:
        """Whether it has no numbers yet."""
        return self.array is None

    def numpy(self) -> Array:
        """Return the numbers as a read-only array; raises TraceError while traced."""
        if self.array is None:
            raise TraceError(
                f"reading the numbers of a {self.type}",
                "a program is being traced, so there are none yet",
                "decide with ops.where instead of Python's if, or do it outside the function",
            )
        view = self.array.view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self.numpy().item()

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        if dtype is None or array.dtype == dtype:
            return array.copy() if copy else array
        if copy is False:
            raise ValueError(f"a {self.type} is no array of {np.dtype(dtype)} without a copy")
        return array.astype(dtype)

    def __repr__(self) -> str:
        if self.array is None:
            return f"tensor({self.type}, traced)"
        numbers = np.array2string(self.array, precision=4, threshold=20, separator=", ")
        return f"tensor({numbers}, {self.type})"

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    __hash__ = object.__hash__

    # Operators are sugar for the functions of `retrograd.ops`.

    def __add__(self, other: TensorLike) -> Tensor:
        return _call("add", self, other)

    def __radd__(self, other: TensorLike) -> Tensor:
        return _call("add", other, self)

    def __sub__(self, other: TensorLike) -> Tensor:
        return _call("subtract", self, other)

    def __rsub__(self, other: TensorLike) -> Tensor:
        return _call("subtract", other, self)

    def __mul__(self, other: TensorLike) -> Tensor:
        return _call("multiply", self, other)

    def __rmul__(self, other: TensorLike) -> Tensor:
        return _call("multiply", other, self)

    def __truediv__(self, other: TensorLike) -> Tensor:
        return _call("divide", self, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return _call("divide", other, self)

    def __floordiv__(self, other: TensorLike) -> Tensor:
        return _call("floor_divide", self, other)

    def __rfloordiv__(self, other: TensorLike) -> Tensor:
        return _call("floor_divide", other, self)

    def __mod__(self, other: TensorLike) -> Tensor:
        return _call("remainder", self, other)

    def __rmod__(self, other: TensorLike) -> Tensor:
        return _call("remainder", other, self)

    def __pow__(self, other: TensorLike) -> Tensor:
        return _call("power", self, other)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return _call("power", other, self)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return _call("matmul", self, other)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return _call("matmul", other, self)

    def __neg__(self) -> Tensor:
        return _call("negative", self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return _call("absolute", self)

    def __invert__(self) -> Tensor:
        return _call("logical_not", self)

    def __and__(self, other: TensorLike) -> Tensor:
        return _call("logical_and", self, other)

    def __or__(self, other: TensorLike) -> Tensor:
        return _call("logical_or", self, other)

    def __eq__(self, other: object) -> Any:
        return _call("equal", self, other) if _is_tensor_like(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return _call("not_equal", self, other) if _is_tensor_like(other) else NotImplemented

    # Any: a reflected comparison of arrays and tensors has no type that checkers accept.

    def __lt__(self, other: Any) -> Tensor:
        return _call("less", self, other)

    def __le__(self, other: Any) -> Tensor:
        return _call("less_equal", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return _call("greater", self, other)

    def __ge__(self, other: Any) -> Tensor:
        return _call("greater_equal", self, other)

    def __getitem__(self, key: Any) -> Tensor:
        return _call("getitem", self, key)

    @property
    def T(self) -> Tensor:  # noqa: N802  # NumPy's name
        """The tensor with its last two axes exchanged."""
        return _call("transpose", self)


TensorLike = Tensor | Array | Sequence[Any] | float | int | bool


def _is_tensor_like(value: object) -> bool:
    return isinstance(value, Tensor | np.ndarray | np.generic | float | int | list | tuple)


def tensor(values: Any, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor from numbers, nested sequences or an array, which is copied.

    Python floats become float32 and Python integers int64 unless ``dtype`` says otherwise; arrays
    keep their dtype. Big-endian, strided and read-only arrays are fine. Sequences that hold tensors
    are stacked, and a tensor is cast, with their gradients. Raises DTypeError for text, objects and
    complex numbers, and for a number that ``dtype`` does not hold.

    >>> tensor([1, 2, 3])
    tensor([1, 2, 3], int64[3])
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(values, Tensor):
        if wanted is None or wanted is values.dtype:
            return values
        if values.array is not None:
            fitted(values.array, wanted)
        return _call("cast", values, wanted)
    if _holds_tensors(values):
        return tensor(_stacked(values), wanted)
    return from_array(read_array(values, wanted))


def _holds_tensors(values: Any) -> bool:
    return isinstance(values, list | tuple) and any(
        isinstance(part, Tensor) or _holds_tensors(part) for part in values
    )


def _stacked(values: Any) -> Tensor:
    """Return nested sequences with tensors in them as one, so that their histories are kept."""
    parts = [_stacked(part) if _holds_tensors(part) else part for part in values]
    like = next(part for part in parts if isinstance(part, Tensor))
    return _call("stack", [as_tensor(part, like) for part in parts])


def from_array(array: Array) -> Tensor:
    """Wrap an array without copying; the caller promises that nobody will change it."""
    return Tensor(TensorType(array.shape, dtype_of(array)), array)


def as_tensor(value: TensorLike, like: Tensor | None = None) -> Tensor:
    """Return the value as a tensor; Python numbers take the dtype of ``like``.

    Raises DTypeError for a fraction that would become an integer, or a number that does not fit.
    """
    if isinstance(value, Tensor):
        return value
    if like is None or isinstance(value, np.ndarray | np.generic) or _holds_tensors(value):
        return tensor(value)
    return from_array(beside(value, like.dtype, f"combining {like.type}"))
