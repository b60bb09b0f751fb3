"""How many cores a process may use, from what the system and the person say."""

import os
from pathlib import Path

import pytest

from retrograd.compile.pool import usable_cores
from retrograd.tensor.errors import InputError


@pytest.fixture(autouse=True)
def _large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETROGRAD_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(64)), raising=False)


@pytest.mark.parametrize(
    ("groups", "group", "limits", "cores"),
    [
        ("0::/\n", "", {"cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", "", {"cpu.max": "max 100000\n"}, 64),
        ("0::/a/b\n", "a", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/a/b\n", "a/b", {"cpu.max": "5000 100000\n"}, 1),
        ("0::/of/the/host\n", "", {"cpu.max": "400000 100000\n"}, 4),
        ("3:cpuset:/\n1:cpu:/x\n", "cpu/x", {"quota": "150000\n", "period": "100000\n"}, 2),
        ("4:cpu,cpuacct:/\n", "cpu,cpuacct", {"quota": "500000", "period": "100000"}, 5),
        ("4:cpu,cpuacct:/\n", "cpu", {"quota": "-1", "period": "100000"}, 64),
        ("4:cpu:/\n", "cpu", {"quota": "100000", "period": "0"}, 64),
        ("3:cpuset:/x\n", "cpuset/x", {"quota": "100000", "period": "100000"}, 64),
        ("0::/\n", "", {"cpu.max": "many few\n"}, 64),
        ("nonsense\n\n", "", {"cpu.max": ""}, 64),
        ("\x80", "", {}, 64),
    ],
)
def test_limits_of_control_groups(
    tmp_path: Path, groups: str, group: str, limits: dict[str, str], cores: int
) -> None:
    names = {"quota": "cpu.cfs_quota_us", "period": "cpu.cfs_period_us", "cpu.max": "cpu.max"}
    place = tmp_path / "sys/fs/cgroup" / group
    place.mkdir(parents=True)
    for name, text in limits.items():
        (place / names[name]).write_text(text)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_bytes(groups.encode("latin-1"))
    assert usable_cores(tmp_path) == cores


def test_a_system_without_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores(tmp_path) == 64
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores(tmp_path) == (os.cpu_count() or 1)


@pytest.mark.parametrize(("asked", "cores"), [("1", 1), (" 3 ", 3), ("1000", 64), ("", 64)])
def test_the_variable_makes_them_fewer(
    asked: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETROGRAD_THREADS", asked)
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize("asked", ["0", "-1", "two", "1.5", "1_0", "²", "٣"])
def test_the_variable_is_refused(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETROGRAD_THREADS", asked)
    message = f"RETROGRAD_THREADS={asked} threads: that is no whole number from 1 up; set it to"
    with pytest.raises(InputError, match=message):
        usable_cores()
