"""From an ONNX file back to a model that predicts and can be trained further.

A file of ours comes back whole, with schema and preprocessing. Of others the dense network is
read, from its one input of rows (n, features) to logits or amounts; its columns are numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from retrograd import nn
from retrograd.export.onnx_file import metadata_of
from retrograd.export.onnx_graph import require_onnx
from retrograd.export.onnx_layers import Reader, tensor_of
from retrograd.export.onnx_model import labels_of, model_of
from retrograd.export.onnx_reading import attributes, constants_of, open_onnx, refuse, way_to
from retrograd.export.onnx_whole import whole_model
from retrograd.recipe.model import Model
from retrograd.recipe.predictions import outputs_of
from retrograd.tensor.errors import InputError, RetrogradError

TOLERANCE: Final = 1e-5
"""How far outputs on random rows may be from the file's own, in parts of the largest one."""
_ROWS: Final = 64
_BROKEN: Final = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError,
    MemoryError,
)  # fmt: skip
"""What may come of a stranger's file whose parts are each what they should be, but not together."""
_ENDS: Final = ("Softmax", "LogSoftmax", "Sigmoid")


@dataclass(frozen=True, eq=False)
class Imported:
    """What was read: a model, and sentences about what was assumed.

    difference: between the model and the file on rows, in parts of what is allowed; None where the
    file is not run.
    """

    model: Model
    difference: float | None
    notes: tuple[str, ...] = ()


def import_onnx(
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    target: str | None = None,
) -> Imported:
    """Read a network back.

    columns: what its inputs are called; by default x0, x1, ...  classes: what its outputs are
    called; by default what the file says, else 0, 1, ...  target: the predicted column.

    Raises FileFormatError in one sentence for what is no file of a dense network, or does not
    compute what its layers do, and InputError for names that do not fit it.
    """
    asked = f"importing {str(path)!r}"
    try:
        return _imported(open_onnx(path, asked), (columns, classes, target), asked)
    except RetrogradError:
        raise
    except _BROKEN:
        refuse(asked, "what it holds does not fit together", "export or copy it again")


def _imported(
    proto: Any, names: tuple[Sequence[str] | None, Sequence[str] | None, str | None], asked: str
) -> Imported:
    columns, classes, target = names
    metadata = metadata_of(proto)
    if "model" in metadata:
        if columns or classes or target:
            raise InputError(
                asked, "it says itself what its columns and classes are", "leave the names out"
            )
        model, difference = whole_model(proto, metadata, asked)
        is_older = difference is None
        return Imported(model, difference, (f"version {model.version} wrote it",) * is_older)
    found = _Network(proto, asked)
    net = found.read()
    difference = found.verified(net)
    count = 2 if found.is_two else found.outputs
    labels = labels_of(count, found.names(), classes, asked)
    notes = [] if found.is_named or classes or not labels else [_unnamed(labels)]
    model = model_of(found.finished(net), found.features, labels, (columns, target), asked)
    return Imported(model, difference, tuple(notes))


def _unnamed(labels: Sequence[str]) -> str:
    return f"its classes have no names in it, so they are called {labels[0]}, {labels[1]}, ..."


class _Network:
    """The dense network in a file: where it begins and ends, and what its outputs mean."""

    def __init__(self, proto: Any, asked: str) -> None:
        self.proto, self.asked = proto, asked
        self.constants = constants_of(proto, asked)
        self.maker = {name: node for node in proto.graph.node for name in node.output}
        self.start, self.features = self.input()
        self.ends: list[str] = []
        self.end = self.logits()
        self.outputs = 0

    def input(self) -> tuple[str, int]:
        """Return the name of the input, and how many features it has."""
        given = [each for each in self.proto.graph.input if each.name not in self.constants]
        if len(given) != 1:
            refuse(self.asked, f"it has {len(given)} inputs, and a dense network has one")
        kind = given[0].type.tensor_type
        sizes = [each.dim_value for each in kind.shape.dim]
        if kind.elem_type not in (1, 11) or len(sizes) != 2 or not 0 < sizes[1] <= 10**6:
            refuse(self.asked, f"its input has the shape {sizes[:8]}, and rows are [n, features]")
        return str(given[0].name), int(sizes[1])

    def logits(self) -> str:
        """Return the value from which labels and probabilities are made."""
        floats = [
            each.name for each in self.proto.graph.output
            if each.type.tensor_type.elem_type in (1, 11) or self.is_mapping(each.name)
        ]  # fmt: skip
        if not floats:
            refuse(self.asked, "it has no output of numbers")
        at = floats[-1]
        for _ in range(len(self.proto.graph.node)):
            node = self.maker.get(at)
            if node is None:
                break
            given = [name for name in node.input if name not in self.constants]
            if node.op_type in (*_ENDS, "ZipMap", "Identity", "Cast") and given:
                self.ends += [node.op_type] if node.op_type in _ENDS else []
                at = given[0]
            elif node.op_type == "Concat" and (single := self.single(node)) is not None:
                at = single
            else:
                break
        return str(at)

    def is_mapping(self, name: str) -> bool:
        node = self.maker.get(name)
        return node is not None and node.op_type == "ZipMap"

    def single(self, node: Any) -> str | None:
        """Return p where a node joins 1 - p and p."""
        if len(node.input) != 2:
            return None
        less = self.maker.get(node.input[0])
        if less is None or less.op_type != "Sub" or less.input[1] != node.input[1]:
            return None
        one = self.constants.get(less.input[0])
        return str(node.input[1]) if one is not None and np.all(one == 1) else None

    def read(self) -> Any:
        """Return the network, as a Sequential."""
        reader = Reader(self.proto, self.constants, self.maker, self.features, self.asked)
        layers = reader.layers(self.start, self.end)
        self.outputs = reader.features
        kept = {"Sigmoid": self.outputs == 1, "Softmax": self.outputs > 1}
        if len(self.ends) > 1 or not all(kept[end.removeprefix("Log")] for end in self.ends):
            words = f"{self.outputs} outputs end in {' and '.join(self.ends)}"
            refuse(self.asked, f"its {words}, which chooses no class among them")
        if not any(isinstance(layer, nn.Linear | nn.Residual) for layer in layers):
            refuse(self.asked, "it has no dense layer")
        return nn.Sequential(tuple(layers))

    def cut(self) -> Any:
        """Return the message without what comes after the logits."""
        onnx = require_onnx()
        proto = type(self.proto)()
        proto.CopyFrom(self.proto)
        needed = way_to(self.end, self.maker, self.constants) | set(self.constants)
        nodes = [node for node in proto.graph.node if needed & set(node.output)]
        del proto.graph.output[:], proto.graph.node[:]
        proto.graph.node.extend(nodes)
        kind = proto.graph.input[0].type.tensor_type.elem_type
        proto.graph.output.append(onnx.helper.make_tensor_value_info(self.end, kind, None))
        return proto

    def verified(self, net: Any) -> float:
        """Return how far the layers are from the file on random rows, in parts of what is allowed.

        Raises FileFormatError if they compute something else.
        """
        from onnx.reference import ReferenceEvaluator

        rows = np.random.default_rng(0).normal(size=(_ROWS, self.features)).astype(np.float32)
        given = rows.astype(np.float64) if self.is_double() else rows
        try:
            with np.errstate(all="ignore"):
                made: Any = ReferenceEvaluator(self.cut()).run(None, {self.start: given})
                own = np.asarray(made[0])
                found = outputs_of(net, rows)
        except Exception as error:  # a stranger's graph may fail in any way
            why = error.found if isinstance(error, RetrogradError) else "it cannot be evaluated"
            refuse(self.asked, why)
        is_alike = own.shape == found.shape
        room = TOLERANCE * max(float(np.abs(own).max(initial=0.0)), 1.0)
        with np.errstate(invalid="ignore"):  # infinity less infinity
            away = float(np.abs(own - found).max(initial=0.0)) / room if is_alike else np.inf
        if not away <= 1.0:
            refuse(self.asked, "its layers do not compute what it computes", "report this fault")
        return away

    def is_double(self) -> bool:
        kinds = {each.name: each.type.tensor_type.elem_type for each in self.proto.graph.input}
        return bool(kinds[self.start] == 11)

    @property
    def is_named(self) -> bool:
        """Whether the file names its classes."""
        return self.names() is not None

    def names(self) -> list[str] | None:
        """Return the classes that the file names, as exports of scikit-learn do."""
        for node in self.proto.graph.node:
            own = attributes(node)
            for key in ("classlabels_strings", "classlabels_int64s", "values_strings"):
                if own.get(key):
                    cells = own[key]
                    return [c.decode() if isinstance(c, bytes) else str(c) for c in cells]
            if node.op_type == "ArrayFeatureExtractor" and node.input[0] in self.constants:
                held = self.constants[node.input[0]].reshape(-1).tolist()
                return [c.decode() if isinstance(c, bytes) else str(c) for c in held]
        return None

    @property
    def is_two(self) -> bool:
        """Whether one output is the logit of the second of two classes."""
        return self.outputs == 1 and "Sigmoid" in self.ends

    def finished(self, net: Any) -> Any:
        """Return the network with one logit a class: two classes may have had one for both."""
        if not self.is_two:
            return net
        last = nn.Linear(tensor_of(np.array([[0.0, 1.0]])), None)
        before = net.layers[-1]
        if isinstance(before, nn.Linear):
            zeros = np.zeros_like(before.weight.numpy())
            weight = np.concatenate([zeros, before.weight.numpy()], 1)
            bias = None if before.bias is None else tensor_of(np.array([0, *before.bias.numpy()]))
            return nn.Sequential((*net.layers[:-1], nn.Linear(tensor_of(weight), bias)))
        return nn.Sequential((*net.layers, last))


def record_of(imported: Imported) -> Mapping[str, Any]:
    """Return what an import came to, as plain data."""
    model = imported.model
    columns = [encoding.column for encoding in model.preprocessor.encodings]
    return {
        "columns": columns,
        "target": model.schema.target,
        "classes": list(model.schema.classes),
        "parameters": model.parameters,
        "difference": imported.difference,
        "notes": list(imported.notes),
    }
