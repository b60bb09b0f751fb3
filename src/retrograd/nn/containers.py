"""Containers: layers made of layers. They split keys and thread state, by the members' names.

A member is a layer (a frozen dataclass with ``apply``) or a plain function of a tensor, such as
`relu`. There is no base class: `Layer` only writes down what the two calls look like.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from retrograd import ops
from retrograd.tensor.errors import DTypeError, InputError, ShapeError
from retrograd.tensor.tensor import Tensor

State = dict[str, Tensor]
"""What training changes besides the parameters, by the names of the layer's own leaves."""


class Layer(Protocol):
    """What a layer answers: ``layer(x)`` is inference, ``layer.apply(x, state, key)`` training."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output of inference."""

    def apply(self, x: Tensor, state: State, key: Tensor) -> tuple[Tensor, State]:
        """Return the output of training and the state after it."""


Member = Layer | Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sequential:
    """One member after another: each gets what the one before gave.

    Member i trains with the key ``fold_in(key, i)`` and with the entries of the state that start
    with ``layers.<i>.``, so that adding randomness to one member changes no other. Raises
    InputError for a member that cannot be called, or that is a class instead of a layer.

    >>> from retrograd.tensor.tensor import tensor
    >>> Sequential((Flatten(), lambda x: x * 2.0))(tensor([[[1.0], [2.0]]]))
    tensor([[2., 4.]], float32[1, 2])
    """

    layers: tuple[Member, ...]

    def __post_init__(self) -> None:
        """Check the members."""
        for i, member in enumerate(self.layers):
            _require_member(f"layers.{i} of a Sequential", member)

    def __call__(self, x: Tensor) -> Tensor:
        """Return what the last member gives."""
        for i, member in enumerate(self.layers):
            try:
                x = member(x)
            except (ShapeError, DTypeError) as error:
                raise _located(error, f"layers.{i}", member) from None
        return x

    def apply(self, x: Tensor, state: State, key: Tensor) -> tuple[Tensor, State]:
        """Return what the last member gives in training, and the state after all of them."""
        after = dict(state)
        for i, member in enumerate(self.layers):
            try:
                if is_layer(member):
                    x = _train(f"layers.{i}.", member, x, after, ops.fold_in(key, i))
                else:
                    x = member(x)
            except (ShapeError, DTypeError) as error:
                raise _located(error, f"layers.{i}", member) from None
        return x, after


@dataclass(frozen=True)
class Residual:
    """y = x + inner(x), so that the inner layer learns a correction.  x (any) -> the same

    Raises ShapeError if the inner layer changes the shape, InputError if it is none.
    Source: He et al. 2015, Deep Residual Learning, equation 1.

    >>> from retrograd.tensor.tensor import tensor
    >>> Residual(lambda x: x * 0.5)(tensor([2.0]))
    tensor([3.], float32[1])
    """

    inner: Member

    def __post_init__(self) -> None:
        """Check the inner layer."""
        _require_member("inner of a Residual", self.inner)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return _added(x, self.inner(x))

    def apply(self, x: Tensor, state: State, key: Tensor) -> tuple[Tensor, State]:
        """Return the sum in training, and the inner layer's state under ``inner.``."""
        if not is_layer(self.inner):
            return self(x), state
        after = dict(state)
        y = _train("inner.", self.inner, x, after, key)
        return _added(x, y), after


@dataclass(frozen=True)
class Flatten:
    """Rows of numbers from rows of anything.  x (n, ...) -> (n, product of the rest)

    Raises ShapeError for a scalar.

    >>> Flatten()(ops.zeros((2, 3, 4))).shape
    (2, 12)
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the rows."""
        if x.rank == 0:
            raise ShapeError("Flatten of a scalar", "it has no rows", "give an input (n, ...)")
        return ops.reshape(x, (x.shape[0], math.prod(x.shape[1:])))

    def apply(self, x: Tensor, state: State, key: Tensor) -> tuple[Tensor, State]:
        """Return the rows and the state."""
        return self(x), state


def is_layer(member: object) -> bool:
    """Return whether a member has training of its own: layers are dataclasses, functions not.

    >>> is_layer(Flatten()), is_layer(ops.tanh)
    (True, False)
    """
    return dataclasses.is_dataclass(member) and not isinstance(member, type)


def name_of(member: Any) -> str:
    """Return what a member is called: its class, or the function's name.

    >>> name_of(Flatten()), name_of(ops.tanh)
    ('Flatten', 'tanh')
    """
    while not hasattr(member, "__name__") and hasattr(member, "func"):
        member = member.func  # functools.partial
    return str(getattr(member, "__name__", type(member).__name__))


def _train(prefix: str, member: Member, x: Tensor, state: State, key: Tensor) -> Tensor:
    """Train one member on its share of the state, and put back what it returns."""
    own = {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
    y, changed = cast(Layer, member).apply(x, own, key)
    state.update({prefix + name: value for name, value in changed.items()})
    return y


def _added(x: Tensor, y: Tensor) -> Tensor:
    if x.shape != y.shape:
        raise ShapeError(
            f"Residual of an input {x.type}",
            f"the inner layer gives {y.type}, which cannot be added to it",
            f"end the inner layer with {x.shape[-1] if x.shape else 1} features",
        )
    return x + y


def _require_member(place: str, member: object) -> None:
    if isinstance(member, type):
        raise InputError(
            place,
            f"{member.__name__} is a class, not a layer",
            f"make one: {member.__name__}{'.init' if hasattr(member, 'init') else ''}(...)",
        )
    if not callable(member):
        raise InputError(
            place,
            f"{member!r} cannot be called",
            "give a layer, such as nn.Flatten(), or a function, such as nn.relu",
        )
    if is_layer(member) and not hasattr(member, "apply"):
        raise InputError(
            place,
            f"{name_of(member)} does not say how it trains",
            "add to it: def apply(self, x, state, key): return self(x), state",
        )


def _located(error: ShapeError | DTypeError, path: str, member: Member) -> ShapeError | DTypeError:
    """Return the error with the member's place in front: "layers.0 > layers.2 (Linear): ..."."""
    if error.asked.startswith("layers."):
        return type(error)(f"{path} > {error.asked}", error.found, error.try_this)
    return type(error)(f"{path} ({name_of(member)}): {error.asked}", error.found, error.try_this)
