"""What a network holds: parameters that are trained, statistics that are not, and its summary."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from retrograd.nn.containers import is_layer, name_of
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import TensorType
from retrograd.tree import children


class Description(NamedTuple):
    """One layer or function of a network, for printing.

    ``path`` is its place, such as "layers.0"; ``parameters`` and ``statistics`` give the types of
    its own leaves by name; ``size`` is the number of trained numbers.
    """

    path: str
    kind: str
    parameters: dict[str, TensorType]
    statistics: dict[str, TensorType]
    size: int


def parameters(net: Any) -> dict[str, Tensor]:
    """Return the trained leaves by name; ``tree.with_leaves`` puts others in their place.

    >>> from retrograd.nn.normalization import BatchNorm
    >>> list(parameters(BatchNorm.init(3)))
    ['scale', 'shift']
    """
    return {name: x for name, x, is_trained in _walk(net, "", True) if is_trained}


def statistics(net: Any) -> dict[str, Tensor]:
    """Return the leaves that training changes without a gradient, by name.

    They are the fields with ``metadata={"trained": False}``.

    >>> from retrograd.nn.normalization import BatchNorm
    >>> list(statistics(BatchNorm.init(3)))
    ['running_mean', 'running_variance']
    """
    return {name: x for name, x, is_trained in _walk(net, "", True) if not is_trained}


def describe(net: Any) -> tuple[Description, ...]:
    """Return one record a layer or function, in the order in which a signal meets them.

    Containers are opened; the sizes add up to the number of all trained numbers.

    >>> from retrograd.nn.linear import Linear
    >>> from retrograd import ops
    >>> (row,) = describe(Linear.init(ops.key(0), 3, 2))
    >>> row.kind, row.parameters, row.size
    ('Linear', {'weight': float32[3, 2], 'bias': float32[2]}, 8)
    """
    return tuple(_describe(net, ""))


def _describe(part: Any, path: str) -> Iterator[Description]:
    inner = [(name, child) for name, child in children(part) if _is_part(child)]
    for name, child in inner:
        yield from _describe(child, f"{path}.{name}" if path else name)
    if inner or not callable(part):
        return
    trained = {name: x.type for name, x in parameters(part).items()}
    others = {name: x.type for name, x in statistics(part).items()}
    size = sum(kind.size for kind in trained.values())
    yield Description(path, name_of(part), trained, others, size)


def _is_part(child: object) -> bool:
    """Return whether it is a layer, a function, or a tuple of them."""
    if isinstance(child, tuple | list):
        return any(_is_part(member) for member in child)
    return not isinstance(child, Tensor) and (is_layer(child) or callable(child))


def _walk(part: Any, path: str, is_trained: bool) -> Iterator[tuple[str, Tensor, bool]]:
    if isinstance(part, Tensor):
        yield path, part, is_trained
        return
    untrained = _untrained(part) if dataclasses.is_dataclass(part) else frozenset()
    for name, child in children(part):
        here = f"{path}.{name}" if path else name
        yield from _walk(child, here, is_trained and name not in untrained)


def _untrained(part: Any) -> frozenset[str]:
    return frozenset(f.name for f in dataclasses.fields(part) if f.metadata.get("trained") is False)
