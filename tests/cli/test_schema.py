"""The schema as a table on the terminal, and as a file that corrects it."""

import sqlite3
from pathlib import Path

import pytest

from retrograd.cli.main import main
from retrograd.cli.schema_table import column_lines
from retrograd.data import ColumnReport

ROWS = [
    ("price", "number", 3, 120, "(value - 5) / 2, missing: 5, marked", "120 different numbers", 2),
    *((f"pixel_{i}", "number", 0, 17, f"(value - {i}) / 3", "17 different numbers", 1)
      for i in "123"),
    ("a name that is longer than its column", "category", 0, 2, "one of 2", "2 different texts", 2),
    ("y", "binary target", 0, 2, "2 classes", "2 different texts (you named it)", 0),
]  # fmt: skip


def test_the_table_has_six_columns_in_eighty_letters() -> None:
    lines = column_lines([ColumnReport(*row) for row in ROWS])
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["column", "kind", "missing", "values", "encoded", "as", "why"]
    assert lines[1].split()[:4] == ["price", "number", "3", "120"]
    text = "\n".join(lines)
    assert "pixel_1 … pixel_3" in text
    assert "3 numbers" in text
    assert "a name that is lo…" in text
    assert "you named it" not in text
    many = [ColumnReport(f"c{i}", "number", i % 2, 5, "", "numbers", 1) for i in range(60)]
    assert column_lines(many)[-1] == "… 36 more: see schema.json in the run"


@pytest.fixture
def flats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = (f"{i};1.{i:03},5 €;0{i % 3 + 1}/0{i % 5 + 1}/2020;{'jn'[i % 2]}" for i in range(80))
    Path("flats.csv").write_text("\n".join(["id;rent;day;sold", *rows]) + "\n", encoding="utf-8")
    return tmp_path


def train(*more: str) -> int:
    return main(["train", "flats.csv", "--epochs", "1", "--hidden", "2", *more])


def test_a_schema_is_saved_corrected_and_given_back(
    flats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 2
    assert "choose the column's kind: {'day': 'date DD/MM/YYYY'}" in capsys.readouterr().err
    assert train("--kind", "day=date MM/DD/YYYY", "--save-schema", "schema.toml") == 0
    saved = Path("schema.toml").read_text(encoding="utf-8")
    assert 'rent = "number 1.234,5 €"' in saved
    assert 'day = "date MM/DD/YYYY"' in saved
    Path("schema.toml").write_text(saved.replace("MM/DD", "DD/MM"), encoding="utf-8")
    capsys.readouterr()
    assert train("--schema", "schema.toml", "--kind", "rent=drop", "--save-schema", "2.toml") == 0
    again = Path("2.toml").read_text(encoding="utf-8")
    assert 'day = "date DD/MM/YYYY"' in again
    assert 'rent = "drop"' in again
    assert main(["predict", "runs/flats-2", "flats.csv"]) == 0
    assert main(["test", "runs/flats-2"]) == 0
    capsys.readouterr()
    assert train("--save-schema", "2.toml") == 2
    assert "--save-schema 2.toml: it exists already" in capsys.readouterr().err
    assert main(["train", "--resume", "runs/flats-1", "--schema", "schema.toml"]) == 2
    assert "a run goes on with its own schema" in capsys.readouterr().err


def test_a_query_is_a_source_like_any_other(
    flats: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect("shop.db") as database:
        database.execute("create table orders (size real, city text, sold text)")
        rows = [(i * 7 % 31 + 0.5, f"caf{i % 3}", "yes" if i % 2 else "no") for i in range(80)]
        database.executemany("insert into orders values (?, ?, ?)", rows)
    database.close()
    source = "shop.db#select city, size, sold from orders where size > 1"
    assert main(["train", source, "sold", "--epochs", "1", "--hidden", "2"]) == 0
    (flats / "elsewhere").mkdir()
    monkeypatch.chdir(flats / "elsewhere")
    capsys.readouterr()
    assert main(["test", "../runs/shop-1"]) == 0
    assert main(["predict", "../runs/shop-1", "../shop.db#select city, size from orders"]) == 0
    assert main(["train", "--resume", "../runs/shop-1", "--epochs", "2"]) == 0
    Path("later.csv").write_bytes("city,size\ncafé,1\n".encode("cp1252"))
    capsys.readouterr()
    assert main(["predict", "../runs/shop-1", "later.csv"]) == 0
    assert "note: the file is not UTF-8: it was read as Windows-1252" in capsys.readouterr().err


def test_a_password_is_written_nowhere(flats: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "postgresql://me:secret@127.0.0.1:1/shop#orders"
    assert main(["train", source]) == 2
    shown = capsys.readouterr()
    assert "cannot be reached" in shown.err
    assert "secret" not in shown.out + shown.err
