"""Arrays, DataFrames, Parquet and named data sets become the same tables."""

import datetime
import decimal
from pathlib import Path

import numpy as np
import pandas
import polars
import pytest

import retrograd.data
from retrograd.data import DateColumn, NumberColumn, TextColumn, infer_schema, read_table
from retrograd.data.named_sets import names
from retrograd.tensor.errors import DataError


def cells(column):
    if isinstance(column, TextColumn):
        return [None if code < 0 else str(column.levels[code]) for code in column.codes]
    if isinstance(column, DateColumn):
        return [None if np.isnat(v) else str(v.astype("M8[s]")) for v in column.values]
    return [None if value != value else value for value in column.values.tolist()]


MOMENT = datetime.datetime(2020, 5, 17, 12, 30)
ROWS = {
    "number": [1.5, None, -2.0],
    "whole": [1, 2, 3],
    "word": ["red", None, "blue"],
    "flag": [True, False, True],
    "when": [MOMENT, None, MOMENT],
    "huge": [2**53 + 1, 1, 2],
}
WANTED = {
    "number": [1.5, None, -2.0],
    "whole": [1.0, 2.0, 3.0],
    "word": ["red", None, "blue"],
    "flag": ["true", "false", "true"],
    "when": ["2020-05-17T12:30:00", None, "2020-05-17T12:30:00"],
    "huge": ["9007199254740993", "1", "2"],
}


def as_csv(folder):
    polars.DataFrame(ROWS).write_csv(folder / "a.csv", datetime_format="%Y-%m-%dT%H:%M:%S")
    return folder / "a.csv"


def as_parquet(folder):
    polars.DataFrame(ROWS).write_parquet(folder / "a.parquet")
    return folder / "a.parquet"


SOURCES = {
    "csv": as_csv,
    "parquet": as_parquet,
    "polars": lambda _: polars.DataFrame(ROWS),
    "lazy": lambda _: polars.LazyFrame(ROWS),
    "pandas": lambda _: pandas.DataFrame(ROWS),
    "pandas objects": lambda _: pandas.DataFrame(ROWS, dtype=object),
    "pandas nullable": lambda _: pandas.DataFrame(ROWS).convert_dtypes(),
    "lists": lambda _: ROWS,
    "arrays": lambda _: {name: np.array(values, dtype=object) for name, values in ROWS.items()},
}


@pytest.mark.parametrize("kind", SOURCES)
def test_the_same_table_from_every_source(tmp_path, kind):
    table = read_table(SOURCES[kind](tmp_path))
    assert {name: cells(column) for name, column in table.columns.items()} == WANTED


@pytest.mark.parametrize("kind", ["csv", "parquet", "lists"])
def test_missing_is_spelled_alike_everywhere(tmp_path, kind):
    texts = ["NaN", "NA", "NULL", "", " ", "x", "null", "n/a", "?"]
    if kind == "csv":
        source = tmp_path / "a.csv"
        source.write_text("a,b\n" + "".join(f"{text},1\n" for text in texts))
    elif kind == "parquet":
        source = tmp_path / "a.parquet"
        polars.DataFrame({"a": texts, "b": [1] * 9}).write_parquet(source)
    else:
        source = {"a": texts, "b": [1] * 9}
    assert cells(read_table(source).columns["a"]) == [None] * 5 + ["x"] + [None] * 3


DTYPES = {
    "float16": np.array([1, 2], np.float16),
    "big-endian": np.array([1, 2], ">f8"),
    "uint64": np.array([2**64 - 1, 1], np.uint64),
    "int64": np.array([2**60, -(2**60)], np.int64),
    "bool": np.array([True, False]),
    "bytes": np.array([b"a", b"b"]),
    "text": np.array(["a", "b"]),
    "string": np.array(["a", "b"], np.dtypes.StringDType()),
    "day": np.array(["2020-01-01", "NaT"], "M8[D]"),
    "time": np.array([1500, "NaT"], "m8[ms]"),
    "masked": np.ma.array([1.0, 2.0], mask=[False, True]),
    "column": np.array([[1.0], [2.0]]),
    "strided": np.arange(4.0)[::-2],
    "decimal": [decimal.Decimal("1.25"), decimal.Decimal("NaN")],
    "date": [datetime.date(2020, 1, 2), None],
    "cells": [np.datetime64("2020-01-02"), np.datetime64("NaT")],
    "zone": [datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC), None],
    "raw": [b"a", None],
    "half": [np.float32(0.5), np.int8(3)],
    "pandas": pandas.Series([1, None], dtype="Int64"),
    "none": [None, float("nan")],
}
WANTED_OF_DTYPES = {
    "float16": [1.0, 2.0],
    "big-endian": [1.0, 2.0],
    "uint64": ["18446744073709551615", "1"],
    "int64": [2.0**60, -(2.0**60)],
    "bool": ["true", "false"],
    "bytes": ["a", "b"],
    "text": ["a", "b"],
    "string": ["a", "b"],
    "day": ["2020-01-01T00:00:00", None],
    "time": [1.5, None],
    "masked": [1.0, None],
    "column": [1.0, 2.0],
    "strided": [3.0, 1.0],
    "decimal": [1.25, None],
    "date": ["2020-01-02T00:00:00", None],
    "cells": ["2020-01-02T00:00:00", None],
    "zone": ["2020-01-02T00:00:00", None],
    "raw": ["a", None],
    "half": [0.5, 3.0],
    "pandas": [1.0, None],
    "none": [None, None],
}


def test_arrays_of_every_dtype():
    table = read_table(DTYPES)
    assert {name: cells(column) for name, column in table.columns.items()} == WANTED_OF_DTYPES


def test_the_table_owns_its_numbers():
    values = np.arange(4.0)
    table = read_table({"a": values[::2], "b": values[:2]})
    values[:] = 9
    assert cells(table.columns["a"]) == [0.0, 2.0]


def test_polars_types():
    frame = polars.DataFrame(
        {
            "category": polars.Series(["a", None], dtype=polars.Categorical),
            "enum": polars.Series(["a", "b"], dtype=polars.Enum(["b", "a"])),
            "decimal": polars.Series([decimal.Decimal("1.5"), None]),
            "date": [datetime.date(2020, 1, 1), None],
            "zone": polars.Series(["2020-01-01T12:00:00+02:00", None]).str.to_datetime(),
            "time": [datetime.time(0, 0, 2), None],
            "duration": [datetime.timedelta(seconds=3), None],
            "null": [None, None],
            "small": polars.Series([1, None], dtype=polars.UInt8),
            "huge": polars.Series([2**63, 3], dtype=polars.UInt64),
            "huge and odd": polars.Series([2**64 - 1, 3], dtype=polars.UInt64),
        }
    )
    table = read_table(frame)
    assert {name: cells(column) for name, column in table.columns.items()} == {
        "category": ["a", None],
        "enum": ["a", "b"],
        "decimal": [1.5, None],
        "date": ["2020-01-01T00:00:00", None],
        "zone": ["2020-01-01T10:00:00", None],
        "time": [2.0, None],
        "duration": [3.0, None],
        "null": [None, None],
        "small": [1.0, None],
        "huge": [2.0**63, 3.0],
        "huge and odd": ["18446744073709551615", "3"],
    }


def test_whole_decimals_keep_their_digits():
    numbers = [decimal.Decimal(2**60 + i) for i in range(3)]
    frame = polars.DataFrame({"a": polars.Series(numbers, dtype=polars.Decimal(38, 0))})
    assert cells(read_table(frame).columns["a"]) == [str(2**60 + i) for i in range(3)]
    small = polars.DataFrame(
        {"a": polars.Series([decimal.Decimal(7), None], dtype=polars.Decimal(9, 0))}
    )
    assert read_table(small).columns["a"].values[0] == 7.0


def test_pandas_zones_and_index():
    frame = pandas.DataFrame({"a": pandas.date_range("2020-01-01", periods=2, tz="Europe/Paris")})
    table = read_table(frame.set_index(pandas.Index([7, 8])))
    assert cells(table.columns["a"]) == ["2019-12-31T23:00:00", "2020-01-01T23:00:00"]


def test_matrix_and_pair():
    table = read_table(np.eye(3))
    assert list(table.columns) == ["x0", "x1", "x2"]
    pair = read_table((np.eye(3), ["a", "b", "a"]), name="mine")
    assert (pair.name, pair.target, list(pair.columns)[-1]) == ("mine", "target", "target")
    framed = read_table((pandas.DataFrame({"age": [1, 2]}), np.array([0, 1])))
    assert list(framed.columns) == ["age", "target"]
    assert read_table(pair) is pair
    assert read_table(pair, name="again").name == "again"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (7, "a int is no table"),
        ({}, "it has no columns"),
        ({"a": [], "b": []}, "a header but no rows"),
        ({"a": [1, 2], "b": [1]}, "'a' has 2 rows and 'b' has 1"),
        ({"a": [1], 1: [2], "1": [3]}, "two columns are called '1'"),
        ({"a": np.array([1j])}, "cells of type complex128"),
        ({"a": [object()]}, "row 0 holds a object, which is no table cell"),
        ({"a": ["x", [1]]}, "row 1 holds a list"),
        ({"a": np.zeros((2, 2))}, r"has one axis, not the shape \(2, 2\)"),
        ({"a": ["1e999"], "b": [1]}, "'1e999' at row 0 is too large"),
        ({"a": 3, "b": [1]}, "column 'a': a int is no column of cells"),
        ({"a": ["\ud800", "b"]}, r"the text '\\ud800' is not valid Unicode; correct"),
        ({"\ud800": [1]}, r"the name '\\ud800' is not valid Unicode; rename it"),
        (pandas.Series([1, 2]), "a Series is no table"),
        (np.zeros(3), "not 1 axes"),
        (np.zeros((0, 3)), "not 2 axes"),
        ((np.zeros((2, 2)), [1, 2, 3]), "'X' has 2 rows and 'y' has 3"),
        ((pandas.DataFrame({"target": [1, 2]}), [1, 2]), "a column called 'target' of its own"),
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are called 'a'"),
        (polars.DataFrame({"a": [[1]]}), "does not hold single values"),
        (polars.DataFrame({"a": []}), "a header but no rows"),
    ],
)
def test_what_is_no_table_is_refused(source, found):
    with pytest.raises(DataError, match=found):
        read_table(source)


def test_what_only_looks_like_a_frame_is_refused():
    class Odd:
        columns = ("a",)

    with pytest.raises(DataError, match="reading a DataFrame"):
        read_table(Odd())


@pytest.mark.parametrize("name", names())
def test_named_sets_know_their_target(name):
    table = read_table(name)
    schema = infer_schema(table)
    assert schema.target == table.target
    assert schema.target_reason == f"{name!r} says so"
    assert table.n_rows > 100
    assert len(schema.features) >= 4


def test_a_file_wins_over_a_data_set_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("retrograd.data.sources.SUFFIXES", (".csv", ""))
    Path("digits").write_text("a,b\n1,2\n")
    table = read_table("digits")
    assert "'digits' is a file here" in table.notes[0]
    assert list(table.columns) == ["a", "b"]


def test_embedded_sets_stay_small():
    files = list((Path(retrograd.data.__file__).parent / "sets").glob("*.parquet"))
    assert len(files) == 4
    assert sum(file.stat().st_size for file in files) < 1_000_000


def test_take_keeps_places(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,x\n\n2,y\n3,z\n")
    table = read_table(tmp_path / "a.csv").take(np.array([2, 0]))
    assert (table.place(0), table.place(1), table.n_rows) == ("line 5", "line 2", 2)
    assert isinstance(table.columns["a"], NumberColumn)
    assert table.memory > 0
