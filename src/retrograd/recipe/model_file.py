"""The bytes of `model.retro`: one safetensors file, sealed by a digest over every byte of it.

The metadata holds "format", "version", "digest" and "record"; the record is JSON text, and the
numbers are the tensors. The digest is SHA-256 of the whole file with the digest's own 64 characters
written as zeros, so that no byte can change unnoticed. It guards against damage; against malice
every part is checked again by its type when it is used, and nothing in the file is ever run.
"""

from __future__ import annotations

import hashlib
import json
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from retrograd.tensor.errors import FileFormatError, RunError
from retrograd.tensor.types import Array

FORMAT = "retrograd-model"
VERSION = 1
_LARGEST_HEADER = 64 * 2**20  # bytes; the safetensors format itself allows 100 MB
_BLANK = "0" * 64
_DTYPES = {"F32": "float32", "F64": "float64", "I32": "int32", "I64": "int64", "BOOL": "bool"}
_TRY = "copy the file again, or train again"


def pack(tensors: Mapping[str, Array], record: str) -> bytes:
    """Return the bytes of a file with these tensors and this record."""
    from safetensors.numpy import save

    metadata = {"format": FORMAT, "version": str(VERSION), "digest": _BLANK, "record": record}
    arrays: Any = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    data = save(arrays, metadata=metadata)
    header = 8 + struct.unpack("<Q", data[:8])[0]
    at = data.index(_slot(_BLANK), 0, header) + len(_slot(""))
    digest = hashlib.sha256(data).hexdigest().encode()
    return data[: at - 1] + digest + data[at - 1 + 64 :]


def _slot(digest: str) -> bytes:
    return f'"digest":"{digest}"'.encode()


def unpack(data: bytes, asked: str) -> tuple[dict[str, Array], str]:
    """Return the tensors and the record of a file's bytes.

    Raises FileFormatError, which begins with ``asked``, for bytes that `pack` did not make.
    """
    metadata, header = _metadata(data, asked)
    if metadata.get("format") != FORMAT:
        _refuse(asked, "it is not a model of retrograd", "give the path of a model.retro")
    _check_version(metadata.get("version", ""), asked)
    _check_digest(data, metadata.get("digest", ""), header, asked)
    return _tensors(data, asked), metadata.get("record", "")


def _metadata(data: bytes, asked: str) -> tuple[dict[str, str], int]:
    """Return the metadata and where the numbers begin; the JSON is read only if it is of ours."""
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
    if not 2 <= length <= min(_LARGEST_HEADER, len(data) - 8):
        _refuse(asked, "it is not a model file, or it was cut short", _TRY)
    try:
        header = json.loads(data[8 : 8 + length].decode())
        metadata = header["__metadata__"]
        if all(isinstance(value, str) for value in metadata.values()):
            return dict(metadata), 8 + length
    except (UnicodeDecodeError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        pass
    _refuse(asked, "its header cannot be read", _TRY)


def _check_version(version: str, asked: str) -> None:
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        _refuse(asked, "its version cannot be read", _TRY)
    if int(version) > VERSION:
        found = f"its format is version {version}, newer than this program's {VERSION}"
        _refuse(asked, found, "upgrade retrograd")
    if int(version) < 1:
        _refuse(asked, f"there is no format version {int(version)}", _TRY)


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
        arrays = {}
        for name, part in deserialize(data):
            dtype = np.dtype(_DTYPES[part["dtype"]])
            flat = np.frombuffer(part["data"], dtype)
            if dtype == np.bool_ and np.frombuffer(part["data"], np.uint8).max(initial=0) > 1:
                raise ValueError("a truth value that is neither 0 nor 1")
            arrays[name] = flat.reshape(part["shape"])
        return arrays
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError, MemoryError):
        _refuse(asked, "its tensors cannot be read", _TRY)


def read_bytes(path: Path, asked: str) -> bytes:
    """Return the bytes of a regular file; raises FileFormatError where there is none to read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            _refuse(asked, "it is not a regular file", "give the path of a model.retro")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        _refuse(asked, found, "give the path of a model.retro or of a run")


def _refuse(asked: str, found: str, try_this: str) -> NoReturn:
    raise FileFormatError(asked, found, try_this) from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a new file beside it, fsync, rename, fsync the directory.

    Raises RunError, naming the file and why; what was there before is then still there.
    """
    import os
    import secrets

    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise RunError(
            f"writing {str(path)!r}",
            error.strerror or str(error),
            "make room or choose another directory; what was there before is unchanged",
        ) from None
