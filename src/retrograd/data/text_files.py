"""Text files as UTF-8: expanded if they are compressed, transcoded if they are written otherwise.

Expanding stops at a limit that is known before, and transcoding says what it took the text for.
"""

from __future__ import annotations

import codecs
import gzip
import tempfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from retrograd.data.frames import first_line, memory_of_machine
from retrograd.data.zstd_size import largest_size
from retrograd.tensor.errors import DataError

_PIECE = 1 << 20
_EXPANSION = 250  # times its size: what tables are compressed to at best, and bombs exceed
_SMALL = 256 << 20  # bytes that any file may expand to
# UTF-32 must stand before UTF-16: it begins with the same two bytes.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}
_PACKED = (
    (b"\x1f\x8b", "compressed by gzip", "name it .csv.gz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "name it .csv.zst"),
    (b"BZh", "compressed by bzip2", "unpack it with bunzip2 first"),
    (b"\xfd7zXZ", "compressed by xz", "unpack it with unxz first"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or name it .xlsx"),
    (b"PAR1", "Parquet", "name it .parquet"),
    (b"ARROW1", "Arrow", "name it .arrow"),
    (b"SQLite format 3\x00", "an SQLite database", "name it .db"),
)
# Letters of Western Europe, and marks that stand between words, as bytes of Windows-1252.
_LETTERS = frozenset((*range(192, 256), *b"\x8a\x8c\x8e\x9a\x9c\x9e\x9f")) - frozenset(
    b"\xd0\xd7\xde\xf0\xf7\xfe\xff"  # Icelandic letters, signs, and a rare y
)
_APOSTROPHES = frozenset(b"\x91\x92\xb4\xb7")
_MARKS = frozenset((*range(160, 192), *b"\x80\x82\x84\x85\x93\x94\x95\x96\x97\x99")) - frozenset(
    b"\xa4\xa6\xa8\xac\xad\xaf\xb6\xb8\xb9"
)


class Text(NamedTuple):
    """A file of UTF-8 text, and sentences about how it was read."""

    file: BinaryIO
    notes: tuple[str, ...] = ()


def as_utf8(file: BinaryIO, path: Path, compression: str, asked: str) -> Text:
    """Return a file's text as UTF-8: the file itself, or a temporary one.

    compression: ".gz", ".zst" or nothing, as the file's name says.

    Raises DataError for a file that is something else than its name says, that is damaged, that
    expands beyond the limit, and for text in an encoding that is not known for certain.
    """
    if compression:
        if not file.read(4).startswith(_MAGIC[compression]):
            found = f"it is not compressed as {compression} files are"
            raise DataError(asked, found, f"name it without {compression}")
        limit = _limit(path)
        if compression == ".zst" and largest_size(file, asked) > limit:
            # polars, which expands it, may hold all of it at once: a bound must be known before.
            raise _too_large(path, limit, asked)
        file.seek(0)
        pieces = _gunzipped(file) if compression == ".gz" else _unzstd(path)
        file = _expanded(pieces, path, limit, asked)
    start = file.read(16)
    file.seek(0)
    if not start:
        raise DataError(asked, "the file is empty", "give a file with a header and rows")
    for mark, found, remedy in _PACKED:
        if start.startswith(mark):
            raise DataError(asked, f"the file is {found}, not text", remedy)
    encoding = _unicode_of(start)
    if encoding:
        words = "UTF-16" if encoding.startswith("utf-16") else "UTF-32"
        decoded = _transcoded(file, encoding, words, asked)
        return Text(decoded, (f"the file is {words} text, and was read as such",))
    bad = _first_bad_byte(file)
    if bad is None:
        return Text(file)
    word = _western_word(file, bad, asked)
    decoded = _transcoded(file, "cp1252", "Windows-1252", asked)
    note = (
        f"the file is not UTF-8: it was read as Windows-1252 (Latin-1), which gives {word!r} on "
        f"line {bad.line}; if that is wrong, save it as UTF-8"
    )
    return Text(decoded, (note,))


def _limit(path: Path) -> int:
    """Return the bytes that a compressed file may expand to."""
    return min(max(_SMALL, _EXPANSION * path.stat().st_size), memory_of_machine() // 4)


def _too_large(path: Path, limit: int, asked: str) -> DataError:
    found = f"its {path.stat().st_size:,} bytes expand to more than {limit:,}"
    return DataError(asked, found, "unpack it yourself if you trust it")


def _expanded(pieces: Iterator[bytes], path: Path, limit: int, asked: str) -> BinaryIO:
    """Return what a compressed file expands to, in a temporary file."""
    target = tempfile.TemporaryFile()  # noqa: SIM115  # it is returned
    written = 0
    try:
        for piece in pieces:
            written += len(piece)
            if written > limit:
                raise _too_large(path, limit, asked)
            target.write(piece)
    except BaseException as error:
        target.close()
        import polars as pl

        damage = (EOFError, zlib.error, gzip.BadGzipFile, pl.exceptions.PolarsError)
        is_rust = isinstance(error, OSError) and error.errno is None
        if isinstance(error, damage) or is_rust:
            found = f"the compressed file is damaged or cut short ({first_line(error)})"
            raise DataError(asked, found, "copy it again") from None
        if isinstance(error, OSError):
            found = f"it cannot be expanded ({error.strerror or error})"
            raise DataError(asked, found, "make room, or unpack it yourself") from None
        raise
    target.seek(0)
    return target


def _gunzipped(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as packed:
        while piece := packed.read(_PIECE):
            yield piece


def _unzstd(path: Path) -> Iterator[bytes]:
    """Give the lines of a zstd file, which polars knows how to expand piece by piece."""
    import polars as pl

    lines = pl.scan_lines(path)
    for frame in lines.collect_batches(chunk_size=50_000):
        column = frame.to_series()
        yield "\n".join(column.to_list()).encode() + b"\n" if len(column) else b""


def _unicode_of(start: bytes) -> str:
    """Return the encoding that the first bytes show: by its mark, or by the NULs of UTF-16."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return encoding
    if len(start) >= 4 and not any(start[1::2]) and all(start[::2]):
        return "utf-16-le"
    if len(start) >= 4 and not any(start[::2]) and all(start[1::2]):
        return "utf-16-be"
    return ""


def _transcoded(file: BinaryIO, encoding: str, words: str, asked: str) -> BinaryIO:
    """Return the text of a file in a temporary one, as UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    target = tempfile.TemporaryFile()  # noqa: SIM115  # it is returned
    file.seek(0)
    lines = 1
    try:
        while piece := file.read(_PIECE):
            text = decoder.decode(piece)
            lines += text.count("\n")
            target.write(text.encode())
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        target.close()
        found = f"line {lines} or a later one is no {words} text ({first_line(error)})"
        raise DataError(asked, found, "save the file as UTF-8") from None
    target.seek(0)
    return target


class _Bad(NamedTuple):
    """The first byte that is no UTF-8.  line: of the file, from 1."""

    line: int
    byte: int


def _first_bad_byte(file: BinaryIO) -> _Bad | None:
    """Return where a file stops being UTF-8; None if nowhere.  Afterwards it is at its start."""
    line, kept = 1, b""
    try:
        while piece := file.read(_PIECE):
            if piece.isascii() and not kept:
                line += piece.count(b"\n")
                continue
            content = kept + piece
            try:
                content.decode()
                kept = b""
            except UnicodeDecodeError as error:
                if error.reason != "unexpected end of data" or len(content) - error.start > 3:
                    line += content.count(b"\n", 0, error.start)
                    return _Bad(line, content[error.start])
                content, kept = content[: error.start], content[error.start :]
            line += content.count(b"\n")
        return _Bad(line, kept[0]) if kept else None
    finally:
        file.seek(0)


def _western_word(file: BinaryIO, bad: _Bad, asked: str) -> str:
    """Return the first word that is not ASCII, if the whole file reads well as Windows-1252.

    Raises DataError if it does not: letters that stand alone between ASCII ones are its mark, while
    Cyrillic or Greek text has whole words of them, and Polish or Czech has signs inside words.
    """
    total, beside, word = 0, 0, ""
    for number, line in enumerate(file, 1):
        if line.isascii():
            continue
        high = [place for place, byte in enumerate(line) if byte >= 128]
        total += len(high)
        beside += sum(b - a == 1 for a, b in pairwise(high))
        is_known = all(_is_western(line, place) for place in high)
        is_text = not any(byte < 32 and byte not in b"\t\r\n" for byte in line)
        if not (is_known and is_text) or _has_utf8(line):
            raise _not_text(number if number > bad.line else bad.line, bad.byte, asked)
        word = word or _word_at(line, high[0])
    file.seek(0)
    if beside > 0.3 * total:
        raise _not_text(bad.line, bad.byte, asked)
    return word


def _not_text(line: int, byte: int, asked: str) -> DataError:
    found = f"line {line} holds byte 0x{byte:02x}, which is not UTF-8 nor plausible Windows-1252"
    return DataError(asked, found, "save the file as UTF-8")


def _is_western(line: bytes, place: int) -> bool:
    """Return whether a byte is a letter, or a mark that does not stand inside a word."""
    byte = line[place]
    if byte in _LETTERS:
        return True
    around = line[max(place - 1, 0) : place], line[place + 1 : place + 2]
    is_inside = all(letter.isalpha() for letter in around)
    return byte in _APOSTROPHES or (byte in _MARKS and not is_inside)


def _has_utf8(line: bytes) -> bool:
    """Return whether a line holds a letter of two bytes or more as UTF-8 writes it."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return not line[: error.start].isascii()
    return True


def _word_at(line: bytes, place: int) -> str:
    """Return the word around a place of a line.

    >>> _word_at("a,un café noir".encode("cp1252"), 8)
    'café'
    """
    text = line.decode("cp1252").rstrip()
    start = place
    while start and text[start - 1].isalnum():
        start -= 1
    stop = place + 1
    while stop < len(text) and text[stop].isalnum():
        stop += 1
    return text[start:stop][:30]
