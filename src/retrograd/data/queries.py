"""What is asked of a database: the query or the table that a source names after ``#``."""

from __future__ import annotations

import re

from retrograd.data.suggesting import suggestion
from retrograd.tensor.errors import DataError

_QUERY = re.compile(r"\s*(?:select|with|values|from|table)\s|\s*\(", re.IGNORECASE)


def is_query(part: str) -> bool:
    """Return whether the part of a source is a query, and no table's name.

    >>> is_query("SELECT 1"), is_query("select_all")
    (True, False)
    """
    return bool(_QUERY.match(part))


def query_of(part: str, names: list[str], asked: str) -> str:
    """Return the query that a part stands for: itself, or all of a table that exists."""
    if is_query(part):
        return part
    return f"select * from {quoted(table_named(part, names, asked))}"


def table_named(part: str, names: list[str], asked: str) -> str:
    """Return the table to read: the one that is named, or the only one."""
    if not names:
        raise DataError(asked, "the database has no tables", "check its name")
    if not part and len(names) > 1:
        raise DataError(
            asked,
            f"it has {len(names)} tables, and none is named",
            f"add #TABLE or #select ... to the source: {suggestion('', names)}",
        )
    if part and part not in names:
        raise DataError(asked, f"no table is called {part!r}", suggestion(part, names))
    return part or names[0]


def quoted(name: str) -> str:
    """Return a name as SQL quotes it.

    >>> quoted('my "own" table')
    '"my ""own"" table"'
    """
    return '"' + name.replace('"', '""') + '"'


def refused(why: str, asked: str) -> DataError:
    """Return the error of a query that a database did not take."""
    return DataError(asked, f"the database refused the query ({why})", "correct the query")
