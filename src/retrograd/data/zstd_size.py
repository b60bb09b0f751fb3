"""How large a zstd file can become at most, read off its blocks without expanding one."""

from __future__ import annotations

from typing import BinaryIO

from retrograd.tensor.errors import DataError

_MAGIC = b"\x28\xb5\x2f\xfd"
_LARGEST_BLOCK = 128 << 10  # what one block may expand to, by RFC 8878, section 3.1.1.2.4
_RAW, _RLE, _COMPRESSED = range(3)


def largest_size(file: BinaryIO, asked: str) -> int:
    """Return a bound on the bytes that a zstd file expands to; its position is lost.

    The frames and blocks of RFC 8878, section 3.1.1: a block says in three bytes how long it is,
    and none expands beyond 128 KiB.

    Raises DataError for a file that is damaged or cut short.
    """
    file.seek(0)
    total = 0
    while magic := file.read(4):
        number = int.from_bytes(magic, "little")
        if number >> 4 == 0x184D2A5:  # a frame to skip, which holds no text
            _skip(file, int.from_bytes(_bytes(file, 4, asked), "little"))
        elif magic == _MAGIC:
            total += _frame(file, asked)
        else:
            raise _damaged(asked)
    return total


def _frame(file: BinaryIO, asked: str) -> int:
    """Return a bound on what one frame expands to, and leave the file behind it."""
    descriptor = _bytes(file, 1, asked)[0]
    is_single = descriptor >> 5 & 1
    size = (is_single, 2, 4, 8)[descriptor >> 6]
    _skip(file, (1 - is_single) + (0, 1, 2, 4)[descriptor & 3] + size)
    total = 0
    while True:
        block = int.from_bytes(_bytes(file, 3, asked), "little")
        is_last, kind, size = block & 1, block >> 1 & 3, block >> 3
        if kind > _COMPRESSED or size > _LARGEST_BLOCK:
            raise _damaged(asked)
        total += _LARGEST_BLOCK if kind == _COMPRESSED else size
        _skip(file, 1 if kind == _RLE else size)
        if is_last:
            _skip(file, 4 * (descriptor >> 2 & 1))
            return total


def _skip(file: BinaryIO, size: int) -> None:
    file.seek(size, 1)


def _bytes(file: BinaryIO, size: int, asked: str) -> bytes:
    found = file.read(size)
    if len(found) < size:
        raise _damaged(asked)
    return found


def _damaged(asked: str) -> DataError:
    return DataError(asked, "the compressed file is damaged or cut short", "copy it again")
