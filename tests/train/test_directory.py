"""Run directories: never overwritten, one writer, logs that survive a crash."""

import errno
import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from retrograd.tensor.errors import FileFormatError, InputError, RunError
from retrograd.tensor.tensor import tensor
from retrograd.train import directory, files, lines, lock
from retrograd.train.directory import create_run, open_run
from retrograd.train.events import EpochDone, StepDone
from retrograd.train.fit import fit
from retrograd.train.lines import LineLog, read_lines


def test_each_run_gets_a_number_of_its_own(tmp_path):
    roots = []
    for name in ("digits", "digits", "digits-2"):
        with create_run(tmp_path / "runs", name) as run:
            roots.append(run.root.name)
    assert roots == ["digits-1", "digits-2", "digits-2-1"]
    (tmp_path / "runs" / "digits-7").write_text("a file of someone else's")
    with create_run(tmp_path / "runs", "digits") as run:
        assert run.root.name == "digits-8"


def test_a_number_taken_meanwhile_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "a-1").mkdir()
    monkeypatch.setattr(directory, "_number", lambda found, name: 0)
    with create_run(tmp_path, "a") as run:
        assert run.root.name == "a-2"


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "../a", ".hidden", "a\n", "a\0", "x" * 101, "-a"]
)
def test_names_that_are_no_file_names(tmp_path, name):
    with pytest.raises(InputError, match="it is not a plain file name; use letters, digits"):
        create_run(tmp_path, name).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        RunError, match=r"making a run directory in .*; choose a directory that you"
    ):
        create_run(tmp_path / "file", "a").__enter__()


def test_what_is_no_run_is_not_opened(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="there is no such run; give the directory of a run"):
            open_run(path).__enter__()


OPEN_AND_SAY = """
import sys
from retrograd.train.directory import open_run
try:
    with open_run(sys.argv[1]):
        print("opened", flush=True)
        sys.stdin.readline()
except ValueError as error:
    print(error)
"""


def opener(root: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", OPEN_AND_SAY, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_second_writer_is_refused_by_name(tmp_path):
    with create_run(tmp_path, "a") as run:
        said, _ = opener(run.root).communicate()
        with pytest.raises(InputError, match=f"process {os.getpid()} on host"):
            open_run(run.root).__enter__()
    assert f"process {os.getpid()} on host {socket.gethostname()} is writing to it" in said
    assert said.strip().endswith("; wait until it ends, or train into another directory")


def test_a_lock_dies_with_its_process(tmp_path):
    with create_run(tmp_path, "a") as run:
        root = run.root
    holder = opener(root)
    assert holder.stdout.readline() == "opened\n"
    with pytest.raises(InputError, match=f"process {holder.pid} on host"):
        open_run(root).__enter__()
    holder.kill()
    holder.communicate()
    with open_run(root) as run:
        assert f"process {os.getpid()} " in run.paths.lock.read_text()


def test_a_lock_that_says_nothing_or_nonsense(tmp_path):
    assert lock._name(b"") == lock._name(b"\x1b[2J") == "another process"


def test_a_lock_file_that_cannot_be_opened(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(
        RunError, match=r"locking .*: Is a directory; choose a directory that you may"
    ):
        lock.acquire(tmp_path / "lock")


def step_done(step: int) -> StepDone:
    return StepDone(1, step, 4, {"loss": tensor(1 / step), "gradient_norm": tensor(0.5)}, None)


def test_steps_are_written_together_and_at_every_other_event(tmp_path):
    with create_run(tmp_path, "a") as run:
        for step in range(1, directory._MOST_WAITING):
            run.record(step_done(step))
        assert run.paths.metrics.read_text() == ""
        run.record(step_done(directory._MOST_WAITING))
        assert len(read_lines(run.paths.metrics)) == directory._MOST_WAITING
        run.record(step_done(999))
        run.record(EpochDone(1, 999, {"loss": float("inf"), "f1": 0.5}, True, 1.5, None))
        *_, step, epoch = read_lines(run.paths.metrics)
        assert step == {"epoch": 1, "step": 999, "loss": 1 / 999, "gradient_norm": 0.5} | {
            "loss": float(tensor(1 / 999))
        }
        assert epoch == {"epoch": 1, "step": 999, "end_of_epoch": True, "loss": "inf", "f1": 0.5}
        (event,) = read_lines(run.paths.events)
        assert event["event"] == "EpochDone"
        assert event["time"] > 1e9
        run.record(step_done(1000))
    assert read_lines(run.paths.metrics)[-1]["step"] == 1000  # closing writes what waits


def test_a_late_step_is_written_at_once(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(directory, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with create_run(tmp_path, "a") as run:
        run.record(step_done(1))
        assert read_lines(run.paths.metrics) == []
        now[0] = 2.0
        run.record(step_done(2))
        assert len(read_lines(run.paths.metrics)) == 2


def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b": ' + "2" * 70_000)
    assert read_lines(path) == [{"a": 1}]
    log = LineLog(path)
    log.append([{"c": 3}])
    log.close()
    assert path.read_text() == '{"a": 1}\n{"c": 3}\n'
    path.write_text('{"torn')
    LineLog(path).close()
    assert path.read_text() == ""


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "log.jsonl"
    for bad in ("nonsense", "[1]", "[" * 100_000, "\x00"):
        path.write_text(f'{{"a": 1}}\n{bad}\n{{"b": 2}}\n')
        with pytest.raises(
            FileFormatError, match=r"log.jsonl', line 2: it is not a JSON record; rem"
        ):
            read_lines(path)


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_is_named_and_leaves_whole_lines(tmp_path, monkeypatch, call):
    real = getattr(os, call)

    def fail(descriptor: int, data: bytes = b"") -> int:
        if data:
            real(descriptor, data[:5])  # as a disk does that fills up on the way
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log = LineLog(tmp_path / "log.jsonl")
    log.append([{"a": 1}])
    module = files if call == "write" else lines
    with monkeypatch.context() as m:
        m.setattr(module, "os", SimpleNamespace(**{**vars(os), call: fail}))
        with pytest.raises(RunError, match=r"log.jsonl': No space left on device; make room, or"):
            _ = log.append([{"b": 2}]) if call == "write" else log.sync()
    log.append([{"c": 3}])
    log.close()
    assert read_lines(tmp_path / "log.jsonl") == [{"a": 1}, {"c": 3}]


def test_a_log_that_cannot_be_opened(tmp_path):
    with pytest.raises(RunError, match="No such file or directory; make room, or choose another"):
        LineLog(tmp_path / "absent" / "log.jsonl")


def test_resuming_cuts_the_metrics_back_to_the_checkpoint(tmp_path, problem):
    with create_run(tmp_path, "a") as run:
        assert run.resume() is None
        events = fit(problem.step, problem.state, problem.batches, epochs=2, save=run.save)
        for event in events:
            run.record(event)
            if isinstance(event, StepDone) and event.step == 9:
                run.flush()
                break
        assert len(read_lines(run.paths.metrics)) == 10  # nine steps, one epoch
    with open_run(run.root) as run:
        saved = run.resume()
        assert saved.progress.step == 6
        assert [r["step"] for r in read_lines(run.paths.metrics)] == [1, 2, 3, 4, 5, 6, 6]
        for event in fit(
            problem.step, problem.state, problem.batches, epochs=2, save=run.save, resume_from=saved
        ):
            run.record(event)
    happened = [r["event"] for r in read_lines(run.paths.events)]
    assert happened == [
        "Started", "EpochDone", "Checkpointed", "Started", "EpochDone", "Checkpointed", "Stopped",
    ]  # fmt: skip
    assert json.loads(run.paths.events.read_text().splitlines()[3])["is_resumed"]


def test_a_log_that_cannot_be_opened_leaves_nothing_open(tmp_path, monkeypatch):
    def refuse(path):
        raise OSError(errno.EMFILE, "Too many open files")

    with create_run(tmp_path, "a") as run:
        root = run.root
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    monkeypatch.setattr(lines, "_whole_lines", refuse)
    with pytest.raises(RunError, match="Too many open files"), open_run(root):
        pass
    monkeypatch.undo()
    (root / "events.jsonl").unlink()
    (root / "events.jsonl").mkdir()
    with pytest.raises(RunError, match=r"events\.jsonl': Is a directory"), open_run(root):
        pass
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before
