"""How a value comes to remember its making: `apply`, the scopes that ask, the walk back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np

from retrograd.tensor.errors import DTypeError
from retrograd.tensor.places import placed
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import DType, TensorType

if TYPE_CHECKING:
    from retrograd.tensor.op import Op

# How many scopes that differentiate are open around the running code.
_depth: ContextVar[int] = ContextVar("differentiating", default=0)


def placeholder(type: TensorType) -> Tensor:
    """Return a tensor without numbers: an input of a program that is being traced."""
    return Tensor(type, None)


def apply(op: Op, *inputs: Tensor) -> Tensor:
    """Compute if every input has numbers, and remember if anyone may ask: the one road."""
    type = op.result_type(*[x.type for x in inputs])
    arrays = [x.array for x in inputs]
    if any(array is None for array in arrays):
        return placed(Tensor(type, None, op, inputs))
    with np.errstate(all="ignore"):
        # NumPy answers with scalars where a result has no axes; tensors hold arrays.
        array = np.asarray(op.evaluate(*arrays))
    if _depth.get() and any(x.op is not None for x in inputs):
        return Tensor(type, array, op, inputs)
    return Tensor(type, array)


def promise(op: Op, *inputs: Tensor) -> Tensor:
    """Return what the op will give, not computed yet even where every input has numbers.

    For constants that meet traced tensors: a program that stretches 0.9 to a matrix should hold
    one number, not the matrix.
    """
    return placed(Tensor(op.result_type(*[x.type for x in inputs]), None, op, inputs))


@contextmanager
def differentiating() -> Iterator[None]:
    """Open a scope in which what is computed from watched tensors remembers its making."""
    token = _depth.set(_depth.get() + 1)
    try:
        yield
    finally:
        _depth.reset(token)


def is_differentiating() -> bool:
    """Return whether a scope that differentiates is open around the running code."""
    return _depth.get() > 0


def leave_scope(x: Tensor) -> Tensor:
    """Return the tensor as it may leave a scope: without history unless an outer scope asks."""
    return x if x.array is None or _depth.get() else Tensor(x.type, x.array)


def history(outputs: Iterable[Tensor]) -> list[Tensor]:
    """Return everything that the outputs were made from and they themselves, inputs first.

    Iterative, so that a network of any depth is walked.
    """
    order: list[Tensor] = []
    seen: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(x, False) for x in reversed(list(outputs))]
    while stack:
        x, is_expanded = stack.pop()
        if is_expanded:
            order.append(x)
        elif id(x) not in seen:
            seen.add(id(x))
            stack.append((x, True))
            stack.extend((y, False) for y in x.inputs if id(y) not in seen)
    return order


def same_dtype(asked: str, types: Sequence[TensorType]) -> DType:
    """Return the one dtype that the types share; raises DTypeError, since dtypes never mix."""
    first, *rest = types
    for other in rest:
        if other.dtype is not first.dtype:
            raise DTypeError(
                f"{asked} of {' and '.join(map(str, types))}",
                "the dtypes differ",
                f"cast one: ops.cast(x, DType.{first.dtype.value})",
            )
    return first.dtype
