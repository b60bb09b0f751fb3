"""Bound: a function of one array, ready to be called for the next one with the least delay."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from retrograd.compile import native
from retrograd.compile.arrays import room
from retrograd.compile.compiled import is_native
from retrograd.compile.machine import Machine, Table
from retrograd.compile.program import Program
from retrograd.compile.simplify import simplify
from retrograd.compile.trace import trace
from retrograd.tensor.errors import ShapeError
from retrograd.tensor.tensor import from_array
from retrograd.tensor.types import Array
from retrograd.tree import leaves


class Bound:
    """A compiled ``function(tensor) -> tensor`` from array to array, for one shape.

    Everything that the function closes over, such as a network's weights, stays where the program
    finds it, and so do input and output: a call copies the array in, runs, and copies the answer
    out. Threads may share it; they wait for each other.

    >>> import numpy as np
    >>> double = Bound(lambda x: x * 2.0, np.zeros(3, np.float32))
    >>> double(np.float32([1, 2, 3])).tolist()
    [2.0, 4.0, 6.0]
    """

    def __init__(self, function: Callable[..., Any], like: Array) -> None:
        """Compile the function for arrays of the shape and dtype of ``like``."""
        given = from_array(like)
        traced = trace(function, given)
        graph = simplify(traced.graph)
        self._shape, self._dtype = like.shape, like.dtype
        self._lock = threading.Lock()
        self._program = Program.of(graph)
        self._run: Callable[[Array], Array] = self._evaluate
        if is_native() and graph.outputs[0] >= graph.first_node:
            (type,) = [x.type for x in leaves(traced.answer).values()]
            self._machine = Machine(graph, native.host())
            self._table = Table(self._machine)
            self._input, self._output = room(given.type, 0), room(type, 1)
            self._table.bind(0, self._input)
            self._table.bind(self._machine.signature.outputs[0], self._output)
            self._run = self._native

    def __call__(self, x: Array) -> Array:
        """Return the answer as a new array; raises ShapeError for another shape or dtype."""
        if x.shape != self._shape or x.dtype != self._dtype:
            raise ShapeError(
                f"calling a program for {self._dtype}{list(self._shape)}",
                f"the array is {x.dtype}{list(x.shape)}",
                "convert the array, or bind the function for its shape",
            )
        with self._lock:
            return self._run(x)

    def _native(self, x: Array) -> Array:
        self._input[...] = x
        self._machine.run(self._table)
        return self._output.copy()

    def _evaluate(self, x: Array) -> Array:
        return self._program([x])[0]
