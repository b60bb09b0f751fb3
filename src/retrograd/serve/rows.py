"""Rows of a request become rows of features, and what was odd about them is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from retrograd.data import Preprocessor
from retrograd.data.applying import width
from retrograd.data.encodings import Encoding
from retrograd.data.settling import PLAIN
from retrograd.data.suggesting import suggestion
from retrograd.serve.cells import ODDITIES, CellError, converter, example_of, kind_of, shown

Features = npt.NDArray[np.float32]
_MOST_NOTES = 20


def view_of(features: Features) -> memoryview[float]:
    """Return the numbers of an array as one line to write into, faster than the array itself."""
    flat: Any = features.reshape(-1)
    return memoryview(flat)


class RowError(Exception):
    """What is wrong with a row: a sentence, the row from 0, and the field, if one is at fault."""

    def __init__(self, found: str, row: int | None = None, field: str | None = None) -> None:
        """Keep the parts; `str` is the sentence for people."""
        super().__init__(found, row, field)
        self.found, self.row, self.field = found, row, field

    def __str__(self) -> str:
        """Return where it is and what it is."""
        where = [] if self.row is None else [f"row {self.row}"]
        where += [] if self.field is None else [f"field {self.field!r}"]
        return f"{', '.join(where)}: {self.found}" if where else self.found


class RowEncoder:
    """The converters of all columns; `drift[column]` counts cells by oddity since the start."""

    def __init__(
        self, preprocessor: Preprocessor, spellings: Mapping[str, str] | None = None
    ) -> None:
        """Make the converters; ``spellings`` says how the texts of columns are written."""
        self.encodings: tuple[Encoding, ...] = preprocessor.encodings
        self.names = tuple(encoding.column for encoding in self.encodings)
        self._idle = frozenset({preprocessor.target, *preprocessor.unused})
        self.drift = {name: [0] * len(ODDITIES) for name in self.names}
        self._spelling = {name: (spellings or {}).get(name, PLAIN) for name in self.names}
        self._plan, start = [], 0
        for each in self.encodings:
            name = each.column
            convert = converter(each, self._spelling[name])
            self._plan.append((name, convert, start, self.drift[name]))
            start += width(each)
        self.width = start

    def example(self) -> dict[str, Any]:
        """Return a row as training might have seen it."""
        return {encoding.column: example_of(encoding) for encoding in self.encodings}

    def columns(self) -> list[dict[str, Any]]:
        """Return what each field of a row is."""
        return [
            {"name": e.column, **kind_of(e, self._spelling[e.column]), "example": example_of(e)}
            for e in self.encodings
        ]

    def encode(self, row: Any, features: memoryview[float], start: int, at: int | None) -> Any:
        """Write a row's features into zeros, from a place on; return what was odd, or None.

        Raises RowError for a row that is no object, lacks a field, or holds a wrong cell; ``at`` is
        the row's number for the message.
        """
        if type(row) is not dict:
            raise RowError(f"expected an object with the columns as fields, found {shown(row)}", at)
        odd = None
        for name, convert, place, tally in self._plan:
            try:
                oddity = convert(row[name], features, start + place)
            except KeyError:
                raise self._lacking(row, name, at) from None
            except CellError as error:
                raise RowError(str(error), at, name) from None
            if oddity:
                tally[oddity] += 1
                odd = [*(odd or ()), (name, oddity)]
        if len(row) != len(self._plan):
            odd = [*(odd or ()), *((name, -1) for name in self._unknown(row))]
        return odd

    def notes(self, odd: list[tuple[str, int]], row: Mapping[str, Any]) -> list[str]:
        """Return sentences about what was odd in a row: cells that training did not know."""
        said = []
        for name, oddity in odd:
            match ODDITIES[oddity] if oddity >= 0 else "extra":
                case "unseen":
                    said.append(f"{name!r}: {shown(row[name])} was not seen in training")
                case "out_of_range":
                    said.append(f"{name!r}: {shown(row[name])} is outside the training range")
                case "extra":
                    said.append(f"{name!r} is not used by the network")
        if len(said) > _MOST_NOTES:
            said = [*said[:_MOST_NOTES], f"and {len(said) - _MOST_NOTES} notes more"]
        return said

    def _lacking(self, row: Mapping[str, Any], name: str, at: int | None) -> RowError:
        unknown = self._unknown(row)
        hint = f"; {suggestion(name, unknown)}" if unknown else "; give it, or null if unknown"
        return RowError(f"the field is missing{hint}", at, name)

    def _unknown(self, row: Mapping[str, Any]) -> list[str]:
        known = self._idle.union(self.names)
        return [name for name in row if name not in known]
