"""Linking: the system's linker and C compiler, or those of the package ziglang."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from retrograd.export.targets import Cpu
from retrograd.tensor.errors import RunError

_LONGEST = 120.0  # seconds for one call; ziglang prepares itself at the first
_SHARED = ("-shared", "-z", "defs", "-z", "noexecstack", "-z", "noseparate-code", "-s")


def zig() -> tuple[str, ...]:
    """Return how ziglang is called, or nothing if it is not installed."""
    found = importlib.util.find_spec("ziglang")
    if found is None or found.origin is None:
        return ()
    program = Path(found.origin).with_name("zig")
    return (str(program),) if program.exists() else ()


def linker_of(cpu: Cpu) -> tuple[str, ...]:
    """Return a linker for a CPU's ELF files, or nothing."""
    names = ("ld.lld", "ld") if is_own(cpu) else ("ld.lld",)
    own = next((path for path in map(shutil.which, names) if path), None)
    if own is not None:
        return (own,)
    return (*zig(), "ld.lld") if zig() else ()


def compiler_of(cpu: Cpu) -> tuple[str, ...]:
    """Return a C compiler for a CPU, or nothing."""
    own = next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)
    if is_own(cpu) and own is not None:
        return (own,)
    triple = cpu.platform.triple.replace("unknown-", "")
    return (*zig(), "cc", "-target", triple) if zig() and not cpu.is_bare else ()


def is_own(cpu: Cpu) -> bool:
    """Return whether a CPU is of this machine's kind."""
    return cpu.platform.triple.startswith(f"{platform.machine()}-")


def compile_c(cpu: Cpu, files: Mapping[str, str], source: str) -> bytes | None:
    """Return the object file of a C source among these files, or None without a compiler."""
    compiler = compiler_of(cpu)
    if not compiler:
        return None
    with TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        flags = ["-std=c99", "-O2", "-fPIC", "-ffreestanding", "-fno-stack-protector"]
        # The four that a compiler may call of its own accord are not there to be called.
        flags += ["-fno-builtin", "-fno-tree-loop-distribute-patterns"]
        flags = [f for f in flags if "clang" not in compiler[0] or "tree-loop" not in f]
        flags = [f for f in flags if "zig" not in compiler[0] or "tree-loop" not in f]
        _call([*compiler, *flags, "-c", source, "-o", "made.o"], folder)
        return Path(folder, "made.o").read_bytes()


def link_shared(cpu: Cpu, objects: Sequence[bytes]) -> bytes | None:
    """Return a shared library that needs no other, or None without a linker. Raises RunError."""
    return _link(cpu, objects, _SHARED)


def link_alone(cpu: Cpu, data: bytes, entry: str, needed: Sequence[str]) -> bool:
    """Link an object for a machine without shared libraries, to see that it can be.

    ``needed`` are functions that come with every compiler for it. Returns whether there was a
    linker. Raises RunError if it refuses.
    """
    defined = [flag for name in needed for flag in ("--defsym", f"{name}=0")]
    return _link(cpu, [data], ("-e", entry, *defined)) is not None


def _link(cpu: Cpu, objects: Sequence[bytes], flags: Sequence[str]) -> bytes | None:
    linker = linker_of(cpu)
    if not linker:
        return None
    with TemporaryDirectory() as folder:
        names = []
        for i, data in enumerate(objects):
            names.append(f"part{i}.o")
            Path(folder, names[-1]).write_bytes(data)
        _call([*linker, "-m", cpu.emulation, *flags, "-o", "made", *names], folder)
        return Path(folder, "made").read_bytes()


def _call(command: Sequence[str], folder: str) -> None:
    """Run a tool in a folder; raises RunError with the first thing that it said."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_LONGEST, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _refusal(command, str(error)) from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise _refusal(command, (lines or [f"it ended with {done.returncode}"])[0])


def _refusal(command: Sequence[str], said: str) -> RunError:
    name = Path(command[0]).name
    return RunError(
        f"linking with {name}", said, "export the object file (.o), and link it where it is used"
    )
