"""Every kind of file that is no table ends in one sentence that names it."""

import gzip
import os

import numpy as np
import polars
import pytest

from retrograd.data import csv_file, frames, infer_schema, read_table
from retrograd.data.csv_blocks import BLOCK_BYTES
from retrograd.tensor.errors import DataError

BAD_CSV = {
    "empty file": (b"", "the file is empty"),
    "only empty lines": (b"\n\r\n\n", "holds no text"),
    "header only": (b"a,b\n", "a header but no rows"),
    "header without newline": (b"a,b", "a header but no rows"),
    "gzip": (gzip.compress(b"a,b\n1,2\n"), "compressed by gzip"),
    "zip": (b"PK\x03\x04rest", "a zip archive or an Excel workbook"),
    "parquet": (b"PAR1rest", "the file is Parquet"),
    "bad utf-8": (b"a,b\n1,2\nx,\xff\n3,4\n", "line 3 holds byte 0xff, which is not UTF-8"),
    "half of a letter at the end": (b"a,b\n1,2\n3,\xc3\xa9\xc3", "line 3 holds byte 0xc3"),
    "cyrillic": ("a,b\n1,привет\n".encode("cp1251"), "is not UTF-8 nor plausible Windows-1252"),
    "polish": ("a,b\n1,miłość\n2,żółw\n".encode("cp1250"), "nor plausible Windows-1252"),
    "cut utf-16": ("a,b\n1,2\n".encode("utf-16")[:-1], "is no UTF-16 text"),
    "nul": (b"a,b\n1,2\n3,\x00\n", "line 3 holds a NUL byte"),
    "unclosed quote": (b'a,b\n1,2\n3,"x\n4,5\n', "row that begins on line 3 and is never closed"),
    "unclosed quote in header": (b'a,"b\n1,2\n', "a quote in the header is never closed"),
    "stray quote": (b'a,b\n1,2\n5" pipe,3\n1,6" x\n', "line 3 has a quote inside a cell"),
    "text after a quote": (b'a,b\n1,"x"y\n', "line 2 has a quote inside a cell"),
    "short row": (b"a,b,c\n1,2,3\n4,5\n", "line 3 has 2 cells, and the header has 3"),
    "long row": (b"a,b\n1,2\n\n3,4,5\n", "line 4 has 3 cells, and the header has 2"),
    "short row after a quoted newline": (b'a,b\n"x\ny",2\n3\n', "line 4 has 1 cells"),
    "twice the same name": (b"a,b,a\n1,2,3\n", "columns 1 and 3 are both called 'a'"),
    "bare carriage returns": (b"a,b\r1,2\r3,4\r", "bare carriage returns"),
    "too large a number": (b"a,b\n1,2\n3,1e999\n", "'1e999' at line 3 is too large"),
}


@pytest.mark.parametrize("kind", BAD_CSV)
def test_bad_csv_is_refused_with_its_name_and_place(tmp_path, kind):
    content, found = BAD_CSV[kind]
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    message = str(caught.value)
    assert found in message
    assert "bad.csv" in message
    assert "\n" not in message


def test_binary_junk_is_refused(tmp_path):
    path = tmp_path / "junk.csv"
    for seed in range(20):
        path.write_bytes(np.random.default_rng(seed).bytes(3000))
        with pytest.raises(DataError, match=r"NUL|UTF-8|quote|cells|compressed"):
            read_table(path)


def test_faults_far_into_a_file_name_their_line(tmp_path):
    rows = BLOCK_BYTES // 10 + 1000  # of ten bytes: past the first block
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b\n" + b"1234,6789\n" * rows + b"1,2,3\n")
    with pytest.raises(DataError, match=f"line {rows + 2} has 3 cells"):
        read_table(path)
    path.write_bytes(b"a,b\n" + b"1234,6789\n" * rows + b"1,\xff\n")
    with pytest.raises(DataError, match=f"line {rows + 2} holds byte"):
        read_table(path)
    path.write_bytes(b"a,b\n" + b"1234,6789\n" * rows + b'"1,2\n' + b"1234,6789\n" * rows)
    with pytest.raises(DataError, match=f"begins on line {rows + 2} and is never closed"):
        read_table(path)


def test_missing_file_suggests_the_nearest(tmp_path):
    (tmp_path / "shop.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"no such file or data set; did you mean '.*shop.csv'"):
        read_table(tmp_path / "shpo.csv")
    with pytest.raises(DataError, match="did you mean 'diamonds'"):
        read_table("diamond")
    with pytest.raises(DataError, match="no such file or data set; give a path, or a data set"):
        read_table("/nowhere/qqqqqqqq")


def test_directories_pipes_and_devices_are_refused_at_once(tmp_path):
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(DataError, match=r"it is a folder without \.parquet files; give one file"):
        read_table(folder)
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="it is a pipe or a device"):
        read_table(pipe)
    with pytest.raises(DataError, match="it is a pipe or a device"):
        read_table("/dev/zero")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (PermissionError(13, "Permission denied"), "permission denied"),
        (IsADirectoryError(21, "Is a directory"), "it is a directory"),
        (OSError(40, "Too many levels of symbolic links"), "cannot be opened .Too many levels"),
    ],
)
def test_what_the_system_refuses_is_said(tmp_path, monkeypatch, error, found):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DataError, match=found):
        read_table(tmp_path / "a.csv")


def test_a_nul_in_a_path_is_refused():
    with pytest.raises(DataError, match="cannot be opened"):
        read_table("a\x00b.csv")


def test_unknown_suffix_is_refused(tmp_path):
    (tmp_path / "a.docx").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"tables come in .csv, .*\.duckdb, not .docx; rename"):
        read_table(tmp_path / "a.docx")


def test_one_row_is_too_few(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="1 of 1 rows has a label; give at least two"):
        infer_schema(read_table(tmp_path / "a.csv"))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    monkeypatch.setattr(csv_file, "_count_lines", lambda file: 1)
    with pytest.raises(DataError, match="changed while it was read"):
        read_table(path)


def test_a_file_that_shrinks_between_passes_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n007,4\n")
    monkeypatch.setattr(csv_file, "_SAMPLE_ROWS", 1)
    whole = csv_file.blocks
    calls = []

    def shrinking(file, header, asked):
        calls.append(1)
        return whole(file, header, asked) if len(calls) == 1 else iter(())

    monkeypatch.setattr(csv_file, "blocks", shrinking)
    with pytest.raises(DataError, match="changed while it was read"):
        read_table(path)


def test_rows_that_polars_sees_differently_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    monkeypatch.setattr(polars, "read_csv", lambda *_, **__: polars.DataFrame({"0": [1.0]}))
    with pytest.raises(DataError, match="rows cannot be told apart after line 2"):
        read_table(path)


def test_a_table_larger_than_the_machine_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    monkeypatch.setattr(os, "sysconf", lambda name: 1)
    with pytest.raises(DataError, match="and the machine has"):
        read_table(path)


def parquet(path, columns):
    polars.DataFrame(columns).write_parquet(path)
    return path


def test_damaged_parquet_is_refused(tmp_path):
    path = parquet(tmp_path / "a.parquet", {"a": list(range(2000)), "b": ["x", "y"] * 1000})
    whole = path.read_bytes()
    for stop in (1, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:stop])
        with pytest.raises(DataError, match=r"a\.parquet.*damaged or not Parquet"):
            read_table(path)
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError, match="damaged or not Parquet"):
        read_table(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="the file is empty"):
        read_table(path)


def test_flipped_bytes_of_parquet_never_crash(tmp_path):
    path = parquet(tmp_path / "a.parquet", {"a": list(range(200)), "b": ["x", "yy"] * 100})
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[generator.integers(len(whole))] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        try:
            read_table(path)
        except DataError:
            refused += 1
    assert refused > 10


def test_parquet_without_single_values_or_rows_is_refused(tmp_path):
    path = parquet(tmp_path / "a.parquet", {"a": [[1, 2], [3]], "b": [1, 2]})
    with pytest.raises(DataError, match=r"column 'a' \(List\(Int64\)\) does not hold single"):
        read_table(path)
    path = parquet(tmp_path / "b.parquet", {"a": [{"x": 1}], "b": [b"raw"]})
    with pytest.raises(DataError, match=r"column 'a' .* and 1 more does not hold"):
        read_table(path)
    path = parquet(tmp_path / "c.parquet", {"a": polars.Series([], dtype=polars.Int64)})
    with pytest.raises(DataError, match="a header but no rows"):
        read_table(path)


def test_panics_print_nothing_and_other_words_pass(capfd):
    def panic():
        os.write(2, b"thread 'x' panicked at lib.rs:1\nstack backtrace:\n")
        raise polars.exceptions.PanicException("assertion failed\n  left: 1")

    with pytest.raises(DataError, match=r"damaged or not Parquet \(assertion failed\)"):
        frames.guarded(panic, "reading")
    assert capfd.readouterr().err == ""
    assert frames.guarded(lambda: os.write(2, b"words"), "reading") == 5
    assert capfd.readouterr().err == "words"

    def closed(_):
        raise OSError(9, "Bad file descriptor")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "dup", closed)
        read = frames.guarded(lambda: 3, "reading")
    assert read == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), GeneratorExit()])
def test_what_is_not_the_files_fault_passes(error):
    def read():
        raise error

    with pytest.raises(type(error)):
        frames.guarded(read, "reading")
