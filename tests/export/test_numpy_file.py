"""The Python file that an export makes, used as a person would: alone, from a command line."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.export.models import exported, make_model, new_rows

from retrograd.export import numpy_file
from retrograd.export.verify import compare, export_model
from retrograd.tensor.errors import InputError, RunError


def test_the_python_file_works_alone(tmp_path: Path) -> None:
    model = make_model()
    path, _, _ = exported(model, tmp_path, "numpy")
    rows = [
        {"size": 9.5, "price": "31", "colour": "café", "new": True, "day": "1970-05-02", "code": 3},
        {"size": None, "price": "", "colour": " red ", "new": "NO", "day": None, "code": "3.0"},
    ]
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    command = [sys.executable, "-I", "-B", str(path), str(tmp_path / "rows.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = list(csv.reader(done.stdout.splitlines()))
    assert found[0] == ["sold", "probability of no", "probability of yes"]
    expected = [model.predict(row | {"new": str(row["new"])}) for row in rows]
    assert [line[0] for line in found[1:]] == [next(iter(each)) for each in expected]
    for line, each in zip(found[1:], expected, strict=True):
        assert each.probabilities is not None
        np.testing.assert_allclose([float(x) for x in line[1:]], each.probabilities[0], atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"size": "tall"}, "row 0: 'tall' is no number, as 'size' should be"),
        ({"day": "yesterday"}, "'yesterday' is no date such as 2026-03-01"),
        ({"day": "2024-02-30"}, "day"),
        ({}, "row 0 has no column 'price'"),
    ],
)
def test_the_python_file_refuses_in_a_sentence(
    tmp_path: Path, changed: dict[str, str], words: str
) -> None:
    path, _, _ = exported(make_model(), tmp_path, "numpy")
    row = {"size": "1", "price": "31", "colour": "", "new": "", "day": "", "code": "3"} | changed
    if not changed:
        del row["price"]
    (tmp_path / "rows.csv").write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
    command = [sys.executable, "-I", "-B", str(path), str(tmp_path / "rows.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_many_numbers_go_into_a_file_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_file, "LARGEST_INSIDE", 100)
    path, kind, done = exported(make_model(), tmp_path, "numpy")
    assert done.files == (path, tmp_path / "model.npz")
    rows = new_rows()
    assert compare(kind.run(path, rows), make_model(), rows).max() <= 1.0
    path.unlink()
    with pytest.raises(InputError, match=r"model.npz': it exists already; choose another name"):
        export_model(make_model(), path)


def test_a_file_that_fails_says_why(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("raise RuntimeError('out of tune')\n")
    with pytest.raises(RunError, match=r"running 'broken.py': RuntimeError: out of tune; report"):
        numpy_file.run(path, new_rows())
