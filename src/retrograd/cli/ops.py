"""``retrograd ops``: the whole calculus on one page, read off the classes."""

from __future__ import annotations

import inspect
import textwrap
from typing import Annotated, Any

from cyclopts import Parameter

from retrograd.cli.output import Output

_OUTPUT = Output()
_WIDTH = 70  # what the margin leaves of 80 columns


def ops(
    name: str | None = None,
    /,
    *,
    lowered: Annotated[bool, Parameter(negative="")] = False,
    output: Output = _OUTPUT,
) -> None:
    """List every operation with its formula and its derivative.

    Args:
        name: show only the operations whose names contain this.
        lowered: show instead what each tells the compiler, for an example.
        output: how to print it.
    """
    rows = operations(name or "")
    lines = []
    for row in rows:
        lines.append(f"{row['op']}  ({row['family']}, ops/{row['file']})")
        if lowered:
            row |= lowering(row["op"])
            text = f" example  {row['example']}"
            lines += textwrap.wrap(text, 80, subsequent_indent=" " * 10, drop_whitespace=True)
            lines += [" " * 10 + line for line in row["lowered"]]
            continue
        for label in ("what", "gradient"):
            text = f"{label:>8}  {row[label]}"
            lines += textwrap.wrap(text, 80, subsequent_indent=" " * 10, drop_whitespace=True)
    lines.append(f"\n{len(rows)} operations; every other function is made of these.")
    output.result(rows, lines)


def lowering(name: str) -> dict[str, Any]:
    """Return an example of an op, and the lines that say what one element of its output is.

    Of a few random examples it is the one that shows most: folds first, then axes.
    """
    from retrograd.compile.printing import print_lowered, without_addresses
    from retrograd.tensor.op import REGISTRY, RandomDraw
    from retrograd.tensor.types import TensorType, dtype_of

    found = []
    for seed in range(16):
        op, inputs = REGISTRY[name].example(RandomDraw(seed))
        types = [TensorType(x.shape, dtype_of(x)) for x in inputs]
        lines = print_lowered(op, *types, width=_WIDTH)
        out = op.result_type(*types)
        has_all = all(type.size for type in (*types, out))
        rank = (has_all, any("k0 < " in x for x in lines), sum(n > 1 for n in out.shape), -seed)
        shown = ", ".join(f"x{i} {type}" for i, type in enumerate(types)) or "nothing"
        found.append((rank, {"example": f"{op!r} of {shown}", "lowered": lines}))
    _, best = max(found, key=lambda each: each[0])
    return {**best, "example": without_addresses(str(best["example"]))}


def operations(part: str) -> list[dict[str, Any]]:
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
