"""Checkpoints: exact, whole or refused, and never the only copy."""

import contextlib
import errno
import json
import math
import os
import resource
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from retrograd.optim import adam, sgd
from retrograd.tensor.errors import FileFormatError, RunError
from retrograd.tensor.tensor import tensor
from retrograd.train import files
from retrograd.train.checkpoint import (
    KIND,
    Checkpoint,
    Progress,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    pack,
    restore,
    save_checkpoint,
)
from retrograd.train.events import BestSoFar
from retrograd.train.sealed import Kind, seal, unseal
from retrograd.train.state import TrainState
from retrograd.tree import leaves


def make_checkpoint(step: int = 5, *, best: bool = False) -> Checkpoint:
    params = {"layers.0.weight": tensor(np.float32([[1, 2], [3, math.pi]])), "b": tensor([0.1])}
    statistics = {"mean": tensor(np.zeros((0, 3)))}
    key = tensor([7, -8], "int32")
    state = TrainState(params, adam().init(params), statistics, tensor(step), key)
    progress = Progress(
        epoch=2, position=3, step=step, seconds=1.25, loss_sum=0.1, rows=48,
        metrics={"loss": 0.1 + 0.2, "f1": math.nan},
        memories={"NoImprovement validation_loss": (1.0, 1 / 3), "Epochs": ()},
        best=BestSoFar("f1", 0.7, 1, 4),
    )  # fmt: skip
    return Checkpoint(state, state if best else None, progress)


def bits(tree: object) -> dict[str, tuple[object, bytes]]:
    return {name: (x.type, x.numpy().tobytes()) for name, x in leaves(tree).items()}


@pytest.mark.parametrize("which", ["none", "same", "other"])
def test_what_is_read_is_what_was_saved(tmp_path, which):
    saved = make_checkpoint(best=which == "same")
    if which == "other":
        saved = saved._replace(best_state=make_checkpoint(2).state)
    path = save_checkpoint(tmp_path, saved, {"metrics.jsonl": 99})
    read = load_checkpoint(path)
    template = make_checkpoint(0).state
    back = restore(read, template)
    assert path.name == "step-000000000005.safetensors"
    assert bits(back.state) == bits(saved.state)
    assert repr(back.progress) == repr(saved.progress)  # NaN is unlike itself
    assert read.logs == {"metrics.jsonl": 99}
    assert (back.best_state is None) == (which == "none")
    if saved.best_state is not None:
        assert bits(back.best_state) == bits(saved.best_state)


def test_a_view_is_saved_in_its_order(tmp_path):
    params = {"w": tensor(np.arange(6.0).reshape(2, 3)).T}
    state = TrainState(params, (), {}, tensor(1), tensor([0, 0], "int32"))
    path = save_checkpoint(tmp_path, Checkpoint(state, None, Progress(step=1)))
    assert load_checkpoint(path).arrays["params.w"].tolist() == params["w"].numpy().tolist()


def test_two_are_kept_and_leftovers_swept(tmp_path):
    (tmp_path / ".step-000000000001.safetensors.abcd.new").write_bytes(b"torn")
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, make_checkpoint(step))
    assert [p.name[-13] for p in list_checkpoints(tmp_path)] == ["2", "3"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-000000000002.safetensors", "step-000000000003.safetensors",
    ]  # fmt: skip
    assert load_newest(tmp_path).progress.step == 3
    save_checkpoint(tmp_path, make_checkpoint(2))  # after going back: later ones are of no use
    assert [load_checkpoint(p).progress.step for p in list_checkpoints(tmp_path)] == [2]


def test_every_flipped_byte_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, make_checkpoint())
    whole = path.read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    places = [*range(0, header, 7), *range(0, 12), *range(header, len(whole), 3), len(whole) - 1]
    for place in places:
        for mask in (0x01, 0x80):
            damaged = bytearray(whole)
            damaged[place] ^= mask
            path.write_bytes(damaged)
            with pytest.raises(FileFormatError):
                load_checkpoint(path)


def test_every_cut_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, make_checkpoint())
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 11), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match="reading the checkpoint"):
            load_checkpoint(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(FileFormatError, match="do not match its digest, so it is damaged; use an"):
        load_checkpoint(path)


def hostile() -> dict[str, bytes]:
    """Files that lie, by what they lie about."""
    state = make_checkpoint().state
    arrays = {name: x.numpy() for name, x in leaves(state).items()}

    def framed(header: str) -> bytes:
        return struct.pack("<Q", len(header)) + header.encode()

    metadata = '{"__metadata__":{"format":"retrograd-checkpoint","version":"1","digest":%s}}'
    return {
        "not a checkpoint, or it was cut": struct.pack("<Q", 2**63) + b"{}",
        "its header cannot be read": framed("[" * 100_000),
        "not a checkpoint of retro": seal(Kind("retrograd-model", 1, "model"), arrays, "{}"),
        "version 2, newer than this program's 1; upgrade": seal(
            KIND._replace(version=2), arrays, ""
        ),
        "its version cannot be read": seal(KIND._replace(version=0), arrays, ""),
        "its digest is missing": framed(metadata % '"12"'),
        "its record cannot be read": seal(KIND, arrays, "[" * 100_000),
        "its tensors cannot be read": seal(KIND, {"x": np.zeros(2, np.complex64)}, "{}"),
    }


@pytest.mark.parametrize("found", hostile())
def test_hostile_files_are_refused(tmp_path, found):
    path = tmp_path / "step-1.safetensors"
    path.write_bytes(hostile()[found])
    with pytest.raises(FileFormatError, match=found):
        load_checkpoint(path)


def test_wrong_records_are_refused(tmp_path):
    arrays, text = unseal(KIND, pack(make_checkpoint(), {}), "reading")
    whole = json.loads(text)
    broken = [whole["progress"] | part for part in ({"step": 1.5}, {"seconds": 10**400})]
    records = [whole | {"progress": part} for part in ({}, 3, *broken)]
    records += [whole | {"logs": logs} for logs in ({"a": -1}, 3)]
    records.append({name: part for name, part in whole.items() if name != "is_best"})
    path = tmp_path / "step-1.safetensors"
    for record in records:
        path.write_bytes(seal(KIND, arrays, json.dumps(record)))
        with pytest.raises(FileFormatError, match="its record cannot be read; use an older check"):
            load_checkpoint(path)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(FileFormatError, match="it is not a regular file; give the path of a"):
            load_checkpoint(path)
    with pytest.raises(FileFormatError, match="No such file or directory"):
        load_checkpoint(tmp_path / "absent")


def test_a_damaged_newest_gives_way_to_the_one_before(tmp_path):
    assert load_newest(tmp_path) is None
    older, newer = (save_checkpoint(tmp_path, make_checkpoint(step)) for step in (1, 2))
    newer.write_bytes(newer.read_bytes()[:-5])
    with pytest.warns(RuntimeWarning, match=r"step-0+2.*going on from step-0+1\.safetensors"):
        assert load_newest(tmp_path).progress.step == 1
    older.write_bytes(b"")
    with pytest.raises(FileFormatError, match=r"step-0+2\.safetensors"):
        load_newest(tmp_path)


def test_a_newer_version_is_not_passed_over(tmp_path):
    save_checkpoint(tmp_path, make_checkpoint(1))
    newer = seal(KIND._replace(version=2), {"x": np.zeros(1)}, "{}")
    (tmp_path / "step-000000000002.safetensors").write_bytes(newer)
    with pytest.raises(FileFormatError, match="upgrade retrograd"):
        load_newest(tmp_path)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    saved = load_checkpoint(save_checkpoint(tmp_path, make_checkpoint()))
    state = make_checkpoint().state
    other = state._replace(params={**state.params, "b": tensor([1.0, 2.0])})
    with pytest.raises(
        FileFormatError, match=r"'params.b' is float32\[1\] there and float32\[2\] h"
    ):
        restore(saved, other)
    with pytest.raises(FileFormatError, match=r"it has 'optimizer.m.b', which this run does not"):
        restore(saved, state._replace(optimizer=sgd().init(state.params)))
    with pytest.raises(
        FileFormatError, match=r"it lacks 'statistics.new'; resume with the settings"
    ):
        restore(saved, state._replace(statistics={**state.statistics, "new": tensor(1.0)}))


FAULTS = {
    "write": errno.ENOSPC,
    "fsync": errno.EIO,
    "replace": errno.EACCES,
    "open": errno.EMFILE,
}


@pytest.mark.parametrize("call", FAULTS)
def test_a_failing_disk_leaves_the_previous_intact(tmp_path, monkeypatch, call):
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(FAULTS[call], os.strerror(FAULTS[call]))

    with monkeypatch.context() as m:
        m.setattr(files, "os", SimpleNamespace(**{**vars(os), call: fail}))
        with pytest.raises(RunError, match="there was no checkpoint before it"):
            save_checkpoint(tmp_path, make_checkpoint(1))
    save_checkpoint(tmp_path, make_checkpoint(1))
    with monkeypatch.context() as m:
        m.setattr(files, "os", SimpleNamespace(**{**vars(os), call: fail}))
        with pytest.raises(RunError) as caught:
            save_checkpoint(tmp_path, make_checkpoint(2))
    message = str(caught.value)
    assert "step-000000000002.safetensors" in message
    assert os.strerror(FAULTS[call]) in message
    assert message.endswith("step-000000000001.safetensors is intact")
    assert load_newest(tmp_path).progress.step == 1
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000000001.safetensors"]


def test_short_writes_are_completed(tmp_path, monkeypatch):
    write = os.write
    short = SimpleNamespace(**{**vars(os), "write": lambda d, data: write(d, bytes(data[:100]))})
    with monkeypatch.context() as m:
        m.setattr(files, "os", short)
        path = save_checkpoint(tmp_path, make_checkpoint())
    assert load_checkpoint(path).progress.step == 5


def test_a_real_refusal_in_the_middle_of_a_file(tmp_path):
    """The system itself stops the file at 1000 bytes, as a quota does."""
    save_checkpoint(tmp_path, make_checkpoint(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(
            RunError, match=r"File too large; make room.*step-0+1\.safetensors is int"
        ):
            save_checkpoint(tmp_path, make_checkpoint(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_newest(tmp_path).progress.step == 1


class Killed(BaseException):
    """What no `except` of ours catches: after it nothing is cleaned up, as after SIGKILL."""


def test_killed_at_any_system_call(tmp_path, monkeypatch):
    calls = 0
    last = 0

    def counted(call):
        def stop_at_last(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls > last:
                raise Killed
            return call(*arguments, **options)

        return stop_at_last

    watched = ("open", "write", "fsync", "close", "replace")
    fake = SimpleNamespace(**vars(os) | {name: counted(getattr(os, name)) for name in watched})
    monkeypatch.setattr(files, "os", fake)
    ends = []
    for last in range(9):
        directory = tmp_path / str(last)
        directory.mkdir()
        calls = -1000
        save_checkpoint(directory, make_checkpoint(1))
        calls = 0
        with pytest.raises(Killed) if last < 8 else contextlib.nullcontext():
            save_checkpoint(directory, make_checkpoint(2))
        calls = -1000
        ends.append(load_newest(directory).progress.step)
        save_checkpoint(directory, make_checkpoint(3))
        assert not list(directory.glob(".*")), "what the killed one left is swept"
    assert ends == [1] * 5 + [2] * 4
