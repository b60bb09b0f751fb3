"""What an imported network's columns and classes are called: as a model that predicts tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from retrograd import nn
from retrograd.data import Preprocessor, Schema
from retrograd.data.encodings import NumberEncoding
from retrograd.data.schema import ColumnKind, ColumnSchema, Task
from retrograd.recipe.config import configure
from retrograd.recipe.model import Model
from retrograd.recipe.names import ACTIVATIONS
from retrograd.tensor.errors import InputError


def labels_of(
    count: int, known: Sequence[str] | None, given: Sequence[str] | None, asked: str
) -> tuple[str, ...]:
    """Return the classes of a network with so many outputs, none for amounts.

    known: those that the file names.  given: those that a person names, which go over them.
    """
    if count == 1:
        if given:
            raise InputError(asked, "its one output is an amount", "leave the classes out")
        return ()
    names = list(given or known or ())
    if given and len(names) != count:
        raise InputError(asked, f"it has {count} classes, not {len(names)}", "name each once")
    if len(set(names)) != count:
        if given:
            raise InputError(asked, "two classes have one name", "name each once")
        names = [str(i) for i in range(count)]
    return tuple(names)


def model_of(
    net: Any,
    features: int,
    classes: tuple[str, ...],
    names: tuple[Sequence[str] | None, str | None],
    asked: str,
) -> Model:
    """Return the model of a network whose columns are numbers, taken as they are."""
    columns, target = list(names[0] or (f"x{i}" for i in range(features))), names[1] or "target"
    if len(columns) != features or len({*columns, target}) != features + 1:
        raise InputError(
            asked,
            f"it takes {features} columns, and {len(columns)} names were given, or one twice",
            f"name each once, and none {target!r}",
        )
    most = sys.float_info.max
    encodings = [
        NumberEncoding(name, 0.0, 1.0, 0.0, -most, most, indicator=False) for name in columns
    ]
    tasks = {0: Task.regression, 2: Task.binary}
    task = tasks.get(len(classes), Task.multiclass)
    schema = Schema(
        columns=tuple(
            ColumnSchema(name, ColumnKind.number, "an input of the imported network", 0, 0)
            for name in columns
        ),
        target=target,
        task=task,
        target_reason="the imported network's output",
        task_reason="the number of its outputs",
        classes=classes,
        rows=0,
    )
    preprocessor = Preprocessor(tuple(encodings), target, classes, 0.0, 1.0)
    config = configure(target=target, task=task.value, **_described(net))
    return Model(net, schema, preprocessor, config)


def _described(net: Any) -> dict[str, Any]:
    """Return a network in the words of a config, as far as these go."""
    layers = list(_inside(net))
    sizes = [layer.weight.shape[1] for layer in layers if isinstance(layer, nn.Linear)]
    used = (name for layer in layers for name, each in ACTIVATIONS.items() if layer is each)
    kinds = {nn.BatchNorm: "batch", nn.LayerNorm: "layer"}
    return {
        "hidden": tuple(sizes[:-1]),
        "activation": next(used, "identity"),
        "dropout": next((each.rate for each in layers if isinstance(each, nn.Dropout)), 0.0),
        "normalization": next(
            (kinds[type(each)] for each in layers if type(each) in kinds), "none"
        ),
    }


def _inside(net: Any) -> Iterator[Any]:
    """Give every layer that holds no others, first to last."""
    if isinstance(net, nn.Sequential | nn.Residual):
        for layer in net.layers if isinstance(net, nn.Sequential) else (net.inner,):
            yield from _inside(layer)
    else:
        yield net
