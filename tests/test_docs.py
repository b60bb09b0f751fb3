"""Every page of the documentation runs.

A ```python block is executed, in the order of its page, with one set of names a page and in an
empty directory; if it starts with `>>>`, what follows such lines is compared with what they print.
Other fences (text, console, toml) are for reading, except the README's ```sh block: a slow test
runs its lines.
"""

import doctest
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent>[ \t]*)```(?P<kind>\w+)[^\n]*\n(?P<code>.*?)^[ \t]*```", re.M | re.S
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: Path, kind: str) -> Iterator[tuple[int, str]]:
    """The fenced blocks of a kind, each with the line of the page on which its code starts."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        if found["kind"] == kind:
            yield text.count("\n", 0, found.start("code")), textwrap.dedent(found["code"])


def run_block(page: Path, line: int, code: str, names: dict[str, Any]) -> None:
    if not code.lstrip().startswith(">>>"):
        exec(compile("\n" * line + code, page, "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(code, names, page.name, str(page), line)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
    names.update(test.globs)  # the parser copied them
    assert not said, "".join(said)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for line, code in blocks(page, "python"):
        run_block(page, line, code, names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_a_wrong_page_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n>>> 1 + 1\n2\n```\n\n```python\n>>> 1 + 1\n3\n```\n")
    right, wrong = blocks(page, "python")
    run_block(page, *right, {})
    with pytest.raises(AssertionError, match=r"line 7(.|\n)*Expected:\n +3\n +Got:\n +2"):
        run_block(page, *wrong, {})


@pytest.mark.slow
def test_readme_commands_run(tmp_path: Path) -> None:
    """All lines of the README's sh blocks, but `do.py test`: that is what runs this."""
    lines = [line for _, code in blocks(ROOT / "README.md", "sh") for line in code.splitlines()]
    commands = [line.split("#")[0].strip() for line in lines]
    assert "python3 do.py run" in commands
    assert "python3 do.py test" in commands
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in filter(None, commands):
        if command == "python3 do.py test":
            continue
        words = command.replace("python3 do.py run", "retrograd train digits")
        ended = subprocess.run(
            words,
            shell=True,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            check=False,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
