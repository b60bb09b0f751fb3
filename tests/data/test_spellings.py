"""Numbers and dates as people write them: decided over all rows, said, and the same later."""

import csv
import datetime
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data import (
    DateColumn,
    NumberColumn,
    Schema,
    TextColumn,
    date_spelling,
    infer_schema,
    number_spelling,
    read_table,
    spellings_of,
)
from retrograd.tensor.errors import DataError

N = 40


def column(*texts, **options):
    return read_table({"a": list(texts)}, **options).columns["a"]


@pytest.mark.parametrize(
    ("texts", "values", "name"),
    [
        (["1.234,5", "-7"], [1234.5, -7], "1.234,5"),
        (["1,234.5", "7"], [1234.5, 7], "1,234.5"),
        (["1,234,567", "7"], [1234567, 7], "1,234.5"),
        (["1.234.567", "7"], [1234567, 7], "1.234,5"),
        (["1 234", "1 234,5"], [1234, 1234.5], "1 234,5"),
        (["1\u202f234,50\u00a0€", "7 €"], [1234.5, 7], "1 234,5 €"),
        (["1'234.50", "7"], [1234.5, 7], "1'234.5"),
        (["0,5", "\u22122,25"], [0.5, -2.25], "1234,5"),
        (["$1,234.50", "-$3", "4"], [1234.5, -3, 4], "1,234.5 $"),
        (["CHF 5.50", "CHF -3"], [5.5, -3], "1234.5 CHF"),
        (["R$ 1.234,00", "R$ 5"], [1234, 5], "1.234,5 R$"),
        (["12 %", "3.5%"], [12, 3.5], "1234.5 %"),
    ],
)
def test_numbers_as_people_write_them(texts, values, name):
    found = column(*texts, None)
    assert isinstance(found, NumberColumn)
    assert found.values[:-1].tolist() == values
    assert np.isnan(found.values[-1])
    assert found.spelling.text == name
    assert number_spelling.named(name).name == name


@pytest.mark.parametrize(
    "texts",
    [
        ["€5", "$5"],  # two currencies
        ["12%", "3"],  # percent beside shares
        ["007,5", "1,5"],
        ["1.2.3", "1.2.4"],
        ["12,34", "1.5"],
        ["1,23,456", "2"],
        ["9,007,199,254,740,993"],
        ["€ 5 €"],
        ["1_000,5"],
        ["--5,5"],
        ["13/13/2020"],
        ["29.02.2021"],
        ["10 abc 2020"],
        ["31.12.2020", "12.31.2020"],
        ["1.1.2020 13:00 pm"],
    ],
)
def test_what_is_no_number_or_date_stays_text(texts):
    assert isinstance(column(*texts), TextColumn)


def test_a_doubtful_mark_is_said_and_can_be_corrected():
    table = read_table({"a": ["1,234", "12"]})
    assert table.columns["a"].values.tolist() == [1234, 12]
    (note,) = table.notes
    assert note == (
        "column 'a': '1,234' is read as 1234; if that is wrong, say its kind is 'number 1234,5'"
    )
    kinds = {"a": "number 1234,5"}
    again = read_table({"a": ["1,234", "12"]}, spellings=spellings_of(kinds))
    assert again.columns["a"].values.tolist() == [1.234, 12]
    assert again.notes == ()


def test_the_file_tells_what_a_mark_means(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a;b;c;d\n1.234;1,5;0,123;1.5\n2.500;2,25;1,456;2.25\n")
    table = read_table(path)
    values = {name: column.values.tolist() for name, column in table.columns.items()}
    assert values == {"a": [1234, 2500], "b": [1.5, 2.25], "c": [0.123, 1.456], "d": [1.5, 2.25]}
    (note,) = table.notes
    assert "column 'a': points are taken for marks between thousands" in note
    path.write_text("a;b\n1.234;1,5\n2.5e1;2,25\n1.234;2,25\n1.234;2,25\n")
    assert read_table(path).columns["a"].values.tolist() == [1.234, 25, 1.234, 1.234]
    path.write_text("a;b\n1,234;x\n2,500;y\n")
    assert read_table(path).columns["a"].values.tolist() == [1.234, 2.5]


@given(
    values=st.lists(st.integers(-(10**14), 10**14), min_size=1, max_size=20),
    way=st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (",", "")]),
    unit=st.sampled_from(["", "€", "$", "%"]),
)
def test_what_is_written_is_read(values, way, unit):
    """Any amounts in cents, written in any way, mean the same again."""
    spelling = number_spelling.NumberSpelling(*way, unit)
    decimal, group = way
    texts = []
    for value in values:
        whole = f"{abs(value) // 100:,}".replace(",", group)
        texts.append(f"{'-' * (value < 0)}{whole}{decimal}{abs(value) % 100:02}{unit}")
    read = spelling.reader()
    assert [read(text) for text in texts] == [value / 100 for value in values]
    decided, numbers = number_spelling.decide(texts)
    again = number_spelling.named(decided.text).reader()
    assert [again(text) for text in texts] == numbers == [value / 100 for value in values]


@pytest.mark.parametrize(
    ("texts", "name", "first"),
    [
        (["31.12.2020", "1.2.2020"], "DD.MM.YYYY", "2020-12-31"),
        (["01.02.2020", "03.04.2020"], "DD.MM.YYYY", "2020-02-01"),
        (["31/12/20", "1/2/20"], "DD/MM/YY", "2020-12-31"),
        (["12/31/69", "1/2/20"], "MM/DD/YY", "1969-12-31"),
        (["12/31/2020 4:05 PM", "1/2/2020 12:00 am"], "MM/DD/YYYY", "2020-12-31T16:05"),
        (["2020/1/5", "2020/12/31"], "YYYY/MM/DD", "2020-01-05"),
        (["2020.01.05 07:08:09.5"], "YYYY.MM.DD", "2020-01-05T07:08:09.5"),
        (["3. Januar 2020", "1. März 2021"], "DD Month YYYY", "2020-01-03"),
        (["3 de enero de 2020"], "DD Month YYYY", "2020-01-03"),
        (["14-Jul-98", "3 août 20"], "DD Month YY", "1998-07-14"),
        (["Jan 3, 2020", "September 30 2020"], "Month DD, YYYY", "2020-01-03"),
        (["02/02/2020", "03/03/2020"], "DD/MM/YYYY", "2020-02-02"),  # both orders say the same
    ],
)
def test_dates_as_people_write_them(texts, name, first):
    found = column(*texts, None)
    assert isinstance(found, DateColumn)
    assert found.spelling.text == name
    assert found.values[0] == np.datetime64(first)
    assert np.isnat(found.values[-1])


def test_every_way_to_write_dates_reads_what_it_writes():
    day = datetime.datetime(2021, 11, 23)
    for name in date_spelling.names():
        text = name.replace("YYYY", "2021").replace("YY", "21").replace("DD", "23")
        text = text.replace("Month", "November").replace("MM", "11")
        assert date_spelling.reader(name)(text) == day, name


def test_dates_of_unknown_order_are_refused_until_it_is_said():
    texts = [f"0{i % 3 + 1}/0{i % 5 + 1}/2020" for i in range(N)]
    table = {"when": texts, "y": [0, 1] * (N // 2)}
    with pytest.raises(DataError) as caught:
        infer_schema(read_table(table))
    message = str(caught.value)
    assert "every cell is a date both as DD/MM/YYYY and as MM/DD/YYYY, such as '01/01" in message
    assert "choose the column's kind: {'when': 'date DD/MM/YYYY'}, the same with MM/DD" in message
    kinds = {"when": "date MM/DD/YYYY"}
    read = read_table(table, spellings=spellings_of(kinds))
    assert infer_schema(read, kinds=kinds).columns[0].spelling == "MM/DD/YYYY"
    assert str(read.columns["when"].values[1])[:10] == "2020-02-02"
    with pytest.raises(DataError, match=r"no cell was read as 'MM/DD/YYYY'; read the table with"):
        infer_schema(read_table(table), kinds=kinds)
    dropped = infer_schema(read_table(table | {"b": np.sin(range(N))}), kinds={"when": "drop"})
    assert not dropped.columns[0].kind.is_used


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (
            [f"1.{i:03},5" for i in range(N)],
            r"39 cells are numbers written as '1.234,5', but row 7",
        ),
        (
            [f"{i},5 €" for i in range(N)],
            "39 cells are numbers written as '1234,5 €', but row 7 ho",
        ),
        (
            [f"{i % 28 + 1}.12.2020" for i in range(N)],
            r"39 cells are dates written DD.MM.YYYY, but",
        ),
        ([f"2020-01-{i % 28 + 1:02}" for i in range(N)], "39 cells are dates, but row 7 holds 'oo"),
    ],
)
def test_nearly_numbers_and_dates_are_refused(texts, found):
    texts = [*texts[:7], "oops", *texts[8:]]
    with pytest.raises(DataError, match=found):
        infer_schema(read_table({"a": texts, "y": [0, 1] * (N // 2)}))


@pytest.mark.parametrize("other", ["$7", "7 %"])
def test_numbers_of_several_units_are_refused(other):
    texts = [*(f"{i},50 €" for i in range(N - 1)), other]
    with pytest.raises(DataError, match=r"its numbers are not in one unit: '.*'; convert them, or"):
        infer_schema(read_table({"a": texts, "y": [0, 1] * (N // 2)}))
    shares = {"a": [*(f"{i} %" for i in range(N - 1)), "0.5"], "y": [0, 1] * (N // 2)}
    with pytest.raises(DataError, match=r"not in one unit: '0 %' and '0\.5'|'0\.5' and '0 %'"):
        infer_schema(read_table(shares))
    assert infer_schema(read_table(shares), kinds={"a": "category"}).columns[0].kind.is_used


def test_a_spelling_that_is_said_makes_the_rest_missing():
    texts = [f"1.{i:03},5" for i in range(N - 1)]
    table = {"a": [*texts, "oops"], "y": [0, 1] * (N // 2)}
    kinds = {"a": "number 1.234,5"}
    schema = infer_schema(read_table(table, spellings=spellings_of(kinds)), kinds=kinds)
    assert (schema.columns[0].kind.value, schema.columns[0].spelling) == ("number", "1.234,5")


def test_cells_mean_later_what_they_meant_in_training(tmp_path):
    path = tmp_path / "train.csv"
    rows = [["price", "code", "when", "sold"]]
    rows += [
        [f"{i}.250,5", f"{i % 4},5x", f"{i % 28 + 1}.2.2020", "ny"[i % 2]] for i in range(1, N)
    ]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_text(text.getvalue())
    plain = infer_schema(read_table(path)).to_json()
    schema = Schema.from_json(json.loads(json.dumps(plain)))
    assert schema.spellings == {
        "price": "1.234,5", "code": "text", "when": "DD.MM.YYYY", "sold": "text"
    }  # fmt: skip
    path.write_text("price,code,when\n1.234,1,2020-03-04\n")
    later = read_table(path, spellings=schema.spellings)
    assert later.columns["price"].values.tolist() == [1234]
    assert later.columns["code"].levels.tolist() == ["1"]
    assert str(later.columns["when"].values[0])[:10] == "2020-03-04"
    assert (
        read_table({"price": [1.234]}, spellings=schema.spellings).columns["price"].values == 1.234
    )
    mixed = read_table({"price": [1.234, "1.234", None]}, spellings=schema.spellings)
    np.testing.assert_array_equal(mixed.columns["price"].values, [1.234, 1234, np.nan])
    path.write_text("price\n1.5\n")
    with pytest.raises(
        DataError, match=r"'1.5' at line 2 is not written as '1.234,5', and may mean"
    ):
        read_table(path, spellings=schema.spellings)
    with pytest.raises(
        DataError, match=r"its cells were read as plain numbers, and training's were"
    ):
        read_table(read_table(path), spellings=schema.spellings)
    path.write_text("when\n12/31/2020\n")
    with pytest.raises(DataError, match=r"'12/31/2020' at line 2 is not written as 'DD.MM.YYYY'"):
        read_table(path, spellings=schema.spellings)


def test_schemas_of_before_there_were_spellings_are_read():
    plain = infer_schema(read_table({"a": [1, 2, 3, 4], "y": [0, 1, 0, 1]})).to_json()
    del plain["target_spelling"], plain["columns"][0]["spelling"]
    assert Schema.from_json(plain).spellings == {"a": "plain", "y": "plain"}


def test_unknown_spellings_and_kinds_are_refused():
    with pytest.raises(
        DataError, match="no way to write numbers or dates is called 'DD/MM'; write"
    ):
        read_table({"a": ["1"]}, spellings={"a": "DD/MM"})
    table = read_table({"a": ["x", "y"] * 20, "y": [0, 1] * 20})
    with pytest.raises(DataError, match="says how texts are written, and category takes no such"):
        infer_schema(table, kinds={"a": "category 1.234,5"})
    with pytest.raises(DataError, match="no kind is called 'numbr 1,5'; did you mean 'number'"):
        infer_schema(table, kinds={"a": "numbr 1,5"})


@pytest.mark.parametrize("pair", ["ja nein", "oui non", "T F", "On off", "sí no", "wahr falsch"])
def test_booleans_in_words(pair):
    yes, no = pair.split()
    schema = infer_schema(read_table({"a": [yes, no, yes, None] * 10, "y": [0, 1] * 20}))
    assert schema.columns[0].kind.value == "boolean"
