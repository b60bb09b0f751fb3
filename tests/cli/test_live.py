"""What training looks like at a terminal, and where nobody redraws."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from tests.cli.conftest import Command, shop

from retrograd.cli.live import Limits, TrainingView
from retrograd.cli.output import Output
from retrograd.tensor.tensor import tensor
from retrograd.train.events import EpochDone, StepDone
from retrograd.train.state import TrainState

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STATE = TrainState({}, (), {}, tensor(0), tensor([0, 0], "int32"))


def at_a_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """Run the command with a pseudo-terminal of 80 columns as its standard error."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "retrograd", *arguments], stderr=end, stdout=subprocess.DEVNULL,
        cwd=folder, env=os.environ | {"TERM": "xterm", "PYTHONUTF8": "1"} | environment,
    )  # fmt: skip
    os.close(end)
    written = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other end is closed
            part = b""
        if not part:
            break
        written += part
    os.close(terminal)
    assert process.wait(timeout=30) == 0
    return written.decode()


TRAIN = ["train", "shop.csv", "bought", "--time", "2s", "--patience", "9999", "--hidden", "8"]


def test_a_terminal_gets_a_table_that_is_redrawn_in_80_columns(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(shop())
    written = at_a_terminal(tmp_path, *TRAIN)
    assert "\x1b[" in written
    lines = ESCAPE.sub("", written).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert text.count("rows/s") >= 2  # drawn again and again
    for words in ("course of the last", "validation loss", "ms/step", " left", "█", "▁",
                  "* the best epoch, whose weights are kept; Ctrl-C saves and stops"):  # fmt: skip
        assert words in text
    assert text.rstrip().splitlines()[-1] != ""
    assert "stopped after epoch" in text


@pytest.mark.parametrize(
    ("flags", "environment"),
    [(["--quiet"], {}), ([], {"TERM": "dumb"}), (["--ascii"], {})],
)
def test_quiet_dumb_and_ascii_terminals(
    flags: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "shop.csv").write_text(shop())
    written = at_a_terminal(tmp_path, *TRAIN, *flags, **environment)
    if "--quiet" in flags:
        assert written == ""
    elif "--ascii" in flags:
        assert written.isascii()
        assert "#" in written
    else:
        assert "\x1b" not in written


def test_a_pipe_gets_plain_lines_and_no_escape_codes(command: Command) -> None:
    done = command(*TRAIN, NO_COLOR="1")
    assert "\x1b" not in done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert max(map(len, lines)) <= 80
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) >= 2
    assert "validation_loss" in epochs[0]
    assert epochs[0].endswith(" *")  # the best so far


def step(number: int) -> StepDone:
    return StepDone(1, number, 32, {"loss": tensor(0.5)}, STATE)


def epoch(number: int, loss: float, is_best: bool = False) -> EpochDone:
    metrics = {"loss": loss, "validation_loss": loss, "accuracy": 1 - loss}
    return EpochDone(number, number, metrics, is_best, 1.0, STATE)


def test_plain_lines_keep_a_distance_and_the_last_is_always_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    with TrainingView(Output(), Limits(epochs=9), lambda: now[0]) as view:
        for i in range(1, 10):
            now[0] += 0.5
            view.hear(step(i))
            view.hear(epoch(i, 1 / i, is_best=i == 9))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["1/9", "5/9", "9/9"]
    assert lines[-1] == "epoch 9/9  loss 0.1111  validation_loss 0.1111  accuracy 0.8889 *"


@pytest.mark.parametrize(
    ("first_epoch", "said"),
    [(1.5, "1:41: 1,000 steps of 100 ms"), (4.0, "1:06:40: 1,000 steps of 4000 ms")],
)
def test_what_the_first_epoch_compiled_is_no_part_of_the_pace(
    first_epoch: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    with TrainingView(Output(), Limits(steps=1000), lambda: now[0]) as view:
        for i in range(1, 10):
            now[0] += first_epoch if i == 1 else 0.1
            view.hear(step(i))
            view.hear(epoch(i, 1 / i))
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("time")]
    assert said in line
