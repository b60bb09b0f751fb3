"""Many users of one cache: its bounds, racing processes, and what the loader makes of damage."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.compile.fresh_process import run

from retrograd.compile import cache
from retrograd.compile.cache import Cache

LOAD = """
import ctypes
from retrograd.compile import native
text = "define void @program(ptr %x) {\\n  store i64 NUMBER, ptr %x\\n  ret void\\n}\\n"
library = native.load(text.replace("NUMBER", "42"), native.host())
answer = ctypes.c_int64()
ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("program"))(ctypes.addressof(answer))
print(answer.value, library.is_cached)
"""

RACE = """
import sys
from pathlib import Path
from retrograd.compile.cache import Cache
kept = Cache(Path(sys.argv[1]))
sys.stdin.readline()  # all start together
for turn in range(50):
    for name in ("a", "b", "c"):
        kept.write(name, name.encode() * 10000)
        found = kept.read(name)
        assert found in (None, name.encode() * 10000), found
print("done")
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_newest_entries_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_ENTRIES", 3)
    kept = Cache(tmp_path)
    for age, name in enumerate("abc"):
        kept.write(name, b"data")
        os.utime(tmp_path / f"{name}.object", (1000.0 + age, 1000.0 + age))
    assert kept.read("a") == b"data"  # used again, and hence the newest
    kept.write("d", b"data")
    assert {path.stem for path in tmp_path.glob("*.object")} == {"a", "c", "d"}


def test_the_bytes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_BYTES", 1000)
    kept = Cache(tmp_path)
    for age, name in enumerate("abc"):
        kept.write(name, b"x" * 400)
        os.utime(tmp_path / f"{name}.object", (1000.0 + age, 1000.0 + age))
    assert {path.stem for path in tmp_path.glob("*.object")} == {"b", "c"}


def test_only_forgotten_files_are_swept_up(tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    for name in (".old.new", ".now.new", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    os.utime(tmp_path / ".old.new", (time.time() - 7200,) * 2)
    os.utime(tmp_path / "notes.txt", (1.0, 1.0))
    kept.write("a", b"data")
    assert {p.name for p in tmp_path.iterdir()} == {".now.new", "notes.txt", "key", "a.object"}


def test_racing_processes_agree_on_one_key(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(directory)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        assert racer.communicate(timeout=120) == ("done\n", "")
    kept = Cache(directory)
    assert [kept.read(name) for name in "abc"] == [name * 10000 for name in (b"a", b"b", b"c")]
    assert {p.name for p in directory.iterdir()} == {"a.object", "b.object", "c.object", "key"}


def test_a_fresh_process_loads_what_another_compiled(place: Path) -> None:
    assert [run(LOAD), run(LOAD)] == ["42 False", "42 True"]


def test_a_poisoned_entry_is_replaced_by_what_the_text_says(place: Path) -> None:
    """An attacker puts code that computes 41 in place, signed with a key of his own."""
    run(LOAD)
    (entry,) = place.glob("*.object")
    good = entry.read_bytes()
    code = good[32:].replace((42).to_bytes(4, "little"), (41).to_bytes(4, "little"))
    assert code != good[32:]
    for digest in (good[:32], cache._digest(bytes(32), entry.stem, code)):
        entry.write_bytes(digest + code)
        assert run(LOAD) == "42 False"
        assert entry.read_bytes() == good
    assert run(LOAD) == "42 True"


def test_an_entry_of_ours_that_is_no_object_is_replaced(place: Path) -> None:
    run(LOAD)
    (entry,) = place.glob("*.object")
    good = entry.read_bytes()
    for damaged in (b"", b"no object", good[32:100], good[32:-100], bytes(10000)):
        Cache(place).write(entry.stem, damaged)
        assert run(LOAD) == "42 False"
        assert entry.read_bytes() == good


@pytest.mark.skipif(os.name == "nt", reason="no limits on files here")
def test_a_full_disk_costs_a_compilation(place: Path) -> None:
    full = "import resource, signal\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    assert run(full + LOAD) == "42 False"
    assert [path.name for path in place.iterdir()] == ["key"]
    assert [run(LOAD), run(LOAD)] == ["42 False", "42 True"]


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    home = str(tmp_path / "file")
    for _ in range(2):
        assert run(LOAD, HOME=home, XDG_CACHE_HOME="", RETROGRAD_CACHE="") == "42 False"


def test_a_user_without_rights_in_the_directory(tmp_path: Path) -> None:
    if not hasattr(os, "geteuid"):
        pytest.skip("files have no owners here")
    place = tmp_path / "cache"
    place.mkdir(mode=0o700)
    drop = "import os\nif os.geteuid() == 0:\n    os.seteuid(65534)\n"
    place.chmod(0o500)
    code = f"from retrograd.compile import native, cache\nimport llvmlite.binding\n{drop}{LOAD}"
    assert run(code, RETROGRAD_CACHE=str(place)) == "42 False"
    place.chmod(0o700)
    assert list(place.iterdir()) == []
