"""Reading records back from plain dicts and lists, which may be damaged or hostile."""

from __future__ import annotations

import enum
import reprlib
import sys
from typing import Any, NoReturn, TypeVar

from retrograd.tensor.errors import FileFormatError

Value = TypeVar("Value", str, int, bool)
Member = TypeVar("Member", bound=enum.Enum)


def refuse(asked: str, found: str) -> NoReturn:
    """Raise FileFormatError for a record that cannot be what we wrote."""
    raise FileFormatError(asked, found, "the file was changed: use an untouched copy")


def read_any(value: object, key: str, asked: str) -> Any:
    """Return `value[key]` of a mapping with text keys."""
    if not isinstance(value, dict):
        refuse(asked, f"expected a mapping with {key!r}, found {type(value).__name__}")
    if key not in value:
        refuse(asked, f"{key!r} is missing")
    return value[key]


def read_field(value: object, key: str, kind: type[Value], asked: str) -> Value:
    """Return a text, whole number (not negative) or truth value of a mapping."""
    found = read_any(value, key, asked)
    if type(found) is not kind or (isinstance(found, int) and not 0 <= found < 2**63):
        refuse(asked, f"{key!r} should be a {kind.__name__}, found {reprlib.repr(found)}")
    return found


def read_number(value: object, key: str, asked: str) -> float:
    """Return a finite number of a mapping."""
    found = read_any(value, key, asked)
    if type(found) not in (int, float) or not abs(found) <= sys.float_info.max:  # NaN is not
        refuse(asked, f"{key!r} should be a finite number, found {reprlib.repr(found)}")
    return float(found)


def read_member(value: object, key: str, kind: type[Member], asked: str) -> Member:
    """Return the member of an enum that a text names."""
    found = read_field(value, key, str, asked)
    for member in kind:
        if member.value == found:
            return member
    refuse(
        asked, f"{key!r} should be one of {[m.value for m in kind]}, found {reprlib.repr(found)}"
    )


def read_texts(value: object, key: str, asked: str) -> tuple[str, ...]:
    """Return a tuple of different texts of a mapping."""
    found = read_any(value, key, asked)
    if not isinstance(found, list) or not all(type(item) is str for item in found):
        refuse(asked, f"{key!r} should be a list of texts, found {reprlib.repr(found)}")
    if len(set(found)) != len(found):
        refuse(asked, f"{key!r} holds the same text twice")
    return tuple(found)


def read_records(value: object, key: str, asked: str) -> list[Any]:
    """Return a list of records of a mapping."""
    found = read_any(value, key, asked)
    if not isinstance(found, list):
        refuse(asked, f"{key!r} should be a list, found {reprlib.repr(found)}")
    return found
