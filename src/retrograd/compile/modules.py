"""Modules: functions together with what they declare and the CPU that they are for."""

from __future__ import annotations

from collections.abc import Sequence

from retrograd.compile.target import Target
from retrograd.compile.text import Text


def module(functions: Sequence[Text], target: Target) -> str:
    """Return a whole module: what the functions declare, their definitions, and the target."""
    declared = sorted(set().union(*(f.declarations for f in functions)))
    attributes = f'nounwind "target-cpu"="{target.cpu}" "target-features"="{target.features}"'
    wide = '"prefer-vector-width"="512"' if target.name == "avx512" else ""
    ends = [f"attributes #0 = {{ {attributes} {wide} }}", "!0 = !{i32 1}", ""]
    return "\n".join([*declared, *map(str, functions), *ends])
