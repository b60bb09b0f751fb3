"""Every format gives the same table, and every damaged file of it one sentence."""

import gzip
import io

import numpy as np
import polars
import pyarrow
import pytest
import xlsxwriter

from retrograd.data import (
    DateColumn,
    NumberColumn,
    TextColumn,
    json_lines,
    parquet_files,
    read_table,
    text_files,
)
from retrograd.data.zstd_size import largest_size
from retrograd.tensor.errors import DataError

CSV = b"size,code,when,sold\n1.5,007,2020-01-31,yes\n,010,,no\n-2,,2020-02-01,\n"
FRAME = polars.read_csv(CSV, schema_overrides={"code": polars.String}, try_parse_dates=True)


def write_workbook(path, rows, sheets=("First",)):
    with xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd"}) as book:
        for name in sheets:
            sheet = book.add_worksheet(name)
            for place, row in enumerate(rows):
                for column, cell in enumerate(row):
                    if cell is not None:
                        sheet.write(place, column, cell)
    return path


def write_zstd(path, content):
    with pyarrow.CompressedOutputStream(str(path), "zstd") as file:
        file.write(content)
    return path


def write(folder, name):
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(CSV))
    elif name.endswith(".zst"):
        write_zstd(path, CSV)
    elif name.endswith("jsonl"):
        FRAME.with_columns(polars.col("when").cast(polars.String)).write_ndjson(path)
    elif name.endswith((".arrow", ".feather")):
        FRAME.write_ipc(path, compression="zstd")
    elif name.endswith(".ipc"):
        FRAME.write_ipc_stream(path)
    elif name.endswith(".xlsx"):
        write_workbook(path, [FRAME.columns, *FRAME.rows()])
    elif name == "folder":
        path.mkdir()
        FRAME[:1].write_parquet(path / "a.parquet")
        FRAME[1:].write_parquet(path / "b.parquet")
        (path / "_SUCCESS").write_text("")
    else:
        path.write_bytes({".tsv": CSV.replace(b",", b"\t")}.get(path.suffix, CSV))
    return path


@pytest.mark.parametrize(
    "name",
    ["a.csv", "a.tsv", "a.csv.gz", "a.csv.zst", "a.jsonl", "a.jsonl.gz", "a.arrow", "a.feather",
     "a.ipc", "a.xlsx", "folder"],
)  # fmt: skip
def test_every_format_gives_the_same_table(tmp_path, name):
    source = write(tmp_path, "a.jsonl" if name == "a.jsonl.gz" else name)
    if name == "a.jsonl.gz":
        (tmp_path / name).write_bytes(gzip.compress(source.read_bytes()))
    table = read_table(tmp_path / name)
    assert table.name == str(tmp_path / name)
    columns = table.columns
    np.testing.assert_array_equal(columns["size"].values, [1.5, np.nan, -2])
    assert isinstance(columns["when"], DateColumn)
    days = columns["when"].values.astype("M8[D]").astype(str).tolist()
    assert days == ["2020-01-31", "NaT", "2020-02-01"]
    assert columns["code"].levels.tolist() == ["007", "010"]
    assert columns["sold"].codes.tolist() == [1, 0, -1]
    assert table.notes == ()


def test_spellings_are_known_in_every_format(tmp_path):
    rows = {"price": ["1.234", "2.500"], "y": ["a", "b"]}
    frame = polars.DataFrame(rows)
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_ipc(tmp_path / "a.arrow")
    frame.write_ndjson(tmp_path / "a.jsonl")
    frame.write_csv(tmp_path / "a.csv")
    write_workbook(tmp_path / "a.xlsx", [frame.columns, *frame.rows()])
    names = ("a.parquet", "a.arrow", "a.jsonl", "a.csv", "a.xlsx")
    sources = [*(tmp_path / name for name in names), frame, frame.to_pandas(), rows]
    for source in sources:
        for spelling, wanted in [("1.234,5", [1234, 2500]), ("plain", [1.234, 2.5])]:
            found = read_table(source, spellings={"price": spelling}).columns["price"]
            assert found.values.tolist() == wanted
        as_text = read_table(source, spellings={"price": "text"}).columns["price"]
        assert as_text.levels.tolist() == ["1.234", "2.500"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_other_encodings_are_read_and_said(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("name,x\ncafé,1\n“Zoë’s” – naïve €,2\n".replace("“", "'").encode(encoding))
    table = read_table(path)
    assert "café" in table.columns["name"].levels.tolist()
    (note,) = table.notes
    if encoding == "cp1252":
        assert note == (
            "the file is not UTF-8: it was read as Windows-1252 (Latin-1), which gives 'café' on "
            "line 2; if that is wrong, save it as UTF-8"
        )
    else:
        assert note == f"the file is {encoding[:6].upper()} text, and was read as such"


def test_utf8_with_a_mark_and_across_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_PIECE", 5)
    path = tmp_path / "a.csv"
    path.write_bytes("name,x\nçéü€𝄞,1\nabc,2\n".encode("utf-8-sig"))
    table = read_table(path)
    assert table.columns["name"].levels.tolist() == ["abc", "çéü€𝄞"]
    assert table.notes == ()


def test_compressed_files_that_are_damaged_or_bombs_are_refused(tmp_path, monkeypatch):
    for name, content in [
        ("a.csv.gz", gzip.compress(CSV * 100)),
        ("a.csv.zst", write_zstd(tmp_path / "b.csv.zst", CSV * 100).read_bytes()),
    ]:
        path = tmp_path / name
        for damaged in (content[: len(content) // 2], content[:-1]):
            path.write_bytes(damaged)
            with pytest.raises(DataError, match=r"a\.csv\..*damaged or cut short"):
                read_table(path)
        path.write_bytes(CSV)
        with pytest.raises(DataError, match=r"it is not compressed as \.(gz|zst) files are; name"):
            read_table(path)
        path.write_bytes(b"")
        with pytest.raises(DataError, match="the file is empty"):
            read_table(path)
    monkeypatch.setattr(text_files, "_SMALL", 1000)
    monkeypatch.setattr(text_files, "_EXPANSION", 10)
    bomb = b"a,b\n" + b"1,2\n" * 2_000_000
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(bomb))
    write_zstd(tmp_path / "c.csv.zst", bomb)
    for name in ("c.csv.gz", "c.csv.zst"):
        with pytest.raises(DataError, match=r"bytes expand to more than [\d,]+; unpack it"):
            read_table(tmp_path / name)

    class FullDisk:
        def write(self, content):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(text_files.tempfile, "TemporaryFile", FullDisk)
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(CSV))
    with pytest.raises(DataError, match=r"cannot be expanded .No space left on device"):
        read_table(tmp_path / "d.csv.gz")


def test_a_long_line_of_zstd_is_refused_before_it_is_expanded(tmp_path, monkeypatch):
    path = write_zstd(tmp_path / "a.csv.zst", b"a" * (8 << 20))
    with path.open("rb") as file:
        assert 8 << 20 <= largest_size(file, "") <= 9 << 20
    monkeypatch.setattr(text_files, "_SMALL", 1 << 20)
    monkeypatch.setattr(text_files, "_unzstd", None)
    with pytest.raises(DataError, match="expand to more than 1,048,576; unpack it yourself if"):
        read_table(path)
    skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + path.read_bytes()
    assert largest_size(io.BytesIO(skipped * 2), "") >= 16 << 20
    for damaged in (path.read_bytes()[:-3], skipped[:6], path.read_bytes() + b"junk!"):
        with pytest.raises(DataError, match="the compressed file is damaged or cut short"):
            largest_size(io.BytesIO(damaged), "")


def test_names_that_lie_are_refused(tmp_path):
    for name, content, found in [
        ("a.parquet.gz", b"x", "only .csv, .* may be compressed, not .parquet"),
        ("a.csv.bz2", b"x", "not .bz2; unpack it with bunzip2 first"),
        ("a.xls", b"x", "not .xls; save it as .xlsx"),
        ("a.json", b"{}", "not .json; write one object a line, and name it .jsonl"),
        ("a.csv", b"ARROW1\x00\x00", "the file is Arrow, not text; name it .arrow"),
        ("a.csv", b"SQLite format 3\x00....", "the file is an SQLite database, not text; name"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=found):
            read_table(tmp_path / name)


def test_json_lines_of_any_shape(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '\ufeff{"a": 1, "b": "x", "c": true}\n\n{"b": 7, "d": NaN}\r\n{"a": 9007199254740993}\n'
    )
    table = read_table(path)
    assert table.columns["a"].levels.tolist() == ["1", "9007199254740993"]
    assert table.columns["b"].levels.tolist() == ["7", "x"]
    assert table.columns["c"].levels.tolist() == ["true"]
    assert isinstance(table.columns["d"], NumberColumn)
    assert [table.place(row) for row in range(3)] == ["line 1", "line 3", "line 4"]
    path.write_text('{"a": 1.0}\n{"a": 9007199254740993}\n')
    assert isinstance(read_table(path).columns["a"], TextColumn)
    path.write_text('{"a": 1, "b": "1,5"}\n{"a": 0.25}')
    assert read_table(path).columns["b"].values[0] == 1.5


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("\n\n", "the file holds no rows"),
        ('{"a": 1}\n[1, 2]\n', r"line 2 is no JSON object: '\[1, 2\]'; write one object a line"),
        ('[{"a": 1}]\n', "line 1 is no JSON object"),
        ('{"a": 1}\n{"a":\n', r"line 2 is no JSON object \(Expecting value"),
        ('{"a": 1} {"a": 2}\n', r"line 1 is no JSON object \(Extra data"),
        ('{"a": 1, "a": 2, "b": NaN}\n', "the name 'a' stands there twice"),
        ('{"a": 1e999}\n', "'1e999' is too large for a 64-bit number"),
        ('{"a": [1]}\n', "line 1 holds a list as 'a', no single value"),
        ('{"a": 1}\n{"a": {"b": 1}}\n', "line 2 holds a dict as 'a'"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}\n", "line 1 is no JSON object"),
        ("{}\n{}\n", "no object has a name in it"),
        ('{"a": "\x00"}\n', "line 1 is no JSON object"),
    ],
)
def test_bad_json_lines_are_refused_with_their_line(tmp_path, content, found):
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=found):
        read_table(path)


def test_endless_json_lines_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "_LONGEST", 10)
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 123456}\n')
    with pytest.raises(DataError, match="line 2 is longer than 64 MB"):
        read_table(tmp_path / "a.jsonl")


def test_folders_with_partitions_and_differing_files(tmp_path, monkeypatch):
    for year in (2019, 2020):
        (tmp_path / f"year={year}").mkdir()
        polars.DataFrame({"a": [1.5, 2.5]}).write_parquet(tmp_path / f"year={year}" / "x.parquet")
    assert read_table(tmp_path).columns["year"].values.tolist() == [2019, 2019, 2020, 2020]
    with monkeypatch.context() as patch:
        patch.setattr(parquet_files, "_MOST_FILES", 1)
        with pytest.raises(DataError, match="it holds more than 1 files; join some of them"):
            read_table(tmp_path)
    last = tmp_path / "year=2020" / "x.parquet"
    for frame, found in [
        ({"b": [1.5]}, "'x.parquet' lacks column 'a' of 'x.parquet'"),
        ({"a": [1.5], "b": [1]}, "has a column 'b' that 'x.parquet' lacks"),
        ({"a": ["x"]}, "column 'a' is String in 'x.parquet' and Float64 in"),
    ]:
        polars.DataFrame(frame).write_parquet(last)
        with pytest.raises(DataError, match=found):
            read_table(tmp_path)
    last.write_bytes(last.read_bytes()[:50])
    with pytest.raises(DataError, match=r"file 'x.parquet': the Parquet file is damaged"):
        read_table(tmp_path)
    last.unlink()
    last.mkdir()
    (tmp_path / "year=2020" / "b.parquet").symlink_to("/nowhere")
    with pytest.raises(DataError, match=r"file 'b.parquet': it is no regular file"):
        read_table(tmp_path)


def test_dates_that_no_calendar_has_are_refused(capfd):
    for number, kind in [(2**31 - 1, polars.Date), (2**62, polars.Datetime("ms"))]:
        days = polars.Series([number, 0], dtype=polars.Int64).cast(kind)
        with pytest.raises(DataError, match="column 'a': a date lies outside of what calendars"):
            read_table(polars.DataFrame({"a": days, "b": [1, 2]}))
    assert capfd.readouterr().err == ""


def test_damaged_arrow_is_refused(tmp_path):
    path = tmp_path / "a.arrow"
    polars.DataFrame({"a": list(range(300)), "b": ["x", "yy"] * 150}).write_ipc(path)
    whole = path.read_bytes()
    for stop in (4, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:stop])
        with pytest.raises(DataError, match=r"a\.arrow.*damaged or not Arrow"):
            read_table(path)
    path.write_bytes(b"FEA1....FEA1")
    with pytest.raises(DataError, match="Feather of version 1"):
        read_table(path)
    polars.DataFrame({"a": [[1]]}).write_ipc(path)
    with pytest.raises(DataError, match=r"column 'a' .* does not hold single values"):
        read_table(path)
