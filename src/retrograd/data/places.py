"""The text that names a source, taken apart: a file or a database, and a part of it after ``#``."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

DatabaseKind = Literal["sqlite", "duckdb", "postgresql"]
COMPRESSED = (".gz", ".zst")
UNREADABLE = "postgresql://..."
"""What a URL is shown as that cannot be taken apart: a password could be anywhere in it."""

_SCHEME = re.compile(r"(sqlite|duckdb|postgresql|postgres):(?!\\)(.+)", re.DOTALL)
_DATABASES: dict[str, DatabaseKind] = {
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".duckdb": "duckdb",
}
_WITH_PARTS = (".xlsx", *_DATABASES)


@dataclass(frozen=True)
class Place:
    """Where a table is.  path: of a file or folder, or the URL of a server, password included.

    part: the sheet of a workbook; the table of a database, or a query.  database: None for files.
    """

    path: str
    part: str = ""
    database: DatabaseKind | None = None

    @property
    def safe(self) -> str:
        """Return the source's text without a password.

        >>> Place("postgresql://me:secret@host/shop", "orders", "postgresql").safe
        'postgresql://me@host/shop#orders'
        """
        part = f"#{self.part}" if self.part else ""
        if self.database == "postgresql":
            return without_password(self.path) + part
        return self.path + part

    @property
    def title(self) -> str:
        """Return a short name: a file's own, or a database's with its table.

        >>> Place("data/shop.db", "orders", "sqlite").title, Place("data/shop.csv.gz").title
        ('shop orders', 'shop')
        """
        is_server = self.database == "postgresql"
        name = Path(urlsplit(self.path).path if is_server else self.path).name
        stem = name.removesuffix(Path(name).suffix) if name.endswith(COMPRESSED) else name
        words = self.part.split()
        return " ".join([Path(stem).stem, *(words if len(words) == 1 else ())])


def parse(text: str) -> Place:
    """Return the place that a text names.

    >>> parse("sqlite:shop.db#select * from orders")
    Place(path='shop.db', part='select * from orders', database='sqlite')
    >>> parse("book.xlsx#Prices").part, parse("odd#name.csv").path
    ('Prices', 'odd#name.csv')
    """
    if os.path.lexists(text) and _database_of(text) is None:
        return Place(text)
    scheme = _SCHEME.fullmatch(text)
    if scheme is not None and scheme[1].startswith("postgres"):
        url, _, part = text.partition("#")
        return Place(url, part.strip(), "postgresql")
    if scheme is not None:
        path, _, part = scheme[2].partition("#")
        # As SQLAlchemy writes it: three slashes before a relative path, four before an absolute.
        path = path.removeprefix("///") if path.startswith("///") else path.removeprefix("//")
        return Place(path, part.strip(), "sqlite" if scheme[1] == "sqlite" else "duckdb")
    path, mark, part = text.partition("#")
    if mark and not path.lower().endswith(_WITH_PARTS):
        return Place(text)
    return Place(path, part.strip(), _database_of(path))


def _database_of(path: str) -> DatabaseKind | None:
    return _DATABASES.get(Path(path).suffix.lower())


def settled(text: str) -> str:
    """Return the text of a source that holds from every folder, without a password.

    Names of data sets stay as they are.  What names a server gets its password elsewhere:
    PGPASSWORD, or ~/.pgpass.
    """
    place = parse(text)
    if place.database == "postgresql":
        return place.safe
    if not os.path.lexists(place.path):
        return text
    scheme = "" if _database_of(place.path) == place.database else f"{place.database}:"
    return scheme + replace(place, path=os.path.abspath(place.path)).safe


def title_of(text: str) -> str:
    """Return a short name for a source, without a password: what runs are called.

    >>> title_of("postgresql://me:secret@host/shop#orders"), title_of("book.xlsx#Prices 2")
    ('shop orders', 'book')
    """
    return parse(text).title


def suffixes(path: str | Path) -> tuple[str, str]:
    """Return the suffix of what a file holds, and that of its compression or nothing.

    >>> suffixes("a.CSV.gz"), suffixes("a.parquet")
    (('.csv', '.gz'), ('.parquet', ''))
    """
    first = Path(path)
    last = first.suffix.lower()
    if last in COMPRESSED:
        return Path(first.stem).suffix.lower(), last
    return last, ""


def without_password(url: str) -> str:
    """Return a URL without its password, wherever it stands.

    >>> without_password("postgresql://host/shop?user=me&password=secret&sslmode=require")
    'postgresql://host/shop?user=me&sslmode=require'
    """
    cut = _split(url)
    if cut is None:
        return UNREADABLE
    scheme, (user, _, host), path, query = cut
    user = user.partition(":")[0]
    kept = "&".join(w for w in query.split("&") if not w.lower().startswith("password="))
    return urlunsplit((scheme, f"{user}@{host}" if user else host, path, kept, ""))


def secrets(url: str) -> tuple[str, ...]:
    """Return the passwords in a URL, as written and as meant, so that messages can leave them out.

    >>> secrets("postgresql://me:a%20b@host/shop")
    ('a b', 'a%20b')
    """
    cut = _split(url)
    if cut is None:
        return (url,)
    _, (user, _, _), _, query = cut
    found = {user.partition(":")[2]}
    found |= {w.partition("=")[2] for w in query.split("&") if w.lower().startswith("password=")}
    return tuple(sorted({*found, *map(unquote, found)} - {""}))


def _split(url: str) -> tuple[str, tuple[str, str, str], str, str] | None:
    """Return scheme, (user and password, @, host and port), path and query; None if it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as half an IPv6 address
        return None
    user, at, host = parts.netloc.rpartition("@")
    return parts.scheme, (user, at, host), parts.path, parts.query
