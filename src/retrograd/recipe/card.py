"""The card of a model: what it is, what it was made of, how good it is, and what it is not for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retrograd.data import describe
from retrograd.recipe.architecture import encode
from retrograd.recipe.intervals import Estimate, wilson
from retrograd.recipe.model import Model, pack
from retrograd.tensor.tensor import from_array
from retrograd.tree import leaves

_IN_UNITS = ("root_mean_squared_error", "mean_absolute_error")


class Layer(NamedTuple):
    """A layer: its place, kind, the shape of what it gives for n rows, and its trained numbers."""

    name: str
    kind: str
    output: str
    numbers: int


class Measure(NamedTuple):
    """A metric of the validation rows, with its interval where one follows from their number."""

    name: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Card:
    """What a model says of itself.

    columns: dicts of column, kind and encoding.  measures: of the validation rows.  made: a moment
    (UTC) if the file tells.  size: bytes of the file.  limits: honest sentences.
    """

    target: str
    task: str
    classes: tuple[str, ...]
    columns: tuple[dict[str, str], ...]
    unused: tuple[str, ...]
    measures: tuple[Measure, ...]
    layers: tuple[Layer, ...]
    parameters: int
    size: int
    rows: int
    parts: dict[str, int]
    data_digest: str
    model_digest: str
    version: str
    made: str | None
    use: tuple[str, ...]
    limits: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain data for JSON."""
        return asdict(self) | {
            "measures": [measure._asdict() for measure in self.measures],
            "layers": [layer._asdict() for layer in self.layers],
        }


def card_of(model: Model, made: str | None = None) -> Card:
    """Return the card of a model; ``made`` is when, if that is known."""
    schema, data = model.schema, pack(model)
    reports = describe(schema, model.preprocessor)[:-1]
    features = {column.name for column in schema.features}
    columns = tuple(
        {"column": r.column, "kind": r.kind, "encoding": r.encoding}
        for r in reports
        if r.column in features
    )
    return Card(
        target=schema.target,
        task=schema.task.value,
        classes=schema.classes,
        columns=columns,
        unused=tuple(column.name for column in schema.dropped),
        measures=_measures(model),
        layers=layer_table(model),
        parameters=model.parameters,
        size=len(data),
        rows=schema.rows,
        parts=dict(model.parts),
        data_digest=model.data_digest,
        model_digest=hashlib.sha256(data).hexdigest(),
        version=model.version,
        made=made,
        use=_use(model),
        limits=_limits(model),
    )


def _measures(model: Model) -> tuple[Measure, ...]:
    """Return the metrics; a share of rows has Wilson's interval, others would need the rows."""
    found = []
    rows = model.parts.get("validation", 0)
    for name, value in model.metrics.items():
        if name in ("epoch", "step", "loss"):
            continue
        interval: Estimate | None = None
        if name == "accuracy" and rows:
            interval = wilson(round(value * rows), rows)
        low, high = (None, None) if interval is None else (interval.low, interval.high)
        # Training measures errors in standard deviations of the target; people want its unit.
        unit = model.preprocessor.scale if name in _IN_UNITS else 1.0
        found.append(Measure(name, value * unit, low, high))
    return tuple(found)


def layer_table(model: Model) -> tuple[Layer, ...]:
    """Return the layers of a network in order, with the shapes that one row gives."""
    record = encode(model.net)
    members = getattr(model.net, "layers", None)
    if members is None:
        outputs = max(len(model.schema.classes), 1)
        return (Layer("", str(record["kind"]), f"n × {outputs}", model.parameters),)
    x = from_array(np.zeros((1, len(model.preprocessor.feature_names)), np.float32))
    found = [Layer("input", "features", _shape(x), 0)]
    for i, (layer, kind) in enumerate(zip(members, record["layers"], strict=True)):
        x = layer(x)
        numbers = sum(leaf.size for leaf in leaves(layer).values()) if _has_leaves(layer) else 0
        found.append(Layer(f"layers.{i}", _kind(kind), _shape(x), numbers))
    return tuple(found)


def _has_leaves(layer: Any) -> bool:
    return hasattr(layer, "__dataclass_fields__")


def _kind(record: dict[str, Any]) -> str:
    """Return the kind of a layer with its one setting, if it has one."""
    settings = [f"{k} {v:g}" for k, v in record.items() if isinstance(v, float)]
    name = str(record["kind"]).replace("_", " ")
    return f"{name} ({', '.join(settings)})" if settings else name


def _shape(x: Any) -> str:
    return " × ".join(["n", *map(str, x.shape[1:])])


def _use(model: Model) -> tuple[str, ...]:
    schema = model.schema
    if schema.classes:
        few = ", ".join(repr(name) for name in schema.classes[:6])
        more = f" and {len(schema.classes) - 6} more" if len(schema.classes) > 6 else ""
        what = f"tells for each row which of {len(schema.classes)} classes of {schema.target!r}"
        first = f"It {what} is likeliest ({few}{more}), with a probability for each."
    else:
        first = f"It estimates the amount of {schema.target!r} for each row."
    return (
        first,
        f"It is meant for rows that come about like the {schema.rows:,} it was made from: "
        "the same columns, measured in the same way, of the same kind of things.",
    )


def _limits(model: Model) -> tuple[str, ...]:
    found = [
        "It knows what went together in its training rows, not why: changing a column in the world "
        "need not change the target as the network says.",
        "Numbers outside the training range are taken for its ends, and categories that training "
        "never saw say nothing; rows far from the training rows get an answer all the same.",
        "Rows change with time: judge it again on recent labelled rows before relying on it.",
    ]
    if model.metrics:
        found.append(
            "The measures are of validation rows, on which training chose its best epoch, so they "
            "flatter it a little; retrograd test gives an estimate from rows that nothing chose by."
        )
    if model.schema.classes:
        found.append(
            "A probability is what the network says, not how often it comes true; the report of "
            "its run compares the two."
        )
    found.append(
        "Nobody checked whether it is fair to groups of people: do so before it decides on them."
    )
    return tuple(found)


def to_markdown(card: Card, *, with_front_matter: bool = False) -> str:
    """Return the card as Markdown; the front matter is YAML that model hubs read."""
    from retrograd.recipe.card_text import markdown

    text = markdown(card)
    return front_matter(card) + text if with_front_matter else text


def front_matter(card: Card) -> str:
    """Return the YAML between two lines of dashes; JSON strings are YAML, whatever they hold."""
    pipeline = "tabular-classification" if card.classes else "tabular-regression"
    lines = ["library_name: retrograd", f"pipeline_tag: {pipeline}", "tags:", "- tabular"]
    lines += ["- neural-network", "model-index:", f"- name: {json.dumps(card.target)}"]
    lines += ["  results:", "  - task:", f"      type: {pipeline}", "    dataset:"]
    lines += ["      name: validation rows", f"      type: {card.data_digest[:16] or 'unknown'}"]
    lines += ["    metrics:"] if card.measures else ["    metrics: []"]
    for measure in card.measures:
        lines += [f"    - type: {measure.name}", f"      value: {measure.value:.6g}"]
    return "\n".join(["---", *lines, "---", "", ""])


def read_card(path: Path, model: Model) -> Card:
    """Return the card of a model read from a file, whose time of writing is when it was made."""
    from datetime import datetime

    moment = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return card_of(model, moment.strftime("%Y-%m-%d %H:%M UTC"))
