"""Explaining: every stage of the compiler for one function, as a text that people read."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from retrograd.compile import native, pool
from retrograd.compile.arrays import uniform
from retrograd.compile.describing import Describer, describe_cut, describe_places
from retrograd.compile.expressions import Interner
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Group, Kernel, Schedule
from retrograd.compile.layout import Layout
from retrograd.compile.modules import module
from retrograd.compile.naming import Names, label_kernels
from retrograd.compile.overwriting import Carried, Pair, carry
from retrograd.compile.planning import PARALLEL_WORK, work
from retrograd.compile.printing import (
    WIDTH,
    fold_line,
    print_loops,
    print_outputs,
    without_addresses,
)
from retrograd.compile.schedule import schedule
from retrograd.compile.simplify import simplify
from retrograd.compile.splitting import split_folds
from retrograd.compile.storing import decide
from retrograd.compile.target import Target, choose
from retrograd.compile.text import Text
from retrograd.compile.trace import Traced, trace
from retrograd.compile.writing import write_program
from retrograd.tensor.history import placeholder
from retrograd.tensor.types import TensorType

Lines = Iterator[str]


class Stages(NamedTuple):
    """What each stage made of one function."""

    traced: Traced
    graph: Graph
    schedule: Schedule
    interner: Interner
    carried: Carried
    layout: Layout
    text: Text
    target: Target
    threads: int

    @property
    def kernels(self) -> list[tuple[Group, Kernel]]:
        """All kernels in the order in which they run, each with its group."""
        return [(group, kernel) for group in self.schedule.groups for kernel in group.kernels]


def explain(
    function: Callable[..., Any], *arguments: Any, target: Target | None = None,
    threads: int | None = None, carried: Sequence[Pair] = (), native: bool = False,
) -> str:  # fmt: skip
    """Return what every stage of the compiler makes of a function: nothing is compiled or run.

    Arguments are tensors, or their types, in trees. ``carried`` are pairs of an input's and an
    output's number: the output takes the input's place in the next step, as in a training step.
    ``native`` adds the whole text that LLVM is given. Target and number of threads are this
    machine's, unless they are given. Raises TraceError if the function asks for numbers.

    >>> from retrograd.tensor.types import DType, TensorType
    >>> text = explain(lambda x: x * 2 + 1, TensorType((3,), DType.float32))
    >>> print(next(line for line in text.splitlines() if line.startswith("    %4[")))
        %4[i0] = %0[i0] * 2.0 + 1.0
    """
    stages = make_stages(function, arguments, target, threads, carried)
    sections = [
        ("traced", "What the function did, called once on tensors without numbers.", _traced),
        ("simplified", _SIMPLIFIED, _simplified),
        ("stored", _STORED, _stored),
        ("scheduled", _SCHEDULED, _scheduled),
        ("run", "How each kernel walks over its elements.", _run),
        ("laid out", "Where each value lies, and how a group's rows are cut.", _laid_out),
        ("written", "The text of one native function, which LLVM turns into code.", _written),
    ]
    lines: list[str] = []
    for title, sentence, section in sections:
        lines += [f"== {title} ==", *textwrap.wrap(sentence, WIDTH), ""]
        lines += [part for line in section(stages) for part in fold_line(line)] + [""]
    if native:
        lines += ["== native text ==", "", module([stages.text], stages.target)]
    return "\n".join(lines)


_SIMPLIFIED = (
    "Equal nodes are one, what passes through or is dead is gone, constants are folded, and"
    " large sums are split."
)
_STORED = (
    "Which values get a buffer; others are computed where they are read. A value whose readers all"
    " join its kernel needs none after all."
)
_SCHEDULED = (
    "Kernels, fused from nodes. A thread takes a group's kernels one after the other for its rows;"
    " between stages all threads wait."
)


def make_stages(
    function: Callable[..., Any], arguments: Sequence[Any], target: Target | None,
    threads: int | None, carried: Sequence[Pair],
) -> Stages:  # fmt: skip
    """Return what every stage makes of a function, up to the native text."""
    target = target or _target()
    traced = trace(function, *map(_without_types, arguments))
    graph, interner = split_folds(simplify(traced.graph)), Interner()
    planned = schedule(graph, interner)
    threads = threads or (1 if work(graph) < PARALLEL_WORK else pool.usable_cores())
    pairs = [(given, graph.outputs[output]) for given, output in carried]
    text, layout = write_program(graph, planned, interner, target, threads > 1, pairs)
    moved = carry(graph, planned, pairs)
    return Stages(traced, graph, planned, interner, moved, layout, text, target, threads)


def _target() -> Target:
    """Return what this machine compiles for, or the plainest target where it cannot."""
    return native.host() if native.can_compile() is None else choose("generic", {})


def _without_types(tree: Any) -> Any:
    """Return a tree with a tensor without numbers in place of each type."""
    if isinstance(tree, TensorType):
        return placeholder(tree)
    if isinstance(tree, Mapping):
        return {key: _without_types(part) for key, part in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*map(_without_types, tree))
    if isinstance(tree, tuple | list):
        return type(tree)(map(_without_types, tree))
    return tree


def _traced(stages: Stages) -> Lines:
    return _graph(stages.traced.graph, stages.traced.names)


def _simplified(stages: Stages) -> Lines:
    return _graph(stages.graph, stages.traced.names)


def _graph(graph: Graph, names: Names) -> Lines:
    inputs, lines = len(graph.inputs), without_addresses(str(graph)).splitlines()
    for i, line in enumerate(lines[:-1]):
        if i < inputs:
            yield f"{line}  argument {names.inputs[i]}".rstrip()
        elif i < graph.first_node and uniform(graph.constants[i - inputs]) is not None:
            yield f"{line} of {graph.constants[i - inputs].flat[0]}"
        else:
            yield line
    outputs = zip(graph.outputs, names.outputs, strict=True)
    yield "return " + ", ".join(f"%{v} as {name}" if name else f"%{v}" for v, name in outputs)


def _stored(stages: Stages) -> Lines:
    for value, (is_stored, reason) in decide(stages.graph).items():
        what = "stored: " if is_stored else "inlined:"
        yield f"{f'%{value}':<5} {what} {reason}"


def _scheduled(stages: Stages) -> Lines:
    labels = label_kernels(stages.graph, stages.schedule, stages.traced.names)
    stage, before = -1, None
    for number, (group, kernel) in enumerate(stages.kernels):
        if group.stage != stage:
            yield f"stage {group.stage}"
        if group is not before:
            rows = f"{group.rows} rows" if group.rows > 1 else "uncut, on the first thread"
            yield f"  group {stages.schedule.groups.index(group)}: {rows}"
        stage, before = group.stage, group
        over = ", ".join(f"i{axis} < {n}" for axis, n in enumerate(kernel.extents))
        label = f"  ({labels[number]})" if labels[number] else ""
        yield f"  kernel {number}: " + (over or "one number") + label
        for line in _formulas(stages, kernel):
            yield f"    {line}"


def _formulas(stages: Stages, kernel: Kernel) -> list[str]:
    def name(value: int) -> str:
        return f"%{value}"

    if kernel.loops is not None:
        return print_loops(kernel.loops, name(kernel.values[0]), name)
    outputs = [(name(value), element) for value, element in kernel.outputs]
    return print_outputs(kernel.variables, outputs, name)


def _run(stages: Stages) -> Lines:
    describe = Describer.of(stages.graph, stages.interner, stages.target)
    for number, (_, kernel) in enumerate(stages.kernels):
        yield f"kernel {number}: {describe(kernel)}"


def _laid_out(stages: Stages) -> Lines:
    graph, layout = stages.graph, stages.layout
    places = describe_places(graph, stages.schedule, layout, stages.carried)
    for value, place in sorted(places.items()):
        size = graph.type_of(value).size * graph.type_of(value).dtype.numpy.itemsize
        yield f"{f'%{value}':<5} {size} bytes: {place}"
    for given, value in stages.carried.copies:
        yield f"{f'%{value}':<5} is copied over argument %{given} when the step is over"
    for number, (group, cut) in enumerate(zip(stages.schedule.groups, layout.cuts, strict=True)):
        yield f"group {number}: {describe_cut(group, cut)}"
    threads = f"{stages.threads} thread{'s' * (stages.threads > 1)}"
    own = f"{layout.scratch} for its rows, {layout.thread_bytes - layout.scratch} for packing"
    yield f"arena: {layout.thread_offset} bytes shared"
    yield f"       {layout.thread_bytes} bytes a thread ({own})"
    yield f"       {layout.arena_bytes(stages.threads)} bytes with {threads}"


def _written(stages: Stages) -> Lines:
    target, lines = stages.target, stages.text.lines
    fused = "with" if target.fused else "without"
    yield f"target {target.name}: {target.lanes} lanes, {fused} fused multiply-add"
    blocks = 1 + sum(line.endswith(":") for line in lines)
    yield f"{len(lines)} lines in {blocks} blocks"
    called = sorted({d.split("@")[1].split("(")[0] for d in stages.text.declarations})
    yield "intrinsics: " + (", ".join(called) or "none")
