"""Linking of one WebAssembly object: its memory is laid out, and its functions become exports.

The format is that of the tool conventions' "Linking": what an object leaves open are the addresses
of its constants, and the memory and the stack's top, which it imports. Nothing else is wanted here,
so that no linker has to be installed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from retrograd.tensor.errors import RunError

STACK: Final = 2**16
_PAGE: Final = 2**16
_TYPE, _IMPORT, _FUNCTION, _MEMORY, _GLOBAL, _EXPORT, _CODE, _DATA = 1, 2, 3, 5, 6, 7, 10, 11
_ADDRESSES: Final = {3: "LEB", 4: "SLEB", 5: "I32"}
_AS_THEY_ARE: Final = (0, 6, 7)  # numbers of functions, types and globals: there is one object
_I32: Final = 0x7F


class _Segment(NamedTuple):
    """Constants: their address, and their bytes."""

    address: int
    data: bytes


class _Reader:
    """Reads numbers and texts of a file, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def byte(self) -> int:
        self.place += 1
        return self.data[self.place - 1]

    def number(self) -> int:
        """Return an unsigned number of seven bits a byte."""
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return result

    def signed(self) -> int:
        start = self.place
        value = self.number()
        bits = 7 * (self.place - start)
        return value - (1 << bits) if value >> (bits - 1) & 1 else value

    def bytes(self, count: int) -> bytes:
        self.place += count
        return self.data[self.place - count : self.place]

    def text(self) -> str:
        return self.bytes(self.number()).decode()


def link(data: bytes, exported: Sequence[str]) -> bytes:
    """Return a module that imports nothing, and exports these functions and its memory.

    ``__heap_base`` is where free memory begins. Raises RunError for an object that needs a
    function of others.
    """
    sections, custom = _sections(data)
    _check_imports(sections.get(_IMPORT, b"\0"))
    linking = _Reader(custom["linking"])
    linking.number()  # the version
    parts = dict(_subsections(linking))
    segments = _place(sections.get(_DATA, b"\0"), parts.get(5, b"\0"))
    functions, addresses = _symbols(parts[8], segments)
    code = _patched(sections[_CODE], custom.get("reloc.CODE"), addresses)
    end = max((s.address + len(s.data) for s in segments), default=STACK)
    heap = -(-end // 64) * 64
    return b"".join([
        b"\0asm\1\0\0\0",
        _section(_TYPE, sections[_TYPE]),
        _section(_FUNCTION, sections[_FUNCTION]),
        _section(_MEMORY, b"\1\0" + _leb(-(-heap // _PAGE))),
        _section(_GLOBAL, _vector([_global(STACK, is_mutable=True), _global(heap)])),
        _section(_EXPORT, _exports(exported, functions)),
        _section(_CODE, code),
        _section(_DATA, _vector([_written(s) for s in segments])),
    ])  # fmt: skip


def _sections(data: bytes) -> tuple[dict[int, bytes], dict[str, bytes]]:
    reader, numbered, named = _Reader(data), dict[int, bytes](), dict[str, bytes]()
    reader.bytes(8)
    while reader.place < len(data):
        kind, size = reader.byte(), reader.number()
        body = reader.bytes(size)
        if kind == 0:
            inner = _Reader(body)
            name = inner.text()
            named[name] = body[inner.place :]
        else:
            numbered[kind] = body
    return numbered, named


def _subsections(reader: _Reader) -> Iterator[tuple[int, bytes]]:
    while reader.place < len(reader.data):
        kind = reader.byte()
        yield kind, reader.bytes(reader.number())


def _check_imports(data: bytes) -> None:
    """Refuse imports that are not the memory, the table that goes with it, or the stack's top."""
    reader = _Reader(data)
    for _ in range(reader.number()):
        reader.text()
        name, kind = reader.text(), reader.byte()
        known = {2: "__linear_memory", 1: "__indirect_function_table", 3: "__stack_pointer"}
        if known.get(kind) != name:
            raise RunError(
                "linking a WebAssembly module",
                f"its code calls {name}, which nobody provides",
                "use another activation",
            )
        if kind == 3:
            reader.bytes(2)
        else:
            reader.bytes(1 if kind == 1 else 0)
            flags = reader.number()
            reader.number()
            _ = reader.number() if flags & 1 else 0


def _place(data: bytes, told: bytes) -> list[_Segment]:
    """Return the constants, each at a multiple of its alignment, after the stack."""
    alignments, reader, end = [], _Reader(told), STACK
    for _ in range(reader.number()):
        reader.text()
        alignments.append(1 << reader.number())
        reader.number()
    reader, found = _Reader(data), []
    for alignment in alignments[: reader.number()]:
        reader.number()  # the kind: placed in memory from the start
        reader.byte()
        reader.signed()
        reader.byte()
        address = -(-end // alignment) * alignment
        found.append(_Segment(address, reader.bytes(reader.number())))
        end = address + len(found[-1].data)
    return found


def _symbols(told: bytes, segments: Sequence[_Segment]) -> tuple[dict[str, int], list[int]]:
    """Return the functions' numbers by name, and every symbol's address (0 of functions)."""
    reader, functions, addresses = _Reader(told), dict[str, int](), []
    for _ in range(reader.number()):
        kind, flags, address = reader.byte(), reader.number(), 0
        is_defined, is_named = not flags & 0x10, bool(flags & 0x40)
        if kind == 1:
            reader.text()
            if is_defined:
                address = segments[reader.number()].address + reader.number()
                reader.number()
        elif kind == 3:
            reader.number()
        else:
            number = reader.number()
            name = reader.text() if is_defined or is_named else ""
            if kind == 0:
                functions[name] = number
        addresses.append(address)
    return functions, addresses


def _patched(code: bytes, relocations: bytes | None, addresses: Sequence[int]) -> bytes:
    """Return the code with the addresses of constants in it."""
    result, reader = bytearray(code), _Reader(relocations or b"\0\0")
    reader.number()  # the section
    for _ in range(reader.number()):
        kind, place, symbol = reader.byte(), reader.number(), reader.number()
        if kind in _AS_THEY_ARE:
            continue
        if kind not in _ADDRESSES:
            raise RunError(
                "linking a WebAssembly module",
                f"its code needs a relocation of kind {kind}",
                "report this as a bug of retrograd",
            )
        address = addresses[symbol] + reader.signed()
        if _ADDRESSES[kind] == "I32":
            result[place : place + 4] = struct.pack("<I", address)
        else:
            result[place : place + 5] = _wide(address)
    return bytes(result)


def _leb(value: int) -> bytes:
    """Return an unsigned number, seven bits a byte."""
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])


def _wide(value: int) -> bytes:
    """Return an address in five bytes, the same with a sign and without one."""
    return bytes([value >> shift & 127 | 128 for shift in (0, 7, 14, 21)] + [value >> 28 & 127])


def _vector(items: Sequence[bytes]) -> bytes:
    return _leb(len(items)) + b"".join(items)


def _section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _leb(len(body)) + body


def _constant(value: int) -> bytes:
    return b"\x41" + _wide(value) + b"\x0b"


def _global(value: int, *, is_mutable: bool = False) -> bytes:
    return bytes([_I32, is_mutable]) + _constant(value)


def _written(segment: _Segment) -> bytes:
    return b"\0" + _constant(segment.address) + _leb(len(segment.data)) + segment.data


def _exports(names: Sequence[str], functions: dict[str, int]) -> bytes:
    made = [(name, 0, functions[name]) for name in names]
    made += [("memory", 2, 0), ("__heap_base", 3, 1)]
    return _vector([
        _leb(len(name.encode())) + name.encode() + bytes([kind]) + _leb(number)
        for name, kind, number in made
    ])  # fmt: skip
