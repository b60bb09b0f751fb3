"""CSV is read as written: against Python's own reader, and the fast path against the rule."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.data import DateColumn, NumberColumn, TextColumn, csv_file, read_table
from retrograd.data.csv_blocks import Header
from retrograd.data.csv_file import read_text
from retrograd.data.settling import settle


def table_of(content, path):
    return read_text(io.BytesIO(content), path, "reading")


def cells(column):
    if isinstance(column, TextColumn):
        return [None if code < 0 else str(column.levels[code]) for code in column.codes]
    return [None if value != value else value for value in column.values.tolist()]


def written(rows, **options):
    text = io.StringIO()
    csv.writer(text, **options).writerows(rows)
    return text.getvalue().encode()


plain = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=6)
cell = st.one_of(
    plain,
    st.sampled_from(["", "NA", "nan", "?", " 3", "3 ", "007", "-0.5", "+1e5", "1_0", "0x1F", ".5"]),
    st.sampled_from(["5.", "inf", "-Infinity", "true", "2020-01-02", "a,b", 'q"q', "x\ny", "NULL"]),
    st.sampled_from(["9007199254740993", "1e22", "00", "-007", "0", "-0", "1e-400", "+", "e5"]),
    st.floats(allow_nan=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
)


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(cell, max_size=8), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
)
def test_fast_path_and_rule_agree(tmp_path_factory, values, quoting):
    """A column that begins as numbers and goes on as anything is what `settle` makes of it."""
    values = ["1", *values]
    content = written([["a", "b"], *([v, "x"] for v in values)], quoting=quoting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "_SAMPLE_ROWS", 1)
        read = table_of(content, tmp_path_factory.getbasetemp() / "a.csv").columns["a"]
    wanted = settle(np.arange(len(values), dtype=np.int32), values, "asked")
    assert type(read) is type(wanted)
    np.testing.assert_array_equal(cells(read), cells(wanted))


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(plain, plain, plain), min_size=1, max_size=10),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    cut=st.integers(1, 40),
)
def test_texts_and_lines_are_those_of_pythons_reader(tmp_path_factory, rows, separator, end, cut):
    rows = [(f"_{a}", f"_{b}", f"_{c}") for a, b, c in rows]
    head = separator.join("abc") + end
    content = head.encode() + written(rows, delimiter=separator, lineterminator=end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retrograd.data.csv_blocks.BLOCK_BYTES", cut)
        table = table_of(content, tmp_path_factory.getbasetemp() / "a.csv")
    reader = csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator)
    next(reader)
    line = reader.line_num
    for place, row in enumerate(reader):
        assert [cells(table.columns[name])[place] for name in "abc"] == [c.strip() for c in row]
        assert table.place(place) == f"line {line + 1}"
        line = reader.line_num


def test_kinds_of_cells(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "number,code,hex,under,huge,when,flag,word,nothing\n"
        "1.5,007,0x1F,1_000,9007199254740993,2020-01-31,True,red,\n"
        "NA,010,0x2F,2_000,1,2020/02/01,FALSE,?,NA\n"
        "-2e3,1,3,4,2,,true,blue,null\n"
    )
    columns = read_table(path).columns
    assert cells(columns["number"]) == [1.5, None, -2000.0]
    assert cells(columns["code"]) == ["007", "010", "1"]
    assert cells(columns["hex"]) == ["0x1F", "0x2F", "3"]
    assert cells(columns["under"]) == ["1_000", "2_000", "4"]
    assert cells(columns["huge"]) == ["9007199254740993", "1", "2"]
    assert isinstance(columns["when"], DateColumn)
    assert columns["when"].values.astype("M8[D]").astype(str).tolist() == [
        "2020-01-31",
        "2020-02-01",
        "NaT",
    ]
    assert cells(columns["flag"]) == ["true", "false", "true"]
    assert cells(columns["word"]) == ["red", None, "blue"]
    assert isinstance(columns["nothing"], NumberColumn)
    assert cells(columns["nothing"]) == [None, None, None]


def test_moments_with_zones_are_utc_and_mixed_ones_stay_texts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "a,b,c\n2020-01-01T12:00:00+02:00,2020-01-01,2020-13-01\n2020-01-01T12:00Z,"
        "2020-01-01T12:00:00Z,2020-12-01\n"
    )
    columns = read_table(path).columns
    assert columns["a"].values.astype(str).tolist()[0].startswith("2020-01-01T10:00")
    assert isinstance(columns["b"], TextColumn)
    assert isinstance(columns["c"], TextColumn)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "a;b\n1;2\n"),
        ("a.csv", "a\tb\n1\t2\n"),
        ("a.tsv", "a\tb\n1\t2\n"),
        ("a.txt", "a b\n1 2\n"),
        ("a.txt", "a|b\n1|2\n"),
        ("a.csv", "\ufeffa,b\n1,2\n"),
        ("a.csv", "\n\na,b\r\n1,2\r\n\r\n"),
        ("a.CSV", ' a ,"b"\n1,2'),
    ],
)
def test_separators_marks_and_empty_lines(tmp_path, name, content):
    (tmp_path / name).write_bytes(content.encode())
    table = read_table(tmp_path / name)
    assert list(table.columns) == ["a", "b"]
    assert cells(table.columns["b"]) == [2.0]


def test_one_column_keeps_empty_lines_as_missing(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n\n3\n")
    assert cells(read_table(tmp_path / "a.csv").columns["a"]) == [1.0, None, 3.0]


def test_a_first_line_of_numbers_is_data_and_said(tmp_path):
    (tmp_path / "a.csv").write_text("1.5,2\n3,4\n")
    table = read_table(tmp_path / "a.csv")
    assert list(table.columns) == ["column_1", "column_2"]
    assert cells(table.columns["column_1"]) == [1.5, 3.0]
    assert "the first line holds numbers only" in table.notes[0]
    (tmp_path / "a.csv").write_text("0,1\n3,4\n")  # what pandas calls columns without names
    assert list(read_table(tmp_path / "a.csv").columns) == ["0", "1"]


def test_a_nameless_column_is_numbered(tmp_path):
    (tmp_path / "a.csv").write_text(",b\n1,2\n")
    assert list(read_table(tmp_path / "a.csv").columns) == ["column_1", "b"]


def test_many_columns(tmp_path):
    header = ",".join(f"c{i}" for i in range(10_000))
    row = ",".join("1" if i % 2 else "x" for i in range(10_000))
    (tmp_path / "a.csv").write_text(f"{header}\n{row}\n{row}\n")
    table = read_table(tmp_path / "a.csv")
    assert len(table.columns) == 10_000
    assert cells(table.columns["c9999"]) == [1.0, 1.0]
    assert cells(table.columns["c9998"]) == ["x", "x"]


def test_blocks_do_not_show(tmp_path, monkeypatch):
    """Small blocks, a quoted cell longer than several of them, and types that change late."""
    rows = [
        [str(i), f"w{i % 3}", f'long "{i}"\n' * 30, "NA" if i < 50 else "2.5"] for i in range(99)
    ]
    path = tmp_path / "a.csv"
    path.write_bytes(written([["n", "w", "t", "late"], *rows]))
    whole = read_table(path)
    monkeypatch.setattr("retrograd.data.csv_blocks.BLOCK_BYTES", 64)
    cut = read_table(path)
    for name, column in whole.columns.items():
        assert cells(column) == cells(cut.columns[name])
    assert list(whole.lines) == list(cut.lines)
    assert whole.place(1) == "line 33"


def test_header_is_a_plain_record():
    assert Header(("a",), ",", 2, 2, ()).names == ("a",)


def test_a_row_in_the_place_of_names_is_said(tmp_path):
    path = tmp_path / "iris.csv"
    path.write_text("5.1,3,setosa\n4.9,3,setosa\n6.1,2,virginica\n")
    (note,) = read_table(path).notes
    assert "'5.1' looks like data: if it is a row, write a line of names above it" in note
    path.write_text("2019,2020,region\n4.9,3,north\n")
    assert read_table(path).notes == ()
