"""Ops that leave numbers alone and direct gradients: cast, alias, stop, replace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from retrograd.tensor.conversion import cast_array
from retrograd.tensor.element import Cast as CastElement
from retrograd.tensor.element import Element, Index, Reader, call, constant
from retrograd.tensor.errors import ShapeError
from retrograd.tensor.history import apply
from retrograd.tensor.op import Draw, Example, Op
from retrograd.tensor.tensor import Tensor, TensorLike, as_tensor
from retrograd.tensor.types import Array, DType, DTypeLike, TensorType, as_dtype

BackwardRule = Callable[..., tuple[Tensor | None, ...]]
"""``rule(g, out, *inputs)`` returns the gradient at each input, or None where none flows."""


@dataclass(frozen=True)
class Cast(Op):
    """The same values in another dtype.  Floats go to integers by cutting off the fraction.

    Beyond an integer's ends a float becomes the nearest end, and NaN becomes 0; integers wrap
    around. Gradients flow between floats; an integer or bool on either side stops them.
    """

    dtype: DType

    def result_type(self, x: TensorType) -> TensorType:
        """Return the shape with the new dtype."""
        return TensorType(x.shape, self.dtype)

    def evaluate(self, x: Array) -> Array:
        """Return the converted copy."""
        return cast_array(x, self.dtype)

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor | None]:
        """Cast back, or stop at integers."""
        return (cast(g, x.dtype) if self.dtype.is_float and x.dtype.is_float else None,)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return the cast element; a bool is whether the number is not zero."""
        value = x(*index)
        if self.dtype is DType.bool and value.dtype is not DType.bool:
            return call("not_equal", value, constant(0, value.dtype))
        return CastElement(value, self.dtype)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a cast between two dtypes, often two floats, which alone have a derivative."""
        some = (DType.float64, DType.float32) if draw.choice((True, False)) else tuple(DType)
        given, wanted = draw.choice(some), draw.choice(some)
        return Example(cls(wanted), (draw.array(draw.shape(), given),))


@dataclass(frozen=True)
class Alias(Op):
    """The same tensor under a name of its own, for which a derivative can be asked.

    ``purpose`` keeps aliases apart that a compiler must not merge: what a checkpoint recomputes
    hangs on other aliases than what it computed first.
    """

    purpose: str = "differentiate"

    @property
    def passes_through(self) -> bool:
        """Return whether a program may skip it: not what keeps a recomputation apart."""
        return self.purpose == "differentiate"

    def result_type(self, x: TensorType) -> TensorType:
        """Return the input's type."""
        return x

    def evaluate(self, x: Array) -> Array:
        """Return the input."""
        return x

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[Tensor]:
        """Hand g on."""
        return (g,)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return the element itself."""
        return x(*index)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return an alias of a float."""
        return Example(cls(), (draw.array(draw.shape(), draw.float_dtype()),))


@dataclass(frozen=True)
class StopGradient(Op):
    """The same tensor, through which no gradient flows."""

    redirects_gradient: ClassVar[bool] = True

    @property
    def passes_through(self) -> bool:
        """Return True: only the backward walk sees it."""
        return True

    def result_type(self, x: TensorType) -> TensorType:
        """Return the input's type."""
        return x

    def evaluate(self, x: Array) -> Array:
        """Return the input."""
        return x

    def vjp(self, g: Tensor, out: Tensor, x: Tensor) -> tuple[None]:
        """Let nothing through."""
        return (None,)

    def lower(self, out: TensorType, index: Index, x: Reader) -> Element:
        """Return the element itself."""
        return x(*index)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return a stop of a float."""
        return Example(cls(), (draw.array(draw.shape(), draw.float_dtype()),))


def _hand_to_last(g: Tensor, out: Tensor, *inputs: Tensor) -> tuple[Tensor | None, ...]:
    return (*(None for _ in inputs[:-1]), g)


@dataclass(frozen=True)
class ReplaceGradient(Op):
    """The first input unchanged; its gradient goes to the others, by a rule of the caller's.

    value (any), *sources -> value. ``rule(g, out, *sources)`` gives one gradient a source. The
    value's own making is not differentiated.
    """

    redirects_gradient: ClassVar[bool] = True
    rule: BackwardRule

    @property
    def passes_through(self) -> bool:
        """Return True: only the backward walk sees it."""
        return True

    def result_type(self, value: TensorType, *sources: TensorType) -> TensorType:
        """Return the first input's type."""
        return value

    def evaluate(self, value: Array, *sources: Array) -> Array:
        """Return the first input."""
        return value

    def vjp(
        self, g: Tensor, out: Tensor, value: Tensor, *sources: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Ask the rule; raises ShapeError if a gradient is not of its source's type."""
        grads = self.rule(g, out, *sources)
        for grad, source in zip(grads, sources, strict=True):
            if grad is not None and grad.type != source.type:
                raise ShapeError(
                    "a replaced backward rule",
                    f"it gave {grad.type} as the gradient of a {source.type}",
                    "return gradients of the inputs' own types",
                )
        return (None, *grads)

    def lower(self, out: TensorType, index: Index, value: Reader, *sources: Reader) -> Element:
        """Return the first input's element."""
        return value(*index)

    @classmethod
    def example(cls, draw: Draw) -> Example:
        """Return x under the rule that the true derivative has: hand g to the source.

        Value and source are the same numbers, so that finite differences agree.
        """
        x = draw.array(draw.shape(), draw.float_dtype())
        return Example(cls(_hand_to_last), (x, np.array(x)))


def cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """Return x in another dtype, given as a DType or by name; the only way between dtypes.

    >>> cast([1.7, -1.7], DType.int64)
    tensor([ 1, -1], int64[2])
    """
    x, wanted = as_tensor(x), as_dtype(dtype)
    return x if x.dtype is wanted else apply(Cast(wanted), x)


def stop_gradient(x: TensorLike) -> Tensor:
    """Return x as a constant for every derivative.

    >>> stop_gradient([1.0])
    tensor([1.], float32[1])
    """
    return apply(StopGradient(), as_tensor(x))


def replace_gradient(value: Tensor, rule: BackwardRule, *sources: Tensor) -> Tensor:
    """Return ``value``; its gradient goes to ``sources`` as ``rule(g, out, *sources)`` says.

    A custom backward rule for any function: compute the value, then say where its gradient goes.
    A straight-through rounding, for example:

    >>> from retrograd.tensor.tensor import tensor
    >>> x = tensor([0.2, 0.8])
    >>> replace_gradient(tensor([0.0, 1.0]), lambda g, out, x: (g,), x)
    tensor([0., 1.], float32[2])
    """
    return apply(ReplaceGradient(rule), value, *sources)
