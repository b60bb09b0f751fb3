"""ELF files, as far as it takes to know what an object defines, lacks, and holds."""

from __future__ import annotations

import struct
from typing import NamedTuple

from retrograd.tensor.errors import FileFormatError

_SYMBOLS = (2, 11)  # the linker's table, and that of shared libraries


class Symbol(NamedTuple):
    """A name, whether it is defined here, and the bytes that it stands for (none of functions)."""

    name: str
    is_defined: bool
    data: bytes


class _Section(NamedTuple):
    kind: int
    address: int
    offset: int
    size: int
    link: int


def symbols(data: bytes) -> tuple[Symbol, ...]:
    """Return the visible symbols of a little-endian object file or library.

    Raises FileFormatError for other files and damaged ones.
    """
    try:
        return _symbols(data)
    except (struct.error, IndexError, ValueError) as error:
        raise FileFormatError(
            "reading a native library", f"it is no ELF file ({error})", "export it again"
        ) from None


def _symbols(data: bytes) -> tuple[Symbol, ...]:
    if data[:4] != b"\x7fELF" or data[5] != 1:
        raise ValueError("its first bytes are others")
    is_wide = data[4] == 2
    sections = _sections(data, is_wide)
    is_object = struct.unpack_from("<H", data, 16)[0] == 1
    found = {}
    layout, step = ("<IBBHQQ", 24) if is_wide else ("<IIIBBH", 16)
    for table in (s for s in sections if s.kind in _SYMBOLS):
        texts = sections[table.link].offset
        for place in range(table.offset + step, table.offset + table.size, step):
            parts = struct.unpack_from(layout, data, place)
            name, info, section, value, size = (
                (parts[0], parts[1], parts[3], parts[4], parts[5])
                if is_wide
                else (parts[0], parts[3], parts[5], parts[1], parts[2])
            )
            if info >> 4 == 0:
                continue  # of this file alone
            start = texts + name
            text = data[start : data.index(b"\0", start)].decode()
            held = b""
            if info & 15 == 1 and 0 < section < len(sections):
                own = sections[section]
                at = own.offset + value - (0 if is_object else own.address)
                held = data[at : at + size]
            found[text] = Symbol(text, section != 0, held)
    return tuple(found.values())


def _sections(data: bytes, is_wide: bool) -> list[_Section]:
    offset = struct.unpack_from("<Q" if is_wide else "<I", data, 40 if is_wide else 32)[0]
    step, count = struct.unpack_from("<HH", data, 58 if is_wide else 46)
    layout = "<IIQQQQI" if is_wide else "<IIIIIII"
    found = []
    for i in range(count):
        _, kind, _, *rest = struct.unpack_from(layout, data, offset + i * step)
        found.append(_Section(kind, *rest))
    return found
