"""A sealed file: safetensors whose metadata holds a record and a digest over every byte.

The metadata has "format", "version", "digest" and "record". The digest is SHA-256 of the whole file
with the digest's own 64 characters written as zeros, so no byte changes unnoticed. It guards
against damage; against malice everything is checked again when used, and nothing read is ever run.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np

from retrograd.tensor.errors import FileFormatError
from retrograd.tensor.types import Array

_LARGEST_HEADER = 64 * 2**20  # bytes; the safetensors format itself allows 100 MB
_BLANK = "0" * 64
_DTYPES = {"F32": "float32", "F64": "float64", "I32": "int32", "I64": "int64", "BOOL": "bool"}
_TRY = "use an older copy of it"


class Kind(NamedTuple):
    """What sort of file: the name and version of its format, and what people call it."""

    format: str
    version: int
    noun: str


def seal(kind: Kind, tensors: Mapping[str, Array], record: str) -> bytes:
    """Return the bytes of a file with these tensors and this record: equal ones for equal ones."""
    from safetensors.numpy import save

    metadata = {
        "format": kind.format, "version": str(kind.version), "digest": _BLANK, "record": record,
    }  # fmt: skip
    # C order and owned: safetensors would write a transposed view's memory as it lies.
    arrays: Any = {name: np.array(array, order="C") for name, array in tensors.items()}
    data = _in_order(save(arrays, metadata=metadata))
    header = 8 + struct.unpack("<Q", data[:8])[0]
    at = data.index(_slot(_BLANK), 0, header) + len(_slot("")) - 1
    return data[:at] + hashlib.sha256(data).hexdigest().encode() + data[at + 64 :]


def _in_order(data: bytes) -> bytes:
    """Return the file with its metadata in order: the library shuffles it anew at every call."""
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers stay aligned
    return struct.pack("<Q", len(text)) + text + data[end:]


def _slot(digest: str) -> bytes:
    # Inside the record quotes are escaped, so the slot is found nowhere else.
    return f'"digest":"{digest}"'.encode()


def unseal(kind: Kind, data: bytes, asked: str) -> tuple[dict[str, Array], str]:
    """Return the tensors and the record of a file's bytes.

    Raises FileFormatError, beginning with ``asked``, for bytes that `seal` did not make: another
    format, a newer version, cut short, changed, or hostile.
    """
    metadata, header = _metadata(data, asked, kind.noun)
    if metadata.get("format") != kind.format:
        _refuse(asked, f"it is not a {kind.noun} of retrograd", f"give the path of a {kind.noun}")
    _check_version(kind.version, metadata.get("version", ""), asked)
    _check_digest(data, metadata.get("digest", ""), header, asked)
    return _tensors(data, asked), metadata.get("record", "")


def parse(text: str) -> Any:
    """Return what JSON text holds; raises ValueError if it is none, or a key stands there twice.

    >>> parse('{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # readers disagree about which of the two counts
        raise ValueError("a key stands there twice")
    return found


def _metadata(data: bytes, asked: str, noun: str) -> tuple[dict[str, str], int]:
    """Return the metadata, and where the numbers begin."""
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if not 2 <= length <= min(_LARGEST_HEADER, len(data) - 8):
        _refuse(asked, f"it is not a {noun}, or it was cut short", _TRY)
    try:
        metadata = parse(data[8 : 8 + length].decode())["__metadata__"]
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata holds text")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        _refuse(asked, "its header cannot be read", _TRY)
    return dict(metadata), 8 + length


def _check_version(newest: int, version: str, asked: str) -> None:
    if not (version.isascii() and version.isdigit() and len(version) < 10 and int(version) > 0):
        _refuse(asked, "its version cannot be read", _TRY)
    if int(version) > newest:
        found = f"its format is version {version}, newer than this program's {newest}"
        _refuse(asked, found, "upgrade retrograd")


def _check_digest(data: bytes, digest: str, header: int, asked: str) -> None:
    slot = _slot(digest)
    if len(digest) != 64 or data.count(slot, 0, header) != 1:
        _refuse(asked, "its digest is missing", _TRY)
    at = data.index(slot, 0, header)
    check = hashlib.sha256(data[:at] + _slot(_BLANK))
    check.update(memoryview(data)[at + len(slot) :])
    if check.hexdigest() != digest:
        _refuse(asked, "its bytes do not match its digest, so it is damaged", _TRY)


def _tensors(data: bytes, asked: str) -> dict[str, Array]:
    """Return the tensors as arrays of their own; safetensors checks names, offsets and lengths."""
    from safetensors import SafetensorError, deserialize

    try:
        arrays: dict[str, Array] = {}
        for name, part in deserialize(data):  # type: ignore[no-untyped-call]
            raw = np.frombuffer(part["data"], np.uint8)
            dtype = np.dtype(_DTYPES[part["dtype"]])
            if dtype == np.bool_ and raw.max(initial=0) > 1:
                raise ValueError("a truth value that is neither 0 nor 1")
            arrays[name] = raw.view(dtype).reshape(part["shape"])
        return arrays
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError, MemoryError):
        _refuse(asked, "its tensors cannot be read", _TRY)


def _refuse(asked: str, found: str, try_this: str) -> NoReturn:
    raise FileFormatError(asked, found, try_this) from None
