"""How long `import retrograd` and `retrograd --help` take, beside importing NumPy.

    python benchmarks/start_up.py

CPU seconds of fresh processes, best of several interleaved rounds.
"""

import os
import resource
import subprocess
import sys

COMMANDS = {
    "python": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import retrograd": ["-c", "import retrograd"],
    "retrograd --help": ["-m", "retrograd", "--help"],
}
ROUNDS = 9


def cpu_seconds(arguments: list[str]) -> float:
    """Return user and system time of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rounds = [[cpu_seconds(a) for a in COMMANDS.values()] for _ in range(ROUNDS)]
    best = dict(zip(COMMANDS, map(min, zip(*rounds, strict=True)), strict=True))
    for name, seconds in best.items():
        print(f"{name:18} {seconds:.3f} s  {seconds / best['import numpy']:.2f} of importing NumPy")


if __name__ == "__main__":
    main()
