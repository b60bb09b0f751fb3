"""Target: what the compiler knows of the machine that it writes for."""

from __future__ import annotations

import os
from typing import NamedTuple

from retrograd.tensor.errors import InputError


class Target(NamedTuple):
    """A kind of CPU: its LLVM name and features, and the shapes that suit it.

    ``lanes`` is how many float32 a vector holds and decides the order of sums. A register tile of
    a matrix product is ``rows`` by ``vectors``: as many sums as the registers hold. Where products
    and sums are not ``fused`` in one instruction, the compiler must do without.
    """

    name: str
    cpu: str
    features: str
    lanes: int
    rows: int
    vectors: int
    fused: bool


def choose(cpu: str, features: dict[str, bool]) -> Target:
    """Return the target for a host; the variable ``RETROGRAD_CPU`` forces another.

    It may be ``avx512``, ``avx2``, ``neon`` or ``plain`` (what every CPU of the kind has).
    Raises InputError for a name that is none of them, or for one that this host cannot run.
    """
    able = {
        "avx512": features.get("avx512f", False),
        "avx2": features.get("avx2", False) and features.get("fma", False),
        "neon": features.get("neon", False),
        "plain": True,
    }
    asked = os.environ.get("RETROGRAD_CPU", "")
    if asked and not able.get(asked, False):
        raise InputError(
            f"compiling for RETROGRAD_CPU={asked}",
            "this CPU cannot run it" if asked in able else "there is no such kind",
            f"give one of {', '.join(name for name, can in able.items() if can)}",
        )
    name = asked or next(kind for kind, can in able.items() if can)
    lanes, rows, vectors = _SHAPES[name]
    flags = {k: v and _allows(name, k) for k, v in features.items()}
    text = ",".join(f"{'+' if on else '-'}{flag}" for flag, on in sorted(flags.items()))
    return Target(
        name, _CPUS.get(name, cpu) if asked else cpu, text, lanes, rows, vectors, name != "plain"
    )


_SHAPES = {"avx512": (16, 8, 2), "avx2": (8, 6, 2), "neon": (4, 8, 2), "plain": (4, 4, 2)}
_CPUS = {"avx2": "x86-64-v3", "plain": "generic"}


def _allows(name: str, feature: str) -> bool:
    """Return whether a target narrower than the host may use a feature."""
    if name == "avx2":
        return not feature.startswith(("avx512", "avx10", "amx"))
    if name == "plain":
        return not feature.startswith(("avx", "fma", "xop", "f16c", "amx", "vaes", "vpclmul"))
    return True
