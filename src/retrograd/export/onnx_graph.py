"""A graph of ONNX as it is being written: nodes, numbers that they read, and names without clashes.

Opset 21 and ai.onnx.ml 3, IR version 10. Values that a person may look at have plain names
("features", "layers.0"); what lies between has names with "/".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from retrograd.tensor.errors import InputError
from retrograd.tensor.types import Array, DType, Shape

OPSET: Final = 21
ML_OPSET: Final = 3
IR_VERSION: Final = 10
LARGEST: Final = 2**31 - 2**20
"""Bytes: a file of one message cannot have 2 GiB or more."""


def require_onnx() -> Any:
    """Return the package onnx; raises InputError where it is not installed."""
    try:
        import onnx
    except ImportError:
        raise InputError(
            "working with ONNX", "the package onnx is not installed", "pip install onnx"
        ) from None
    return onnx


class Graph:
    """Nodes in order, and the numbers that they read."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """Begin; ``taken`` are names that no inner value may have."""
        self.onnx = require_onnx()
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.bytes = 0
        self._names: set[str] = set(taken)
        self._shared: dict[tuple[str, Shape, bytes], str] = {}
        self._rows_of: str | None = None

    def fresh(self, name: str) -> str:
        """Return the name, or one like it that is not taken yet."""
        found, number = name, 2
        while found in self._names:
            found, number = f"{name}/{number}", number + 1
        self._names.add(found)
        return found

    def add(
        self, kind: str, *inputs: str, to: str | None = None, domain: str = "", **attributes: Any
    ) -> str:
        """Add a node with one output and return the output's name."""
        output = to if to is not None else self.fresh(f"/{kind}")
        node = self.onnx.helper.make_node(kind, inputs, [output], domain=domain, **attributes)
        self.nodes.append(node)
        return output

    def weight(self, name: str, array: Array) -> str:
        """Keep a tensor under its own name."""
        if self.bytes + array.nbytes > LARGEST:
            raise InputError(
                "exporting to ONNX",
                f"its numbers take more than {LARGEST / 1e9:.1f} GB, and one file holds no more",
                "train a smaller network, or export to .py",
            )
        self.bytes += array.nbytes
        self.initializers[name] = self.onnx.numpy_helper.from_array(
            np.asarray(array, order="C"), name
        )
        return name

    def constant(self, array: Any) -> str:
        """Return the name of a constant; equal ones are kept once."""
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._shared:
            self._shared[key] = self.weight(self.fresh("/constant"), array)
        return self._shared[key]

    def floats(self, *values: float) -> str:
        """Return the name of float64 constants, a scalar if there is one only."""
        return self.constant(np.array(values if len(values) > 1 else values[0], np.float64))

    def integers(self, *values: int) -> str:
        """Return the name of a vector of int64."""
        return self.constant(np.array(values, np.int64))

    def texts(self, texts: Iterable[str]) -> str:
        """Return the name of a vector of texts."""
        name = self.fresh("/texts")
        data = [text.encode() for text in texts]
        kind = self.onnx.TensorProto.STRING
        self.bytes += sum(map(len, data))
        self.initializers[name] = self.onnx.helper.make_tensor(name, kind, [len(data)], data)
        return name

    def cast(self, x: str, dtype: DType, to: str | None = None) -> str:
        """Return x as another dtype."""
        output = to if to is not None else self.fresh("/Cast")
        node = self.onnx.helper.make_node("Cast", [x], [output], to=self.code(dtype))
        self.nodes.append(node)
        return output

    def code(self, dtype: DType) -> int:
        """Return the number that ONNX has for a dtype."""
        code: int = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype.numpy))
        return code

    def shape(self, shape: Shape) -> str:
        """Return the name of a shape, in which -k stands for k times the rows."""
        if all(n >= 0 for n in shape):
            return self.integers(*shape)
        parts = [self.add("Mul", self.rows(), self.integers(-n)) if n < 0 else self.integers(n)
                 for n in shape]  # fmt: skip
        return self.add("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]

    def rows(self) -> str:
        """Return the name of the number of rows, int64 (1,)."""
        assert self._rows_of is not None
        return self.add("Shape", self._rows_of, start=0, end=1)

    def count_rows_of(self, name: str) -> None:
        """Let `rows` be the first axis of this value."""
        self._rows_of = name
