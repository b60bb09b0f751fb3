"""Damaged, hostile, foreign and missing files of ours: one sentence, its code, nothing lost."""

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Command

from retrograd.cli.main import main
from retrograd.train.sealed import Kind, seal

RUN = Path("runs/shop-1")
COPY = Path("runs/copy-1")


@pytest.fixture(autouse=True)
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(RUN, COPY)
    return trained


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command, hold it to one sentence and exit 2, and return the sentence."""
    capsys.readouterr()
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("retrograd: ")
    assert err.count("\n") == 1
    return err


class Evil:
    """Would make a file if anything unpickled it."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, ("executed",))


def openings() -> bytes:
    ledger = Path("runs/ledger.jsonl")
    return ledger.read_bytes() if ledger.exists() else b""


def header(length: int, text: bytes = b"") -> bytes:
    return struct.pack("<Q", length) + text


def sealed(record: object, version: int = 1, name: str = "retrograd-model") -> bytes:
    weight = {"layers.0.weight": np.zeros((2, 2), np.float32)}
    return seal(Kind(name, version, "model"), weight, json.dumps(record))


HOSTILE: dict[str, tuple[bytes, str]] = {
    "pickle": (pickle.dumps(Evil()), "not a model"),
    "zip": (b"PK\x03\x04" + bytes(100), "not a model"),
    "lying length": (header(2**63), "not a model"),
    "huge length": (header(10**7, b"{}"), "not a model"),
    "deep nesting": (header(200_000, b"[" * 200_000), "header cannot be read"),
    "no metadata": (header(2, b"{}"), "header cannot be read"),
    "another kind": (sealed({}, name="retrograd-split"), "not a model of retrograd"),
    "newer version": (sealed({}, version=2), "newer than this program's 1; upgrade retrograd"),
    "empty record": (sealed({}), "cannot be read"),
    "record of another shape": (sealed([1, 2]), "cannot be read"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_model_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, words = HOSTILE[name]
    Path("bad.retro").write_bytes(content)
    assert words in refused(capsys, "predict", "bad.retro", "shop.csv")
    (COPY / "model.retro").write_bytes(content)
    before = openings()
    assert words in refused(capsys, "test", str(COPY))
    assert not Path("executed").exists()
    assert openings() == before  # a test that was refused opened nothing


def test_a_record_that_names_foreign_code_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    data = (RUN / "model.retro").read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    record = json.loads(json.loads(data[8:end])["__metadata__"]["record"])
    record["architecture"] = {"kind": "os.mkdir", "path": "executed"}
    Path("bad.retro").write_bytes(sealed(record))
    assert "bad.retro" in refused(capsys, "predict", "bad.retro", "shop.csv")
    assert not Path("executed").exists()


def test_every_flipped_byte_of_a_model_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray((RUN / "model.retro").read_bytes())
    for place in range(0, len(data), len(data) // 40):
        data[place] ^= 1
        Path("bad.retro").write_bytes(data)
        data[place] ^= 1
        assert "bad.retro" in refused(capsys, "predict", "bad.retro", "shop.csv")


def test_pipes_are_refused_and_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("pipe.retro", "pipe.toml", "pipe.csv"):
        if not Path(name).exists():
            os.mkfifo(name)
    assert "regular file" in refused(capsys, "predict", "pipe.retro", "shop.csv")
    assert "not a file" in refused(capsys, "train", "--config", "pipe.toml")
    assert "pipe" in refused(capsys, "predict", str(RUN), "pipe.csv")
    assert "standard input" in refused(capsys, "predict", str(RUN), "-")


@pytest.mark.parametrize("name", ["schema.json", "split.safetensors", "config.toml"])
def test_a_run_whose_files_are_gone_or_damaged_is_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (COPY / name).write_bytes(b"\xff{")
    for verb in (["explain"], ["check"], ["train", "--resume"]):
        assert name in refused(capsys, *verb, str(COPY))
    (COPY / name).unlink()
    for verb in (["explain"], ["check"], ["train", "--resume"]):
        assert "No such file" in refused(capsys, *verb, str(COPY))


def test_a_damaged_checkpoint_is_said_and_the_one_before_it_used(
    capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    checkpoints = COPY / "checkpoints"
    newest = max(checkpoints.iterdir())
    newer = checkpoints / "step-000000999999.safetensors"
    newer.write_bytes(newest.read_bytes()[:-1])
    done = subprocess.run(
        [sys.executable, "-m", "retrograd", "train", "--resume", str(COPY), "--epochs", "5"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    said = " ".join(done.stderr.split())
    assert "note: reading the checkpoint" in said
    assert f"going on from {newest.name}" in said
    assert ".py:" not in done.stderr
    for each in checkpoints.iterdir():
        each.write_bytes(b"")
    assert "checkpoint" in refused(capsys, "train", "--resume", str(COPY))


def test_a_run_without_its_model_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    (COPY / "model.retro").unlink()
    for verb in (["test"], ["explain"], ["check"]):
        assert f"retrograd train --resume {COPY}" in refused(capsys, *verb, str(COPY))
    assert "no run" in refused(capsys, "test", "runs")
    assert "did you mean 'runs/copy-1'?" in refused(capsys, "test", "runs/cpy-1")
    for verb in (["test"], ["explain"], ["check"]):
        assert "give the run directory" in refused(capsys, *verb, str(RUN / "model.retro"))


def test_changed_or_missing_data_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    table = Path("shop.csv")
    whole = table.read_text()
    try:
        table.write_text(whole.replace("Basel", "Bern"))
        for verb in (["test"], ["explain"], ["check"], ["train", "--resume"]):
            assert "not what it was" in refused(capsys, *verb, str(RUN))
        table.unlink()
        for verb in (["test"], ["explain"], ["check"], ["train", "--resume"]):
            assert "shop.csv" in refused(capsys, *verb, str(RUN))
    finally:
        table.write_text(whole)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain", "--row", "99999"], "the data has rows 0 to 239"),
        (["explain", "--row", "-1"], "the data has rows 0 to 239"),
        (["explain", "--step", "0"], "steps count from 1"),
        (["explain", "--unit", "layers.0[99]"], "write a place from 0 to 5"),
        (["explain", "--unit", "layer.0[1]"], "layers.0"),
        (["explain", "--layer", "layers.9"], "layers.0"),
        (["explain", "--weight", "layers.0.wieght[1,2]"], "layers.0.weight"),
        (["explain", "--weight", "layers.0.weight[999,0]"], "shape"),
        (["check", "--rows", "0"], "nothing to check on"),
        (["check", "--rows=-3"], "nothing to check on"),
        (["test", "--data", "absent.csv"], "absent.csv"),
        (["test", "--dta", "shop.csv"], "--data"),
    ],
)
def test_questions_that_have_no_answer_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *rest = arguments
    assert words in refused(capsys, verb, str(RUN), *rest)


def test_rows_that_were_not_trained_on_are_named_so(capsys: pytest.CaptureFixture[str]) -> None:
    from retrograd.recipe.run import read_split

    split, _ = read_split(RUN)
    sealed_row, validated = str(split.test[0]), str(split.validation[0])
    assert "stays sealed" in refused(capsys, "explain", str(RUN), "--row", sealed_row)
    assert "validation part" in refused(capsys, "explain", str(RUN), "--row", validated)


def test_files_that_cannot_be_written_are_refused_before_the_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = ["train", "shop.csv", "bought", "--epochs", "1", "--name", "never"]
    for option, verb in (("--to", ["predict", str(RUN), "shop.csv"]), ("--save-config", train)):
        assert "no directory 'nowhere'" in refused(capsys, *verb, option, "nowhere/file")
        assert "is a directory" in refused(capsys, *verb, option, "runs")
        assert "exists already" in refused(capsys, *verb, option, "shop.csv")
    assert not Path("runs/never-1").exists()


def test_names_with_control_codes_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = "".join(f"{i * 7 % 50},{'ab'[i % 2]}\n" for i in range(60))
    Path("codes.csv").write_text("\x1b[2Jsize,\x1b]0;owned\x07kind\n" + rows)
    assert main(["train", "codes.csv", "--epochs", "1", "--hidden", "2"]) == 0
    assert main(["test", "runs/codes-1"]) == 0
    assert main(["train", "codes.csv", "--target", "\x1b[31mred"]) == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\x07" not in out + err


def test_a_plain_terminal_gets_plain_letters(command: Command) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = command("train", "shop.csv", "bought", "--epochs", "1", **plain)
    assert done.returncode == 0
    assert (done.stdout + done.stderr).isascii()
    assert "UnicodeEncodeError" not in done.stderr
    done = command("test", "runs/shop-1", COLUMNS="10", **plain)  # never less than 40
    assert done.returncode == 0
    assert done.stdout.isascii()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_device_behind_the_output_is_one_sentence(command: Command, tmp_path: Path) -> None:
    whole = f"{sys.executable} -m retrograd"
    for line, code in ((f"{whole} ops >/dev/full", 1), (f"{whole} --version 2>/dev/full", 0)):
        done = subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == code
        assert done.stderr == ("retrograd: the system refused: No space left on device\n" * code)
    talk = f"{whole} train shop.csv bought --epochs 1 2>/dev/full"
    done = subprocess.run(["sh", "-c", talk], capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 0  # the work is not for the listener alone
    assert (tmp_path / "runs" / "shop-1" / "model.retro").exists()
