"""How each column becomes features: frozen records of what was learnt from training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from retrograd.data.plain import read_field, read_number, read_records, read_texts, refuse

DATE_PARTS = (
    "days", "year", "month sin", "month cos", "weekday sin", "weekday cos", "hour sin", "hour cos"
)  # fmt: skip


@dataclass(frozen=True)
class NumberEncoding:
    """A number: (value - shift) / scale, and 1 where it was missing if `indicator`.

    fill: what a missing value is taken for (the training median).  low, high: the training range;
    values outside are taken for its ends, since a network says anything where it saw nothing, and
    one wild cell would outweigh all others in a mean error.  lenient: texts are missing.
    """

    column: str
    shift: float
    scale: float
    fill: float
    low: float
    high: float
    indicator: bool
    lenient: bool = False


@dataclass(frozen=True)
class BooleanEncoding:
    """Yes or no: 1 or 0, and 1 where it was missing if `indicator`.  fill: the more frequent."""

    column: str
    fill: float
    indicator: bool


@dataclass(frozen=True)
class CategoryEncoding:
    """One of several texts: one feature each, 1 for the row's own.

    other: a last-but-one feature that rare texts of training share, and unseen ones join.
    missing: a last feature for missing cells.
    Without these, which training never saw, such cells are 0 everywhere: a feature that was
    always 0 in training would bring an untrained weight into play.
    """

    column: str
    categories: tuple[str, ...]
    other: bool
    missing: bool


@dataclass(frozen=True)
class DatePart:
    """One number made of a date: (part - shift) / scale."""

    name: str
    shift: float
    scale: float


@dataclass(frozen=True)
class DateEncoding:
    """A date: those of `DATE_PARTS` that differed in training; 0 where missing.

    days are counted from `origin`, the first training date, in microseconds since 1970.
    """

    column: str
    origin: int
    parts: tuple[DatePart, ...]
    indicator: bool


Encoding = NumberEncoding | BooleanEncoding | CategoryEncoding | DateEncoding


def feature_names(encoding: Encoding) -> tuple[str, ...]:
    """Return the names of the features that an encoding makes, in their order.

    >>> feature_names(CategoryEncoding("cut", ("Fair", "Good"), other=True, missing=False))
    ('cut=Fair', 'cut=Good', 'cut=(other)')
    """
    column = encoding.column
    match encoding:
        case CategoryEncoding(_, categories, other, missing):
            extra = ("(other)",) * other + ("(missing)",) * missing
            return tuple(f"{column}={text}" for text in categories + extra)
        case DateEncoding(_, _, parts, indicator):
            own = tuple(f"{column}.{part.name}" for part in parts)
        case NumberEncoding(indicator=indicator) | BooleanEncoding(_, _, indicator):
            own = (column,)
    return own + (f"{column} is missing",) * indicator


def to_json(encoding: Encoding) -> dict[str, Any]:
    """Return an encoding as a plain dict."""
    match encoding:
        case NumberEncoding(column, shift, scale, fill, low, high, indicator, lenient):
            record: dict[str, Any] = {"shift": shift, "scale": scale, "fill": fill}
            record |= {"low": low, "high": high}
            record |= {"kind": "number", "indicator": indicator, "lenient": lenient}
        case BooleanEncoding(column, fill, indicator):
            record = {"kind": "boolean", "fill": fill, "indicator": indicator}
        case CategoryEncoding(column, categories, other, missing):
            record = {"kind": "category", "categories": list(categories)}
            record |= {"other": other, "missing": missing}
        case DateEncoding(column, origin, parts, indicator):
            plain = [{"name": p.name, "shift": p.shift, "scale": p.scale} for p in parts]
            # As text: JavaScript and some JSON readers round whole numbers beyond 2**53.
            record = {"kind": "date", "origin": str(origin), "parts": plain}
            record |= {"indicator": indicator}
    return {"column": column, **record}


def from_json(value: object, asked: str) -> Encoding:
    """Return the encoding that `to_json` wrote.  Raises FileFormatError naming what is wrong."""
    kind = read_field(value, "kind", str, asked)
    column = read_field(value, "column", str, asked)
    asked = f"{asked}, column {column!r}"
    if kind == "category":
        categories = read_texts(value, "categories", asked)
        other, missing = (read_field(value, key, bool, asked) for key in ("other", "missing"))
        return CategoryEncoding(column, categories, other, missing)
    if kind not in ("number", "boolean", "date"):
        refuse(asked, f"no encoding is called {kind[:40]!r}")
    indicator = read_field(value, "indicator", bool, asked)
    if kind == "boolean":
        return BooleanEncoding(column, read_number(value, "fill", asked), indicator)
    if kind == "date":
        parts = tuple(_date_part(part, asked) for part in read_records(value, "parts", asked))
        return DateEncoding(column, _origin(value, asked), parts, indicator)
    return NumberEncoding(
        column,
        shift=read_number(value, "shift", asked),
        scale=read_scale(value, asked),
        fill=read_number(value, "fill", asked),
        low=read_number(value, "low", asked),
        high=read_number(value, "high", asked),
        indicator=indicator,
        lenient=read_field(value, "lenient", bool, asked),
    )


def read_scale(value: object, asked: str) -> float:
    """Return a scale, which divides: it must be above 0."""
    scale = read_number(value, "scale", asked)
    if scale <= 0:
        refuse(asked, f"'scale' should be above 0, found {scale}")
    return scale


def _date_part(value: object, asked: str) -> DatePart:
    name = read_field(value, "name", str, asked)
    if name not in DATE_PARTS:
        refuse(asked, f"no part of a date is called {name[:40]!r}")
    return DatePart(name, read_number(value, "shift", asked), read_scale(value, asked))


def _origin(value: object, asked: str) -> int:
    text = read_field(value, "origin", str, asked)
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        refuse(asked, f"'origin' should be whole microseconds, found {text[:40]!r}")
    return int(text)
