"""What native libraries can be made for: each CPU, its LLVM names, and what suits it."""

from __future__ import annotations

import platform
import sys
from typing import Final, NamedTuple

from retrograd.compile import native
from retrograd.compile.native import Platform
from retrograd.compile.target import Target
from retrograd.tensor.errors import InputError


class Cpu(NamedTuple):
    """A kind of CPU to compile for.

    block: rows of the program that takes several at a time, besides the one that takes one.
    lacks: instructions that arithmetic stands in for, see `retrograd.compile.lacking`.
    emulation: the linker's name for it.  is_bare: whether it has no operating system, and so no
    shared libraries.
    """

    name: str
    what: str
    platform: Platform
    target: Target
    pointer_bits: int
    block: int
    lacks: tuple[str, ...]
    emulation: str
    is_bare: bool = False


def _target(name: str, cpu: str, features: str, shape: tuple[int, int, int], fused: bool) -> Target:
    return Target(name, cpu, features, *shape, fused)


_LINUX: Final = "unknown-linux-gnu"
# Without vector instructions pairs of numbers are kept: two chains of additions beside each other.
_SCALAR: Final = (2, 4, 3)

CPUS: Final = (
    Cpu(
        "x86-64", "any 64-bit PC since 2009",
        Platform(f"x86_64-{_LINUX}", "pic"),
        _target("plain", "x86-64-v2", "", (4, 4, 2), fused=False),
        64, 8, lacks=("wide_fma",), emulation="elf_x86_64",
    ),
    Cpu(
        "x86-64-v3", "64-bit PCs with AVX2, since 2013 to 2015",
        Platform(f"x86_64-{_LINUX}", "pic"),
        _target("avx2", "x86-64-v3", "", (8, 6, 2), fused=True),
        64, 8, lacks=(), emulation="elf_x86_64",
    ),
    Cpu(
        "arm64", "64-bit ARM: phones, Raspberry Pi 3 and later, servers",
        Platform(f"aarch64-{_LINUX}", "pic"),
        _target("neon", "generic", "+neon", (4, 8, 2), fused=True),
        64, 8, lacks=(), emulation="aarch64linux",
    ),
    Cpu(
        "cortex-m", "ARM Cortex-M4 and M7 with a floating-point unit, hard-float convention",
        Platform("thumbv7em-none-unknown-eabihf", "static"),
        _target("plain", "cortex-m4", "", _SCALAR, fused=True),
        32, 1, lacks=("wide_fma", "floor"), emulation="armelf", is_bare=True,
    ),
    Cpu(
        "riscv64", "64-bit RISC-V (rv64gc) with Linux",
        Platform(f"riscv64-{_LINUX}", "pic", "lp64d"),
        _target("plain", "generic-rv64", "+m,+a,+f,+d,+c", _SCALAR, fused=True),
        64, 8, lacks=(), emulation="elf64lriscv",
    ),
    Cpu(
        "riscv32", "32-bit RISC-V microcontrollers with floats (rv32imafc)",
        Platform("riscv32-unknown-elf", "static", "ilp32f"),
        _target("plain", "generic-rv32", "+m,+a,+f,+c", _SCALAR, fused=True),
        32, 1, lacks=("wide_fma", "floor"), emulation="elf32lriscv", is_bare=True,
    ),
)  # fmt: skip
WASM: Final = Cpu(
    "wasm32", "WebAssembly with 128-bit vectors",
    Platform("wasm32-unknown-unknown", "static"),
    _target("plain", "generic", "+simd128,+bulk-memory,+sign-ext", (4, 4, 2), fused=False),
    32, 8, lacks=("wide_fma",), emulation="",
)  # fmt: skip


def host() -> Cpu:
    """Return this machine, with all that its CPU can do.

    Raises InputError on systems whose libraries are not ELF files.
    """
    own = {"x86_64": "x86-64", "aarch64": "arm64", "riscv64": "riscv64"}.get(platform.machine())
    if own is None or sys.platform != "linux":
        raise InputError(
            "exporting a native library for this machine",
            f"it is {platform.machine()} with {sys.platform}, and libraries are made for Linux",
            f"name one of the targets {', '.join(cpu.name for cpu in CPUS)}",
        )
    like = cpu_named(own)
    target = native.host()
    return like._replace(
        name="host",
        what=f"this machine ({target.cpu})",
        target=target,
        lacks=() if target.fused else ("wide_fma",),
    )


def cpu_named(name: str) -> Cpu:
    """Return what a name or a triple stands for; ``host`` is this machine.

    Raises InputError for others.

    >>> cpu_named("cortex-m").pointer_bits, cpu_named("aarch64-linux-gnu").name
    (32, 'arm64')
    """
    if name == "host":
        return host()
    kind = f"{name.partition('-')[0]}-"
    found = next((cpu for cpu in CPUS if cpu.name == name), None)
    if found is None and name.count("-") > 1:
        found = next((cpu for cpu in CPUS if cpu.platform.triple.startswith(kind)), None)
    if found is None:
        raise InputError(
            f"exporting a native library for {name!r}",
            "there is no such target",
            f"give one of host, {', '.join(cpu.name for cpu in CPUS)}",
        )
    return found
