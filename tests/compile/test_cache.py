"""The cache gives back what its owner wrote, or nothing; it never raises and never executes."""

import logging
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrograd.compile import cache
from retrograd.compile.cache import Cache

NAME = "0" * 64
OTHER = "1" * 64
DATA = b"machine code" * 100

needs_owners = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owners here")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Cache]:
    """A cache with one entry, and its own count of what was said."""
    cache._refused.cache_clear()
    kept = Cache(tmp_path / "cache")
    kept.write(NAME, DATA)
    yield kept
    cache._refused.cache_clear()


def entry_of(kept: Cache, name: str = NAME) -> Path:
    assert kept.directory is not None
    return kept.directory / f"{name}.object"


def is_repaired(kept: Cache) -> bool:
    """Whether the entry is refused now, and right again after it was written anew."""
    if kept.read(NAME) is not None:
        return False
    kept.write(NAME, DATA)
    return kept.read(NAME) == DATA


def test_what_was_written_is_read(kept: Cache) -> None:
    assert kept.read(NAME) == DATA
    assert kept.read(OTHER) is None
    kept.write(NAME, b"")
    assert kept.read(NAME) == b""


def test_the_directory_and_its_files_are_their_owners_alone(kept: Cache) -> None:
    assert kept.directory is not None
    if hasattr(os, "geteuid"):
        assert stat.S_IMODE(kept.directory.stat().st_mode) == 0o700
        assert {stat.S_IMODE(p.stat().st_mode) for p in kept.directory.iterdir()} == {0o600}
    assert {p.name for p in kept.directory.iterdir()} == {f"{NAME}.object", "key"}


@pytest.mark.parametrize("at", [0, 31, 32, 100, -1])
def test_a_flipped_bit(kept: Cache, at: int) -> None:
    content = bytearray(entry_of(kept).read_bytes())
    content[at] ^= 4
    entry_of(kept).write_bytes(content)
    assert is_repaired(kept)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 1231])
def test_a_truncated_entry(kept: Cache, size: int) -> None:
    with entry_of(kept).open("r+b") as file:
        file.truncate(size)
    assert is_repaired(kept)


def test_an_entry_with_more_behind_it(kept: Cache) -> None:
    with entry_of(kept).open("ab") as file:
        file.write(b"\0")
    assert is_repaired(kept)


def test_swapped_entries(kept: Cache) -> None:
    kept.write(OTHER, b"other" + DATA)
    os.replace(entry_of(kept, OTHER), entry_of(kept))
    assert is_repaired(kept)


def test_an_entry_by_somebody_without_the_key(kept: Cache) -> None:
    evil = b"evil"
    entry_of(kept).write_bytes(cache._digest(b"\0" * 32, NAME, evil) + evil)
    assert is_repaired(kept)


def test_an_entry_larger_than_any_object(kept: Cache) -> None:
    with entry_of(kept).open("r+b") as file:
        file.truncate(cache.LARGEST + 33)  # takes no room: the file has a hole
    assert is_repaired(kept)
    kept.write(OTHER, bytes(cache.LARGEST + 1))
    assert not entry_of(kept, OTHER).exists()


def test_a_directory_in_place_of_an_entry(kept: Cache) -> None:
    entry_of(kept).unlink()
    entry_of(kept).mkdir()
    assert is_repaired(kept)


def test_a_full_directory_in_place_of_an_entry_stays(kept: Cache) -> None:
    entry_of(kept).unlink()
    (entry_of(kept) / "inside").mkdir(parents=True)
    kept.write(NAME, DATA)
    assert kept.read(NAME) is None
    assert (entry_of(kept) / "inside").exists()


def test_a_link_in_place_of_an_entry(kept: Cache, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    os.replace(entry_of(kept), aside)
    before = aside.read_bytes()
    entry_of(kept).symlink_to(aside)
    assert is_repaired(kept)
    assert not entry_of(kept).is_symlink()
    assert aside.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", [f"{NAME}.object", "key"])
def test_a_pipe_does_not_hold_anybody_up(kept: Cache, name: str) -> None:
    assert kept.directory is not None
    (kept.directory / name).unlink()
    os.mkfifo(kept.directory / name)
    assert is_repaired(kept)


@pytest.mark.parametrize("content", [b"", b"short", b"k" * 33])
def test_a_damaged_key_is_made_anew(kept: Cache, content: bytes) -> None:
    assert kept.directory is not None
    (kept.directory / "key").write_bytes(content)
    assert is_repaired(kept)


@needs_owners
def test_a_key_that_others_can_read_is_made_anew(kept: Cache) -> None:
    assert kept.directory is not None
    key = kept.directory / "key"
    before = key.read_bytes()
    key.chmod(0o644)
    assert is_repaired(kept)
    assert key.read_bytes() != before


@needs_owners
def test_a_directory_that_others_could_read_is_closed(kept: Cache) -> None:
    assert kept.directory is not None
    kept.directory.chmod(0o755)
    assert kept.read(NAME) == DATA
    assert stat.S_IMODE(kept.directory.stat().st_mode) == 0o700


@needs_owners
def test_a_directory_that_others_could_write_is_closed_and_its_key_distrusted(kept: Cache) -> None:
    assert kept.directory is not None
    before = (kept.directory / "key").read_bytes()
    kept.directory.chmod(0o777)
    assert is_repaired(kept)
    assert stat.S_IMODE(kept.directory.stat().st_mode) == 0o700
    assert (kept.directory / "key").read_bytes() != before


def said(kept: Cache, caplog: pytest.LogCaptureFixture) -> str:
    """The one thing that is said, however often the cache is asked."""
    with caplog.at_level(logging.WARNING, "retrograd.compile"):
        for _ in range(3):
            assert kept.read(NAME) is None
            kept.write(NAME, b"anew")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("retrograd.compile", "WARNING")
    return record.getMessage()


@needs_owners
def test_a_directory_of_somebody_else_is_not_used(
    kept: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert said(kept, caplog) == (
        f"the cache of compiled programs is not used: {kept.directory} belongs to another user;"
        " set RETROGRAD_CACHE to a directory of your own"
    )


@needs_owners
def test_a_directory_below_one_that_others_can_write_is_not_used(
    tmp_path: Path, kept: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o777)
    assert f"lies in {tmp_path}, where others can write;" in said(kept, caplog)
    tmp_path.chmod(0o1777)  # sticky, as /tmp is: others cannot replace what is not theirs
    assert kept.read(NAME) == DATA


@needs_owners
def test_a_group_may_write_above_if_it_is_only_us(
    tmp_path: Path,
    kept: Cache,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import grp
    import pwd

    user = pwd.getpwuid(os.geteuid())
    tmp_path.chmod(0o775)
    for name, number, members, is_used in [
        (user.pw_name, user.pw_gid, [], True),
        (user.pw_name, user.pw_gid, [user.pw_name], True),
        (user.pw_name, user.pw_gid, [user.pw_name, "other"], False),
        (user.pw_name, user.pw_gid + 1, [], False),
        ("staff", user.pw_gid, [], False),
    ]:
        group = grp.struct_group((name, "x", number, members))
        monkeypatch.setattr(grp, "getgrgid", lambda _, group=group: group)
        assert (kept.read(NAME) == DATA) == is_used
    monkeypatch.setattr(grp, "getgrgid", lambda _: {}[_])  # a group that the system does not know
    assert "where others can write" in said(kept, caplog)


@needs_owners
def test_a_link_in_place_of_the_directory_is_not_used(
    tmp_path: Path, kept: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    assert kept.directory is not None
    kept.directory.rename(tmp_path / "aside")
    kept.directory.symlink_to(tmp_path / "aside")
    assert "is not a directory" in said(kept, caplog)


def test_no_place_for_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    beneath = Cache(tmp_path / "file" / "cache")
    beneath.write(NAME, DATA)
    assert beneath.read(NAME) is None
    assert Cache(None).read(NAME) is None


def test_a_directory_that_goes_away(kept: Cache) -> None:
    assert kept.directory is not None
    for path in kept.directory.iterdir():
        path.unlink()
    kept.directory.rmdir()
    assert is_repaired(kept)


@pytest.mark.parametrize("call", ["open", "replace", "link", "mkdir", "scandir", "utime"])
def test_any_refusal_of_the_system_is_a_cache_without_the_entry(
    kept: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A read-only home, a file system without links, too many open files."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    fresh = Cache(tmp_path / "fresh")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        fresh.write(NAME, DATA)
        kept.write(OTHER, DATA)
        assert kept.read(NAME) in (None, DATA)
    assert kept.read(NAME) == DATA
    assert kept.read(OTHER) in (None, DATA)
    assert not list(tmp_path.rglob("*.new"))


def test_the_places_of_the_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path / "given"))
    assert cache.default() == Cache(tmp_path.resolve() / "given")
    monkeypatch.setenv("RETROGRAD_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.default() == Cache(tmp_path.resolve() / "Library" / "Caches" / "retrograd")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.default() == Cache(tmp_path.resolve() / ".cache" / "retrograd")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert cache.default() == Cache(tmp_path.resolve() / "shared" / "retrograd")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    monkeypatch.setenv("RETROGRAD_CACHE", str(tmp_path / "round"))
    circular = cache.default()
    circular.write(NAME, DATA)
    assert circular.read(NAME) is None


def test_names_keep_their_parts_apart() -> None:
    names = {cache.name_of(*parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""))}
    assert len(names) == 4
    assert all(len(name) == 64 for name in names)
