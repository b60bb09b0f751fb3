"""``retrograd ops``: the whole calculus on one page, read off the classes."""

from __future__ import annotations

import inspect
import textwrap

from retrograd.cli.output import Output

_OUTPUT = Output()


def ops(name: str | None = None, /, *, output: Output = _OUTPUT) -> None:
    """List every operation with its formula and its derivative.

    Args:
        name: show only the operations whose names contain this.
        output: how to print it.
    """
    rows = operations(name or "")
    lines = []
    for row in rows:
        lines.append(f"{row['op']}  ({row['family']}, ops/{row['file']})")
        for label in ("what", "gradient"):
            text = f"{label:>8}  {row[label]}"
            lines += textwrap.wrap(text, 80, subsequent_indent=" " * 10, drop_whitespace=True)
    lines.append(f"\n{len(rows)} operations; every other function is made of these.")
    output.result(rows, lines)


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
