"""``retrograd ops``: the whole calculus on one page, read off the classes."""

from __future__ import annotations

import inspect
import json
import textwrap
from typing import Annotated

from cyclopts import Parameter


def ops(
    name: str | None = None, /, *, as_json: Annotated[bool, Parameter(name="--json")] = False
) -> None:
    """List every operation with its formula and its derivative.

    Examples: retrograd ops; retrograd ops matmul

    Args:
        name: show only the operations whose names contain this.
        as_json: print one JSON list instead of text.
    """
    rows = operations(name or "")
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        print(f"{row['op']}  ({row['family']}, ops/{row['file']})")
        for label in ("what", "gradient"):
            text = f"{label:>8}  {row[label]}"
            print(textwrap.fill(text, 80, subsequent_indent=" " * 10))
    print(f"\n{len(rows)} operations; every other function is made of these.")


def operations(part: str) -> list[dict[str, str]]:
    """Return name, family, file, formula and derivative of the ops whose names contain ``part``.

    Raises InputError if there is none.
    """
    import difflib

    import retrograd.ops  # noqa: F401  # fills the registry
    from retrograd.tensor.errors import InputError
    from retrograd.tensor.op import REGISTRY

    chosen = {name: op for name, op in REGISTRY.items() if part.lower() in name.lower()}
    if not chosen:
        near = difflib.get_close_matches(part.title(), REGISTRY, n=1)
        hint = f"did you mean {near[0]}?" if near else "retrograd ops lists all"
        raise InputError(f"the operations named {part!r}", "there are none", hint)
    return [
        {
            "op": name,
            "family": op.__mro__[1].__name__,
            "file": op.__module__.rpartition(".")[2] + ".py",
            "what": _first_paragraph(op),
            "gradient": _first_paragraph(op.vjp) if op.differentiable else "not differentiable",
        }
        for name, op in sorted(chosen.items())
    ]


def _first_paragraph(documented: object) -> str:
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())
