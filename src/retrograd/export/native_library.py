"""A native library: the network as machine code that needs nothing else.

C can call it, and all that can call C. The compiler writes it ahead of time, with the weights
inside. Besides the library there is a C header, and a C source that makes features of a table's
own values.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import retrograd
from retrograd.compile import native
from retrograd.compile.ahead import Ahead, write_ahead, write_text
from retrograd.data import Table
from retrograd.export import Answers, Request, Written, elf, linking, native_calls, targets
from retrograd.export.answering import all_stages, answer, graph_of, stage_shapes
from retrograd.export.c_header import Sizes, header
from retrograd.export.c_names import identifier
from retrograd.export.c_rows import rows_source
from retrograd.export.targets import Cpu
from retrograd.recipe.model import Model
from retrograd.tensor.errors import InputError, RunError
from retrograd.tensor.types import Array

ABOUT = "_about"


class Object(NamedTuple):
    """An object file, and what its functions take."""

    data: bytes
    about: dict[str, Any]
    sizes: Sizes


def write(request: Request) -> Written:
    """Return the library or object file, its header, and the C source of the preprocessing.

    Raises InputError for a machine that is not known or has no shared libraries, RunError if an
    object file needs what its machine's compilers do not bring.
    """
    model, path = request.model, Path(request.name)
    cpu = targets.cpu_named(request.target or "host")
    name, is_object = identifier(path.stem), path.suffix == ".o"
    if cpu.is_bare and not is_object:
        raise InputError(
            f"exporting {request.name!r} for {cpu.name}",
            "such a machine loads no shared libraries",
            f"name the file {path.stem}.o, and link it into its program",
        )
    made = compile_model(model, name, cpu)
    sources = {
        f"{path.stem}.h": header(model, name, made.sizes, cpu.what),
        f"{path.stem}_rows.c": rows_source(model.preprocessor, name, f"{path.stem}.h"),
    }
    notes = _check(made.data, cpu, name)
    first = made.data
    if not is_object:
        first, more = _shared(made.data, cpu, sources, path)
        notes += more
    files = {request.name: first, **{k: v.encode() for k, v in sources.items()}}
    runs = _runs_here(cpu) and (not is_object or bool(linking.linker_of(cpu)))
    return Written(files, tuple(notes), runs)


def compile_model(model: Model, name: str, cpu: Cpu) -> Object:
    """Return the object file of a model for a CPU; all its names start with ``name``."""
    width = len(model.preprocessor.feature_names)
    layers = stage_shapes(model, width)
    sizes = Sizes(width, max(len(model.schema.classes), 1), sum(map(math.prod, layers.values())), 0)
    blocks = sorted({cpu.block, 1}, reverse=True)
    functions = {
        f"{name}_run": [graph_of(answer(model), rows, width) for rows in blocks],
        f"{name}_layers": [graph_of(all_stages(model), 1, width)],
    }
    written: Ahead = write_ahead(
        functions, cpu.target, pointer_bits=cpu.pointer_bits, lacks=cpu.lacks
    )
    sizes = sizes._replace(scratch=written.scratch)
    about = {
        "made_by": f"retrograd {retrograd.__version__}",
        "machine": cpu.what,
        "schema": model.schema.to_json(),
        "preprocessing": model.preprocessor.to_json(),
        "stages": layers,
        **sizes._asdict(),
    }
    text = write_text(f"{name}{ABOUT}", json.dumps(about)) + written.text
    return Object(native.assemble(text, cpu.target, cpu.platform), about, sizes)


def _check(data: bytes, cpu: Cpu, name: str) -> list[str]:
    """Return what an object needs of its machine's compiler; refuse one that needs more."""
    needed = [s.name for s in elf.symbols(data) if not s.is_defined]
    own = tuple(x for x in needed if x.startswith("__") and not x.startswith("__atomic"))
    foreign = [x for x in needed if x not in (*own, "memcpy", "memset")]
    if foreign:
        raise RunError(
            f"exporting a native library for {cpu.name}",
            f"its code calls {', '.join(foreign)}, which that machine may not have",
            "use another target, or another activation",
        )
    notes = ["it calls no other library"]
    if needed:
        known = "which come with every C compiler (libgcc, compiler-rt)"
        notes = [f"it calls {', '.join(needed)}, {known}"]
    if cpu.is_bare and linking.link_alone(cpu, data, f"{name}_run", needed):
        notes.append("it was linked into a program, to see that nothing is missing")
    return notes


def _shared(
    data: bytes, cpu: Cpu, sources: Mapping[str, str], path: Path
) -> tuple[bytes, list[str]]:
    """Return a shared library, and notes. Raises RunError without a linker."""
    rows = f"{path.stem}_rows.c"
    compiled = linking.compile_c(cpu, sources, rows)
    library = linking.link_shared(cpu, [data, *([compiled] if compiled else [])])
    if library is None:
        raise RunError(
            f"exporting {path.name!r} for {cpu.name}",
            "there is no linker for it",
            f'pip install "retrograd[native]", or name the file {path.stem}.o',
        )
    if compiled is None:
        return library, [f"no C compiler for {cpu.name} was found: {rows} is not in the library"]
    return library, [f"rows of the table's own values: {rows} is in the library"]


def _runs_here(cpu: Cpu) -> bool:
    """Return whether this process can run code for a CPU."""
    if cpu.name == "host":
        return True
    fits = platform.machine() != "x86_64" or cpu.name != "x86-64-v3" or native.host().fused
    return linking.is_own(cpu) and fits


def run(path: Path, rows: Table) -> Answers:
    """Let the library predict rows of a table, in a process of its own."""
    return native_calls.answers(path, rows)


def stages(path: Path, rows: Table) -> Mapping[str, Array]:
    """Return the features of rows and what every layer makes of them, by the library."""
    return native_calls.stages(path, rows)
