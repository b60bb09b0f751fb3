"""Tables of a flatbuffer, as Arrow's messages are written: fields are found by their number."""

from __future__ import annotations

import struct
from typing import Final

_MOST: Final = 100_000  # entries of a vector
BROKEN: Final = "its metadata cannot be read"


class Flat:
    """One table; whatever leads out of the bytes raises struct.error or ValueError."""

    def __init__(self, data: bytes, at: int | None = None) -> None:
        """Take the table at a place, by default the buffer's root."""
        self._data = data
        self._at = struct.unpack_from("<I", data)[0] if at is None else at
        self._fields = self._at - struct.unpack_from("<i", data, self._at)[0]
        if self._fields < 0:
            raise ValueError(BROKEN)
        (self._size,) = struct.unpack_from("<H", data, self._fields)

    def has(self, field: int) -> bool:
        """Return whether a field is there."""
        return self._place(field) > 0

    def number(self, field: int, form: str, default: int = 0) -> int:
        """Return a number, by its form in the language of `struct`."""
        place = self._place(field)
        return int(struct.unpack_from(form, self._data, place)[0]) if place else default

    def table(self, field: int) -> Flat:
        """Return an inner table."""
        place = self._place(field)
        if not place:
            raise ValueError(BROKEN)
        return Flat(self._data, place + struct.unpack_from("<I", self._data, place)[0])

    def tables(self, field: int) -> list[Flat]:
        """Return a vector of tables."""
        start, count = self._vector(field)
        places = range(start, start + 4 * count, 4)
        return [Flat(self._data, p + struct.unpack_from("<I", self._data, p)[0]) for p in places]

    def text(self, field: int) -> str:
        """Return a text."""
        start, count = self._vector(field, most=len(self._data))
        if start + count > len(self._data):
            raise ValueError(BROKEN)
        return self._data[start : start + count].decode()

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """Return a vector of pairs of 64-bit numbers."""
        start, count = self._vector(field)
        numbers = struct.unpack_from(f"<{2 * count}q", self._data, start)
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def numbers(self, field: int) -> list[int]:
        """Return a vector of 64-bit numbers."""
        start, count = self._vector(field)
        return list(struct.unpack_from(f"<{count}q", self._data, start))

    def _vector(self, field: int, most: int = _MOST) -> tuple[int, int]:
        """Return where a vector's entries begin, and how many there are; 0 if it is not there."""
        place = self._place(field)
        if not place:
            return 0, 0
        place += struct.unpack_from("<I", self._data, place)[0]
        (count,) = struct.unpack_from("<I", self._data, place)
        if count > most:
            raise ValueError(BROKEN)
        return place + 4, count

    def _place(self, field: int) -> int:
        if 4 + 2 * field >= self._size:
            return 0
        (offset,) = struct.unpack_from("<H", self._data, self._fields + 4 + 2 * field)
        return self._at + offset if offset else 0
