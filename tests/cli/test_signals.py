"""Ctrl-C, SIGTERM and SIGKILL in the middle of training, and going on bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Command, shop

TRAIN = ["train", "shop.csv", "bought", "--hidden", "16", "--epochs", "60", "--patience", "999"]


# Around the command: a checkpoint every 50 ms, so that there is one to go on from.
OFTEN = """
import sys, time
from retrograd.recipe import run, training
from retrograd.train import directory
training.SAVE_SECONDS = 0.05
def slow(*arguments, **settings):
    print("slow", flush=True)
    time.sleep(60)
{patch}
from retrograd.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def start(folder: Path, *arguments: str, program: str = "") -> "subprocess.Popen[str]":
    """Start the command, or a program around it, in a folder of its own."""
    how = ["-c", program] if program else ["-m", "retrograd"]
    return subprocess.Popen(
        [sys.executable, *how, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=folder, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The metrics of every step and epoch of the run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "shop.csv").write_text(shop())
    with start(folder, *TRAIN) as process:
        process.communicate(timeout=60)
    return metrics(folder / "runs" / "shop-1")


def metrics(run: Path) -> bytes:
    return (run / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_a_signal_ends_training_and_resume_goes_on_bit_for_bit(
    number: signal.Signals,
    code: int,
    word: str,
    undisturbed: bytes,
    command: Command,
    tmp_path: Path,
) -> None:
    run = tmp_path / "runs" / "shop-1"
    with start(tmp_path, *TRAIN, program=OFTEN.format(patch="")) as process:
        checkpoints = run / "checkpoints"
        end = time.monotonic() + 30
        while not list(checkpoints.glob("*.safetensors")) and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    if word:
        assert f"training was {word}" in err
        assert "go on with: retrograd train --resume runs/shop-1" in out
        assert (run / "model.retro").exists()
    again = command("train", "--resume", "runs/shop-1")
    assert again.returncode == 0
    assert "going on at epoch" in again.stderr
    assert metrics(run) == undisturbed


def test_a_second_ctrl_c_acts_at_once(command: Command, tmp_path: Path) -> None:
    program = OFTEN.format(patch="directory.save_checkpoint = slow")
    with start(tmp_path, *TRAIN, program=program) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "slow\n"  # training is under way, and saves
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None  # the first waits for what is being done
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.endswith("retrograd: interrupted\n")
    assert "retrograd train --resume runs/shop-1" in " ".join(err.split())
    assert command("train", "--resume", "runs/shop-1", "--epochs", "1").returncode == 0


def test_ctrl_c_before_training_leaves_nothing(command: Command, tmp_path: Path) -> None:
    with start(tmp_path, *TRAIN, program=OFTEN.format(patch="run.prepare = slow")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "slow\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "retrograd: interrupted\n"
    assert not (tmp_path / "runs").exists()
