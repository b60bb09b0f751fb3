"""Nodes of ONNX become layers: one after the other from the input to the output.

Products and sums with constants are gathered into dense layers. A group of elementwise nodes
without weights is told by its values: whatever spells one of our activations is that activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import numpy as np

from retrograd import nn
from retrograd.export.onnx_activations import ELEMENTWISE, is_elementwise, spelt_by
from retrograd.export.onnx_reading import attributes, refuse, way_to
from retrograd.tensor.tensor import Tensor, from_array
from retrograd.tensor.types import Array

_PASSED: Final = ("Identity", "Cast", "Dropout")
_DEEPEST: Final = 12  # sums within sums
_LONGEST: Final = 16  # nodes that may spell one activation
_MOST_WAYS: Final = 200  # nodes between where ways part and where they meet


def tensor_of(array: Array) -> Tensor:
    """Return numbers of a file as a tensor of a layer."""
    return from_array(np.ascontiguousarray(array, dtype=np.float32))


def is_row(array: Array, length: int) -> bool:
    """Return whether an array is one number or a row of so many: others stretch what they meet."""
    return array.ndim <= 2 and array.size in (1, length) and array.shape[-1:] in ((), (array.size,))


class Reader:
    """A walk over a graph's nodes, collecting layers."""

    def __init__(
        self, proto: Any, constants: Mapping[str, Array], makers: Mapping[str, Any],
        features: int, asked: str,
    ) -> None:  # fmt: skip
        """Begin with the number of features that the network is given."""
        self.proto, self.constants, self.makers = proto, constants, makers
        self.features, self.asked = features, asked
        self.readers: dict[str, list[Any]] = {}
        for node in proto.graph.node:
            for name in dict.fromkeys(node.input):
                self.readers.setdefault(name, []).append(node)
        self.stretch: Array | None = None  # (2, features): x * stretch[0] + stretch[1] is to come
        self.depth = 0

    def layers(self, start: str, end: str) -> list[Any]:
        """Return the layers from one value to another."""
        within = way_to(end, self.makers, self.constants)
        found: list[Any] = []
        at = start
        while at != end:
            nodes = self.next(at, within)
            spelt = self.activation(at, end, within)
            if spelt is not None:
                self.settle(found)
                found.append(spelt[0])
                at = spelt[1]
            elif len(nodes) == 1 and list(nodes[0].input).count(at) == 1:
                at = self.one(nodes[0], at, found)
            else:
                at = self.several(at, end, within, found)
        self.settle(found)
        return found

    def next(self, at: str, within: frozenset[str]) -> list[Any]:
        """Return what reads a value on the way."""
        nodes = [node for node in self.readers.get(at, ()) if within & set(node.output)]
        if not nodes:
            self.refuse(f"nothing reads {at[:60]!r} on the way to its output")
        return nodes

    def refuse(self, found: str) -> NoReturn:
        """Raise FileFormatError."""
        refuse(self.asked, found)

    def one(self, node: Any, at: str, found: list[Any]) -> str:
        """Add what one node does to the layers, and return the value that it makes."""
        kind, output = node.op_type, str(node.output[0])
        given = [name for name in node.input if name and name != at]
        if any(name not in self.constants for name in given):
            self.refuse(f"{kind} reads {given[0][:60]!r}, which is no constant of the file")
        numbers = [self.constants[name] for name in given]
        if kind in _PASSED:
            if kind == "Dropout":
                self.settle(found)
                found.append(nn.Dropout(self.rate(node, numbers)))
        elif kind in ("Gemm", "MatMul"):
            self.product(node, at, numbers, found)
        elif kind == "Scaler" or (kind in ("Add", "Sub", "Mul", "Div") and self.is_wide(numbers)):
            self.spread(node, at, numbers)
        elif kind in ("BatchNormalization", "LayerNormalization"):
            self.settle(found)
            found.append(self.normalization(node, numbers))
        elif kind in ("Flatten", "Reshape", "Squeeze", "Unsqueeze"):
            self.flatten(node, numbers)
        elif kind in ELEMENTWISE:
            self.refuse(f"the function that it makes with {kind} is none of the activations")
        else:
            self.refuse(f"it computes {kind[:40]!r}, which is no part of a dense network")
        return output

    def is_wide(self, numbers: list[Array]) -> bool:
        """Return whether a constant has one number for each feature, or is one for all."""
        return len(numbers) == 1 and is_row(numbers[0], self.features)

    def rate(self, node: Any, numbers: list[Array]) -> float:
        """Return the part of units that a dropout drops in training."""
        rate = attributes(node).get("ratio", float(numbers[0]) if numbers else 0.5)
        if not 0.0 <= rate < 1.0:
            self.refuse(f"it drops the part {rate:g} of its units")
        return float(rate)

    def product(self, node: Any, at: str, numbers: list[Array], found: list[Any]) -> None:
        """Add a dense layer."""
        own = attributes(node)
        if node.input[0] != at or own.get("transA") or not numbers or numbers[0].ndim != 2:
            self.refuse(f"{node.op_type} multiplies something else than rows by a matrix")
        weight = numbers[0].T if own.get("transB") else numbers[0]
        if weight.shape[0] != self.features or not weight.size:
            self.refuse(f"{node.op_type} takes {weight.shape[0]} features and gets {self.features}")
        weight = np.asarray(weight, np.float64) * own.get("alpha", 1.0)
        bias = np.zeros(weight.shape[1]) if len(numbers) > 1 else None
        if bias is not None:
            if not is_row(numbers[1], weight.shape[1]):
                self.refuse(f"{node.op_type} adds {numbers[1].size} numbers to {weight.shape[1]}")
            bias = bias + np.asarray(numbers[1], np.float64).reshape(-1) * own.get("beta", 1.0)
        if self.stretch is not None:
            moved = self.stretch[1] @ weight
            bias = moved if bias is None else bias + moved
            weight = self.stretch[0][:, np.newaxis] * weight
            self.stretch = None
        found.append(nn.Linear(tensor_of(weight), None if bias is None else tensor_of(bias)))
        self.features = weight.shape[1]

    def spread(self, node: Any, at: str, numbers: list[Array]) -> None:
        """Take a product or a sum with constants into account, feature by feature."""
        if self.stretch is None:
            self.stretch = np.stack([np.ones(self.features), np.zeros(self.features)])
        times, plus = self.stretch
        if node.op_type == "Scaler":
            own = attributes(node)
            offset, scale = (np.asarray(own.get(name, 0.0)) for name in ("offset", "scale"))
            if offset.size not in (1, self.features) or scale.size not in (1, self.features):
                self.refuse("a Scaler has other features than the network")
            self.stretch = np.stack([times * scale, (plus - offset) * scale])
            return
        number = np.asarray(numbers[0], np.float64).reshape(-1)
        is_first = node.input[0] == at
        match node.op_type:
            case "Add":
                self.stretch = np.stack([times, plus + number])
            case "Mul":
                self.stretch = np.stack([times * number, plus * number])
            case "Sub" if is_first:
                self.stretch = np.stack([times, plus - number])
            case "Sub":
                self.stretch = np.stack([-times, number - plus])
            case _ if is_first and np.all(number != 0):
                self.stretch = np.stack([times / number, plus / number])
            case _:
                self.refuse("it divides by its features, or by 0")

    def settle(self, found: list[Any]) -> None:
        """Put products and sums that no dense layer followed into the one before."""
        if self.stretch is None:
            return
        times, plus = self.stretch
        self.stretch = None
        if not found or not isinstance(found[-1], nn.Linear):
            self.refuse("it scales numbers where no dense layer is next to it")
        last = found[-1]
        bias = 0.0 if last.bias is None else last.bias.numpy().astype(np.float64)
        weight = last.weight.numpy().astype(np.float64) * times
        found[-1] = nn.Linear(tensor_of(weight), tensor_of(bias * times + plus))

    def normalization(self, node: Any, numbers: list[Array]) -> Any:
        """Return batch norm or layer norm with the file's numbers."""
        own, epsilon = attributes(node), attributes(node).get("epsilon", 1e-5)
        wanted = 4 if node.op_type == "BatchNormalization" else 2
        is_fit = len(numbers) == wanted and all(x.shape == (self.features,) for x in numbers)
        if not is_fit or not epsilon > 0 or own.get("training_mode"):
            self.refuse(f"{node.op_type} does not fit {self.features} features")
        tensors = [tensor_of(each) for each in numbers]
        if wanted == 2:
            if own.get("axis", -1) not in (-1, 1):
                self.refuse("LayerNormalization is over other axes than the last")
            return nn.LayerNorm(tensors[0], tensors[1], float(epsilon))
        momentum = 1.0 - min(max(own.get("momentum", 0.9), 0.0), 1.0)
        scale, shift, mean, variance = tensors
        return nn.BatchNorm(scale, shift, mean, variance, float(momentum), float(epsilon))

    def flatten(self, node: Any, numbers: list[Array]) -> None:
        """Accept what leaves rows of features as they are."""
        own = attributes(node)
        if node.op_type == "Flatten" and own.get("axis", 1) == 1:
            return
        if node.op_type == "Reshape" and numbers and len(numbers[0]) == 2:
            rows, columns = numbers[0].tolist()
            if rows in (0, -1) and columns in (-1, self.features):
                return
        self.refuse(f"{node.op_type} changes the shape of rows")

    def several(self, at: str, end: str, within: frozenset[str], found: list[Any]) -> str:
        """Add what several readers of one value make together, and return where they meet."""
        nodes, meet = self.group(at, end, within)
        self.settle(found)
        others = [name for name in nodes[-1].input if name != at] if nodes else []
        is_sum = bool(nodes) and nodes[-1].op_type == "Add" and len(others) == 1
        if not is_sum or others[0] in self.constants or self.depth == _DEEPEST:
            self.refuse(f"{at[:60]!r} goes several ways that do not meet in a sum with it")
        before = self.features
        self.depth += 1
        inner = self.layers(at, others[0])
        self.depth -= 1
        if self.features != before or not inner:
            self.refuse("a sum joins layers of different sizes")
        found.append(nn.Residual(inner[0] if len(inner) == 1 else nn.Sequential(tuple(inner))))
        return meet

    def group(self, at: str, end: str, within: frozenset[str]) -> tuple[list[Any], str]:
        """Return the nodes up to where all ways from a value meet, and that value, or none."""
        open_values, nodes = {at}, []
        for node in self.proto.graph.node:
            outputs = within & set(node.output)
            if not outputs or not open_values & set(node.input):
                continue
            nodes.append(node)
            open_values |= outputs
            inside = {id(each) for each in nodes}
            left = [v for v in open_values if v == end or any(
                id(r) not in inside and within & set(r.output) for r in self.readers.get(v, ())
            )]  # fmt: skip
            if len(left) == 1 and left[0] in outputs:
                return nodes, left[0]
            if len(nodes) > _MOST_WAYS:
                break
        return [], at

    def activation(self, at: str, end: str, within: frozenset[str]) -> tuple[Any, str] | None:
        """Return the activation that the longest row of elementwise nodes spells, and its value."""
        nodes: list[Any] = []
        tries: list[tuple[list[Any], str]] = []
        value = at
        while value != end and len(nodes) < _LONGEST:
            following = self.next(value, within)
            if len(following) > 1 or list(following[0].input).count(value) > 1:
                following, meet = self.group(value, end, within)
            else:
                meet = str(following[0].output[0])
            if not following or not all(is_elementwise(node, self.constants) for node in following):
                break
            nodes = [*nodes, *following]
            value = meet
            tries.append((nodes, value))
        for nodes, value in reversed(tries):
            function = spelt_by(nodes, (at, value), self.constants, self.proto)
            if function is not None:
                return function, value
        return None
