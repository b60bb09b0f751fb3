"""The shortest way for the usual request: one that is whole, alone and plain.

Whoever asks for the prediction of a row sends a short head and a short body at once. Such bytes are
told by one strict pattern; whatever is not of it goes the long way through uvicorn's parser, with
all that follows on the same connection, so that two parsers never share one.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_HEAD: Final = re.compile(
    rb"POST (/[A-Za-z0-9._/-]*) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]+:[ \t]*[\x21-\x7e][\x20-\x7e]*\r\n)+)\r\n"
)
_SPECIAL: Final = re.compile(
    rb"^(host|content-length|content-type|content-encoding|transfer-encoding|connection|expect"
    rb"|upgrade|te|trailer|authorization):[ \t]*([^\r]*?)[ \t]*\r$",
    re.IGNORECASE | re.MULTILINE,
)
_LONGEST_HEAD: Final = 8192
_LONGEST_BODY: Final = 65_536
_KNOWN: Final = {b"host", b"content-length", b"content-type", b"authorization", b"connection"}


class Plain(NamedTuple):
    """A request: where it goes, what token it bears, its body, and how many bytes are to come."""

    path: str
    authorization: bytes
    body: bytes
    lacking: int


def read(data: bytes) -> Plain | None:
    r"""Return the request that some bytes are, or None where they are not of the usual form.

    >>> head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    >>> read(head + b"Content-Length: 2\r\n\r\n{}")
    Plain(path='/predict', authorization=b'', body=b'{}', lacking=0)
    >>> read(head + b"Transfer-Encoding: chunked\r\n\r\n")
    """
    head = _HEAD.match(data, 0, _LONGEST_HEAD)
    if head is None:
        return None
    found = {}
    for name, value in _SPECIAL.findall(head[2]):
        key = name.lower()
        if key in found or key not in _KNOWN:
            return None
        found[key] = value
    length = found.get(b"content-length", b"")
    if b"host" not in found or not length.isdigit() or len(length) > 5:
        return None
    if found.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
        return None
    if found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    body = data[head.end() :]
    lacking = int(length) - len(body)
    if lacking < 0 or int(length) > _LONGEST_BODY:  # more than one request, or a long one
        return None
    return Plain(head[1].decode(), found.get(b"authorization", b""), body, lacking)
