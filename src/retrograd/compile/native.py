"""Native: LLVM's text becomes machine code in this process. The one module that speaks LLVM.

LLVM answers some mistakes by ending the process, so what can be checked is checked before it is
asked: the text defines plain functions only, calls only intrinsics, and is verified. The object is
linked by JITLink, which answers a symbol that nobody has with an error instead.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from retrograd.compile import cache
from retrograd.compile import target as targets
from retrograd.compile.target import Target
from retrograd.tensor.errors import CompileError

CODEGEN_LEVEL = 2
_TOP = ("define ", "declare ", "module ", "@")  # what stands outside of functions
_PLAIN = re.compile(r"define [^@]*@([\w.]+)\(|declare [^@]*@llvm\.")


@dataclass(frozen=True)
class Library:
    """Native functions, ready to be called for as long as the library is referenced.

    ``seconds`` is what it took to compile them, or to load them where ``is_cached``; ``key`` names
    them in the cache.
    """

    names: tuple[str, ...]
    seconds: float
    is_cached: bool
    _code: Any = field(repr=False, compare=False)
    key: str = ""

    def address(self, name: str) -> int:
        """Return where a function starts. Raises CompileError for one that is not defined here."""
        if name not in self.names:
            raise CompileError(
                f"looking up the native function {name!r}",
                f"the library defines {', '.join(self.names)}",
                "ask for one of those",
            )
        return int(self._code[1][name])


class Platform(NamedTuple):
    """What an object file is for.

    triple: LLVM's name of it.  relocation: how code refers to addresses, ``static`` or ``pic``.
    abi: its calling convention, where there are several.
    """

    triple: str
    relocation: str
    abi: str = ""


def host() -> Target:
    """Return what to compile for: this machine's CPU, or the kind that ``RETROGRAD_CPU`` names."""
    return _host(os.environ.get("RETROGRAD_CPU", ""))


@functools.cache
def can_compile() -> str | None:
    """Return None if native code works in this process, otherwise one sentence that says why not.

    A hardened kernel kills or refuses who makes written memory executable, so that is tried first,
    with a page of nothing; then the smallest function is compiled and called.
    """
    try:
        llvm = _llvm()
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        return f"llvmlite cannot be used here: {error}"
    try:
        llvm.check_jit_execution()
    except OSError as error:
        return f"this system forbids executable memory: {os.strerror(error.errno or 0)}"
    try:
        code = _link(_compile(_PROBE, "", ""), ["probe"])
    except (OSError, AttributeError, TypeError, RuntimeError) as error:
        return f"this llvmlite does not compile: {error}"
    answer = ctypes.c_int64(0)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code[1]["probe"])(ctypes.addressof(answer))
    return None if answer.value == 42 else "native code computes wrongly here"


def load(text: str, target: Target) -> Library:
    """Compile a module's text for a target, and return its functions.

    Threads that load the same text get the same library. Raises CompileError for text that LLVM
    refuses, or that holds more than plain functions and intrinsics.
    """
    session, key = _session(), _key(text, target)
    with session.lock:
        found = session.libraries.get(key)
        if found is None:
            found = session.libraries[key] = _load(text, target, key)
        return found


def assemble(text: str, target: Target, platform: Platform) -> bytes:
    """Return the object file of a module for any machine that LLVM knows, without IR passes.

    Raises CompileError for text that LLVM refuses, and for a machine that it does not know.
    """
    options = {"cpu": target.cpu, "features": target.features, "opt": CODEGEN_LEVEL}
    options |= {"reloc": platform.relocation, "codemodel": "default", "abiname": platform.abi}
    try:
        kind = _llvm_of_all().Target.from_triple(platform.triple)
        return _emit(kind.create_target_machine(**options), text)
    except (RuntimeError, ImportError, OSError) as error:
        raise _refusal(str(error)) from error


def recall(key: str, names: tuple[str, ...]) -> Library | None:
    """Return the functions of an object that the cache has under a name, or None."""
    session, start = _session(), time.perf_counter()
    with session.lock:
        found = session.libraries.get(key)
        stored = cache.default().read(key) if found is None else None
        if stored is not None:
            with suppress(RuntimeError):
                code = _link(stored, names)
                found = Library(names, time.perf_counter() - start, True, code, key)
                session.libraries[key] = found
        return found


@dataclass(frozen=True)
class _Session:
    """What the threads of a process share: one compiles at a time, the others take its result."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    libraries: WeakValueDictionary[str, Library] = field(default_factory=WeakValueDictionary)


@functools.cache
def _session() -> _Session:
    return _Session()


def _renew() -> None:
    """Start anew in a forked process, where a thread that held the lock does not run."""
    _session.cache_clear()
    _session()


_session()  # here, where importing lets one thread in: two threads must not get a lock each
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def _load(text: str, target: Target, key: str) -> Library:
    """Link the object that the cache has, or else compile it and give it to the cache."""
    start = time.perf_counter()
    names = _check(text)
    kept = cache.default()
    stored = kept.read(key)
    if stored is not None:
        with suppress(RuntimeError):
            code = _link(stored, names)
            return Library(names, time.perf_counter() - start, True, code, key)
    try:
        compiled = _compile(text, target.cpu, target.features)
        code = _link(compiled, names)
    except RuntimeError as error:
        raise _refusal(str(error)) from error
    kept.write(key, compiled)
    return Library(names, time.perf_counter() - start, False, code, key)


def _key(text: str, target: Target) -> str:
    """Return the name in the cache: all that the object depends on."""
    from llvmlite import __version__ as llvmlite_version

    llvm = _llvm()
    ours = sys.modules["retrograd"].__version__  # not imported: the package is above this floor
    versions = (ours, llvmlite_version, str(llvm.llvm_version_info))
    machine = (llvm.get_process_triple(), target.cpu, target.features)
    return cache.name_of(text, *versions, *machine, *map(str, _options().values()))


def _check(text: str) -> tuple[str, ...]:
    """Return the functions that a text defines; raise CompileError unless they are plain ones."""
    top = [line for line in map(str.strip, text.splitlines()) if line.startswith(_TOP)]
    plain = [_PLAIN.match(line) for line in top]
    foreign = [line for line, match in zip(top, plain, strict=True) if match is None]
    if " asm " in text:
        foreign += [line.strip() for line in text.splitlines() if " asm " in line]
    if foreign:
        raise _refusal(f"more than plain functions and intrinsics: {foreign[0]}")
    names = tuple(match[1] for match in plain if match and match[1])
    if not names:
        raise _refusal("no function is defined")
    return names


def _refusal(message: str) -> CompileError:
    """Return the error that shows the first thing that LLVM said."""
    lines = [line for line in message.splitlines() if line.strip()]
    said = [line for line in lines if "error:" in line] or lines[:1] or ["no reason given"]
    return CompileError(
        "compiling a native program",
        said[0].strip(),
        "run with RETROGRAD_BACKEND=numpy, and report this as a bug of retrograd",
    )


# What LLVM is asked for

_PROBE = "define void @probe(ptr %x) {\n  store i64 42, ptr %x\n  ret void\n}\n"


@functools.cache
def _llvm() -> Any:
    """Return llvmlite's binding, told once that it compiles for the machine that it runs on."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@functools.cache
def _llvm_of_all() -> Any:
    """Return llvmlite's binding, told that it compiles for every machine that it knows."""
    llvm = _llvm()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm


@functools.cache
def _host(_kind: str) -> Target:
    """Return the target for one value of the variable, which ``choose`` reads for itself."""
    llvm = _llvm()
    try:
        features = dict(llvm.get_host_cpu_features())
    except RuntimeError:  # LLVM does not know how to ask on every system
        features = {}
    return targets.choose(llvm.get_host_cpu_name(), features)


def _machine(cpu: str, features: str) -> Any:
    """Return the code generator for a CPU."""
    triple = _llvm().Target.from_default_triple()
    return triple.create_target_machine(cpu=cpu, features=features, **_options())


def _options() -> dict[str, Any]:
    """Return how code is generated.

    JITLink lays code and constants side by side, so that addresses relative to the program counter
    reach (the small model): a constant is then part of the instruction that uses it. On Windows
    LLVM links ELF objects with its older linker, which needs whole addresses.
    """
    places = {"reloc": "pic", "codemodel": "small"}
    if os.name == "nt":
        places = {"reloc": "default", "codemodel": "jitdefault"}
    return {"opt": CODEGEN_LEVEL, "jit": True, **places}


def _compile(text: str, cpu: str, features: str) -> bytes:
    """Return the object of a module, compiled without IR passes. Raises RuntimeError."""
    return _emit(_machine(cpu, features), text)


def _emit(machine: Any, text: str) -> bytes:
    """Return the object that a code generator makes of a text. Raises RuntimeError."""
    llvm = _llvm()
    # Closed here, in this order: the collector may end a context before the modules made in it.
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        module.verify()
        return bytes(machine.emit_object(module))


def _link(code: bytes, names: tuple[str, ...] | list[str]) -> tuple[Any, Any]:
    """Return the linker and the object in memory, both to be kept. Raises RuntimeError."""
    llvm = _llvm()
    linker = llvm.create_lljit_compiler(
        _machine("", ""), use_jit_link=os.name != "nt", suppress_errors=True
    )
    library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
    for name in names:
        library.export_symbol(name)
    return linker, library.link(linker, "program")
