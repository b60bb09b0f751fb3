"""The peers' environment: made by pip from `peers.txt`, apart from retrograd's own."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

LIST = Path(__file__).with_name("peers.txt")


def make(folder: Path) -> Path:
    """Make an environment with the peers in it, and return its Python."""
    venv.create(folder, with_pip=True)
    python = python_of(folder)
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", LIST], check=True)
    return python


def python_of(folder: Path) -> Path:
    """Return the Python of an environment."""
    is_windows = sys.platform == "win32"
    return folder / ("Scripts/python.exe" if is_windows else "bin/python")


def versions(python: str) -> dict[str, str]:
    """Return what of the list an environment holds, and in which versions."""
    names = [line.split("==")[0] for line in LIST.read_text().splitlines() if "==" in line]
    code = (
        "import json, importlib.metadata as m\n"
        "held = {d.name.lower(): d.version for d in m.distributions()}\n"
        f"print(json.dumps({{n: held[n] for n in {names} if n in held}}))"
    )
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return dict(json.loads(asked.stdout)) if asked.returncode == 0 else {}
