"""Export: a trained network as a file that works elsewhere, and proves it before it is kept.

A format is one line of the table `FORMATS`. Its `write` makes the files in memory; `export_model`
(in `verify`) puts them into a place of their own, lets its `run` predict rows there, compares with
`Model.predict`, and only then moves them to where they were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from retrograd.data import Table
from retrograd.recipe.model import Model
from retrograd.recipe.threshold import cost_vector
from retrograd.tensor.errors import InputError
from retrograd.tensor.types import Array


@dataclass(frozen=True)
class Request:
    """What is to be written: a model, the name of its first file, and for which machine.

    target: of native formats, a triple such as "aarch64-linux-gnu"; "" is this machine.
    """

    model: Model
    name: str
    target: str = ""


@dataclass(frozen=True)
class Written:
    """The files of an export by name, the one that was asked for first; sentences for its owner.

    is_runnable: whether this machine can run them; others are only written.
    """

    files: Mapping[str, bytes]
    notes: tuple[str, ...] = ()
    is_runnable: bool = True


class Answers(NamedTuple):
    """What an exported file says of rows.

    values (rows,): labels as texts, or amounts in their own unit.  probabilities (rows, classes),
    None for amounts.  seconds: what one row alone takes, once it is loaded; None if not measured.
    """

    values: npt.NDArray[Any]
    probabilities: npt.NDArray[Any] | None
    seconds: float | None = None


@dataclass(frozen=True)
class Format:
    """A kind of file: its name, the suffixes that mean it, and where its functions live.

    module: of `retrograd.export`, with ``write(request) -> Written`` and ``run(path, rows) ->
    Answers``, ``path`` being the first file; and, if ``has_stages``, ``stages(path, rows) ->
    {"features": array, "layers.0": array, ...}``, which says on which layer two answers part.
    """

    name: str
    suffixes: tuple[str, ...]
    summary: str
    module: str
    has_stages: bool = False

    def write(self, request: Request) -> Written:
        """Return the files, in memory."""
        written: Written = self._function("write")(request)
        return written

    def run(self, path: Path, rows: Table) -> Answers:
        """Let the file predict rows."""
        answers: Answers = self._function("run")(path, rows)
        return answers

    def stages(self, path: Path, rows: Table) -> Mapping[str, Array]:
        """Return what the file computes on the way, or nothing where the format cannot tell."""
        found: Mapping[str, Array] = self._function("stages")(path, rows) if self.has_stages else {}
        return found

    def _function(self, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(import_module(f"{__name__}.{self.module}"), name)
        return found


FORMATS: Final = (
    Format("onnx", (".onnx",), "ONNX with its preprocessing", "onnx_file", has_stages=True),
    Format("numpy", (".py",), "one Python file that needs NumPy", "numpy_file", has_stages=True),
    Format("native", (".so", ".o"), "a C library", "native_library", has_stages=True),
    Format("wasm", (".wasm",), "WebAssembly for JavaScript", "web_assembly", has_stages=True),
)


def costs_of(model: Model) -> npt.NDArray[np.float64] | None:
    """Return (classes,) the costs by which a model decides, None if the likeliest class wins."""
    costs = model.config.data.costs
    return cost_vector(costs, model.preprocessor.classes) if costs else None


def spelling_notes(model: Model) -> tuple[str, ...]:
    """Return a sentence if training read numbers or dates that were not in the plain form."""
    odd = [c.name for c in model.schema.features if c.spelling not in ("", "text")]
    if not odd:
        return ()
    shown = ", ".join(map(repr, odd[:5])) + (", ..." if odd[5:] else "")
    return (f"give {shown} in the plain form: 1234.5 and 2026-03-01",)


def format_of(path: Path, name: str | None = None) -> Format:
    """Return the format of a path's suffix, or the one named.

    Raises InputError for a suffix or a name that no format has.

    >>> format_of(Path("shop.onnx")).name
    'onnx'
    """
    for each in FORMATS:
        if each.name == name or (name is None and path.suffix.lower() in each.suffixes):
            return each
    known = ", ".join(f"{each.suffixes[0]} ({each.name})" for each in FORMATS)
    found = f"no format is called {name!r}" if name else f"no format has the suffix {path.suffix!r}"
    raise InputError(f"exporting to {str(path)!r}", found, f"choose one of {known}")
