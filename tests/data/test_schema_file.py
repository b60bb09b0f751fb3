"""The schema file: written, corrected, read back; and features that tell the target are said."""

import numpy as np
import pytest

from retrograd.data import infer_schema, read_table, spellings_of
from retrograd.data.schema_file import read_corrections, to_toml
from retrograd.tensor.errors import DataError, InputError

N = 400
ROWS = np.arange(N)


def test_what_is_written_is_understood_again(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "id;größe;preis;an dem tag;ja\u0301;w;y\n"
        + "".join(
            f'{i};{i % 7};"1.{i:03},5 €";{i % 28 + 1}.2.2020;{"jn"[i % 2]};x{i % 3};{i % 50},5\n'
            for i in range(60)
        )
    )
    schema = infer_schema(read_table(path))
    (tmp_path / "s.toml").write_text(to_toml(schema, "a.csv"), encoding="utf-8")
    said = read_corrections(tmp_path / "s.toml")
    assert (said.target, said.task) == ("y", "regression")
    assert said.kinds["preis"] == "number 1.234,5 €"
    assert said.kinds["id"] == "drop"
    assert said.kinds["y"] == "number 1234,5"
    table = read_table(path, spellings=spellings_of(said.kinds))
    again = infer_schema(table, said.target, task=said.task, kinds=said.kinds)
    kinds = [(c.name, c.kind, c.spelling) for c in schema.columns]
    assert [(c.name, c.kind, c.spelling) for c in again.columns] == kinds
    assert again.target_spelling == schema.target_spelling == "1234,5"
    assert said.to_options().keys() == {"target", "task", "kinds"}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('kind = "a"\n', "there is no key 'kind'; did you mean 'kinds'"),
        ("kinds = 3\n", "'kinds' is no table; write .kinds. and lines"),
        ("[kinds]\na = 3\n", "'kinds.a' is 3, and no text; write it in quotes"),
        ("target = 3\n", "'target' is 3, and no text"),
        ("[kinds\n", "it is not TOML .*; --save-schema writes one to begin with"),
        (b"\xff", "it is not TOML"),
        (b"#" * 10_000_001, "it is longer than 10,000,000 bytes"),
    ],
)
def test_bad_schema_files_are_refused(tmp_path, content, found):
    path = tmp_path / "s.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=found):
        read_corrections(path)


def test_missing_schema_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="No such file or directory; --save-schema writes one"):
        read_corrections(tmp_path / "s.toml")
    with pytest.raises(InputError, match=r"it is not a file; give the path of a schema\.toml"):
        read_corrections(tmp_path)


def test_only_a_spelling_can_be_said_of_the_target():
    table = {"a": ROWS % 7, "y": [f"{i},5" for i in ROWS % 50]}
    kinds = {"y": "number 1234,5"}
    assert infer_schema(read_table(table), "y", kinds=kinds).target_spelling == "1234,5"
    with pytest.raises(DataError, match="no column to choose a kind for is called 'y'"):
        infer_schema(read_table(table), "y", kinds={"y": "number"})


AMOUNT = np.random.default_rng(0).normal(size=N)
LABEL = np.array(["no", "yes"])[ROWS % 2]
WRONG_ONCE = np.where(ROWS == 4, "B", np.array(["A", "B"])[ROWS % 2])


@pytest.mark.parametrize(
    ("feature", "target", "found"),
    [
        (AMOUNT * 100 + 3, AMOUNT, "tells 'y' outright: if it is not known"),
        (np.round(AMOUNT, 5), AMOUNT, "nearly (it is the same amount, but for rounding)"),
        (np.exp(-AMOUNT), AMOUNT, "outright (it puts all rows in the same order)"),
        (AMOUNT**2, AMOUNT, ""),
        (np.array(["b", "a"])[ROWS % 2], LABEL, "tells 'y' outright: if"),
        (ROWS % 2 * 3.5, LABEL, "tells 'y' outright: if"),
        (WRONG_ONCE, LABEL, "nearly (in 399 of 400 rows)"),
        (np.where(ROWS % 20 == 0, "B", WRONG_ONCE), LABEL, ""),
        (AMOUNT**2 + ROWS % 2 * 100, LABEL, "outright (its ranges do not overlap from class to"),
        (AMOUNT + ROWS % 2 * 2, LABEL, ""),
        (np.full(N, np.nan), LABEL, ""),
        (np.datetime64("2020-01-01") + ROWS, LABEL, ""),
        (np.array(["a", "b", "c"])[ROWS % 3], AMOUNT, ""),
    ],
)
def test_features_that_tell_the_target_are_said_with_evidence(feature, target, found):
    columns = {"a": feature, "size": np.sin(ROWS), "y": target}
    notes = infer_schema(read_table(columns), "y").notes
    assert len(notes) == bool(found)
    assert all(found in note for note in notes)
