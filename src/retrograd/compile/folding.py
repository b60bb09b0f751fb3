"""Folds in native code: several partial results, blocks of them, and one fixed tree at the end.

A fold along neighbours fills the lanes with them; any other keeps one result a lane or a scalar.
Either way the order follows from the extents and the target alone. A long fold is cut into blocks
of 64 turns, these into blocks of 64, and so on, so that rounding grows with the logarithm of its
length.
"""

from __future__ import annotations

from collections.abc import Callable

from retrograd.compile import instructions
from retrograd.compile.emitter import Emitter
from retrograd.compile.rules import identity
from retrograd.compile.values import SCALARS, Integer, Value, lanes_of, vector
from retrograd.tensor.element import Call, Fold, Var

PARTIAL = 4
"""So many results are kept side by side: adding to one would wait for the last addition."""
PARTIAL_ACROSS = 2
"""As many where lanes hold results of their own, since several vectors of them are wide already."""
BLOCK = 64
"""Turns in a row before a partial result is added to the one above."""

_COMBINE = {"add": "add", "multiply": "multiply", "maximum": "maximum", "minimum": "minimum"}

Turn = Callable[[Integer, list[Value]], list[Value]]


def write_fold(emitter: Emitter, fold: Fold) -> Value:
    """Return the value of a fold, a scalar or one a lane."""
    if fold.kind in ("argmax", "argmin"):
        return _write_choice(emitter, fold)
    return _Fold(emitter, fold).write()


def runs_along(emitter: Emitter, fold: Fold) -> bool:
    """Return whether a fold fills the lanes with its own neighbours."""
    return emitter.interner.is_consecutive(fold.variables[-1]) and fold.kind in _COMBINE


class _Fold:
    """One fold while it is written."""

    def __init__(self, emitter: Emitter, fold: Fold) -> None:
        self.emitter, self.fold, self.text = emitter, fold, emitter.text
        self.is_along = emitter.vector is None and runs_along(emitter, fold)
        depends = emitter.vector is not None and emitter.vector in emitter.interner.free(fold)
        self.lanes = emitter.target.lanes if self.is_along or depends else 1
        self.type = vector(SCALARS[fold.dtype], self.lanes)
        self.identity = self.text.constant(self.type, identity(fold.kind, fold.dtype))

    def write(self) -> Value:
        self.emitter.hoist([self.fold.body])
        sums = self._nest(0)
        while len(sums) > 1:
            pairs = [sums[i : i + 2] for i in range(0, len(sums), 2)]
            sums = [self._combine(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return self._across_lanes(sums[0]) if self.is_along else sums[0]

    def _combine(self, x: Value, y: Value) -> Value:
        return instructions.write(self.text, _COMBINE[self.fold.kind], (x, y), x.type)

    def _across_lanes(self, x: Value) -> Value:
        lanes = lanes_of(x.type)
        while lanes > 2:
            lanes //= 2
            low = self.text.shuffle(x, x, range(lanes))
            high = self.text.shuffle(x, x, range(lanes, 2 * lanes))
            x = self._combine(low, high)
        return self._combine(self.text.extract(x, 0), self.text.extract(x, 1))

    def _nest(self, level: int) -> list[Value]:
        """Return the partial results over the variables from a level on."""
        variable, extent = self.fold.variables[level], self.fold.extents[level]
        if level == len(self.fold.variables) - 1:
            return self._innermost(variable, extent)

        def turn(i: Integer, sums: list[Value]) -> list[Value]:
            with self.emitter.scope({variable: i}):
                self.emitter.hoist([self.fold.body])
                return list(map(self._combine, sums, self._nest(level + 1)))

        count = len(self._shape_of_innermost())
        return self._turns(0, extent, [self.identity] * count, turn)

    def _shape_of_innermost(self) -> range:
        width = self.lanes if self.is_along else 1
        most = PARTIAL if runs_along(self.emitter, self.fold) else PARTIAL_ACROSS
        return range(max(1, min(most, -(-self.fold.extents[-1] // width))))

    def _innermost(self, variable: Var, extent: int) -> list[Value]:
        width = self.lanes if self.is_along else 1
        partial = len(self._shape_of_innermost())
        stride = width * partial

        def turn(i: Integer, sums: list[Value]) -> list[Value]:
            start = self.text.multiply(i, stride)
            return [
                self._add(variable, self.text.add(start, k * width), None, total)
                for k, total in enumerate(sums)
            ]

        turns = extent // stride
        sums = self._turns(0, turns, [self.identity] * partial, turn)
        for k, start in enumerate(range(turns * stride, extent, width)):
            count = min(width, extent - start)
            sums[k] = self._add(variable, start, None if count == width else count, sums[k])
        return sums

    def _add(self, variable: Var, i: Integer, count: int | None, total: Value) -> Value:
        """Return the total with the body at one place, or at the first lanes from there."""
        emitter, body = self.emitter, self.fold.body
        lanes = emitter.lanes_along(variable, count) if self.is_along else emitter.lanes_as_is()
        with emitter.scope({variable: i}), lanes:
            if isinstance(body, Call) and body.function == "product" and body.dtype.is_float:
                factors = tuple(map(self._shaped, map(emitter, body.arguments)))
                if count is not None:
                    factors = (self._only(factors[0], count, 0.0), factors[1])
                return instructions.write(self.text, "fma", (*factors, total), total.type)
            value = self._shaped(emitter(body))
        if count is not None:
            value = self._only(value, count, identity(self.fold.kind, self.fold.dtype))
        return self._combine(total, value)

    def _shaped(self, x: Value) -> Value:
        return x if lanes_of(x.type) == self.lanes else self.text.splat(x, self.lanes)

    def _only(self, x: Value, count: int, otherwise: float) -> Value:
        mask = self.text.mask(self.lanes, count)
        return self.text.select(mask, x, self.text.constant(x.type, otherwise))

    def _turns(self, start: Integer, count: int, first: list[Value], turn: Turn) -> list[Value]:
        """Return the sums of so many turns, added up in blocks."""
        if count <= BLOCK:
            stop = self.text.add(start, count)
            return self.text.loop(start, stop, 1, lambda i, *sums: turn(i, list(sums)), first)
        size = BLOCK
        while size * BLOCK < count:
            size *= BLOCK
        blocks, rest = divmod(count, size)
        fresh = [self.identity] * len(first)

        def block(b: Integer, *sums: Value) -> list[Value]:
            inside = self.text.add(start, self.text.multiply(b, size))
            return list(map(self._combine, sums, self._turns(inside, size, fresh, turn)))

        sums = self.text.loop(0, blocks, 1, block, first)
        if rest:
            behind = self.text.add(start, blocks * size)
            sums = list(map(self._combine, sums, self._turns(behind, rest, fresh, turn)))
        return sums


def _write_choice(emitter: Emitter, fold: Fold) -> Value:
    """Return the first index whose body wins; the first NaN wins over all."""
    text, (variable,), (extent,) = emitter.text, fold.variables, fold.extents
    emitter.hoist([fold.body])
    wins = "greater" if fold.kind == "argmax" else "less"

    def value_at(i: Integer) -> Value:
        with emitter.scope({variable: i}):
            return emitter.as_shape_of(fold, emitter(fold.body))

    def turn(i: Integer, best: Value, place: Value) -> list[Value]:
        value = value_at(i)
        is_better = instructions.write(text, wins, (value, best), value.type)
        if fold.body.dtype.is_float:
            number = instructions.write(text, "equal", (best, best), best.type)
            nan = instructions.write(text, "not_equal", (value, value), value.type)
            is_better = text.binary("or", is_better, text.binary("and", nan, number))
        here = text.splat(text.integer(i), lanes_of(best.type))
        return [text.select(is_better, value, best), text.select(is_better, here, place)]

    first = value_at(0)
    zero = text.constant(vector("i64", lanes_of(first.type)), 0)
    return text.loop(1, extent, 1, turn, [first, zero])[1]
