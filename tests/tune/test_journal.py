"""The journal and the study's file: torn, damaged, absent, and shared."""

import os
from pathlib import Path

import pytest
from tests.tune.conftest import Done

from retrograd.tensor.errors import FileFormatError, InputError, RunError
from retrograd.train.lock import acquire
from retrograd.tune import journal
from retrograd.tune.results import write_results
from retrograd.tune.study import open_home


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    study = journal.open_journal(path)
    study.tell(study.ask(), 1.0)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":6,"tri')
    again = journal.open_journal(path)
    again.tell(again.ask(), 0.5)
    assert [trial.value for trial in journal.open_journal(path).get_trials()] == [1.0, 0.5]


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"not a line of ours\n" * 3)
    with pytest.raises(FileFormatError, match=r"it is damaged"):
        journal.open_journal(path)


def test_a_directory_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(RunError, match=r"journal.jsonl': Is a directory"):
        journal.open_journal(tmp_path / "journal.jsonl")


def test_a_lock_that_stays_held_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_PATIENCE", 0.05)
    held = acquire(tmp_path / "a.lock")
    assert journal.is_held(tmp_path / "a.lock")
    with pytest.raises(RunError, match=r"process \d+ on host"), journal.locked(tmp_path / "a.lock"):
        pass
    os.close(held)
    assert not journal.is_held(tmp_path / "a.lock")
    assert not journal.is_held(tmp_path / "never.lock")


def test_no_study_and_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it has no study.json"):
        open_home(tmp_path)
    (tmp_path / "study.json").write_text('{"space": 3}')
    with pytest.raises(FileFormatError, match=r"it is no study of ours"):
        open_home(tmp_path)


def test_a_study_without_a_complete_trial_has_no_plots(done: Done, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_bytes((done.result.study / "study.json").read_bytes())
    home = open_home(tmp_path)
    with pytest.raises(RunError, match=r"no trial is complete"):
        write_results(home, {})
    home.close()


def test_a_trial_of_a_dead_process_is_run_again_once(done: Done, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_bytes((done.result.study / "study.json").read_bytes())
    dead = open_home(tmp_path)
    asked = dead.ask()
    assert asked is not None
    dead.close()  # as if killed: its lock is free, its trial still runs
    home = open_home(tmp_path)
    again = home.ask()
    assert again is not None
    assert again[1] == asked[1]
    states = [trial.state.name for trial in home.trials()]
    assert states == ["FAIL", "RUNNING"]
    other = open_home(tmp_path)
    assert other.is_working()
    third = other.ask()
    assert third is not None
    assert third[1] != asked[1], "the living process's trial is not taken"
    other.close()
    home.close()
