"""``compile``: a function that becomes one program for each structure of its arguments."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from retrograd.compile import native
from retrograd.compile.debugging import CheckedRun, is_checking, trace_places
from retrograd.compile.graph import Graph
from retrograd.compile.machine import Machine
from retrograd.compile.program import Program
from retrograd.compile.simplify import simplify
from retrograd.compile.trace import is_tracing, trace
from retrograd.tensor.errors import InputError
from retrograd.tensor.history import is_differentiating
from retrograd.tensor.tensor import Tensor
from retrograd.tensor.types import Array, TensorType
from retrograd.tree import flatten, leaves, refill

F = TypeVar("F", bound=Callable[..., Any])

MOST_PROGRAMS = 32
"""Programs that one function keeps: shapes that never end must not fill the memory."""


class Run(Protocol):
    """A program: the outputs' arrays for the inputs'."""

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Return the outputs for these inputs."""


class Compiled(NamedTuple):
    """A program, with the types of its outputs and the tree that they fill."""

    run: Run
    types: tuple[TensorType, ...]
    answer: Any


def is_native() -> bool:
    """Return whether programs run as native code: unless the machine or the user forbids it.

    The variable ``RETROGRAD_BACKEND`` chooses between ``native`` and ``numpy``; raises InputError
    if it is neither. Where native code cannot run, the log says why, once.
    """
    asked = os.environ.get("RETROGRAD_BACKEND", "native")
    if asked not in ("native", "numpy"):
        raise InputError(
            f"running with RETROGRAD_BACKEND={asked}",
            "there is no such backend",
            "give native or numpy",
        )
    return asked == "native" and _reason() is None


@functools.cache
def _reason() -> str | None:
    reason = native.can_compile()
    if reason is not None:
        logging.getLogger("retrograd.compile").warning("programs run in NumPy: %s", reason)
    return reason


def make_run(graph: Graph) -> Run:
    """Return a simplified graph as a program of the backend that is chosen."""
    return Machine(graph, native.host()) if is_native() else Program.of(graph)


def build(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Compiled:
    """Trace and simplify a function for arguments of these types, and make its program."""
    is_checked = is_checking()
    traced = (trace_places if is_checked else trace)(function, *arguments, **keywords)
    types = tuple(x.type for x in leaves(traced.answer).values())
    run = make_run(simplify(traced.graph))
    return Compiled(CheckedRun(run, traced) if is_checked else run, types, traced.answer)


def compile(function: F) -> F:
    """Return a function with the same answers that is traced once per structure of its arguments.

    Arguments and answers are trees of tensors; what is static in them must be hashable, and a new
    static value or shape makes a new program. Python's ``if`` on a number inside raises TraceError.
    Inside another compiled function, or one that is differentiated, it becomes a part of that.
    With ``RETROGRAD_DEBUG=nan`` set, an answer that is not finite raises NonFiniteError, which
    names the operation, the layer and the line of code that it came from.

    >>> from retrograd.tensor.tensor import tensor
    >>> compile(lambda x, y: x * y + 1)(tensor([2.0]), tensor([3.0]))
    tensor([7.], float32[1])
    """
    programs: dict[Hashable, Compiled] = {}

    @functools.wraps(function)
    def compiled(*arguments: Any, **keywords: Any) -> Any:
        # A program has no history and holds what the function closes over: whoever differentiates
        # or traces around it would get zeros, so there it runs as it was written.
        if is_differentiating() or is_tracing():
            return function(*arguments, **keywords)
        given, structure = flatten((arguments, keywords))
        arrays = [x.array for x in given]
        if any(array is None for array in arrays):
            return function(*arguments, **keywords)
        program = programs.get(structure)
        if program is None:
            program = build(function, *arguments, **keywords)
            while len(programs) >= MOST_PROGRAMS:
                programs.pop(next(iter(programs)), None)
            programs[structure] = program
        answers = program.run(cast(list[Array], arrays))
        return refill(program.answer, map(Tensor, program.types, answers))

    return cast(F, compiled)
