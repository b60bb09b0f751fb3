"""Every bad input ends in one sentence on standard error and exit 2, and nothing is left behind."""

import gzip
import os
import resource
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retrograd.cli.main import main

ROWS = "".join(f"{i % 7},{'ab'[i % 2]},{i * 0.5},{'yes' if i % 3 else 'no'}\n" for i in range(90))
GOOD = "age,city,income,bought\n" + ROWS
TRAIN = ["train", "table.csv", "--epochs", "2", "--hidden", "4", "--quiet"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], *words: str, code: int = 2
) -> None:
    """Run a command, and hold it to one sentence, its code, and no trace on the disk."""
    before = sorted(Path().rglob("*"))
    capsys.readouterr()
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("retrograd: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err
    assert sorted(Path().rglob("*")) == before


BAD_TABLES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty": (b"", ("table.csv", "empty")),
    "header only": (b"a,b\n", ("table.csv", "row")),
    "one row": (b"a,b\n1,x\n", ("row",)),
    "binary junk": (bytes(range(256)) * 40, ("table.csv",)),
    "gzip": (gzip.compress(GOOD.encode()), ("table.csv", "gzip")),
    "utf-16": (GOOD.encode("utf-16")[:-1], ("table.csv", "UTF-16")),
    "bad utf-8": (GOOD.encode() + b"1,\xff\xfe,2,yes\n", ("table.csv", "line 92")),
    "nul byte": (GOOD.encode() + b"1,a\0,2,yes\n", ("table.csv", "line 92")),
    "long row": (GOOD.encode() + b"1,a,2,yes,9\n", ("line 92",)),
    "short row": (GOOD.encode() + b"1,a\n", ("line 92",)),
    "unclosed quote": (GOOD.encode() + b'1,"a,2,yes\n', ("line 92", "quote")),
    "duplicated names": (b"a,a,b\n" + b"1,2,x\n3,4,y\n" * 30, ("'a'", "both called")),
    "one class": (GOOD.replace("no\n", "yes\n").encode(), ("bought", "yes")),
    "constant amounts": (b"a,b\n" + b"".join(b"%d,1.5\n" % i for i in range(60)), ("b",)),
    "no target": (b"a,b\n" + b"".join(b"%d,\n" % i for i in range(60)), ("b",)),
    "nothing to learn from": (b"a,b\n" + b"1,x\n1,y\n" * 30, ("column",)),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, words = BAD_TABLES[name]
    Path("table.csv").write_bytes(content)
    refused(capsys, TRAIN, *words)


def test_a_class_with_one_row_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("table.csv").write_text(GOOD + "1,a,2,maybe\n")
    refused(capsys, TRAIN, "maybe")


def test_a_wrong_column_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    Path("table.csv").write_text(GOOD)
    refused(capsys, [*TRAIN, "--target", "boughd"], "boughd", "bought")
    refused(capsys, [*TRAIN, "--kind", "agee=number"], "agee", "age")


def test_a_missing_file_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    Path("table.csv").write_text(GOOD)
    refused(capsys, ["train", "tabel.csv"], "tabel.csv", "table.csv")
    refused(capsys, ["train", "digit"], "digit", "digits")
    refused(capsys, ["train"], "no table is named")


def test_directories_pipes_and_devices_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder").mkdir()
    os.mkfifo("pipe.csv")
    refused(capsys, ["train", "folder"], "folder", "without .parquet files")
    refused(capsys, ["train", "pipe.csv"], "pipe.csv")
    refused(capsys, ["train", "/dev/zero"], "/dev/zero")


def test_a_file_without_permission_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("table.csv").write_text(GOOD)
    Path("table.csv").chmod(0)
    if os.geteuid() == 0:  # the superuser may read everything, so the system is made to refuse

        def refuse(path: object, *rest: object, **more: object) -> object:
            raise PermissionError(13, "Permission denied", str(path))

        for name in ("builtins.open", "io.open", "os.open", "pathlib.Path.open"):
            monkeypatch.setattr(name, refuse)
    arguments = ["train", "table.csv"]
    capsys.readouterr()
    assert main(arguments) == 2
    monkeypatch.undo()
    err = capsys.readouterr().err
    assert "table.csv" in err
    assert "ermission" in err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--epochs", "0"], ["epochs"]),
        (["--learning-rate", "-1"], ["learning_rate"]),
        (["--learning-rate", "nan"], ["learning_rate"]),
        (["--hidden", "0,4"], ["hidden"]),
        (["--hidden", "many"], ["--hidden"]),
        (["--time", "soon"], ["time"]),
        (["--until", "loss"], ["until"]),
        (["--until", "los<1"], ["los"]),
        (["--test", "0.9", "--validation", "0.9"], ["0.9"]),
        (["--optimizer", "adm"], ["adm", "adam"]),
        (["--config", "absent.toml"], ["absent.toml"]),
        (["--resume", "absent"], ["absent"]),
        (["--task", "regression"], ["bought"]),
        (["--name", "a/b"], ["a/b"]),
        (["--dropout", "1"], ["dropout"]),
        (["--batch-size", "0"], ["batch_size"]),
    ],
)
def test_bad_flags_are_refused(
    flags: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("table.csv").write_text(GOOD)
    arguments = ["train", *flags] if "--resume" in flags else [*TRAIN, *flags]
    refused(capsys, arguments, *words)


def test_bad_cells_are_counted_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    table = GOOD + "nan,a,inf,yes\nNA,,,no\n3,b,,yes\n"
    Path("table.csv").write_text(table)
    assert main([argument for argument in TRAIN if argument != "--quiet"]) == 0
    err = capsys.readouterr().err
    assert "infinite" in err or "inf" in err
    assert max(map(len, err.splitlines())) <= 80


def test_a_number_too_large_is_named_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("table.csv").write_text(GOOD + "1,a,1e999,yes\n")
    refused(capsys, TRAIN, "'income'", "1e999", "line 92")


def test_ten_thousand_columns_train(capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    lines = [",".join([*(f"c{i}" for i in range(10_000)), "target"])]
    lines += [
        ",".join([*map(str, generator.integers(0, 99, 10_000)), "ab"[i % 2]]) for i in range(60)
    ]
    Path("table.csv").write_text("\n".join(lines))
    assert main(TRAIN) == 0
    capsys.readouterr()


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    Path("table.csv").write_text(GOOD)
    assert main(TRAIN) == 0
    capsys.readouterr()
    return Path("runs/table-1")


def test_a_damaged_model_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = run / "model.retro"
    whole = model.read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], whole[:50] + b"\xff" + whole[51:], b"PK\x03\x04"):
        model.write_bytes(damaged)
        for verb in (["predict", str(run), "table.csv"], ["test", str(run)]):
            refused(capsys, verb, "model.retro")
    model.unlink()
    refused(capsys, ["predict", str(run), "table.csv"], "model.retro")


def test_a_damaged_run_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "config.toml").write_text("seed = [")
    refused(capsys, ["train", "--resume", str(run)], "config.toml")
    for checkpoint in (run / "checkpoints").iterdir():
        checkpoint.write_bytes(b"nothing")
    shutil.rmtree(run / "checkpoints")
    for verb in (["explain", "absent"], ["check", "absent"], ["test", "absent"]):
        refused(capsys, verb, "absent")


def test_predicting_needs_the_columns(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other.csv").write_text(GOOD.replace("income", "incme"))
    refused(capsys, ["predict", str(run), "other.csv"], "income", "incme")
    Path("other.csv").write_text(GOOD.replace("age", "age,extra").replace("\n", "\n1,", 90))
    assert main(["predict", str(run), "table.csv"]) == 0
    assert capsys.readouterr().out.count("\n") == 91


def test_a_second_writer_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hold = f"""
import sys, time
from retrograd.train.directory import open_run
with open_run({str(run)!r}):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        refused(capsys, ["train", "--resume", str(run)], str(holder.pid))
        holder.communicate("")


def test_a_full_disk_is_one_sentence_and_loses_nothing(here: Path) -> None:
    Path("table.csv").write_text(GOOD)

    def small_files() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = subprocess.run(
        [sys.executable, "-m", "retrograd", *TRAIN],
        capture_output=True, text=True, preexec_fn=small_files, check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert "runs" in done.stderr
    assert not list(here.rglob("*.tmp"))
    assert stat.S_ISREG(Path("table.csv").stat().st_mode)
