"""What a request is answered, and why it is refused: one JSON object with one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

JSON: Final = b"application/json"
encode: Final = msgspec.json.Encoder().encode
Header = tuple[bytes, bytes]


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    body: bytes
    status: int = 200
    kind: bytes = JSON
    headers: Sequence[Header] = ()


def reply(value: Any, status: int = 200, headers: Sequence[Header] = ()) -> Reply:
    """Return a value as an answer in JSON."""
    return Reply(encode(value), status, JSON, headers)


class RefusedError(Exception):
    """A request that is not answered: the status, the sentence, and where its fault is."""

    def __init__(
        self, status: int, error: str, *, headers: Sequence[Header] = (), **place: Any
    ) -> None:
        """Keep the parts; ``place`` may say row, field, line, column and byte."""
        super().__init__(error)
        self.status, self.error, self.headers, self.place = status, error, headers, place

    def reply(self) -> Reply:
        """Return it as an answer."""
        place = {name: value for name, value in self.place.items() if value is not None}
        return reply({"error": self.error, **place}, self.status, self.headers)
