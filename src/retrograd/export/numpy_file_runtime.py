"""What a NumPy file is made of: functions that are copied into it as they stand here.

They need Python's own library and NumPy, and nothing of retrograd. `COLUMNS` and its kin are data
that the file brings along; here they are parameters.
"""

from __future__ import annotations

import base64
import csv
import datetime
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

MISSING = (
    "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-NaN", "-nan", "NULL", "Null",
    "null", "NaT", "?",
)  # fmt: skip
NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    r"|[+-]?[iI][nN][fF](?:[iI][nN][iI][tT][yY])?"
)
DATE = re.compile(
    r"([0-9]{4})([-/])([0-9]{2})\2([0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
FALSE = ("0", "false", "no", "n", "f", "off")
TRUE = ("1", "true", "yes", "y", "t", "on")
DAY = 86_400_000_000  # microseconds
FARTHEST = 1e6  # standard deviations


def text_of(cell: Any) -> str | None:
    """Return a cell as a CSV file would spell it, or None where it holds nothing."""
    if cell is None:
        return None
    if isinstance(cell, (bool, np.bool_)):
        return "true" if cell else "false"
    if isinstance(cell, (float, np.floating)):
        if math.isnan(cell):
            return None
        number = float(cell)
        whole = abs(number) <= 2**53 and number == int(number)
        return str(int(number)) if whole else repr(number)
    text = cell.isoformat() if hasattr(cell, "isoformat") else str(cell)
    text = text.strip()
    return None if not text or text in MISSING else text


def number_of(text: str) -> float | None:
    """Return the number that a text spells in full, or None: 007 is a code and no number."""
    if not NUMBER.fullmatch(text):
        return None
    number = float(text)
    if abs(number) >= 2**53 and text.lstrip("+-").isdigit() and int(text) != number:
        return None
    return number


def number_features(column: dict[str, Any], cells: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return (value - shift) / scale, and 1 where a cell was missing.  (rows, 1 or 2)"""
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        text = text_of(cell)
        number = None if text is None else number_of(text)
        if number is not None:
            values[row] = number
        elif text is not None and not column["lenient"]:
            raise ValueError(f"row {row}: {text!r} is no number, as {column['column']!r} should be")
    missing = ~np.isfinite(values)
    values = np.clip(np.where(missing, column["fill"], values), column["low"], column["high"])
    scaled = (values * 0.5 - column["shift"] * 0.5) / column["scale"] * 2.0
    found = [np.clip(scaled, -FARTHEST, FARTHEST)]
    return np.stack(found + [missing] * column["indicator"], axis=1)


def boolean_features(column: dict[str, Any], cells: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return 1 for yes and 0 for no, and 1 where a cell was neither.  (rows, 1 or 2)"""
    values = []
    for cell in cells:
        word = spelled(text_of(cell) or "").casefold()
        values.append(1.0 if word in TRUE else 0.0 if word in FALSE else np.nan)
    missing = np.isnan(values)
    found = [np.where(missing, column["fill"], values)]
    return np.stack(found + [missing] * column["indicator"], axis=1)


def spelled(text: str) -> str:
    """Return a number as people write it, whole ones without a point; other texts as they are."""
    number = number_of(text)
    return text if number is None else text_of(number) or ""


def category_features(column: dict[str, Any], cells: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return 1 at the place of the cell's text, and 0 elsewhere.  (rows, categories)"""
    places = {text: place for place, text in enumerate(column["categories"])}
    size = len(places)
    other = size if column["other"] else -1
    missing = size + column["other"] if column["missing"] else -1
    found = np.zeros((len(cells), size + column["other"] + column["missing"]))
    for row, cell in enumerate(cells):
        text = text_of(cell)
        if text is None:
            place = missing
        else:
            place = places[text] if text in places else places.get(spelled(text), other)
        if place >= 0:
            found[row, place] = 1.0
    return found


def moment_of(text: str) -> np.datetime64:
    """Return the moment of an ISO date, in UTC; raises ValueError for any other text."""
    found = DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no date such as 2026-03-01 or 2026-03-01T12:30:00")
    year, _, month, day, time, zone = found.groups()
    moment = datetime.datetime.fromisoformat(f"{year}-{month}-{day}")
    stamp = np.datetime64(moment, "us")
    if time:
        hours, minutes, *seconds = time.split(":")
        micro = round(float(seconds[0]) * 1_000_000) if seconds else 0
        datetime.time(int(hours), int(minutes), micro // 1_000_000)  # refuses 25:00
        stamp += np.timedelta64((int(hours) * 60 + int(minutes)) * 60_000_000 + micro, "us")
    if zone and zone != "Z":
        ahead = int(zone[1:3]) * 60 + int(zone[-2:])
        stamp -= np.timedelta64(-ahead if zone[0] == "-" else ahead, "m")
    return stamp


def date_features(column: dict[str, Any], cells: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return parts of dates, 0 where missing, and 1 where a cell was missing.  (rows, parts)"""
    moments = np.full(len(cells), "NaT", dtype="datetime64[us]")
    for row, cell in enumerate(cells):
        text = None if isinstance(cell, np.datetime64) and np.isnat(cell) else text_of(cell)
        if text is not None:
            moments[row] = moment_of(text)
    missing = np.isnat(moments)
    known, found = moments[~missing], []
    for part in column["parts"]:
        values = date_part(known, part["name"], int(column["origin"]))
        scaled = (values * 0.5 - part["shift"] * 0.5) / part["scale"] * 2.0
        feature = np.zeros(len(cells))
        feature[~missing] = np.clip(scaled, -FARTHEST, FARTHEST)
        found.append(feature)
    found += [missing] * column["indicator"]
    return np.reshape(found, (len(found), len(cells))).T


def date_part(moments: np.ndarray[Any, Any], part: str, origin: int) -> np.ndarray[Any, Any]:
    """Return days since the first training date, the year, or a place on a circle."""
    stamps = moments.astype(np.int64)
    if part == "days":
        return (stamps.astype(np.float64) - origin) / DAY
    if part == "year":
        return moments.astype("datetime64[Y]").astype(np.int64).astype(np.float64) + 1970
    unit, wave = part.split()
    if unit == "month":
        turn = moments.astype("datetime64[M]").astype(np.int64) % 12 / 12
    elif unit == "weekday":
        turn = (stamps // DAY + 3) % 7 / 7  # Monday is 0
    else:
        turn = stamps % DAY / DAY
    angle = 2 * np.pi * turn
    return np.asarray(np.sin(angle) if wave == "sin" else np.cos(angle))


def decoded(shape: tuple[int, ...], text: str, kind: str = "<f4") -> np.ndarray[Any, Any]:
    """Return numbers, float32 if nothing else is said, row by row, of their base64 text."""
    return np.frombuffer(base64.b64decode(text), dtype=kind).reshape(shape)


def erf(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the error function, which NumPy does not have."""
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x), x.dtype)


def erfc(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return 1 - erf(x) without its cancellation."""
    return np.asarray(np.vectorize(math.erfc, otypes=[np.float64])(x), x.dtype)


def sigmoid(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return 1 / (1 + exp(-x)), exact at both ends."""
    z = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, np.ones_like(z), z) / (1 + z))


def padded(
    x: np.ndarray[Any, Any], shape: tuple[int, ...], starts: tuple[int, ...], value: float
) -> np.ndarray[Any, Any]:
    """Return x from these starts on, and a value elsewhere."""
    around = [
        (start, n - start - own) for start, n, own in zip(starts, shape, x.shape, strict=True)
    ]
    return np.pad(x, around, constant_values=value)


def read_rows(path: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file by the names in its first line."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))
