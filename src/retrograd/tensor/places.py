"""Places: which line of code made each traced tensor, recorded only while somebody asks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType

from retrograd.tensor.tensor import Tensor

_PACKAGE = Path(__file__).resolve().parent.parent
# Where ops are made and applied: whoever calls into these is the place that is wanted.
_WITHIN = tuple(str(_PACKAGE / name) for name in ("tensor", "ops", "autodiff.py"))


class Places:
    """Lines of code by tensor. Tensors and frames are kept, so that no identity is used again."""

    def __init__(self) -> None:
        """Start with no tensor met."""
        self._lines: dict[int, tuple[Tensor, str]] = {}
        self._gradients: dict[int, tuple[FrameType, Tensor]] = {}

    def line_of(self, x: Tensor) -> str:
        """Return "file:line", or "" for a tensor that was made before."""
        return self._lines[id(x)][1] if id(x) in self._lines else ""

    def add(self, x: Tensor, frame: FrameType | None) -> None:
        """Remember a tensor, made by what runs in a frame."""
        self._lines[id(x)] = (x, self._line(frame))

    def attribute(self, x: Tensor, frame: FrameType) -> None:
        """Let what a frame makes have the line of x: it computes gradients there."""
        self._gradients[id(frame)] = (frame, x)

    def _line(self, frame: FrameType | None) -> str:
        while frame is not None:
            if id(frame) in self._gradients:
                return self.line_of(self._gradients[id(frame)][1])
            if not frame.f_code.co_filename.startswith(_WITHIN):
                return f"{_shown(frame.f_code.co_filename)}:{frame.f_lineno}"
            frame = frame.f_back
        return ""


_recorded: ContextVar[Places | None] = ContextVar("places", default=None)


@contextmanager
def recording() -> Iterator[Places]:
    """Record the place of every traced tensor that is made while it is open.

    A gradient has the place of the op that it is a gradient of; what a backward rule of one's own
    makes has its own line.
    """
    places = Places()
    token = _recorded.set(places)
    try:
        yield places
    finally:
        _recorded.reset(token)


def placed(x: Tensor) -> Tensor:
    """Return a traced tensor that was just made, with its place recorded if anyone asks."""
    places = _recorded.get()
    if places is not None:
        places.add(x, sys._getframe(1))
    return x


def place_gradients_at(x: Tensor) -> None:
    """Let whatever the calling function makes have the place of x."""
    places = _recorded.get()
    if places is not None:
        places.attribute(x, sys._getframe(1))


def places_of(made: Iterable[Tensor]) -> tuple[str, ...]:
    """Return the places of tensors, if they are being recorded; else nothing."""
    places = _recorded.get()
    return () if places is None else tuple(map(places.line_of, made))


def _shown(file: str) -> str:
    """Return a file as people know it: of this package, of the working directory, or in full."""
    path = Path(file)
    for root in (_PACKAGE.parent, Path.cwd()):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return file
