"""A traced function becomes a program: trace -> simplify -> schedule -> layout -> text -> code.

The compiler names no op: it asks each op's own answers. The same graph evaluated in NumPy is the
oracle of every stage, and what runs where native code may not.
"""

from typing import TYPE_CHECKING, Any

from retrograd.compile.bound import Bound as Bound
from retrograd.compile.compiled import compile as compile
from retrograd.compile.resident import Resident as Resident

if TYPE_CHECKING:
    from retrograd.compile.explaining import explain as explain


def __getattr__(name: str) -> Any:
    """Load ``explain``, which few programs ask for; raises AttributeError for any other name."""
    if name != "explain":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from retrograd.compile.explaining import explain

    return explain
