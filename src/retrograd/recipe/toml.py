"""Configs as TOML: read strictly by their types, written so that reading gives the same config."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from retrograd.recipe.config import SECTIONS, Config
from retrograd.tensor.errors import InputError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 1_000_000  # bytes of a config file; a longer one is not a config


def read_config(path: str | Path) -> Config:
    """Return the config in a TOML file.

    Raises InputError in one sentence, with the path inside the file, for a file that is absent or
    not TOML, an unknown key, or a value of the wrong type or out of range.
    """
    asked = f"reading the config {str(path)!r}"
    if Path(path).exists() and not Path(path).is_file():  # opening a pipe could wait for ever
        raise InputError(asked, "it is not a file", "give the path of a config.toml")
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise InputError(
            asked, str(error.strerror or error), "give the path of a config.toml"
        ) from None
    if len(data) > _LONGEST:
        raise InputError(
            asked, f"it is longer than {_LONGEST} bytes", "give the path of a config.toml"
        )
    return parse_config(data, asked)


def parse_config(data: bytes | str, asked: str = "reading the config") -> Config:
    r"""Return the config that TOML text holds; raises InputError as `read_config` does.

    >>> parse_config("seed = 7\n[network]\nhidden = [8]").network.hidden
    (8,)
    """
    try:
        text = data.decode() if isinstance(data, bytes) else data
        plain = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        found = f"it is not TOML ({str(error) or 'nested too deeply'})"
        raise InputError(asked, found, "compare it with a run's config.toml") from None
    return from_plain(plain, asked)


def from_plain(plain: Mapping[str, Any], asked: str) -> Config:
    """Return the config made of dicts, lists and scalars; raises InputError with the path."""
    import msgspec

    _refuse_unknown_keys(plain, asked)
    try:
        return msgspec.convert(plain, Config, strict=True)
    except msgspec.ValidationError as error:
        found, _, place = str(error).partition(" - at `$")
        where = place.rstrip("`").lstrip(".")
        if isinstance(error.__cause__, InputError):
            cause = error.__cause__
            where = f"{where}.{cause.asked}".lstrip(".")
            raise InputError(f"{asked}, {where}", cause.found, cause.try_this) from None
        hint = f"use one of {', '.join(names)}" if (names := _allowed(where)) else ""
        hint = hint or "give a value of that type"
        raise InputError(f"{asked}, {where or 'the whole'}", found, hint) from None


def _allowed(where: str) -> list[str]:
    """Return the names that the field at "optimization.optimizer" takes; none if it takes any."""
    section, _, name = where.rpartition(".")
    kind: type = SECTIONS.get(section, Config)
    hint = typing.get_type_hints(kind).get(name)
    options = [hint, *typing.get_args(hint)]
    literals = [o for o in options if typing.get_origin(o) is typing.Literal]
    return [str(name) for literal in literals for name in typing.get_args(literal)]


def _refuse_unknown_keys(plain: Mapping[str, Any], asked: str) -> None:
    """Raise InputError for keys that no field has: msgspec would pass over them in silence."""
    for prefix, kind, part in [
        ("", Config, plain),
        *((f"{name}.", kind, plain.get(name)) for name, kind in SECTIONS.items()),
    ]:
        known = [f.name for f in dataclasses.fields(kind)]
        for key in part if isinstance(part, Mapping) else ():
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
                raise InputError(f"{asked}, {prefix}{key}", "there is no such key", hint)


def to_plain(config: Config) -> dict[str, Any]:
    """Return the config as dicts, lists and scalars, without what is None."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            rows = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
            return {name: plain(inner) for name, inner in rows if inner is not None}
        return list(value) if isinstance(value, tuple) else value

    result: dict[str, Any] = plain(config)
    return result


def to_toml(config: Config) -> str:
    """Return the config as TOML text, which `parse_config` reads back to an equal config.

    >>> print(to_toml(Config(seed=7)).splitlines()[0])
    seed = 7
    """
    return "\n".join(_lines(to_plain(config), ())) + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Give the lines of a table: first its values, then its inner tables under their headers."""
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield ""
            yield f"[{'.'.join(map(_key, (*path, key)))}]"
            yield from _lines(value, (*path, key))


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
