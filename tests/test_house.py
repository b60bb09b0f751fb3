"""The rules of the house that no other tool checks: floors, sizes, hosts, names, light imports."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "retrograd"
LONGEST_FUNCTION = 40  # lines from `def` to the end, less the docstring
LONGEST_FILE = 300
HEAVY = (
    "PIL cyclopts fastexcel jinja2 llvmlite matplotlib msgspec narwhals onnx onnxruntime optuna"
    " pandas polars prometheus_client rich safetensors scipy sklearn starlette uvicorn"
)
HELP_MAY_USE = "cyclopts msgspec rich"

# Spelt in pieces, so that this file passes its own test.
HOSTS = [
    "".join(pieces)
    for pieces in (
        ("pypi", ".", "org"),
        ("python", "hosted", ".org"),
        ("registry.", "npm", "js"),
        ("deb.", "debian", ".org"),
        ("proxy.", "golang", ".org"),
        ("conda", ".", "anaconda", ".org"),
    )
]
MACHINE_PATHS = re.compile(
    r"(?<![\w.}-])/(?:" + "|".join(("work", "opt", "root", "home")) + r")/\w"
)

PYTHON_FILES = sorted([*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "do.py"])
MODULES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Every function of a file as `file:line name`, with its length in lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            yield f"{name_of(path)}:{node.lineno} {node.name}", lines


def committed_files() -> list[Path]:
    """What git holds or would add; without git (an unpacked source archive), the known places."""
    listed = run("git", "ls-files", "-co", "--exclude-standard")
    if listed.returncode == 0:
        return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]
    places = [ROOT / name for name in ("src", "tests", "docs", "locks")]
    return [path for place in places for path in place.rglob("*") if path.is_file()]


def test_no_floor_imports_a_higher_one() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    checked = run(str(program), "--no-logo", "--no-cache")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert " 0 broken" in checked.stdout


def test_no_function_is_long() -> None:
    long = [found for path in PYTHON_FILES for found in functions(path)]
    assert len(long) > 100, "too few functions were found: is the path right?"
    assert [f"{name}: {lines}" for name, lines in long if lines > LONGEST_FUNCTION] == []


def test_no_file_is_long() -> None:
    sizes = {name_of(path): len(path.read_text().splitlines()) for path in PYTHON_FILES}
    assert {name: lines for name, lines in sizes.items() if lines > LONGEST_FILE} == {}


def test_modules_are_named_for_what_they_hold() -> None:
    empty_names = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}
    assert [name_of(path) for path in MODULES if path.stem in empty_names] == []


def test_every_room_is_on_the_map() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = [path for path in SOURCE.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    floors = [path for path in SOURCE.glob("*.py") if not path.stem.startswith("__")]
    named = [f"{room.name}/" for room in rooms] + [floor.name for floor in floors]
    assert [name for name in named if name not in page] == []


def test_every_public_thing_has_a_docstring() -> None:
    program = Path(sys.executable).with_name("ruff")
    rules = "D100,D101,D102,D103,D104,D106"
    checked = run(str(program), "check", "--no-cache", "--select", rules, "src", "do.py")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_nothing_names_a_registry_or_a_path_of_one_machine() -> None:
    found = []
    for path in committed_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{name_of(path)}: {host}" for host in HOSTS if host in text]
        found += [f"{name_of(path)}: {match[0]}" for match in MACHINE_PATHS.finditer(text)]
    assert found == []


AFTERWARDS = """
print()
print(*sorted({name.partition(".")[0] for name in list(sys.modules)}))
"""

HELP = """
from retrograd.cli.main import main
sys.argv = ["retrograd", "--help"]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""


def loaded_after(code: str) -> set[str]:
    """The top-level packages in memory once a fresh interpreter has run this code."""
    finished = run(sys.executable, "-c", f"import sys\n{code}{AFTERWARDS}")
    assert finished.returncode == 0, finished.stderr
    return set(finished.stdout.splitlines()[-1].split())


def test_import_is_light() -> None:
    assert loaded_after("import retrograd") & set(HEAVY.split()) == set()


def test_help_is_light() -> None:
    heavy = set(HEAVY.split()) - set(HELP_MAY_USE.split())
    assert loaded_after(HELP) & heavy == set()


def report() -> str:
    """How large the house is: reported, never limited in total."""
    files = {path: len(path.read_text().splitlines()) for path in MODULES}
    lengths = [found for path in MODULES for found in functions(path)]
    longest_file = max(files, key=lambda path: files[path])
    longest, lines = max(lengths, key=lambda found: found[1])
    return (
        f"src: {len(files)} files, {sum(files.values())} lines, {len(lengths)} functions; "
        f"longest file {name_of(longest_file)} ({files[longest_file]}), "
        f"longest function {longest} ({lines})"
    )


if __name__ == "__main__":
    print(report())
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", __file__]))
