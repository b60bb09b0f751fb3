"""Dates as nodes of ONNX: parts of a moment by whole-number arithmetic."""

from __future__ import annotations

import numpy as np

from retrograd.data.applying import LARGEST, standardise
from retrograd.data.encodings import DateEncoding, DatePart
from retrograd.export.onnx_graph import Graph
from retrograd.tensor.types import DType

_DAY = 86_400_000_000  # microseconds


def date_features(graph: Graph, encoding: DateEncoding, name: str, missing_moment: int) -> str:
    """Add the features of a date column, "" if it has none.  int64 (rows, 1) -> (rows, features)"""
    missing = graph.add("Equal", name, graph.integers(missing_moment))
    moment = graph.add("Where", missing, graph.integers(0), name)
    parts = _Parts(graph, moment)
    columns = [parts.feature(part, encoding.origin) for part in encoding.parts]
    blocks = []
    if columns:
        joined = graph.add("Concat", *columns, axis=1)
        nothing = graph.constant(np.zeros(1, np.float32))
        blocks.append(graph.add("Where", missing, nothing, joined))
    if encoding.indicator:
        blocks.append(graph.cast(missing, DType.float32))
    return graph.add("Concat", *blocks, axis=1) if blocks else ""


def standardised(graph: Graph, x: str, half_shift: str, scale: str) -> str:
    """Return (x - shift) / scale in float64, cut off where `applying` cuts it off."""
    half = graph.add("Sub", graph.add("Mul", x, graph.floats(0.5)), half_shift)
    scaled = graph.add("Mul", graph.add("Div", half, scale), graph.floats(2.0))
    return graph.add("Clip", scaled, graph.floats(-LARGEST), graph.floats(LARGEST))


class _Parts:
    """The parts of one column of moments, each worked out once."""

    def __init__(self, graph: Graph, moment: str) -> None:
        self.graph, self.moment = graph, moment
        self._civil: tuple[str, str] | None = None

    def feature(self, part: DatePart, origin: int) -> str:
        """Return one part as the network sees it, float32 (rows, 1)."""
        graph, (unit, _, wave) = self.graph, part.name.partition(" ")
        if unit == "days":
            days = graph.add("Sub", graph.cast(self.moment, DType.float64), graph.floats(origin))
            return self.scaled(graph.add("Div", days, graph.floats(_DAY)), part)
        if unit == "year":
            return self.scaled(graph.cast(self.civil()[0], DType.float64), part)
        if unit == "month":
            return self.looked_up(self.civil()[1], 12, wave, part)
        if unit == "weekday":
            # Day 0, 1970-01-01, was a Thursday; Monday is 0.
            shifted = graph.add("Add", self.days(), graph.integers(3))
            return self.looked_up(graph.add("Mod", shifted, graph.integers(7)), 7, wave, part)
        time = graph.add("Mod", self.moment, graph.integers(_DAY))
        turn = graph.add("Div", graph.cast(time, DType.float64), graph.floats(_DAY))
        angle = graph.add("Mul", turn, graph.floats(2 * np.pi))
        # In float32, whose sine and cosine every runtime has; its error is below 1e-6.
        curve = graph.add("Sin" if wave == "sin" else "Cos", graph.cast(angle, DType.float32))
        return self.scaled(graph.cast(curve, DType.float64), part)

    def scaled(self, x: str, part: DatePart) -> str:
        """Return a part less its shift, by its scale."""
        graph = self.graph
        shift, scale = graph.floats(part.shift * 0.5), graph.floats(part.scale)
        return graph.cast(standardised(graph, x, shift, scale), DType.float32)

    def looked_up(self, place: str, count: int, wave: str, part: DatePart) -> str:
        """Return a part that has one value for each month or weekday."""
        angle = 2 * np.pi * (np.arange(count) / count)
        curve = np.sin(angle) if wave == "sin" else np.cos(angle)
        values = np.clip(standardise(curve, part.shift, part.scale), -LARGEST, LARGEST)
        return self.graph.add("Gather", self.graph.constant(values.astype(np.float32)), place)

    def days(self) -> str:
        """Return whole days since 1970, rounded down."""
        return self.divided(self.moment, _DAY)

    def divided(self, x: str, by: int) -> str:
        """Return x / by rounded down: ONNX leaves open where its Div rounds below 0."""
        rest = self.graph.add("Mod", x, self.graph.integers(by))
        return self.graph.add("Div", self.graph.add("Sub", x, rest), self.graph.integers(by))

    def civil(self) -> tuple[str, str]:
        """Return the year and the month, from 0, of the proleptic Gregorian calendar.

        Source: Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, civil_from_days.
        """
        if self._civil is None:
            add, number = self.graph.add, self.graph.integers
            days = add("Add", self.days(), number(719468))  # since 0000-03-01
            era = self.divided(days, 146097)
            day = add("Sub", days, add("Mul", era, number(146097)))
            less = add("Sub", day, add("Div", day, number(1460)))
            less = add("Add", less, add("Div", day, number(36524)))
            less = add("Sub", less, add("Div", day, number(146096)))
            year = add("Div", less, number(365))
            leap = add("Sub", add("Div", year, number(4)), add("Div", year, number(100)))
            start = add("Add", add("Mul", year, number(365)), leap)
            day = add("Sub", day, start)
            month = add("Div", add("Add", add("Mul", day, number(5)), number(2)), number(153))
            # Months count from March here: 10 and 11 are January and February of the next year.
            late = add("Div", month, number(10))
            year = add("Add", add("Add", add("Mul", era, number(400)), year), late)
            month = add("Mod", add("Add", month, number(2)), number(12))
            self._civil = year, month
        return self._civil
