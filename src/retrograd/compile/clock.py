"""Clock: the counter of ticks that a program may read by itself."""

from __future__ import annotations

import platform

from retrograd.compile.text import Text
from retrograd.compile.values import Value


def read_clock(text: Text) -> Value:
    """Return the ticks so far, an i64: cycles or a steady clock's, as the CPU allows programs."""
    # The cycles of an ARM CPU are for its system alone: reading them would end the process.
    is_arm = platform.machine().lower().startswith(("arm", "aarch"))
    return text.call("llvm.readsteadycounter" if is_arm else "llvm.readcyclecounter", "i64")
