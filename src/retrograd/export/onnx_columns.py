"""Preprocessing as nodes of ONNX: one input a column, and what the network sees made of them.

Every input is (rows, 1): float64 for numbers, NaN where missing; texts for categories and booleans,
spelt as in the training table, "" where missing; int64 for dates, microseconds since 1970 in UTC,
the smallest int64 where missing (which is how NumPy keeps them).
"""

from __future__ import annotations

import itertools
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.data import Preprocessor
from retrograd.data.columns import MISSING_TEXTS, Column
from retrograd.data.conversions import BOOLEAN_PAIRS, as_dates, as_numbers, as_text
from retrograd.data.encodings import (
    BooleanEncoding,
    CategoryEncoding,
    DateEncoding,
    Encoding,
    NumberEncoding,
    feature_names,
)
from retrograd.export.onnx_dates import date_features, standardised
from retrograd.export.onnx_graph import Graph
from retrograd.tensor.errors import InputError
from retrograd.tensor.types import DType

MISSING_MOMENT: Final = int(np.iinfo(np.int64).min)
ML: Final = "ai.onnx.ml"


class Input(NamedTuple):
    """An input of the graph: the column that it takes, its own name, and ONNX's type for it."""

    column: str
    name: str
    code: int


def inputs_of(graph: Graph, preprocessor: Preprocessor) -> tuple[Input, ...]:
    """Return the inputs, each called after its column where ONNX can say that name."""
    kinds = graph.onnx.TensorProto
    found = []
    for i, encoding in enumerate(preprocessor.encodings):
        match encoding:
            case NumberEncoding():
                code = kinds.DOUBLE
            case DateEncoding():
                code = kinds.INT64
            case BooleanEncoding() | CategoryEncoding():
                code = kinds.STRING
            case _:
                raise unknown_encoding(encoding, "ONNX")
        name = graph.fresh(encoding.column or f"column {i}")
        found.append(Input(encoding.column, name, code))
    return tuple(found)


def unknown_encoding(encoding: Encoding, format_name: str) -> InputError:
    """Return the refusal of a column that a format cannot prepare."""
    return InputError(
        f"exporting to {format_name}",
        f"column {encoding.column!r} is prepared by {type(encoding).__name__}, which has no "
        "translation",
        "leave the column out: train with --kind COLUMN=drop",
    )


def cells_of(column: Column, code: int) -> npt.NDArray[Any]:
    """Return a column as an input of this type takes it.  (rows, 1)"""
    if code == 11:  # DOUBLE
        return as_numbers(column)[0][:, np.newaxis]
    if code == 7:  # INT64
        return as_dates(column)[0].astype("datetime64[us]").astype(np.int64)[:, np.newaxis]
    text = as_text(column)
    levels = np.array([*text.levels.tolist(), ""], dtype=object)
    return np.asarray(levels[text.codes][:, np.newaxis])


def add_features(
    graph: Graph, preprocessor: Preprocessor, inputs: tuple[Input, ...], to: str
) -> str:
    """Add the nodes that make the features.  (rows, features) float32"""
    blocks: list[str] = []
    places: list[int] = []
    widths = [len(feature_names(encoding)) for encoding in preprocessor.encodings]
    first = [0, *itertools.accumulate(widths)]
    pairs = list(zip(preprocessor.encodings, inputs, first, strict=False))
    numbers = [(e, each.name, at) for e, each, at in pairs if isinstance(e, NumberEncoding)]
    if numbers:
        blocks, places = _numbers(graph, numbers)
    for encoding, each, at in pairs:
        match encoding:
            case NumberEncoding():
                continue
            case BooleanEncoding():
                blocks.append(_boolean(graph, encoding, each.name))
            case CategoryEncoding():
                blocks.append(_category(graph, encoding, each.name))
            case _:
                assert isinstance(encoding, DateEncoding)
                blocks.append(date_features(graph, encoding, each.name, MISSING_MOMENT))
        places += range(at, at + len(feature_names(encoding)))
    return _in_order(graph, [block for block in blocks if block], places, to)


def _in_order(graph: Graph, blocks: list[str], places: list[int], to: str) -> str:
    """Join the blocks, whose columns belong at these places."""
    if places == sorted(places):
        return graph.add("Concat", *blocks, to=to, axis=1)
    joined = graph.add("Concat", *blocks, axis=1)
    order = np.argsort(np.array(places))
    return graph.add("Gather", joined, graph.integers(*order.tolist()), to=to, axis=1)


def _numbers(
    graph: Graph, columns: list[tuple[NumberEncoding, str, int]]
) -> tuple[list[str], list[int]]:
    """Return the features of all number columns at once, and where each belongs."""
    encodings = [encoding for encoding, _, _ in columns]
    names = [name for _, name, _ in columns]
    given = graph.add("Concat", *names, axis=1) if len(names) > 1 else names[0]

    def row(*values: float) -> str:
        return graph.constant(np.array(values, np.float64))

    missing = graph.add("Or", graph.add("IsNaN", given), graph.add("IsInf", given))
    x = graph.add("Where", missing, row(*(e.fill for e in encodings)), given)
    x = graph.add("Max", x, row(*(e.low for e in encodings)))
    x = graph.add("Min", x, row(*(e.high for e in encodings)))
    shift, scale = row(*(e.shift * 0.5 for e in encodings)), row(*(e.scale for e in encodings))
    features = graph.cast(standardised(graph, x, shift, scale), DType.float32)
    marked = [i for i, encoding in enumerate(encodings) if encoding.indicator]
    places = [at for _, _, at in columns]
    if not marked:
        return [features], places
    marks = graph.add("Gather", missing, graph.integers(*marked), axis=1)
    return [features, graph.cast(marks, DType.float32)], places + [places[i] + 1 for i in marked]


def _boolean(graph: Graph, encoding: BooleanEncoding, name: str) -> str:
    """Look up 1, 0 or what stands for missing."""
    values = {"0": 0, "1": 1}
    for pair in BOOLEAN_PAIRS:
        for value, word in enumerate(pair):
            values |= dict.fromkeys(_spellings(word), value)
    code = graph.add(
        "LabelEncoder", name, domain=ML, keys_strings=list(values),
        values_int64s=list(values.values()), default_int64=2,
    )  # fmt: skip
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [encoding.fill, 1.0]], np.float32)
    table = rows if encoding.indicator else rows[:, :1]
    found = graph.add("Gather", graph.constant(table), code, axis=0)
    return graph.add("Squeeze", found, graph.integers(1))


def _spellings(word: str) -> list[str]:
    """Return a word in every mixture of small and large letters.

    >>> _spellings("no")
    ['no', 'nO', 'No', 'NO']
    """
    return ["".join(found) for found in itertools.product(*((c, c.upper()) for c in word))]


def _category(graph: Graph, encoding: CategoryEncoding, name: str) -> str:
    """Compare the text's place with every place."""
    size = len(encoding.categories)
    width = len(feature_names(encoding))
    if not width:
        return ""
    other = size if encoding.other else -1
    missing = size + encoding.other if encoding.missing else -1
    places = dict.fromkeys(sorted(MISSING_TEXTS), missing)
    places |= {text: i for i, text in enumerate(encoding.categories)}
    place = graph.add(
        "LabelEncoder", name, domain=ML, keys_strings=list(places),
        values_int64s=list(places.values()), default_int64=other,
    )  # fmt: skip
    return graph.cast(graph.add("Equal", place, graph.integers(*range(width))), DType.float32)
