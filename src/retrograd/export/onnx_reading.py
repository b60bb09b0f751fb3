"""Opening an ONNX file that anybody may have made: within bounds, and no other file is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np

from retrograd.export.onnx_graph import LARGEST, require_onnx
from retrograd.tensor.errors import FileFormatError
from retrograd.tensor.types import Array
from retrograd.train.files import read_file

MOST_NODES: Final = 2_000
_ITEM: Final = {1: 4, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 2: 1, 3: 1, 4: 2, 5: 2}
"""Bytes of one number, by ONNX's number for its type: floats, integers and truth values."""


def refuse(asked: str, found: str, try_this: str = "export a plain dense network") -> NoReturn:
    """Raise FileFormatError for a file that cannot be read back."""
    raise FileFormatError(asked, found, try_this)


def open_onnx(path: Path, asked: str) -> Any:
    """Return the message in a file.

    Raises FileFormatError, beginning with ``asked``, for what is no ONNX, keeps its numbers in
    other files, claims more numbers than it holds, or has nodes that read what is not there yet.
    """
    onnx = require_onnx()
    data = read_file(path, asked)
    if len(data) > LARGEST:
        refuse(asked, "it is larger than 2 GB", "export a smaller network")
    try:
        proto = onnx.load_model_from_string(data)
    except Exception:  # the parser's own kinds differ between its versions
        refuse(asked, "it is damaged or no ONNX file", "export or copy it again")
    if not proto.HasField("graph") or not proto.opset_import:
        refuse(asked, "it is damaged or no ONNX file", "export or copy it again")
    if proto.functions or proto.graph.sparse_initializer:
        refuse(asked, "it has functions or sparse tensors of its own")
    if len(proto.graph.node) > MOST_NODES:
        refuse(asked, f"it has {len(proto.graph.node):,} nodes, more than {MOST_NODES:,}")
    for tensor in proto.graph.initializer:
        check_tensor(tensor, asked)
    _check_order(proto, asked)
    return proto


def check_tensor(tensor: Any, asked: str) -> None:
    """Refuse a tensor whose numbers are not all in the file."""
    name = tensor.name[:60]
    if tensor.data_location or tensor.external_data:
        refuse(asked, f"the numbers of {name!r} are in another file", "save it as one file")
    size = math.prod(tensor.dims)
    if any(length < 0 for length in tensor.dims) or size > LARGEST:
        refuse(asked, f"{name!r} claims the shape {list(tensor.dims)[:8]}", "export it again")
    if tensor.data_type == 8:
        held, wanted = len(tensor.string_data), size
    elif tensor.data_type not in _ITEM:
        refuse(asked, f"{name!r} holds numbers of a kind that is not read", "export it in float32")
    elif tensor.HasField("raw_data"):
        held, wanted = len(tensor.raw_data), size * _ITEM[tensor.data_type]
    else:
        fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data,
                  tensor.uint64_data)  # fmt: skip
        held, wanted = sum(map(len, fields)), size
    if held != wanted:
        refuse(asked, f"{name!r} claims {size:,} numbers and holds others", "export it again")


def _check_order(proto: Any, asked: str) -> None:
    """Refuse nodes that read what none before them has made, as nodes in a circle do."""
    known = {each.name for each in proto.graph.input}
    known |= {each.name for each in proto.graph.initializer} | {""}
    for node in proto.graph.node:
        late = next((name for name in node.input if name not in known), None)
        if late is not None:
            refuse(asked, f"{node.op_type} reads {late[:60]!r} before it is made: a circle?")
        if any(each.type in (5, 10) for each in node.attribute):
            refuse(asked, f"{node.op_type} has a graph within itself")
        known.update(node.output)


def constants_of(proto: Any, asked: str) -> dict[str, Array]:
    """Return every constant by its name: initializers, and what nodes make of nothing."""
    to_array = require_onnx().numpy_helper.to_array
    found = {each.name: np.asarray(to_array(each)) for each in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant" and len(node.attribute) == 1:
            value = node.attribute[0]
            if value.type == 4:  # a tensor
                check_tensor(value.t, asked)
                found[node.output[0]] = np.asarray(to_array(value.t))
            elif value.type == 1:
                found[node.output[0]] = np.array(value.f, np.float32)
            elif value.type == 2:
                found[node.output[0]] = np.array(value.i, np.int64)
            elif value.type == 7:
                found[node.output[0]] = np.array(value.ints, np.int64)
            elif value.type == 6:
                found[node.output[0]] = np.array(value.floats, np.float32)
        elif node.op_type in ("Identity", "Cast") and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
        elif node.op_type == "Transpose" and node.input[0] in found:
            order = [list(each.ints) for each in node.attribute if each.name == "perm"]
            found[node.output[0]] = found[node.input[0]].transpose(*order)
    return found


def way_to(end: str, makers: Mapping[str, Any], constants: Mapping[str, Array]) -> frozenset[str]:
    """Return the values that one is made of, itself among them, constants not."""
    found: set[str] = set()
    todo = [end]
    while todo:
        name = todo.pop()
        if name not in found and name not in constants and name in makers:
            found.add(name)
            todo.extend(makers[name].input)
    return frozenset(found)


def attributes(node: Any) -> dict[str, Any]:
    """Return a node's attributes as Python's values."""
    value = require_onnx().helper.get_attribute_value
    return {each.name: value(each) for each in node.attribute}
