"""Optimizer: a pair of pure functions, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from retrograd import ops
from retrograd.optim.settings import require_not_negative
from retrograd.tensor.errors import DTypeError, InputError, ShapeError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import DType

Params = Mapping[str, Tensor]
"""Parameters, or gradients like them, by name."""
Schedule = Callable[[Tensor | int], Tensor]
"""From the number of updates done (0 at the first) to the learning rate, a float64 scalar."""
LearningRate = float | Schedule


class Optimizer(NamedTuple):
    """How parameters follow their gradients: pure functions over a state with a type of its own.

    ``init(params) -> state`` makes the state before the first step.
    ``update(grads, state, params) -> (params, state)`` makes one step; it can be traced.
    ``observe(state, loss) -> state`` tells a validation loss to those that react to it, else None.
    ``learning_rate(state) -> float64 scalar`` is the rate of the next step.

    >>> from retrograd.optim import sgd
    >>> from retrograd.tensor.tensor import tensor
    >>> optimizer, params = sgd(learning_rate=0.5), {"w": tensor([1.0])}
    >>> optimizer.update({"w": tensor([2.0])}, optimizer.init(params), params)
    ({'w': tensor([0.], float32[1])}, SGDState(step=tensor(1, int64[])))
    """

    init: Callable[[Params], Any]
    update: Callable[[Params, Any, Params], tuple[dict[str, Tensor], Any]]
    observe: Callable[[Any, float], Any] | None = None
    learning_rate: Callable[[Any], Tensor] | None = None


def rate_of(asked: str, kind: type, learning_rate: LearningRate) -> Callable[[Any], Tensor]:
    """Return the function from a state of this kind to the learning rate, a float64 scalar.

    Raises InputError for a rate below 0; the function, for a state of another kind, and ShapeError
    for a schedule that gives no scalar.
    """
    if not callable(learning_rate):
        require_not_negative(asked, 1e-3, learning_rate=learning_rate)
    constant = None if callable(learning_rate) else float64(learning_rate)

    def rate(state: Any) -> Tensor:
        require_state(asked, kind, state)
        value = float64(learning_rate(state.step)) if callable(learning_rate) else constant
        assert value is not None
        if value.shape != ():
            raise ShapeError(
                f"the learning-rate schedule of {asked}",
                f"it gave a {value.type}",
                "return one number a step",
            )
        return value

    return rate


def float64(value: Tensor | float) -> Tensor:
    """Return a scalar in float64: rates and bias corrections lose nothing to a small dtype."""
    if isinstance(value, Tensor):
        return ops.cast(value, DType.float64)
    return from_array(np.asarray(value, np.float64))


def first_step() -> Tensor:
    """Return the count of updates before the first: 0, int64."""
    return from_array(np.asarray(0, np.int64))


def zeros_like(params: Params) -> dict[str, Tensor]:
    """Return zeros of the parameters' types."""
    return {name: full_like(p, 0.0) for name, p in params.items()}


def full_like(p: Tensor, value: float) -> Tensor:
    """Return a tensor of p's type, everywhere ``value``."""
    return from_array(np.full(p.shape, value, p.dtype.numpy))


def times(scalar: Tensor, x: Tensor) -> Tensor:
    """Return x times a float64 scalar, in the dtype of x."""
    return ops.multiply(ops.cast(scalar, x.dtype), x)


def for_each(
    rule: Callable[..., tuple[Tensor, ...]], *rows: Params
) -> tuple[dict[str, Tensor], ...]:
    """Apply a rule to each parameter and its slots; one dict for each thing that it returns."""
    results = {name: rule(*[row[name] for row in rows]) for name in rows[0]}
    columns = zip(*results.values(), strict=True)
    return tuple(dict(zip(results, column, strict=True)) for column in columns)


def require_trainable(asked: str, params: Params) -> None:
    """Raise InputError unless params are a dict of tensors, DTypeError unless all are floats."""
    if not isinstance(params, Mapping) or not params:
        found = "there are none" if isinstance(params, Mapping) else f"params is a {_kind(params)}"
        raise InputError(f"{asked}: the parameters", found, "give a dict, name to tensor")
    for name, p in params.items():
        if not p.dtype.is_float:
            raise DTypeError(
                f"{asked}: training {name!r}", f"it is a {p.type}", "train floats only"
            )


def require_agreement(asked: str, kind: type, grads: Params, state: Any, params: Params) -> None:
    """Raise InputError unless state is of its kind, and grads and its slots are like the params."""
    require_state(asked, kind, state)
    require_like(asked, "grads", grads, params)
    for field, slot in zip(kind._fields, state, strict=True):  # type: ignore[attr-defined]
        if isinstance(slot, dict):
            require_like(asked, f"state.{field}", slot, params)


def require_state(asked: str, kind: type, state: object) -> None:
    """Raise InputError unless the state is of the optimizer's own kind."""
    if type(state) is not kind:
        raise InputError(
            f"{asked}.update(grads, state, params)",
            f"the state is a {_kind(state)}, {asked} keeps a {kind.__name__}",
            "pass what this optimizer's init or last update returned",
        )


def require_like(asked: str, what: str, found: Params, params: Params) -> None:
    """Raise InputError unless ``found`` has the names and types of the parameters."""
    if not isinstance(found, Mapping) or not isinstance(params, Mapping):
        raise InputError(
            f"{asked}.update(grads, state, params)",
            f"{what} is a {_kind(found)} and params is a {_kind(params)}",
            "give both as dicts, name to tensor, and the state between them",
        )
    if found.keys() != params.keys():
        raise InputError(
            f"{asked}: {what}",
            f"{_only(found, params)} without a parameter, {_only(params, found)} missing",
            "take params, grads and state from one network",
        )
    for name, p in params.items():
        if found[name].type != p.type:
            raise ShapeError(
                f"{asked}: {what}[{name!r}]",
                f"it is {found[name].type}, the parameter is {p.type}",
                "take params, grads and state from one network",
            )


def _only(names: Iterable[str], others: Params) -> str:
    return f"{[name for name in names if name not in others]}"


def _kind(value: object) -> str:
    return type(value).__name__
