"""What a request sends: read within bounds, and read as JSON without surprises."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn

import msgspec

from retrograd.serve.refusal import RefusedError
from retrograd.serve.settings import Limits

Receive = Callable[[], Awaitable[Any]]
Headers = Iterable[tuple[bytes, bytes]]
_decode = msgspec.json.Decoder().decode
_BYTE = re.compile(r"\(byte (\d+)\)")
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][-+.0-9eE]*', re.DOTALL)
_MOST_DIGITS = 400  # of a whole number: no float64 is longer


class GoneError(Exception):
    """Whoever asked is gone."""


def header(headers: Headers, name: bytes) -> bytes | None:
    """Return the value of a header, its name in lower case, or None."""
    for key, value in headers:
        if key == name:
            return value
    return None


def check_head(headers: Headers, kinds: tuple[bytes, ...], limits: Limits) -> bytes:
    """Return the content type (the first of ``kinds`` if none is given), before a body is read.

    Raises RefusedError for another type, a compressed body, or one that is too long.
    """
    kind, length, is_chunked = kinds[0], None, False
    for name, value in headers:
        if name == b"content-type":
            kind = value.split(b";", 1)[0].strip().lower()
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise RefusedError(
                415, "the body is compressed; send it as it is, without content-encoding"
            )
        elif name == b"content-length":
            length = value
        elif name == b"transfer-encoding":
            is_chunked = True
    if kind not in kinds:
        asked = " or ".join(each.decode() for each in kinds)
        raise RefusedError(
            415, f"the content type is not {asked}; name it in the header content-type"
        )
    if length is not None:
        if not length.isdigit() or is_chunked:
            raise RefusedError(400, "the body's length is unclear; send its content-length alone")
        if int(length[:20]) > limits.body:
            _too_long(limits)
    return kind


def _too_long(limits: Limits) -> NoReturn:
    most = f"{limits.body:,} bytes"
    raise RefusedError(413, f"the body has more than {most}; send fewer rows in one request")


async def read_body(receive: Receive, limits: Limits) -> bytes:
    """Return the body; raises RefusedError if it is too long or does not come, GoneError."""
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _whole(receive, limits)
    except TimeoutError:
        found = f"the body was not sent within {limits.body_seconds:g} seconds"
        raise RefusedError(408, f"{found}; send it at once, or in smaller requests") from None


async def _whole(receive: Receive, limits: Limits) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise GoneError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limits.body:
            _too_long(limits)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def read_json(body: bytes) -> Any:
    """Return what JSON text holds.

    Raises RefusedError, with the place, for what is none: NaN, numbers that 64 bits cannot hold,
    texts that are no Unicode, lists in lists without end, a field that stands twice in an object.
    """
    try:
        value = _decode(body)
    except RecursionError:
        raise RefusedError(
            400, "the body nests lists or objects too deep; send flat rows"
        ) from None
    except UnicodeDecodeError:
        raise _at(body, _broken_text(body), "a text is not valid UTF-8") from None
    except msgspec.DecodeError as error:
        raise _malformed(body, str(error)) from None
    # Every field has a colon; a text may have more. If there are more, a slower reader looks.
    if body.count(b":") != _fields(value):
        _require_once(body)
    return value


def _fields(value: Any) -> int:
    """Return how many fields the objects of a value have, as deep as rows go."""
    if type(value) is dict:
        return len(value)
    if type(value) is list:
        return sum(len(row) for row in value if type(row) is dict)
    return 0


def _require_once(body: bytes) -> None:
    """Refuse an object with the same field twice: readers disagree about which counts."""

    def unique(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise RefusedError(400, f"the field {twice!r} stands twice in one object", field=twice)

    try:
        json.loads(body, object_pairs_hook=unique, parse_int=len, parse_float=len)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body nests too deep, or is no JSON; send flat rows") from None


def _malformed(body: bytes, message: str) -> RefusedError:
    """Return the refusal of a body that is no JSON, with the place of the fault."""
    if found := _BYTE.search(message):
        words = message.partition("malformed: ")[2].partition(" (byte")[0]
        byte = int(found[1]) - words.startswith("trailing")  # which msgspec counts from 1
        return _at(body, byte, words or "it is not JSON")
    if "out of range" in message:
        return _at(body, _wild_number(body), "the number is out of range")
    if body and (at := _broken_text(body)) < len(body):
        return _at(body, at, "a text is not valid Unicode")
    return _at(body, len(body), "the body is empty" if not body.strip() else "it ends too early")


def _at(body: bytes, byte: int, found: str) -> RefusedError:
    line = body.count(b"\n", 0, byte) + 1
    column = byte - (body.rfind(b"\n", 0, byte) + 1) + 1
    error = f"the body is not JSON: {found}, at line {line}, column {column}"
    return RefusedError(400, error, line=line, column=column)


def _broken_text(body: bytes) -> int:
    """Return where bytes are no UTF-8, or where an escape names half of a surrogate pair."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return error.start
    half = re.search(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", text)
    return len(text[: half.start()].encode()) if half else len(body)


def _wild_number(body: bytes) -> int:
    """Return where the first number stands that 64 bits cannot hold."""
    for token in _TOKENS.finditer(body):
        digits = token[0]
        if digits.startswith(b'"'):
            continue
        if len(digits) > _MOST_DIGITS and digits.lstrip(b"-").isdigit():
            return token.start()
        try:
            if abs(float(digits)) == float("inf"):
                return token.start()
        except ValueError:
            return token.start()
    return len(body)
