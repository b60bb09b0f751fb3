"""What to try instead of a name that nothing has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(word: str, names: Iterable[str]) -> str:
    """Return what to try instead of an unknown name: the nearest ones, or a few of them all.

    >>> suggestion("prise", ["price", "colour"])
    "did you mean 'price'?"
    """
    names = list(names)
    by_fold = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(word.casefold(), list(by_fold), n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(by_fold[name]) for name in near)}?"
    shown = ", ".join(repr(name) for name in names[:8])
    return f"choose one of {shown}{', ...' if len(names) > 8 else ''}"
