"""Set up retrograd in `.venv` and run one of its jobs, with nothing but Python and pip at hand.

    python3 do.py run      train and test a network on an embedded data set
    python3 do.py test     the default test suite (arguments go to pytest)
    python3 do.py check    lint, format, types, import floors, sizes
    python3 do.py full     check, build the pages, run every test, slow ones too
    python3 do.py lock     rewrite locks/*.txt (--upgrade takes the newest versions)

Every verb first makes the environment it needs; that is skipped while locks/*.txt and
pyproject.toml have not changed. Packages come from wherever this machine's pip is told to find
them, and each file must match the hash in the lock.
"""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "installed.txt"
LOCKS = ROOT / "locks"

# What pip calls a setting, and what uv calls it: uv does not read pip's configuration, which is
# where a machine says which mirror to use.
PIP_TO_UV = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}


class CommandError(Exception):
    """A command ended with a status other than zero."""

    def __init__(self, command: list[str], status: int) -> None:
        super().__init__(f"{' '.join(command[:4])} ended with status {status}")
        self.status = status


def say(text: str) -> None:
    """Talk on standard error, so that standard output stays the job's."""
    print(f"do.py: {text}", file=sys.stderr, flush=True)


def call(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command in the project's root and raise `CommandError` unless it ends with 0."""
    words = [str(word) for word in command]
    status = subprocess.run(words, cwd=ROOT, env=env, check=False).returncode
    if status != 0:
        raise CommandError(words, status)


def job_environment() -> dict[str, str]:
    """This process's variables, with the project's environment first on the path."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    env = {**os.environ, "VIRTUAL_ENV": str(VENV), "PATH": path}
    env.pop("PYTHONHOME", None)
    return env


def pip_settings() -> dict[str, str]:
    """What pip on this machine is told by its files and variables."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    return settings_of(asked.stdout)


def settings_of(listing: str) -> dict[str, str]:
    """The settings in the output of `pip config list`, later sections over earlier ones."""
    found: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        for line in listing.splitlines():
            name, equals, value = line.partition("=")
            if equals and name.startswith(section):
                found[name.removeprefix(section)] = str(ast.literal_eval(value))
    return found


def uv_environment() -> dict[str, str]:
    """Variables that make uv look where pip looks; what is already set for uv is kept."""
    env = {**job_environment(), "UV_INDEX_STRATEGY": "unsafe-best-match"}  # hashes make it safe
    for name, value in pip_settings().items():
        if name in PIP_TO_UV:
            variable, separator = PIP_TO_UV[name]
            env.setdefault(variable, separator.join(value.split()))
    env.setdefault("UV_LINK_MODE", "copy" if os.name == "nt" else "hardlink")
    return env


def key_of(lock: str) -> str:
    """A digest of everything that the installed state of a lock depends on."""
    digest = hashlib.sha256(f"{ROOT} {sys.version_info[:3]}".encode())
    for path in (LOCKS / f"{lock}.txt", LOCKS / "uv.txt", ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    return f"{lock} {digest.hexdigest()}"


def is_ready(lock: str) -> bool:
    """Whether the environment holds what this lock names (`dev` holds all that `run` names)."""
    return PYTHON.exists() and STAMP.exists() and key_of(lock) in STAMP.read_text().splitlines()


def make_environment() -> None:
    """An empty `.venv`, with uv in it if pip can get it; Debian's python3 needs no python3-venv."""
    has_pip = [sys.executable, "-m", "pip", "--version"]
    if subprocess.run(has_pip, capture_output=True, check=False).returncode != 0:
        sys.exit("do.py: python has no pip; install it first (Debian: apt install python3-pip)")
    STAMP.unlink(missing_ok=True)
    fresh = [] if PYTHON.exists() else ["--clear"]
    call(sys.executable, "-m", "venv", "--without-pip", *fresh, VENV)
    try:
        pip_install("--require-hashes", "-r", LOCKS / "uv.txt")
    except CommandError as failure:
        say(f"{failure}; going on with pip alone, which is slower")


def pip_install(*arguments: str | Path) -> None:
    """Run this machine's pip on the project's environment."""
    pip = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "-q"]
    call(*pip, "--disable-pip-version-check", *arguments, env={**os.environ, "PIP_USER": "0"})


def install(lock: str) -> None:
    """Bring the environment to exactly what a lock names, and put retrograd itself in."""
    locked = LOCKS / f"{lock}.txt"
    project = ("--no-deps", "--no-build-isolation", "-e", ROOT)
    env = uv_environment()
    try:
        uv = (PYTHON, "-m", "uv", "-q", "pip")
        call(
            *uv, "sync", "--require-hashes", "--compile-bytecode", locked, LOCKS / "uv.txt", env=env
        )
        call(*uv, "install", *project, env=env)
    except CommandError as failure:
        say(f"{failure}; trying pip")
        pip_install("--require-hashes", "-r", locked)
        pip_install(*project)


def prepare(lock: str) -> None:
    """Make the environment unless it is there already."""
    if is_ready(lock):
        return
    say(f"setting up .venv from locks/{lock}.txt (once)")
    make_environment()
    install(lock)
    held = ("run", "dev") if lock == "dev" else (lock,)
    STAMP.write_text("".join(f"{key_of(name)}\n" for name in held))


def run(arguments: list[str]) -> None:
    """The main job: train on the digits that scikit-learn ships, then open the test part once."""
    prepare("run")
    runs = ROOT / "runs"
    before = set(runs.glob("digits-*"))
    call(BIN / "retrograd", "train", "digits", *arguments, env=job_environment())
    made = set(runs.glob("digits-*")) - before
    if not made:
        sys.exit("do.py: training ended well but left no new directory under runs/")
    made_run = max(made, key=lambda path: path.stat().st_mtime).relative_to(ROOT)
    call(BIN / "retrograd", "test", made_run, env=job_environment())
    program = (BIN / "retrograd").relative_to(ROOT)
    say(f"done; the run is {made_run}; next: {program} --help")


def pytest(*arguments: str) -> None:
    """Two workers, one thread of linear algebra each: more would fight over two cores."""
    env = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **job_environment()}
    call(PYTHON, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *arguments, env=env)


def test(arguments: list[str]) -> None:
    """The default suite."""
    prepare("dev")
    pytest(*arguments)


def check(arguments: list[str]) -> None:
    """Everything that reads the code; each step runs, whatever the one before it found."""
    prepare("dev")
    steps: list[tuple[str | Path, ...]] = [
        (BIN / "ruff", "check"),
        (BIN / "ruff", "format", "--check"),
        (PYTHON, "-m", "mypy"),
        (BIN / "lint-imports",),
        (PYTHON, "tests/test_house.py"),
    ]
    failures: list[str] = []
    for step in steps:
        say(" ".join([Path(step[0]).name, *map(str, step[1:])]))
        try:
            call(*step, *arguments, env=job_environment())
        except CommandError as failure:
            failures.append(str(failure))
    if failures:
        sys.exit("do.py: check failed: " + "; ".join(failures))


def full(arguments: list[str]) -> None:
    """The checks, the documentation's pages with warnings as errors, then every test there is."""
    check([])
    call(PYTHON, "-m", "sphinx", "-q", "-W", "docs", "docs/_build", env=job_environment())
    pytest("-m", "", *arguments)


def lock(arguments: list[str]) -> None:
    """Rewrite the locks: names, versions and hashes for every platform, and no host."""
    if not (BIN / ("uv.exe" if os.name == "nt" else "uv")).exists():
        make_environment()
    env = uv_environment()
    for local in ("UV_INDEX", "UV_FIND_LINKS"):  # what one machine adds is not in everyone's lock
        env.pop(local, None)
    compile_ = (PYTHON, "-m", "uv", "-q", "pip", "compile", "--universal", "--generate-hashes")
    header = ("--no-annotate", "--custom-compile-command", "python3 do.py lock")
    whole = ("--all-extras", "--group", "dev", "--group", "docs")
    asked: dict[str, tuple[str | Path, ...]] = {
        "uv": (LOCKS / "uv.in",),
        "dev": ("pyproject.toml", *whole),
        "run": ("pyproject.toml", "--group", "build", "-c", LOCKS / "dev.txt"),
    }
    for name, inputs in asked.items():
        output = ("-o", LOCKS / f"{name}.txt")
        call(*compile_, *header, *inputs, *output, *arguments, env=env)


def main(arguments: list[str]) -> int:
    """Carry out one verb; the status is that of the command that failed, or 0."""
    verbs = {"run": run, "test": test, "check": check, "full": full, "lock": lock}
    if not arguments or arguments[0] not in verbs:
        print(__doc__)
        return 0 if arguments[:1] in ([], ["--help"], ["-h"]) else 2
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older Python meets first
        say(f"retrograd needs Python 3.11 or newer, and this is {sys.version.split()[0]}")
        return 2
    try:
        verbs[arguments[0]](arguments[1:])
    except CommandError as failure:
        say(str(failure))
        return failure.status
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
