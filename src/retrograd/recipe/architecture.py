"""A network as plain data and back: each kind of layer has one entry in one table.

A record names kinds, settings and nesting; the numbers stay tensors under their leaf names. What is
not in the table cannot be written, and what a file names that is not in it is refused: nothing is
ever imported or called by a name from a file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

from retrograd import nn
from retrograd.recipe.names import ACTIVATIONS
from retrograd.tensor.errors import FileFormatError, InputError, RetrogradError
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array, DType
from retrograd.tree import leaves

Record = dict[str, Any]
_DEEPEST = 16  # layers within layers
_MOST = 10_000  # layers in all


@dataclass(frozen=True)
class _Kind:
    """A kind of layer: its tensors with their ranks, optional ones, settings, and inner layers.

    Tensors hold floats, but for those of whole numbers.
    """

    name: str
    make: type[Any]
    tensors: tuple[tuple[str, int], ...] = ()
    optional: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    inner: str = ""
    whole: tuple[str, ...] = ()


_VECTORS = (("scale", 1), ("shift", 1))
_RUNNING = (("running_mean", 1), ("running_variance", 1))
_KINDS: Final = (
    _Kind("linear", nn.Linear, (("weight", 2), ("bias", 1)), optional=("bias",)),
    _Kind("dropout", nn.Dropout, settings=("rate",)),
    _Kind("flatten", nn.Flatten),
    _Kind("batch_norm", nn.BatchNorm, (*_VECTORS, *_RUNNING), settings=("momentum", "epsilon")),
    _Kind("layer_norm", nn.LayerNorm, _VECTORS, settings=("epsilon",)),
    _Kind(
        "piecewise_linear",
        nn.PiecewiseLinear,
        (("start", 1), ("slope", 1), ("feature", 1)),
        whole=("feature",),
    ),
    _Kind("members", nn.Members, (("scale", 2), ("shift", 2))),
    _Kind("member_linear", nn.MemberLinear, (("weight", 3), ("bias", 2))),
    _Kind("average", nn.Average),
    _Kind("temperature", nn.Temperature, settings=("temperature",)),
    _Kind("residual", nn.Residual, inner="inner"),
    _Kind("sequential", nn.Sequential, inner="layers"),
)
_WHOLE: Final = frozenset({DType.int32, DType.int64})
_OF_MEMBERS: Final = (nn.Members, nn.MemberLinear)


def encode(net: Any) -> Record:
    """Return the record of a network; its numbers are `tree.leaves(net)`.

    Raises InputError for a layer or function that files cannot name.

    >>> from retrograd import ops
    >>> encode(nn.Sequential((nn.Linear.init(ops.key(0), 3, 2), nn.relu)))
    {'kind': 'sequential', 'layers': [{'kind': 'linear', 'bias': True}, {'kind': 'relu'}]}
    """
    for name, function in ACTIVATIONS.items():
        if net is function:
            return {"kind": name}
    kind = next((kind for kind in _KINDS if type(net) is kind.make), None)
    if kind is None:
        raise InputError(
            f"saving a network with {getattr(net, '__name__', type(net).__name__)}",
            "a model file has no name for it",
            "use the layers and activations of retrograd.nn, or save its leaves yourself",
        )
    record: Record = {"kind": kind.name}
    record |= {name: getattr(net, name) is not None for name in kind.optional}
    record |= {name: getattr(net, name) for name in kind.settings}
    if kind.inner:
        within = getattr(net, kind.inner)
        several = isinstance(within, tuple)
        record[kind.inner] = [encode(layer) for layer in within] if several else encode(within)
    return record


def decode(record: object, arrays: Mapping[str, Array], asked: str) -> Any:
    """Return the network of a record with these numbers by leaf name.

    Raises FileFormatError, beginning with ``asked``, for an unknown kind, settings out of range, or
    tensors that are absent, too many, or of shapes that do not fit.
    """
    decoder = _Decoder(dict(arrays), asked)
    net = decoder.layer(record, "", 0)
    left = sorted(set(arrays) - set(leaves(net)))
    if left:
        decoder.refuse(f"no layer has a tensor called {left[0]!r}")
    return net


class _Decoder:
    """One reading: the numbers, what messages begin with, and how many layers were made."""

    def __init__(self, arrays: Mapping[str, Array], asked: str) -> None:
        self.arrays, self.asked, self.layers = arrays, asked, 0

    def refuse(self, found: str) -> NoReturn:
        raise FileFormatError(self.asked, found, "use another copy of the file") from None

    def layer(self, record: object, path: str, depth: int) -> Any:
        """Return the layer at a path; its tensors are those under the path."""
        place = path or "the network"
        self.layers += 1
        if depth > _DEEPEST or self.layers > _MOST:
            self.refuse(f"it has more than {_DEEPEST} layers in each other or {_MOST} in all")
        if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
            self.refuse(f"{place} has no kind")
        name = record["kind"]
        if name in ACTIVATIONS:
            self.expect(record, {"kind"}, place)
            return ACTIVATIONS[cast(Any, name)]
        kind = next((kind for kind in _KINDS if kind.name == name), None)
        if kind is None:
            self.refuse(f"{place} is of the unknown kind {name[:40]!r}")
        inner = {kind.inner} if kind.inner else set()
        self.expect(record, {"kind", *kind.optional, *kind.settings, *inner}, place)
        parts: Record = {key: self.number(record[key], key, place) for key in kind.settings}
        for key, rank in kind.tensors:
            kind_of = "i" if key in kind.whole else "f"
            name_of = f"{path}.{key}".lstrip(".")
            parts[key] = self.tensor(record.get(key, True), name_of, rank, kind_of)
        if kind.inner:
            parts[kind.inner] = self.inside(record[kind.inner], kind, path, depth)
        self.fitting(kind, parts, place)
        return self.build(kind.make, parts, place)

    def inside(self, record: object, kind: _Kind, path: str, depth: int) -> Any:
        place = f"{path}.{kind.inner}".lstrip(".")
        if kind.make is not nn.Sequential:
            return self.layer(record, place, depth + 1)
        if not isinstance(record, list):
            self.refuse(f"{place} is not a list")
        return tuple(self.layer(item, f"{place}.{i}", depth + 1) for i, item in enumerate(record))

    def expect(self, record: Record, keys: set[str], place: str) -> None:
        if set(record) != keys:
            self.refuse(f"{place} has {sorted(record)} instead of {sorted(keys)}")

    def number(self, value: Any, key: str, place: str) -> float:
        is_number = isinstance(value, float | int) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            self.refuse(f"{key} of {place} is not a number")
        return float(value)

    def tensor(self, present: object, name: str, rank: int, kind: str) -> Tensor | None:
        if present is False:
            return None
        if present is not True or name not in self.arrays:
            self.refuse(f"the tensor {name!r} is missing")
        array = self.arrays[name]
        if array.ndim != rank or array.dtype.kind != kind or not array.size:
            self.refuse(f"the tensor {name!r} is {array.dtype}{list(array.shape)}")
        return from_array(array)

    def fitting(self, kind: _Kind, parts: Record, place: str) -> None:
        """Refuse tensors of one layer that differ in length or dtype: broadcasting hides it."""
        tensors = [parts[key] for key, _ in kind.tensors if parts[key] is not None]
        floats = {tensor.dtype for tensor in tensors} - _WHOLE
        lengths = {tensor.shape[-1] for tensor in tensors}
        members = {tensor.shape[0] for tensor in tensors if kind.make in _OF_MEMBERS}
        if max(len(floats), len(lengths), len(members)) > 1:
            self.refuse(f"the tensors of {place} do not fit each other")

    def build(self, make: Callable[..., Any], parts: Record, place: str) -> Any:
        try:
            return make(**parts)
        except RetrogradError as error:
            self.refuse(f"{place} cannot be made ({error.found})")
