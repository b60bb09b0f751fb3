"""A table with every kind of column, and untrained models of it: exporting needs no training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from retrograd import nn, ops
from retrograd.data import Table, fit_preprocessor, infer_schema, read_table
from retrograd.export import Format, Request, format_of
from retrograd.export.verify import Exported, export_model
from retrograd.recipe.config import configure
from retrograd.recipe.model import Model
from retrograd.tensor.tensor import from_array

MakeNet = Callable[[int, int], Any]


def columns(rows: int = 80, seed: int = 0) -> dict[str, list[Any]]:
    draw = np.random.default_rng(seed)
    size = draw.normal(10, 2, rows)
    minutes = draw.integers(0, 3_000_000, rows)
    days = [str(np.datetime64("1969-01-01T00:10") + np.timedelta64(int(m), "m")) for m in minutes]
    colours = draw.choice(["red", "green", "blue", "café"], rows).tolist()
    colours[5] = "teal"  # once only: it joins the others
    return {
        "size": [None if i % 9 == 0 else float(x) for i, x in enumerate(size)],
        "price": (size * 3 + draw.normal(0, 1, rows)).tolist(),
        "colour": [None if i % 11 == 0 else c for i, c in enumerate(colours)],
        "new": [None if i % 7 == 0 else bool(x) for i, x in enumerate(draw.random(rows) < 0.5)],
        "day": [None if i % 13 == 0 else day for i, day in enumerate(days)],
        "code": draw.integers(0, 4, rows).tolist(),
        "sold": np.where(size > 10, "yes", "no").tolist(),
    }


def plain_net(features: int, outputs: int) -> Any:
    first = nn.Linear.init(ops.key(0), features, 8)
    return nn.Sequential((first, nn.tanh, nn.Linear.init(ops.key(1), 8, outputs)))


def jittered(net: Any, seed: int = 0) -> Any:
    """Return the network with other numbers, so that no shift is 0 and no scale 1."""
    from retrograd.tree import map_leaves

    draw = np.random.default_rng(seed)

    def other(x: Any) -> Any:
        if not x.dtype.is_float:
            return x
        return from_array((x.numpy() + draw.uniform(0.05, 0.3, x.shape)).astype(np.float32))

    return map_leaves(other, net)


def make_model(target: str = "sold", net: MakeNet = plain_net) -> Model:
    """Return a model of the table with the network that ``net(features, outputs)`` makes."""
    table = read_table(columns())
    schema = infer_schema(table, target, kinds={"code": "category"})
    preprocessor = fit_preprocessor(table, schema, np.arange(60))
    outputs = max(len(schema.classes), 1)
    made = jittered(net(len(preprocessor.feature_names), outputs))
    config = configure(target=target)
    return Model(made, schema, preprocessor, config, {"loss": 0.5}, "digest")


def new_rows(**changed: list[Any]) -> Table:
    """Return rows that training did not see, with cells that are missing and unseen."""
    rows = columns(40, seed=7) | {"colour": ["pink", "red", None, " blue "] * 10}
    return read_table(rows | changed)


def exported(model: Model, to: Path, name: str) -> tuple[Path, Format, Exported]:
    kind = format_of(to, name)
    path = to / f"model{kind.suffixes[0]}"
    return path, kind, export_model(model, path)


def request(model: Model) -> Request:
    return Request(model, "model.py")
