"""The bootstrap at the root: what it reads from pip, and what it tells people."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parent.parent / "do.py"
spec = importlib.util.spec_from_file_location("do", PATH)
assert spec is not None
assert spec.loader is not None
do = importlib.util.module_from_spec(spec)
spec.loader.exec_module(do)

LISTING = """\
:env:.timeout='9'
global.index-url='https://one.example/simple'
global.extra-index-url='https://two.example https://three.example'
global.timeout='5'
install.index-url='https://four.example/simple'
a line that is no setting
"""


def test_install_settings_outrank_global_ones_and_variables_both() -> None:
    found = do.settings_of(LISTING)
    assert found["index-url"] == "https://four.example/simple"
    assert found["timeout"] == "9"


def test_uv_looks_where_pip_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    settings = {"index-url": "https://one.example", "find-links": "a\nb", "no-color": "1"}
    monkeypatch.setattr(do, "pip_settings", lambda: settings)
    env = do.uv_environment()
    assert env["UV_DEFAULT_INDEX"] == "https://one.example"
    assert env["UV_FIND_LINKS"] == "a,b"
    assert "UV_INDEX" not in env


def test_what_is_set_for_uv_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine.example")
    monkeypatch.setattr(do, "pip_settings", lambda: {"index-url": "https://one.example"})
    assert do.uv_environment()["UV_DEFAULT_INDEX"] == "https://mine.example"


def test_a_changed_lock_asks_for_a_new_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dev.txt", "uv.txt", "python", "pyproject.toml"):
        (tmp_path / name).write_text("as it was")
    monkeypatch.setattr(do, "ROOT", tmp_path)
    monkeypatch.setattr(do, "LOCKS", tmp_path)
    monkeypatch.setattr(do, "PYTHON", tmp_path / "python")
    monkeypatch.setattr(do, "STAMP", tmp_path / "stamp")
    assert not do.is_ready("dev")
    (tmp_path / "stamp").write_text(do.key_of("dev"))
    assert do.is_ready("dev")
    (tmp_path / "dev.txt").write_text("changed")
    assert not do.is_ready("dev")


def test_usage_is_refused_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert do.main(["tets"]) == 2
    assert "python3 do.py test" in capsys.readouterr().out
    assert do.main(["--help"]) == 0


def test_a_failing_command_passes_its_status_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(do, "prepare", lambda lock: None)
    monkeypatch.setattr(do, "PYTHON", "false")
    assert do.main(["test"]) == 1
    assert "ended with status 1" in capsys.readouterr().err


def test_locks_hash_everything_they_name() -> None:
    for name in ("run.txt", "dev.txt", "uv.txt"):
        lines = (PATH.parent / "locks" / name).read_text().splitlines()
        pins = [i for i, line in enumerate(lines) if "==" in line]
        assert pins
        assert all("--hash=sha256:" in lines[i + 1] for i in pins)


def test_both_locks_agree() -> None:
    run, dev = (
        {
            line.split(" \\")[0]
            for line in (PATH.parent / "locks" / name).read_text().splitlines()
            if "==" in line
        }
        for name in ("run.txt", "dev.txt")
    )
    assert run - dev == set(), "an environment made from dev.txt must do for the main job"
