"""Ahead: graphs as one plain C function for any CPU, with every constant inside the object.

``int32_t name(const void *inputs, size_t rows, void *outputs, void *scratch)`` takes rows of one
input and gives rows of one output. It owns nothing: what it works in is the caller's scratch
memory, so that threads with scratch memory of their own may call it at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from retrograd.compile.arrays import contiguous
from retrograd.compile.graph import Graph
from retrograd.compile.lacking import without
from retrograd.compile.layout import Layout
from retrograd.compile.memory import ALIGNMENT
from retrograd.compile.modules import module
from retrograd.compile.planning import Plan, plan
from retrograd.compile.schedule import reads_of
from retrograd.compile.slots import Slot
from retrograd.compile.target import Target
from retrograd.compile.text import Text
from retrograd.compile.values import BYTES
from retrograd.compile.writing import arguments
from retrograd.tensor.types import Array

NULL_POINTER = 1
WRONG_INDEX = 2
_EXTRA = 128 + ALIGNMENT
"""Bytes of scratch memory where a wrong index is told, and to start at a cache line."""

_ALONE = re.compile(r"(load|store) atomic (.*) (?:acquire|release), align 8")
"""What another thread could look at, if there were one."""


class Ahead(NamedTuple):
    """A module's text, and how many bytes of scratch memory its function works in."""

    text: str
    scratch: int


class _Part(NamedTuple):
    """A program for so many rows at a time."""

    rows: int
    plan: Plan
    text: Text
    layout: Layout


def write_ahead(
    functions: Mapping[str, Sequence[Graph]], target: Target, *,
    pointer_bits: int, lacks: Iterable[str] = (),
) -> Ahead:  # fmt: skip
    """Return a module of visible functions, each of which runs graphs of one input and one output.

    A function's graphs compute the same for fewer and fewer rows at a time; the last one takes one.
    Each runs on as many of the rows that are left as it can. Functions have sections of their own,
    so that linkers can leave them out. Arithmetic stands in for instructions that the CPU
    ``lacks``, see `retrograd.compile.lacking`.
    """
    constants, entries, written, arena = _Constants(), list[str](), list[Text](), 0
    for name, graphs in functions.items():
        parts = [_part(graph, target, f"{name}.program{i}") for i, graph in enumerate(graphs)]
        own = max(part.layout.arena_bytes(1) for part in parts)
        entries.append(_entry(parts, constants, name, own, f"i{pointer_bits}"))
        written += (part.text for part in parts)
        arena = max(arena, own)
    programs = module(written, target)
    programs = re.sub(r"define void @([\w.]+)(.*)\) #0", _in_section, programs)
    programs = without(_ALONE.sub(r"\1 \2, align 8", programs), lacks)
    return Ahead("\n".join([*constants.lines, *entries, programs]), arena + _EXTRA)


def write_text(name: str, text: str) -> str:
    """Return the definition of a visible string, which ends with a zero as C's do."""
    data = text.encode() + b"\0"
    bits = data.hex("\\", 1)
    return f'@{name} = constant [{len(data)} x i8] c"\\{bits}", section ".rodata.{name}"\n'


def _in_section(found: re.Match[str]) -> str:
    return f'define internal void @{found[1]}{found[2]}) #0 section ".text.{found[1]}"'


def _part(graph: Graph, target: Target, name: str) -> _Part:
    found = plan(graph, target, 1, (), None)
    text, layout = found.written(target, profiled=False)
    text.name = name
    # Nothing here is written past the caches, and no other thread waits for it.
    text.lines.remove("  fence seq_cst")
    return _Part(graph.inputs[0].shape[0], found, text, layout)


class _Constants:
    """The module's constants; equal ones stand there once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names: dict[tuple[str, bytes], str] = {}

    def name(self, array: Array) -> str:
        """Return the name of a constant."""
        whole = contiguous(array)
        data = whole.tobytes()
        key = whole.dtype.str, data
        if key not in self._names:
            self._names[key] = name = f"@constant{len(self._names)}"
            bits = data.hex("\\", 1)
            what = f"private unnamed_addr constant [{len(data)} x i8]"
            self.lines.append(f'{name} = {what} c"\\{bits}", align {ALIGNMENT}')
        return self._names[key]


def _entry(parts: Sequence[_Part], constants: _Constants, name: str, arena: int, size: str) -> str:
    """Return the definition of the visible function."""
    lines = [
        f"define i32 @{name}(ptr %inputs, {size} %rows, ptr %outputs, ptr %scratch) "
        f'#0 section ".text.{name}" {{'
    ]
    lines += [
        "entry:",
        *(f"  %slots{i} = alloca [{_length(p)} x i64], align 16" for i, p in enumerate(parts)),
        f"  %none = icmp eq {size} %rows, 0",
        *(f"  %no.{x} = icmp eq ptr %{x}, null" for x in ("inputs", "outputs", "scratch")),
        "  %no.places = or i1 %no.inputs, %no.outputs",
        "  %no.memory = or i1 %no.places, %no.scratch",
        "  %refused = or i1 %none, %no.memory",
        "  br i1 %refused, label %refuse, label %start",
        "refuse:",
        f"  %reason = select i1 %none, i32 0, i32 {NULL_POINTER}",
        "  ret i32 %reason",
        "start:",
        f"  %address = ptrtoint ptr %scratch to {size}",
        f"  %above = add {size} %address, {ALIGNMENT - 1}",
        f"  %aligned = and {size} %above, {-ALIGNMENT}",
        f"  %arena = inttoptr {size} %aligned to ptr",
        f"  %errors = getelementptr i8, ptr %arena, i64 {arena}",
        "  store i64 0, ptr %errors, align 8",
        f"  %left0 = {_widened(size)}",
        "  %inputs0 = getelementptr i8, ptr %inputs, i64 0",
        "  %outputs0 = getelementptr i8, ptr %outputs, i64 0",
    ]
    for i, part in enumerate(parts):
        lines += _call(i, part, constants)
    lines += [
        "  %wrong = load i64, ptr %errors, align 8",
        "  %is.wrong = icmp ne i64 %wrong, 0",
        f"  %answer = select i1 %is.wrong, i32 {WRONG_INDEX}, i32 0",
        "  ret i32 %answer",
        "}",
    ]
    return "\n".join(lines)


def _widened(size: str) -> str:
    return "add i64 %rows, 0" if size == "i64" else f"zext {size} %rows to i64"


def _arguments(part: _Part) -> tuple[int, ...]:
    return arguments(part.plan.graph, part.plan.pairs)


def _length(part: _Part) -> int:
    return int(Slot.first_argument) + 2 * len(_arguments(part))


def _call(i: int, part: _Part, constants: _Constants) -> list[str]:
    """Return what fills the table of program ``i``, and runs it on whole multiples of its rows.

    Rows that follow each other are steps of the program: it goes on from one to the next itself.
    """
    lines = [
        f"  %steps{i} = udiv i64 %left{i}, {part.rows}",
        f"  %taken{i} = mul i64 %steps{i}, {part.rows}",
        f"  %left{i + 1} = sub i64 %left{i}, %taken{i}",
    ]
    for slot, what in enumerate(_table(i, part, constants)):
        place = f"%slot{i}.{slot}"
        lines.append(f"  {place} = getelementptr i64, ptr %slots{i}, i64 {slot}")
        lines.append(f"  store {what}, ptr {place}, align 8")
    lines += [
        f"  %runs{i} = icmp ne i64 %steps{i}, 0",
        f"  br i1 %runs{i}, label %run{i}, label %done{i}",
        f"run{i}:",
        f"  call void @{part.text.name}(i64 0, ptr %slots{i})",
        f"  br label %done{i}",
        f"done{i}:",
    ]
    for name, stride in zip(("inputs", "outputs"), _strides(part), strict=True):
        lines.append(f"  %moved.{name}{i} = mul i64 %steps{i}, {stride}")
        moved = f"getelementptr i8, ptr %{name}{i}, i64 %moved.{name}{i}"
        lines.append(f"  %{name}{i + 1} = {moved}")
    return lines


def _table(i: int, part: _Part, constants: _Constants) -> list[str]:
    """Return what stands in the slots of program ``i``, in their order."""
    graph, schedule = part.plan.graph, part.plan.schedule
    read = {load.source for g in schedule.groups for k in g.kernels for load in reads_of(k)}
    first = {
        Slot.arena: "ptr %arena", Slot.errors: "ptr %errors", Slot.barrier: "ptr null",
        Slot.give_way: "ptr null", Slot.threads: "i64 1", Slot.steps: f"i64 %steps{i}",
        Slot.profile: "ptr null",
    }  # fmt: skip
    found = [first[slot] for slot in Slot if slot in first]
    inputs, outputs = _strides(part)
    for value in _arguments(part):
        if value < len(graph.inputs):
            found += [f"ptr %inputs{i}", f"i64 {inputs}"]
        elif value >= graph.first_node:
            found += [f"ptr %outputs{i}", f"i64 {outputs}"]
        else:
            constant = graph.constants[value - len(graph.inputs)]
            # Numbers that fill whole arrays stand in the code.
            found += [f"ptr {constants.name(constant) if value in read else 'null'}", "i64 0"]
    return found


def _strides(part: _Part) -> tuple[int, int]:
    """Return the bytes of the rows that a program takes, and of those that it gives."""
    graph = part.plan.graph
    given, made = graph.inputs[0], graph.type_of(graph.outputs[0])
    return given.size * BYTES[given.dtype], made.size * BYTES[made.dtype]
