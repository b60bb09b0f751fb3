"""Workbooks: sheets by name, cells by value, and one sentence for what is no workbook."""

import datetime
import sys
import zipfile

import numpy as np
import pytest
import xlsxwriter

from retrograd.data import TextColumn, excel, excel_corner, read_table
from retrograd.tensor.errors import DataError, InputError


def book(path, **sheets):
    with xlsxwriter.Workbook(str(path)) as file:
        moment = file.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for name, rows in sheets.items():
            sheet = file.add_worksheet(name)
            for place, row in enumerate(rows):
                for column, cell in enumerate(row):
                    if isinstance(cell, datetime.datetime):
                        sheet.write_datetime(place, column, cell, moment)
                    elif cell is not None:
                        sheet.write(place, column, cell)
    return path


def test_sheets_are_chosen_by_name(tmp_path):
    path = book(tmp_path / "a.xlsx", One=[["a", "b"], [1, 2]], Two=[["c"], [3], [4]])
    table = read_table(path)
    assert list(table.columns) == ["a", "b"]
    (note,) = table.notes
    assert note == (
        "the workbook has 2 sheets, and 'One' is read; for another one write a.xlsx#Two"
    )
    table = read_table(f"{path}#Two")
    assert (table.columns["c"].values.tolist(), table.notes) == ([3, 4], ())
    with pytest.raises(DataError, match="no sheet is called 'Tow'; did you mean 'Two'"):
        read_table(f"{path}#Tow")


def test_cells_of_a_workbook(tmp_path):
    noon = datetime.datetime(2020, 1, 31, 12)
    rows = [
        [None, None],
        [None, "n", "t", "d", "m", "f", None, "price"],
        [None, 1, "007", noon, 1, "=1/0", None, "1.234,50 €"],
        [],
        [None, 2.5, None, datetime.datetime(2020, 2, 1), "q", "=1+1", 5, "7 €"],
    ]
    columns = read_table(book(tmp_path / "a.xlsx", One=rows)).columns
    assert list(columns) == ["n", "t", "d", "m", "f", "column_6", "price"]
    assert columns["n"].values.tolist() == [1, 2.5]
    assert columns["t"].levels.tolist() == ["007"]
    days = columns["d"].values.astype("M8[h]").astype(str).tolist()
    assert days == ["2020-01-31T12", "2020-02-01T00"]
    assert isinstance(columns["m"], TextColumn)
    np.testing.assert_array_equal(columns["column_6"].values, [np.nan, 5])
    assert columns["price"].values.tolist() == [1234.5, 7]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([], "sheet 'One' has no rows below its header; choose another sheet: a.xlsx#NAME"),
        ([["a", "b"]], "has no rows below its header"),
        ([["a", "b", "a"], [1, 2, 3]], "sheet 'One': two columns are called 'a'; rename one"),
    ],
)
def test_sheets_that_are_no_tables_are_refused(tmp_path, rows, found):
    with pytest.raises(DataError, match=found):
        read_table(book(tmp_path / "a.xlsx", One=rows))


def test_damaged_workbooks_and_bombs_are_refused(tmp_path, monkeypatch):
    path = book(tmp_path / "a.xlsx", One=[["a", "b"], *([i, f"t{i}"] for i in range(300))])
    whole = path.read_bytes()
    cut = [whole[:stop] for stop in (10, 200, len(whole) // 2, len(whole) - 30)]
    for damaged in (*cut, b"a,b\n1,2\n", b"\xd0\xcf\x11\xe0" + bytes(600)):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.xlsx.*damaged, encrypted or no .xlsx"):
            read_table(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "no workbook")
    with pytest.raises(DataError, match=r"damaged, encrypted or no .xlsx"):
        read_table(path)
    path.write_bytes(whole)
    generator, refused = np.random.default_rng(0), 0
    for _ in range(40):
        flipped = bytearray(whole)
        flipped[generator.integers(len(whole))] ^= int(generator.integers(1, 256))
        path.write_bytes(flipped)
        try:
            assert read_table(path).n_rows > 0
        except DataError:
            refused += 1
    assert refused > 10
    path.write_bytes(whole)
    monkeypatch.setattr(excel, "_SMALL", 100)
    monkeypatch.setattr(excel, "_EXPANSION", 1)
    with pytest.raises(DataError, match=r"its parts expand to more than [\d,]+ bytes; save the"):
        read_table(path)


def test_a_cell_far_outside_is_refused_and_does_no_harm(tmp_path):
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(str(path)) as file:
        sheet = file.add_worksheet()
        sheet.write(0, 0, "a")
        sheet.write(1_048_575, 16_383, "b")
    found = "a sheet of 1,048,576 rows and 16,384 columns is too large; delete what stands far"
    with pytest.raises(DataError, match=found):
        read_table(path)


def test_the_corner_of_a_sheet_does_not_depend_on_how_it_is_cut():
    sheet = b"".join(
        b'<row r="%d">' % row
        + b"".join(b'<c s="1" r="%s%d"><v>1</v></c>' % (c, row) for c in cells)
        for row, cells in [(3, [b"A", b"AZ"]), (7, [b"B"])]
    )
    sheet += b"<x:row>" + b"<x:c><v>5</v></x:c>" * 60 + b"</x:row>"
    for size in (1, 7, 64, 1000, len(sheet)):
        corner = excel_corner.Corner()
        for start in range(0, len(sheet), size):
            corner = corner.after(sheet[start : start + size])
        assert corner.after(b" " * 65)[:4] == (7, 60, 3, 60)


def test_a_workbook_without_sheets_is_refused():
    with pytest.raises(DataError, match="the workbook has no sheets; save it again with one"):
        excel._chosen("", [], "reading")


def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch):
    path = book(tmp_path / "a.xlsx", One=[["a"], [1]])
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    with pytest.raises(InputError, match="the package fastexcel is not installed; pip install"):
        read_table(path)
