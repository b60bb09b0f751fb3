"""The command line ends every failure in one sentence on standard error and the documented code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from retrograd.cli import main as cli
from retrograd.cli.options import TrainOptions
from retrograd.cli.output import Output, number, sparkline, table
from retrograd.cli.signals import graceful_stop
from retrograd.tensor.errors import InputError, RunError


def test_help_names_every_verb_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in cli.VERBS)
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"retrograd {verb}" in out.split("Usage:")[1].split("\n", 1)[1]
    assert "--json" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["trian", "train"]),
        (["ops", "--jsn"], ["--jsn"]),
        (["ops", "add", "subtract"], ["subtract"]),
        (["ops", "mtmul"], ["mtmul", "did you mean Matmul?"]),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("retrograd: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("reading a.csv", "it is empty", "give rows"), 2, "it is empty; give rows"),
        (RunError("saving a", "the disk is full", "make room"), 1, "the disk is full"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (ZeroDivisionError("1/0"), 1, "a fault of our own, ZeroDivisionError: 1/0"),
        (PermissionError(13, "Permission denied", "a.csv"), 1, "a.csv: Permission denied"),
    ],
)
def test_each_kind_of_failure_has_its_code(
    error: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(part: str) -> None:
        raise error

    monkeypatch.setattr("retrograd.cli.ops.operations", fail)
    assert cli.main(["ops"]) == code
    assert words in capsys.readouterr().err


def test_ops_prints_every_operation_with_its_derivative(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["ops", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    from retrograd.tensor.op import REGISTRY

    assert {row["op"] for row in rows} >= {"Add", "Matmul", "Sum"}
    assert {row["op"] for row in rows} <= set(REGISTRY)
    assert all(row["what"] and row["gradient"] for row in rows)
    assert cli.main(["ops", "matmul"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_ops_prints_what_each_operation_tells_the_compiler(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["ops", "--lowered", "--json"]) == 0
    rows = {row["op"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["Tanh"]["lowered"] == ["out[i0, i1, i2] = tanh(x0[i0, i1, i2])"]
    assert any("for j0 < " in line for line in rows["CumSum"]["lowered"])
    assert not [row for row in rows.values() if " at 0x" in row["example"]]
    assert cli.main(["ops", "--lowered"]) == 0
    said = capsys.readouterr().out
    assert "sum(k0 < 4: x0[k0, i0, i1])" in said
    assert max(map(len, said.splitlines())) <= 80


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m retrograd ops | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("number_", "reason"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_the_first_signal_asks_and_handlers_come_back(number_: signal.Signals, reason: str) -> None:
    before = signal.getsignal(number_)
    with graceful_stop() as stop:
        stop.wait_for_step()
        assert stop() is None
        os.kill(os.getpid(), number_)
        assert stop() == reason
        assert signal.getsignal(number_) is before  # so that a second one acts at once
    assert signal.getsignal(number_) is before


@pytest.mark.parametrize(
    ("number_", "ends"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_a_signal_acts_at_once_while_there_is_nothing_to_save(
    number_: signal.Signals, ends: type[BaseException]
) -> None:
    before = signal.getsignal(number_)
    with pytest.raises(ends), graceful_stop():
        os.kill(os.getpid(), number_)
    assert signal.getsignal(number_) is before


def test_only_given_options_are_passed_on() -> None:
    assert TrainOptions().given() == {}
    given = TrainOptions(hidden="64,32", balanced=True, kinds=["a=b=category"]).given()
    assert given == {
        "hidden": (64, 32),
        "class_weights": "balanced",
        "kinds": {"a=b": "category"},
    }
    assert TrainOptions(hidden="0").given() == {"hidden": ()}


def test_options_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(InputError, match="--hidden a: it is not a list of sizes; write 64,32"):
        TrainOptions(hidden="a").given()
    with pytest.raises(InputError, match="--kind zip: it is not COLUMN=kind"):
        TrainOptions(kinds=["zip"]).given()


def test_talk_goes_to_standard_error_and_can_be_silenced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().talk("on the way")
    Output(quiet=True).talk("not said")
    Output().result({"a": 1}, ["the result"])
    Output(as_json=True).result({"a": Path("b")}, ["the result"])
    out, err = capsys.readouterr()
    assert (out, err) == ('the result\n{"a": "b"}\n', "on the way\n")


def test_ascii_leaves_no_other_mark() -> None:
    assert Output(ascii=True).plain("█ ✓ δ → 1 ± 2").isascii()
    assert not Output(as_json=True).is_live  # captured, not a terminal


def test_tables_fold_their_last_column_at_80() -> None:
    lines = table([["x" * 40, "long " * 40]], ["column", "why"])
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("x" * 23 + "…  long")
    assert sparkline([]) == ""
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert number(float("nan")) == "nan"
