"""The schema as a TOML file that people correct: the target, and the kind of every column."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from retrograd.data.schema import ColumnSchema, Schema
from retrograd.data.settling import PLAIN, TEXT
from retrograd.data.suggesting import suggestion
from retrograd.tensor.errors import InputError

_LONGEST = 10_000_000  # bytes; a longer file is no schema
_KEYS = ("target", "task", "kinds")


class Corrections(NamedTuple):
    """What a file says of a table; what it does not say is None, or no kind."""

    target: str | None
    task: str | None
    kinds: dict[str, str]

    def to_options(self) -> dict[str, Any]:
        """Return what is said, by the names that options have."""
        return {name: value for name, value in self._asdict().items() if value}


def to_toml(schema: Schema, name: str) -> str:
    r"""Return a schema as TOML text: a line for every column, with the reason behind it.

    name: what the table is called.

    >>> from retrograd.data.inferring import infer_schema
    >>> from retrograd.data.reading import read_table
    >>> schema = infer_schema(read_table({"size": [1.5, 2.5, 3, 4], "y": [0, 1, 1, 0]}), "y")
    >>> to_toml(schema, "flats.csv").splitlines()[-1]
    'size = "number"  # 4 different numbers'
    """
    lines = [
        f"# What retrograd understood of {name!r}, {schema.rows:,} rows. Correct the kinds:",
        "# number, category, boolean, date or drop; how they are written may stand behind, as in",
        '# "number 1.234,5" or "date DD/MM/YYYY".',
        f"target = {_quoted(schema.target)}  # {_comment(schema.target_reason)}",
        f"task = {_quoted(schema.task.value)}  # {_comment(schema.task_reason)}",
        "",
        "[kinds]",
    ]
    for column in schema.columns:
        missing = f"; {column.missing:,} missing" if column.missing else ""
        why = f"{column.reason}{missing}"
        if not column.kind.is_used:
            why = f"{column.kind.value}: {why}"
        lines.append(f"{_key(column.name)} = {_quoted(_kind(column))}  # {_comment(why)}")
    if schema.target_spelling not in ("", TEXT):
        written = f"number {schema.target_spelling}"
        lines.append(f"{_key(schema.target)} = {_quoted(written)}  # how the target is written")
    return "\n".join(lines) + "\n"


def read_corrections(path: str | Path) -> Corrections:
    """Return what a schema file says.

    Raises InputError in one sentence for a file that is absent or not TOML, an unknown key, or a
    value of the wrong type; whether the columns exist is asked when the table is read.
    """
    asked = f"reading the schema {str(path)!r}"
    plain = _parsed(Path(path), asked)
    for key in plain:
        if key not in _KEYS:
            raise InputError(asked, f"there is no key {key!r}", suggestion(key, _KEYS))
    kinds = plain.get("kinds", {})
    texts = {"target": plain.get("target"), "task": plain.get("task")}
    if isinstance(kinds, Mapping):
        texts |= {f"kinds.{column}": kind for column, kind in kinds.items()}
    else:
        raise InputError(asked, "'kinds' is no table", 'write [kinds] and lines: size = "number"')
    for where, value in texts.items():
        if value is not None and not isinstance(value, str):
            found = f"{where!r} is {value!r}, and no text"
            raise InputError(asked, found, 'write it in quotes, such as "number"')
    return Corrections(texts["target"], texts["task"], dict(kinds))


def _parsed(path: Path, asked: str) -> dict[str, Any]:
    if path.exists() and not path.is_file():  # opening a pipe could wait for ever
        raise InputError(asked, "it is not a file", "give the path of a schema.toml")
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
        if len(data) > _LONGEST:
            raise InputError(asked, f"it is longer than {_LONGEST:,} bytes", "give a schema.toml")
        return tomllib.loads(data.decode())
    except OSError as error:
        reason = str(error.strerror or error)
        raise InputError(asked, reason, "--save-schema writes one to begin with") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        found = f"it is not TOML ({str(error) or 'nested too deeply'})"
        raise InputError(asked, found, "--save-schema writes one to begin with") from None


def _kind(column: ColumnSchema) -> str:
    """Return what to say of a column so that it is understood as it is now."""
    if not column.kind.is_used:
        return "drop"
    is_written = column.spelling not in ("", TEXT, PLAIN)
    return f"{column.kind.value} {column.spelling}" if is_written else column.kind.value


def _key(text: str) -> str:
    is_bare = text.isascii() and text.replace("_", "").replace("-", "").isalnum()
    return text if is_bare else _quoted(text)


def _quoted(text: str) -> str:
    """Return a text as TOML quotes it: JSON's escapes, and DEL's too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
