"""Tables made of what databases answer: SQLite, DuckDB and PostgreSQL, which are only read.

A source names a database and, after ``#``, one of its tables or a query. Whatever the query says,
nothing is written: the connection refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from retrograd.data.frames import first_line, table_of
from retrograd.data.places import UNREADABLE, Place, secrets, without_password
from retrograd.data.queries import query_of, refused
from retrograd.data.sqlite_file import read_sqlite
from retrograd.data.table import Table
from retrograd.tensor.errors import DataError, InputError

_WAIT = 10  # seconds for a server to answer at all


def read_database(place: Place, asked: str, spellings: Mapping[str, str]) -> Table:
    """Return the table that a database answers; `place.part` is a query, or a table's name.

    Raises DataError in one sentence, without a password, for a database that is missing, damaged
    or refuses the connection, an unknown table (the nearest is suggested), a wrong query, and an
    answer without rows; InputError for a package that is not installed.
    """
    if place.database == "sqlite":
        return read_sqlite(place, asked, spellings)
    read = _read_duckdb if place.database == "duckdb" else _read_postgresql
    return table_of(_frame(read(place, asked), asked), place.safe, asked, spellings)


def _frame(answer: Any, asked: str) -> Any:
    """Return an Arrow table as a polars DataFrame; what Arrow has no type for comes as texts."""
    import polars as pl

    pyarrow = _package("pyarrow", asked)
    names = answer.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(asked, f"two columns are called {twice!r}", "name them apart with AS")
    for place, column in enumerate(answer.columns):
        if isinstance(column.type, pyarrow.BaseExtensionType):
            plain = pyarrow.chunked_array(
                [chunk.storage for chunk in column.chunks], column.type.storage_type
            )
            answer = answer.set_column(place, names[place], plain)
    try:
        return pl.DataFrame(answer)
    except pl.exceptions.PolarsError as error:
        found = f"its cells are no single values ({first_line(error)})"
        raise DataError(asked, found, "select plain columns") from None


def _read_duckdb(place: Place, asked: str) -> Any:
    """Return a DuckDB file's answer as an Arrow table."""
    duckdb = _package("duckdb", asked)
    options = {"enable_external_access": "false"}
    try:
        connection = duckdb.connect(place.path, read_only=True, config=options)
    except duckdb.Error as error:
        found = f"DuckDB cannot open it ({first_line(error)})"
        raise DataError(asked, found, "check that it is a DuckDB file that nobody writes") from None
    with connection:
        names = [row[0] for row in connection.execute("show tables").fetchall()]
        query = query_of(place.part, names, asked)
        try:
            return connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise refused(first_line(error), asked) from None


def _read_postgresql(place: Place, asked: str) -> Any:
    """Return a PostgreSQL server's answer as an Arrow table."""
    if place.safe.startswith(UNREADABLE):
        remedy = "write postgresql://USER@HOST:5432/DATABASE#TABLE, odd letters as %20 and the like"
        raise DataError(asked, "the URL cannot be read", remedy)
    driver = _package("adbc_driver_postgresql.dbapi", asked)
    url = _with_wait(place.path)
    try:
        connection = driver.connect(url)
    except Exception as error:  # the driver's own, which names the whole URL
        raise _unreachable(error, place.path, asked) from None
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("set default_transaction_read_only = on")
            cursor.execute("commit")
            cursor.execute(
                "select table_name from information_schema.tables "
                "where table_schema = any (current_schemas(false))"
            )
            names = [row[0] for row in cursor.fetchall()]
            cursor.execute(query_of(place.part, names, asked))
            return cursor.fetch_arrow_table()
    except driver.Error as error:
        raise refused(_scrubbed(error, place.path), asked) from None


def _package(name: str, asked: str) -> Any:
    """Return a module of the extra packages for databases."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            asked,
            f"the package {name.split('.')[0]} is not installed",
            'pip install "retrograd[sql]"',
        ) from None


def _with_wait(url: str) -> str:
    """Return a server's URL with a limit on waiting for it, unless it has one."""
    url = "postgresql" + url[url.index(":") :]
    if "connect_timeout=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}connect_timeout={_WAIT}"


def _unreachable(error: Exception, url: str, asked: str) -> DataError:
    """Return the refusal of a connection: the server's reason, in words that help."""
    why = _scrubbed(error, url)
    if re.search(r"password authentication failed|no password supplied", why):
        return DataError(
            asked,
            f"the server {_host(url)} refused the user or the password",
            "correct them: PGPASSWORD or ~/.pgpass holds the password",
        )
    if re.search(r"database \S+ does not exist", why):
        return DataError(asked, "the server has no such database", "correct the end of the URL")
    return DataError(
        asked, f"the server {_host(url)} cannot be reached ({why})", "check host, port and network"
    )


def _host(url: str) -> str:
    return re.sub(r"^\w+://(?:[^@/]*@)?|[/?].*$", "", without_password(url)) or "localhost"


def _scrubbed(error: Exception, url: str) -> str:
    """Return what a server says, in one line and without a password."""
    text = str(error)
    for secret in sorted(secrets(url), key=len, reverse=True):
        text = text.replace(secret, "***")
    found = re.findall(r"(?:FATAL|ERROR):\s*(.+)|failed: (.+)|: ([^:\n]*)$", text, re.MULTILINE)
    words = next((word for groups in found for word in groups if word.strip()), text)
    return (" ".join(words.split()) or type(error).__name__)[:160]
