"""Printing: elements as formulas that people read.

Names depend only on the element itself, never on what was made before it: ``i0, i1`` are the axes
of the output, ``k0, k1`` what folds run over, ``j0, j1`` the loops of the second form, and
``t0, t1`` parts that are used more than once.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence

from retrograd.compile.affine import Affine
from retrograd.compile.expressions import parts
from retrograd.tensor.element import (
    OUTPUT,
    BufferReader,
    Call,
    Cast,
    Const,
    Element,
    Fold,
    For,
    Load,
    Loops,
    Select,
    Store,
    Var,
)
from retrograd.tensor.op import Op
from retrograd.tensor.types import TensorType

WIDTH = 80

_INFIX = {
    **dict.fromkeys(("multiply", "product"), ("*", 7)),
    **{"divide": ("/", 7), "floor_divide": ("//", 7), "remainder": ("%", 7)},
    **{"add": ("+", 6), "subtract": ("-", 6)},
    **{"left_shift": ("<<", 5), "logical_right_shift": (">>", 5)},
    **{"bitwise_and": ("&", 4), "bitwise_or": ("|", 3), "bitwise_xor": ("^", 2)},
    **{"less": ("<", 1), "less_equal": ("<=", 1), "equal": ("==", 1)},
    **{"greater": (">", 1), "greater_equal": (">=", 1), "not_equal": ("!=", 1)},
}  # the sign, and how tightly it binds
_COMPARED, _ADDED, _MULTIPLIED, _NEGATED = 1, 6, 7, 8
_ATOM = 9
_FOLDS = {"add": "sum", "multiply": "product", "maximum": "max", "minimum": "min"}

NameOf = Callable[[int], str]


def print_outputs(
    variables: Sequence[Element], outputs: Iterable[tuple[str, Element]], name_of: NameOf,
    width: int = WIDTH,
) -> list[str]:  # fmt: skip
    r"""Return lines that say what the outputs are at an index; shared parts come first.

    >>> from retrograd.tensor.element import BufferReader, call, fold
    >>> from retrograd.tensor.types import DType, TensorType
    >>> x = BufferReader(0, TensorType((2, 3), DType.float32))
    >>> i = Var("anything")
    >>> total = fold("add", (3,), lambda k: x(i, k))
    >>> print(*print_outputs([i], [("y", call("exp", total) - total)], str), sep="\n")
    t0 = sum(k0 < 3: 0[i0, k0])
    y[i0] = exp(t0) - t0
    """
    found = list(outputs)
    names = _Names(variables, name_of)
    lines = _Formulas(names, [e for _, e in found])
    index = f"[{', '.join(map(lines, variables))}]"
    return _folded(lines.with_shared(lambda: [f"{n}{index} = {lines(e)}" for n, e in found]), width)


def print_loops(loops: Loops, output: str, name_of: NameOf, width: int = WIDTH) -> list[str]:
    """Return lines that say how an output is filled, and what is stored into it in which order."""
    names = _Names((), lambda source: output if source == OUTPUT else name_of(source))
    lines = [f"{output}[...] = {_number(loops.initial)}"]
    for statement in loops.body:
        lines += _statement(names, statement, output, "")
    return _folded(lines, width)


def print_lowered(op: Op, *types: TensorType, width: int = WIDTH) -> list[str]:
    """Return what an op says that an element of its output is, the inputs being x0, x1 and so on.

    Raises what the op's `result_type` raises for types that it does not take.
    """
    out = op.result_type(*types)
    index = tuple(Var("i") for _ in out.shape)
    readers = [BufferReader(source, type) for source, type in enumerate(types)]
    answer = op.lower(out, index, *readers)
    if isinstance(answer, Loops):
        return print_loops(answer, "out", _letter, width)
    return print_outputs(index, [("out", answer)], _letter, width)


def _letter(source: int) -> str:
    return f"x{source}"


def _statement(names: _Names, statement: For | Store, output: str, margin: str) -> Iterator[str]:
    if isinstance(statement, For):
        name = names.bind(statement.variable, "j")
        yield f"{margin}for {name} < {statement.extent}:"
        for inner in statement.body:
            yield from _statement(names, inner, output, margin + "    ")
        return
    # What is shared is named anew in each statement: in between, the output has changed.
    formulas = _Formulas(names, [*statement.index, statement.value])

    def own() -> list[str]:
        index = ", ".join(map(formulas, statement.index))
        sign = "+=" if statement.add else "="
        return [f"{output}[{index}] {sign} {formulas(statement.value)}"]

    for line in formulas.with_shared(own):
        yield margin + line


class _Names:
    """Printed names of variables and buffers."""

    def __init__(self, axes: Sequence[Element], name_of: NameOf) -> None:
        self._given: dict[Var, str] = {
            v: f"i{axis}" for axis, v in enumerate(axes) if isinstance(v, Var)
        }
        self._counts: dict[str, int] = {}
        self.name_of = name_of

    def bind(self, variable: Var, letter: str) -> str:
        """Return the name of a variable that a fold or a loop runs over."""
        if variable not in self._given:
            self._given[variable] = self.fresh(letter)
        return self._given[variable]

    def fresh(self, letter: str) -> str:
        """Return the next name with a letter."""
        number = self._counts.get(letter, 0)
        self._counts[letter] = number + 1
        return f"{letter}{number}"

    def of(self, variable: Var) -> str:
        """Return the name of a variable, its own one if it is not of this kernel."""
        return self._given.get(variable, variable.name)


class _Formulas:
    """Prints elements that are used together, and names what they share."""

    def __init__(self, names: _Names, roots: Sequence[Element]) -> None:
        self._names = names
        self._shared = _used_twice(roots)
        self._known: dict[int, tuple[str, int]] = {}
        self._definitions: list[str] = []

    def __call__(self, e: Element) -> str:
        return self._visit(e)[0]

    def with_shared(self, write: Callable[[], list[str]]) -> list[str]:
        """Return the lines that ``write`` makes behind those of the parts that they name."""
        lines = write()
        return [*self._definitions, *lines]

    def _visit(self, e: Element) -> tuple[str, int]:
        """Return the formula and how tightly its outermost sign binds."""
        if id(e) not in self._known:
            formula = self._formula(e)
            if id(e) in self._shared:
                name = self._names.fresh("t")
                self._definitions.append(f"{name} = {formula[0]}")
                formula = name, _ATOM
            self._known[id(e)] = formula
        return self._known[id(e)]

    def _formula(self, e: Element) -> tuple[str, int]:
        match e:
            case Const():
                text = _number(e)
                return text, _NEGATED if text.startswith("-") else _ATOM
            case Var():
                return self._names.of(e), _ATOM
            case Affine():
                return self._affine(e)
            case Load():
                return f"{self._names.name_of(e.source)}[{self._list(e.index)}]", _ATOM
            case Select():
                return f"where({self._list((e.condition, e.then, e.otherwise))})", _ATOM
            case Cast():
                return f"{e.dtype!r}({self(e.value)})", _ATOM
            case Fold():
                return self._fold(e), _ATOM
            case Call(function="negative", arguments=(x,)):
                return f"-{self._within(x, _NEGATED)}", _NEGATED
            case Call(function=name, arguments=(x, y)) if name in _INFIX:
                return self._infix(*_INFIX[name], x, y)
            case Call():
                return f"{e.function}({self._list(e.arguments)})", _ATOM
        raise AssertionError(f"an element of no known kind: {e!r}")

    def _fold(self, e: Fold) -> str:
        names = [self._names.bind(v, "k") for v in e.variables]
        over = ", ".join(f"{n} < {extent}" for n, extent in zip(names, e.extents, strict=True))
        return f"{_FOLDS.get(e.kind, e.kind)}({over}: {self(e.body)})"

    def _infix(self, sign: str, binds: int, x: Element, y: Element) -> tuple[str, int]:
        if binds >= _ADDED:
            return f"{self._within(x, binds)} {sign} {self._within(y, binds + 1)}", binds
        # Who knows whether & binds more tightly than ^? Parentheses do; only a & b & c has none.
        least = _ADDED if binds == _COMPARED else _NEGATED
        is_chain = binds > _COMPARED and self._visit(x)[1] == binds
        left = self(x) if is_chain else self._within(x, least)
        return f"{left} {sign} {self._within(y, least)}", binds

    def _within(self, e: Element, least: int) -> str:
        text, binds = self._visit(e)
        return text if binds >= least else f"({text})"

    def _affine(self, e: Affine) -> tuple[str, int]:
        terms = [(self._within(a, _MULTIPLIED), factor) for a, factor in e.terms]
        signed = [(f"{abs(c)}*{a}" if abs(c) != 1 else a, c < 0) for a, c in terms]
        if e.constant or not signed:
            signed.append((str(abs(e.constant)), e.constant < 0))
        first, is_negative = signed[0]
        text = f"-{first}" if is_negative else first
        text += "".join(f" {'-' if minus else '+'} {term}" for term, minus in signed[1:])
        return text, _ADDED if len(signed) > 1 else _MULTIPLIED

    def _list(self, elements: Iterable[Element]) -> str:
        return ", ".join(map(self, elements))


def _used_twice(roots: Sequence[Element]) -> set[int]:
    """Return the identities of what is computed and used more than once."""
    met: set[int] = set()
    twice: set[int] = set()
    stack = list(roots)
    while stack:
        e = stack.pop()
        if id(e) not in met:
            met.add(id(e))
            stack.extend(parts(e))
        elif isinstance(e, Call | Select | Cast | Fold):
            twice.add(id(e))
    return twice


def _number(constant: Const) -> str:
    return str(constant.dtype.numpy.type(constant.value))


def _folded(lines: Iterable[str], width: int) -> list[str]:
    return [part for line in lines for part in fold_line(line, width)]


def without_addresses(text: str) -> str:
    """Return a text with functions by their names alone: where they lie differs in each process.

    >>> without_addresses("ReplaceGradient(rule=<function twice at 0x7f00>)")
    'ReplaceGradient(rule=twice)'
    """
    return re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"\1", text)


def fold_line(line: str, width: int = WIDTH) -> list[str]:
    """Return a line in pieces that fit the width; the further ones are indented once more.

    >>> fold_line("  one two three", 10)
    ['  one two', '      three']
    """
    margin = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line, width, subsequent_indent=margin + "    ",
        break_long_words=False, break_on_hyphens=False,
    ) or [""]  # fmt: skip
