"""What exported programs compute: from features to the answer, or to what every layer gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from retrograd import nn, ops
from retrograd.compile.graph import Graph
from retrograd.compile.simplify import simplify
from retrograd.compile.trace import trace
from retrograd.export.program import stages_of
from retrograd.recipe.model import Model
from retrograd.tensor.tensor import Tensor, from_array

Function = Callable[[Tensor], Tensor]


def answer(model: Model) -> Function:
    """Return what maps features (rows, features) to probabilities, or to amounts in their unit."""
    net, scale, shift = model.net, model.preprocessor.scale, model.preprocessor.shift

    def answered(x: Tensor) -> Tensor:
        y: Tensor = net(x)
        return nn.softmax(y) if model.schema.classes else y * scale + shift

    return answered


def stage_shapes(model: Model, features: int) -> dict[str, list[int]]:
    """Return the shape of what each layer gives for a row, first layer to last."""
    x = from_array(np.zeros((1, features), np.float32))
    return {name: list(y.shape[1:]) for name, y in stages_of(model.net, x).items()}


def all_stages(model: Model) -> Function:
    """Return what maps features to what all layers give, side by side (rows, total)."""

    def answered(x: Tensor) -> Tensor:
        found, rows = stages_of(model.net, x).values(), x.shape[0]
        return ops.concatenate([ops.reshape(y, (rows, y.size // rows)) for y in found], 1)

    return answered


def graph_of(function: Function, rows: int, features: int) -> Graph:
    """Return the graph of a function for so many rows."""
    given = from_array(np.zeros((rows, features), np.float32))
    return simplify(trace(function, given).graph)
