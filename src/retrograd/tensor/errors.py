"""What retrograd says when it refuses: what was asked, what was found, what to try."""

from __future__ import annotations


class RetrogradError(Exception):
    """Root of every error that retrograd raises on purpose.

    The message is one sentence in three parts, ``asked: found; try``, so that whoever reads it
    can repair the call without reading our code.

    >>> print(RetrogradError("reading 'a.csv'", "the file is empty", "give a file with rows"))
    reading 'a.csv': the file is empty; give a file with rows
    """

    def __init__(self, asked: str, found: str, try_this: str) -> None:
        """Keep the three parts, and join them for people."""
        super().__init__(asked, found, try_this)
        self.asked, self.found, self.try_this = asked, found, try_this

    def __str__(self) -> str:
        """Return the sentence."""
        return f"{self.asked}: {self.found}; {self.try_this}"


class InputError(RetrogradError, ValueError):
    """What was given is refused before any harm; the command line exits with 2."""


class ShapeError(InputError):
    """Shapes that do not fit each other or the operation."""


class DTypeError(InputError, TypeError):
    """A dtype that an operation does not take, or two that may not be mixed."""


class TraceError(InputError):
    """A number was asked of a tensor that has none yet, because a program is being traced."""


class GradientError(InputError):
    """A derivative was asked for that does not exist or cannot be reached."""


class IndexRangeError(InputError, IndexError):
    """An index outside the axis that it selects from."""


class DataError(InputError):
    """A table, column or value that cannot be trained on or predicted from."""


class NonFiniteError(InputError, ArithmeticError):
    """NaN or infinity appeared where numbers were expected."""


class FileFormatError(InputError):
    """A file of ours that is damaged, hostile, or from a newer version."""


class CompileError(RetrogradError):
    """A stage of the compiler broke its own contract: a bug of ours, never the input's fault."""


class RunError(RetrogradError):
    """Something failed that was not the input's fault; the command line exits with 1."""
