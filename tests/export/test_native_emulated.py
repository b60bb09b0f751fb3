"""Libraries for other CPUs run in an emulator and answer as the model, wherever there is one."""

import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from tests.export.models import make_model, new_rows

from retrograd import nn, ops
from retrograd.export import linking, targets
from retrograd.export.native_library import compile_model

unicorn = pytest.importorskip("unicorn", reason="no emulator is installed")
FOREIGN = [cpu for cpu in targets.CPUS if not cpu.name.startswith("x86")]
START, INPUTS, OUTPUTS, SCRATCH, STACK, STOP = (
    0x1_0000, 0x2000_0000, 0x2004_0000, 0x2008_0000, 0x2018_0000, 0x1F_0000
)  # fmt: skip


def linked(cpu: targets.Cpu, data: bytes) -> bytes:
    """Return a program without an operating system whose first code is at START."""
    base = f"--image-base={START:#x}" if cpu.name == "arm64" else f"-Ttext={START:#x}"
    flags = ["-m", cpu.emulation, "-e", "shop_run", base, "-z", "noseparate-code"]
    with TemporaryDirectory() as folder:
        Path(folder, "shop.o").write_bytes(data)
        linking._call([*linking.linker_of(cpu), *flags, "-o", "shop", "shop.o"], folder)
        return Path(folder, "shop").read_bytes()


def loaded(machine: Any, program: bytes) -> int:
    """Put the parts of an ELF program where they belong; return where it starts."""
    is_wide = program[4] == 2
    start, parts = struct.unpack_from("<QQ" if is_wide else "<II", program, 24)
    size, count = struct.unpack_from("<HH", program, 54 if is_wide else 42)
    for i in range(count):
        at = parts + i * size
        if is_wide:
            kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", program, at)
        else:
            kind, offset, address, _, length = struct.unpack_from("<IIIII", program, at)
        if kind == 1:
            machine.mem_write(address, program[offset : offset + length])
    return int(start)


def registers(cpu: targets.Cpu, machine: Any) -> tuple[list[int], int, int]:
    """Switch floats on; return the registers of arguments, of the stack, and of the way back."""
    from unicorn import arm64_const, arm_const, riscv_const

    if cpu.name == "arm64":
        machine.reg_write(arm64_const.UC_ARM64_REG_CPACR_EL1, 3 << 20)
        module, start, words = arm64_const, "UC_ARM64_REG_", "X0 X1 X2 X3 SP LR"
    elif cpu.name == "cortex-m":
        machine.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)
        module, start, words = arm_const, "UC_ARM_REG_", "R0 R1 R2 R3 SP LR"
    else:
        machine.reg_write(riscv_const.UC_RISCV_REG_MSTATUS, 0x6000)
        module, start, words = riscv_const, "UC_RISCV_REG_", "A0 A1 A2 A3 SP RA"
    names = [getattr(module, start + word) for word in words.split()]
    return names[:4], names[4], names[5]


def started(cpu: targets.Cpu) -> Any:
    modes = {
        "arm64": (unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM),
        "cortex-m": (unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS),
        "riscv64": (unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV64),
        "riscv32": (unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32),
    }
    machine = unicorn.Uc(*modes[cpu.name])
    if cpu.name == "cortex-m":
        from unicorn.arm_const import UC_CPU_ARM_CORTEX_M4

        machine.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M4)
    for start in (0, INPUTS):
        machine.mem_map(start, 0x20_0000)
    return machine


@pytest.mark.parametrize("cpu", FOREIGN, ids=lambda cpu: cpu.name)
@pytest.mark.parametrize("activation", [nn.relu, nn.tanh], ids=["relu", "tanh"])
def test_it_answers_as_the_model(cpu: targets.Cpu, activation: Any) -> None:
    if not linking.linker_of(cpu):
        pytest.skip("no linker for it is installed")

    def net(features: int, outputs: int) -> Any:
        return nn.mlp(ops.key(3), (features, 24, 9, outputs), activation=activation)

    model, rows = make_model("price", net), new_rows()
    x = model.preprocessor.transform(rows)
    machine = started(cpu)
    start = loaded(machine, linked(cpu, compile_model(model, "shop", cpu).data))
    machine.mem_write(INPUTS, x.tobytes())
    names, stack, back = registers(cpu, machine)
    for name, value in zip(names, (INPUTS, len(x), OUTPUTS, SCRATCH), strict=True):
        machine.reg_write(name, value)
    machine.reg_write(stack, STACK)
    machine.reg_write(back, STOP | (cpu.name == "cortex-m"))
    machine.emu_start(start, STOP)
    assert machine.reg_read(names[0]) == 0
    outputs = np.frombuffer(bytes(machine.mem_read(OUTPUTS, 4 * len(x))), np.float32)
    np.testing.assert_allclose(outputs, model.predict(rows).values, rtol=1e-5)
