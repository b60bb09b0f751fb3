"""``retrograd export`` as a person uses it."""

import json
import time
from pathlib import Path

import pytest
from tests.export.models import columns, make_model

from retrograd.cli.main import main
from retrograd.data import read_table
from retrograd.recipe.model import save_model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on a CSV file."""
    from retrograd.recipe.config import configure
    from retrograd.recipe.run import run as train

    home = tmp_path_factory.mktemp("export")
    table = columns()
    lines = [",".join(table)]
    lines += [
        ",".join("" if cell is None else str(cell) for cell in row)
        for row in zip(*table.values(), strict=True)
    ]
    (home / "shop.csv").write_text("\n".join(lines) + "\n")
    options = {"epochs": 2, "hidden": (6,), "directory": str(home / "runs")}
    config = configure(source=str(home / "shop.csv"), target="sold", **options)
    return train(config).directory


def test_a_run_becomes_an_onnx_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = time.process_time()
    assert main(["export", str(run), "--to", str(tmp_path / "shop.onnx")]) == 0
    assert time.process_time() - start < 3.0
    said = capsys.readouterr().out
    assert f"wrote {tmp_path / 'shop.onnx'} (" in said
    assert "the model on 76 rows: 12 validation rows and 64 odd ones" in said
    assert "(allowed: 1e-05)" in said
    assert "one row takes" in said
    assert main(["export", str(run), "--to", str(tmp_path / "shop.onnx")]) == 2
    assert "it exists already; choose another name, or give --replace" in capsys.readouterr().err


def test_a_directory_gets_a_file_called_after_the_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(run), "--to", str(tmp_path), "--format", "numpy", "--json"]
    assert main(arguments) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["files"] == [str(tmp_path / "shop-1.py")]
    assert record["rows"] == 76
    assert main([*arguments[:-1], "--replace"]) == 0
    assert f"next: python {tmp_path / 'shop-1.py'} rows.csv" in capsys.readouterr().out


def test_a_bare_model_is_tried_on_rows_of_its_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "m.retro", make_model())
    assert main(["export", str(tmp_path / "m.retro"), "--to", str(tmp_path / "m.onnx")]) == 0
    assert "64 rows: rows made from the schema" in capsys.readouterr().out


def test_data_that_changed_is_not_used(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = run.parent.parent / "shop.csv"
    text = source.read_text()
    assert read_table(source).n_rows == 80
    source.write_text(text + text.splitlines()[1] + "\n")
    try:
        assert main(["export", str(run), "--to", str(tmp_path / "a.onnx")]) == 0
    finally:
        source.write_text(text)
    assert "64 rows: rows made from the schema" in capsys.readouterr().out


def test_an_unknown_suffix_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run), "--to", str(tmp_path / "a.pkl")]) == 2
    assert "no format has the suffix '.pkl'; choose one of .onnx (onnx)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
