"""One cell of a request becomes features: a small function for each column, made once.

The answers are those of `Preprocessor.transform` on a table of that one row; tables are slow to
make, and a server gets its rows one at a time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from retrograd.data import Table, applying
from retrograd.data.arrays import column_of
from retrograd.data.columns import (
    EXACT_WHOLE,
    MISSING_TEXTS,
    Column,
    DateColumn,
    NumberColumn,
    number_of,
)
from retrograd.data.conversions import as_booleans, as_text, text_of
from retrograd.data.encodings import (
    BooleanEncoding,
    CategoryEncoding,
    DateEncoding,
    Encoding,
    NumberEncoding,
    feature_names,
)
from retrograd.data.settling import PLAIN
from retrograd.tensor.errors import DataError

FINE: Final = 0
MISSING: Final = 1
UNSEEN: Final = 2
OUTSIDE: Final = 3
ODDITIES: Final = ("", "missing", "unseen", "out_of_range")
"""What a cell can be that training seldom or never saw; `Converter` answers with the place here."""

_OVERFLOW = 2**1024 - 2**970  # whole numbers from here on are infinite as floats
_REMEMBERED = 4096  # cells of a column whose features are not worked out again

Read = Callable[[Any], Column]
Converter = Callable[[Any, "memoryview[float]", int], int]
"""Writes the features of a cell, from a place on, into zeros; says which oddity the cell is.

Raises CellError for a cell that the column cannot hold.
"""


class CellError(Exception):
    """What is wrong with a cell, in words that follow its row and column."""


def converter(encoding: Encoding, spelling: str = PLAIN) -> Converter:
    """Return what makes features of the cells of a column, whose texts are written in some way."""
    read = functools.partial(_column, spelling=spelling)
    match encoding:
        case NumberEncoding():
            return _number(encoding, None if spelling == PLAIN else read)
        case BooleanEncoding():
            return _looked_up(_boolean(encoding, read))
        case CategoryEncoding():
            return _looked_up(_category(encoding, read))
        case _:
            return _looked_up(functools.partial(_any, encoding, read))


def shown(cell: object) -> str:
    """Return a cell for a message, cut where it is long.

    >>> shown("abc"), shown(None), shown([1, 2])
    ("the text 'abc'", 'null', 'a list')
    """
    if isinstance(cell, str):
        return f"the text {cell if len(cell) <= 40 else cell[:39] + '…'!r}"
    if cell is None or isinstance(cell, bool):
        return {None: "null", True: "true", False: "false"}[cell]
    if isinstance(cell, int | float):
        return str(cell) if isinstance(cell, float) or abs(cell) < 10**40 else "a huge number"
    return {"list": "a list", "dict": "an object"}.get(type(cell).__name__, "no cell")


def _number(encoding: NumberEncoding, read: Read | None) -> Converter:
    """Return the converter of numbers; texts are refused unless training had some."""
    scale, low, high = encoding.scale, encoding.low, encoding.high
    half, largest = encoding.shift * 0.5, applying.LARGEST
    indicator, lenient = encoding.indicator, encoding.lenient

    def scaled(value: float) -> float:
        value = low if value < low else high if value > high else value
        result: float = (value * 0.5 - half) / scale * 2.0
        return -largest if result < -largest else largest if result > largest else result

    filled = scaled(encoding.fill)

    def convert(cell: Any, features: memoryview[float], start: int) -> int:
        if type(cell) is not float:
            if read is not None and isinstance(cell, str):
                cell = _as_spelled(cell, read)
            cell = _as_float(cell, lenient)
        if cell is None:
            features[start] = filled
            if indicator:
                features[start + 1] = 1.0
            return MISSING
        features[start] = scaled(cell)
        return FINE if low <= cell <= high else OUTSIDE

    return convert


def _as_spelled(cell: str, read: Read) -> object:
    """Return the number that a text spells as the texts of training did, or the text."""
    column = read(cell)
    if not isinstance(column, NumberColumn):
        return cell
    (value,) = column.values.tolist()
    return value if math.isfinite(value) else None


def _as_float(cell: object, lenient: bool) -> float | None:
    """Return a cell as a number, None where it is missing."""
    if cell is None or type(cell) is float:
        return cell
    if type(cell) is int:
        # JSON's numbers are 64-bit floats to most who write them: the nearest is what was meant.
        if abs(cell) < _OVERFLOW:
            return float(cell)
        raise CellError(f"found {shown(cell)}, which a 64-bit number cannot hold")
    if lenient and isinstance(cell, str | bool):
        number = number_of(cell.strip()) if isinstance(cell, str) else None
        return number if number is not None and abs(number) < math.inf else None
    if isinstance(cell, str) and number_of(cell.strip()) is not None:
        raise CellError(f"expected a number, found {shown(cell)}; write it without quotes")
    hint = "; write null where it is unknown" if isinstance(cell, str) else ""
    raise CellError(f"expected a number, found {shown(cell)}{hint}")


Found = tuple[tuple[tuple[int, float], ...], int]
"""The features of a cell that are not 0, by their place, and the oddity."""


def _looked_up(find: Callable[[Any], Found]) -> Converter:
    """Return a converter that works out a cell once; columns of texts repeat themselves."""
    # By type as well: True == 1 == 1.0, but they are three texts.
    remembered = functools.lru_cache(_REMEMBERED, typed=True)(find)

    def convert(cell: Any, features: memoryview[float], start: int) -> int:
        if isinstance(cell, list | dict):
            raise CellError(f"expected one value, found {shown(cell)}")
        nonzero, oddity = (find if isinstance(cell, str) and len(cell) > 200 else remembered)(cell)
        for place, value in nonzero:
            features[start + place] = value
        return oddity

    return convert


def _boolean(encoding: BooleanEncoding, read: Read) -> Callable[[Any], Found]:
    unknown = [(0, 1.0)] if encoding.fill else []
    unknown += [(1, 1.0)] if encoding.indicator else []

    def find(cell: Any) -> Found:
        if cell is None:
            return tuple(unknown), MISSING
        (value,) = as_booleans(read(cell))[0].tolist()
        if value != value:
            raise CellError(f"expected true or false, found {shown(cell)}")
        return ((0, value),) if value else (), FINE

    return find


def _category(encoding: CategoryEncoding, read: Read) -> Callable[[Any], Found]:
    places = {category: i for i, category in enumerate(encoding.categories)}
    size = len(places)
    other = ((size, 1.0),) if encoding.other else ()
    missing = ((size + encoding.other, 1.0),) if encoding.missing else ()

    def find(cell: Any) -> Found:
        if isinstance(cell, str) and cell.strip() in places:
            # As the training table spelt it, even where a column of such texts would be numbers.
            return ((places[cell.strip()], 1.0),), FINE
        if _is_missing(cell):
            return missing, MISSING
        if type(cell) is int and abs(cell) < EXACT_WHOLE:
            text = text_of(float(cell))
        else:
            column = as_text(read(cell))
            if column.codes[0] < 0:
                return missing, MISSING
            text = str(column.levels[column.codes[0]])
        return (((places[text], 1.0),), FINE) if text in places else (other, UNSEEN)

    return find


def _any(encoding: Encoding, read: Read, cell: Any) -> Found:
    """Return what `Preprocessor.transform` makes of a cell, whatever the encoding."""
    is_date = isinstance(encoding, DateEncoding)
    kind = "date, such as 2026-03-01," if is_date else "value"
    if is_date and isinstance(cell, str) and _is_missing(cell):
        raise CellError(f"expected a {kind} found {shown(cell)}; write null where it is unknown")
    column = read(cell)
    table = Table("the request", {encoding.column: column})
    features = np.zeros((1, len(feature_names(encoding))), np.float32)
    try:
        applying.apply(encoding, table, features)
    except DataError:
        raise CellError(f"expected a {kind} found {shown(cell)}") from None
    found = [(i, value) for i, value in enumerate(features[0].tolist()) if value]
    is_missing = _is_missing(cell)
    if isinstance(column, DateColumn):
        is_missing = bool(np.isnat(column.values[0]))
    return tuple(found), MISSING if is_missing else FINE


def _column(cell: Any, spelling: str) -> Column:
    """Return the column of one cell, as a table of one row has it."""
    try:
        return column_of([cell], "reading a cell", spelling)
    except DataError as error:
        raise CellError(error.found) from None


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and cell.strip() in MISSING_TEXTS)


def example_of(encoding: Encoding) -> Any:
    """Return a cell that training saw: what an example of a request shows.

    >>> example_of(CategoryEncoding("cut", ("Fair", "Good"), other=True, missing=False))
    'Fair'
    """
    match encoding:
        case NumberEncoding(fill=fill):
            return int(fill) if fill == int(fill) and abs(fill) < EXACT_WHOLE else fill
        case BooleanEncoding(fill=fill):
            return bool(fill)
        case CategoryEncoding(categories=categories):
            return categories[0] if categories else None
        case DateEncoding(origin=origin):
            moment = str(np.datetime64(origin, "us"))
            return moment[:10] if moment.endswith("T00:00:00.000000") else moment[:19]
        case _:
            return None


def kind_of(encoding: Encoding, spelling: str = PLAIN) -> Mapping[str, Any]:
    """Return what a column holds, for people and programs that ask: its kind and its values."""
    match encoding:
        case NumberEncoding(fill=fill, low=low, high=high, lenient=lenient):
            told = {
                "low": low,
                "high": high,
                "typical": fill,
                "takes_texts": lenient or spelling != PLAIN,
            }
            return {"kind": "number", **told}
        case BooleanEncoding():
            return {"kind": "boolean"}
        case CategoryEncoding(categories=categories):
            return {"kind": "category", "categories": list(categories)}
        case DateEncoding():
            return {"kind": "date"}
        case _:
            return {"kind": "value"}
