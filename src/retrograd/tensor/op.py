"""What an operation must answer: five questions, always in this order, always by these names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np

from retrograd.tensor.element import Lowered
from retrograd.tensor.types import Array, DType, Shape, TensorType

if TYPE_CHECKING:
    from retrograd.tensor.tensor import Tensor

T = TypeVar("T")

QUESTIONS = ("result_type", "evaluate", "vjp", "lower", "example")

_registry: dict[str, type[Op]] = {}
REGISTRY: Mapping[str, type[Op]] = MappingProxyType(_registry)
"""Every complete op by its class name: what the battery walks and `retrograd ops` prints."""


class Draw(Protocol):
    """Where an op's ``example`` gets its choices: a seeded generator, or Hypothesis in tests."""

    def integer(self, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``, both included."""

    def choice(self, options: Sequence[T]) -> T:
        """Return one of the options."""

    def shape(self, min_rank: int = 0, max_rank: int = 3) -> Shape:
        """Return a shape with axes of length 1 to 4."""

    def array(self, shape: Shape, dtype: DType, low: float = -2.0, high: float = 2.0) -> Array:
        """Return numbers between ``low`` and ``high`` that are all different and not special."""

    def float_dtype(self) -> DType:
        """Return float32 or float64."""


class Example(NamedTuple):
    """A random valid use of an op, away from its kinks and ties."""

    op: Op
    inputs: tuple[Array, ...]


@dataclass(frozen=True)
class Op(ABC):
    """An operation on tensors: a frozen dataclass whose fields are its attributes.

    A subclass answers all five questions or fails at import; a family of ops that shares answers
    says ``class Unary(Op, family=True)``. "No gradient flows to this input" is ``None`` in what
    ``vjp`` returns; an op that has no derivative at all sets ``differentiable = False``.
    Primitives take inputs of equal shapes; only ``BroadcastTo`` broadcasts.
    """

    differentiable: ClassVar[bool] = True
    # Whether the vjp is on purpose not the derivative: stop_gradient and replaced rules.
    redirects_gradient: ClassVar[bool] = False

    def __init_subclass__(cls, family: bool = False, **keywords: Any) -> None:
        """Check that no question is left open, and register the op."""
        super().__init_subclass__(**keywords)
        if family:
            return
        missing = [q for q in QUESTIONS if getattr(getattr(cls, q), "__isabstractmethod__", False)]
        if missing:
            raise TypeError(f"op {cls.__name__} leaves open: {', '.join(missing)}")
        _registry[cls.__name__] = cls

    @property
    def passes_through(self) -> bool:
        """Whether the output is always the first input unchanged, so that a program may skip it."""
        return False

    # The rules of a concrete op name their inputs; only the base is variadic, hence Any.

    @abstractmethod
    def result_type(self, *types: Any) -> TensorType:
        """Return the output's type from the inputs' types, or raise ShapeError or DTypeError."""

    @abstractmethod
    def evaluate(self, *arrays: Any) -> Array:
        """Return the output in NumPy: the specification that everything else must match."""

    @abstractmethod
    def vjp(self, g: Any, out: Any, *inputs: Any) -> tuple[Tensor | None, ...]:
        """Return the loss's gradient at each input, given ``g``, its gradient at ``out``.

        Written with ops, so that it can be differentiated again and compiled.
        """

    @abstractmethod
    def lower(self, out: Any, index: Any, *readers: Any) -> Lowered:
        """Return what the element of the output at ``index`` is; ``out`` is the output's type."""

    @classmethod
    @abstractmethod
    def example(cls, draw: Draw) -> Example:
        """Return a random valid use."""


class RandomDraw:
    """Choices from a seeded NumPy generator.

    >>> RandomDraw(0).shape(2, 2) == RandomDraw(0).shape(2, 2)
    True
    """

    def __init__(self, seed: int) -> None:
        """Start from a seed."""
        self._generator = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``, both included."""
        return int(self._generator.integers(low, high + 1))

    def choice(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.integer(0, len(options) - 1)]

    def shape(self, min_rank: int = 0, max_rank: int = 3) -> Shape:
        """Return a shape with axes of length 1 to 4."""
        return tuple(self.integer(1, 4) for _ in range(self.integer(min_rank, max_rank)))

    def array(self, shape: Shape, dtype: DType, low: float = -2.0, high: float = 2.0) -> Array:
        """Return numbers between ``low`` and ``high`` that are all different and not special."""
        return spread(self._generator.random(int(np.prod(shape))), shape, dtype, low, high)

    def float_dtype(self) -> DType:
        """Return float32 or float64."""
        return self.choice((DType.float32, DType.float64))


def spread(ranks: Array, shape: Shape, dtype: DType, low: float, high: float) -> Array:
    """Place distinct values in the order that ``ranks`` have, evenly between the two bounds.

    Evenly spaced values stay away from ties whatever was drawn; they avoid 0 and the integers,
    where most kinks are, by an irrational-looking offset.
    """
    n = max(len(ranks), 1)
    if dtype is DType.bool:
        return np.asarray(ranks > np.median(ranks) if len(ranks) else ranks > 0).reshape(shape)
    order = np.argsort(np.argsort(ranks, kind="stable"), kind="stable")
    if dtype.is_integer:
        return (low + order % max(int(high - low) + 1, 1)).astype(dtype.numpy).reshape(shape)
    values = low + (high - low) * (order + 0.3819660113) / n
    return values.astype(dtype.numpy).reshape(shape)
