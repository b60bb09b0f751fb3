"""One cell at a time answers as a table of one row does."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data import Preprocessor, read_table
from retrograd.data.encodings import (
    BooleanEncoding,
    CategoryEncoding,
    DateEncoding,
    DatePart,
    Encoding,
    NumberEncoding,
    feature_names,
)
from retrograd.serve.cells import MISSING, OUTSIDE, UNSEEN, CellError, converter, example_of
from retrograd.serve.rows import RowEncoder, RowError, view_of
from retrograd.tensor.errors import DataError

NUMBER = NumberEncoding("x", 3.0, 2.5, 4.0, -10.0, 50.0, indicator=True)
TIGHT = NumberEncoding("x", 1e300, 1e-300, 0.0, -1e308, 1e308, indicator=False)
LENIENT = NumberEncoding("x", 0.5, 0.25, 0.5, 0.0, 1.0, indicator=True, lenient=True)
BOOLEAN = BooleanEncoding("x", 1.0, indicator=True)
CATEGORY = CategoryEncoding("x", ("2", "abc", "true", "é"), other=True, missing=True)
BARE = CategoryEncoding("x", ("2", "abc"), other=False, missing=False)
DATE = DateEncoding(
    "x", 1_600_000_000_000_000,
    (DatePart("days", 10.0, 3.0), DatePart("month sin", 0.0, 1.0), DatePart("hour cos", 0.0, 1.0)),
    indicator=True,
)  # fmt: skip

WORDS = """abc  abc 2 2.0 1e3 007 true True yes NO n 0 1 é NA nan ? inf -inf 2020-01-31 2020-02-30
2020-01-31T10:20:30Z 2020-01-31T10:20:30.5+02:00 2020/01/31 maybe"""
TEXTS = st.sampled_from(["", " abc ", *WORDS.split()]) | st.text(max_size=5)
CELLS = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
)  # fmt: skip


def features_of(encoding: Encoding, cell: Any, spelling: str = "plain") -> tuple[list[float], int]:
    features = np.zeros((1, len(feature_names(encoding))), np.float32)
    oddity = converter(encoding, spelling)(cell, view_of(features), 0)
    return features[0].tolist(), oddity


def truth_of(encoding: Encoding, cell: Any, spelling: str = "plain") -> list[float]:
    preprocessor = Preprocessor((encoding,), "y", ("a", "b"), 0.0, 1.0)
    return preprocessor.transform(read_table({"x": [cell]}, spellings={"x": spelling}))[0].tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("encoding", [NUMBER, TIGHT, LENIENT, BOOLEAN, CATEGORY, BARE, DATE])
@given(cell=CELLS)
def test_features_are_those_of_a_table(encoding: Encoding, cell: Any) -> None:
    try:
        found, _ = features_of(encoding, cell)
    except CellError:
        return  # refused, which the next test looks at
    assert found == truth_of(encoding, cell)


@given(cell=CELLS)
def test_what_a_table_refuses_is_refused(cell: Any) -> None:
    for encoding in (NUMBER, CATEGORY, DATE):
        try:
            truth_of(encoding, cell)
        except DataError:
            with pytest.raises(CellError, match=r"expected|found|valid|large"):
                features_of(encoding, cell)


@pytest.mark.parametrize(
    ("encoding", "spelling", "cell"),
    [
        (NUMBER, "1.234,5", "1.034,5"),
        (NUMBER, "1.234,5", 12.5),
        (NUMBER, "1.234,5", "NA"),
        (CATEGORY, "text", "2.0"),
        (CATEGORY, "text", 2),
        (DATE, "DD/MM/YYYY", "03/02/2021"),
        (DATE, "DD/MM/YYYY", "2021-02-03"),
    ],
)
def test_cells_are_read_as_the_training_table_was_written(
    encoding: Encoding, spelling: str, cell: Any
) -> None:
    assert features_of(encoding, cell, spelling)[0] == truth_of(encoding, cell, spelling)


def test_a_text_in_another_spelling_is_refused() -> None:
    with pytest.raises(CellError, match=r"'12.5' at row 0 is not written as '1.234,5'"):
        features_of(NUMBER, "12.5", "1.234,5")
    with pytest.raises(CellError, match="expected a number, found the text 'abc'"):
        features_of(NUMBER, "abc", "1.234,5")


def test_oddities_are_told_apart() -> None:
    odd = [(NUMBER, None), (NUMBER, 51), (NUMBER, -11.5), (NUMBER, 50), (BOOLEAN, None),
           (CATEGORY, "zug"), (CATEGORY, ""), (CATEGORY, 2), (BARE, 3), (DATE, None)]  # fmt: skip
    assert [features_of(*each)[1] for each in odd] == [
        MISSING, OUTSIDE, OUTSIDE, 0, MISSING, UNSEEN, MISSING, 0, UNSEEN, MISSING,
    ]  # fmt: skip


def test_a_text_is_found_as_the_training_table_spelt_it() -> None:
    spelt = CategoryEncoding("x", ("2.50", "abc"), other=True, missing=False)
    assert features_of(spelt, "2.50")[0] == [1.0, 0.0, 0.0]


def test_whole_numbers_are_floats_as_in_json() -> None:
    assert features_of(NUMBER, 2**60 + 1) == features_of(NUMBER, 50.1)


@pytest.mark.parametrize(
    ("encoding", "cell", "words"),
    [
        (NUMBER, "abc", "expected a number, found the text 'abc'; write null where it is unknown"),
        (NUMBER, "41", "expected a number, found the text '41'; write it without quotes"),
        (NUMBER, "", "expected a number, found the text ''; write null where it is unknown"),
        (NUMBER, True, "expected a number, found true"),
        (NUMBER, [1], "expected a number, found a list"),
        (NUMBER, 10**400, "found a huge number, which a 64-bit number cannot hold"),
        (BOOLEAN, "maybe", "expected true or false, found the text 'maybe'"),
        (BOOLEAN, 2, "expected true or false, found 2"),
        (BOOLEAN, {}, "expected one value, found an object"),
        (CATEGORY, ["a"], "expected one value, found a list"),
        (CATEGORY, "1e999", "'1e999' at row 0 is too large for a 64-bit number"),
        (DATE, "soon", "expected a date, such as 2026-03-01, found the text 'soon'"),
        (DATE, 20200131, "expected a date, such as 2026-03-01, found 20200131"),
        (DATE, "", "found the text ''; write null where it is unknown"),
        (DATE, "x" * 100, "found the text '" + "x" * 39 + "…'"),
    ],
)
def test_a_wrong_cell_is_named(encoding: Encoding, cell: Any, words: str) -> None:
    with pytest.raises(CellError) as refused:
        features_of(encoding, cell)
    assert words in str(refused.value)


def test_examples_are_cells_that_training_saw() -> None:
    every = [NUMBER, BOOLEAN, CATEGORY, DATE]
    assert [example_of(each) for each in every] == [4, True, "2", "2020-09-13T12:26:40"]
    assert all(features_of(each, example_of(each))[1] == 0 for each in every)
    assert math.isclose(example_of(LENIENT), 0.5)


ENCODER = Preprocessor((NUMBER, CategoryEncoding("city", ("Bern",), True, False)), "y", ("a", "b"),
                       0.0, 1.0, ("id",))  # fmt: skip


def encode(row: Any, encoder: RowEncoder) -> Any:
    return encoder.encode(row, view_of(np.zeros((1, encoder.width), np.float32)), 0, 7)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1, 2], "row 7: expected an object with the columns as fields, found a list"),
        ("x", "row 7: expected an object with the columns as fields, found the text 'x'"),
        ({"x": 1}, "row 7, field 'city': the field is missing; give it, or null if unknown"),
        (
            {"x": 1, "City": "Bern"},
            "row 7, field 'city': the field is missing; did you mean 'City'",
        ),
        ({"x": "a", "city": "Bern"}, "row 7, field 'x': expected a number, found the text 'a'"),
    ],
)
def test_a_wrong_row_is_named(row: Any, words: str) -> None:
    with pytest.raises(RowError) as refused:
        encode(row, RowEncoder(ENCODER))
    assert str(refused.value).startswith(words)


def test_oddities_are_counted_and_told() -> None:
    encoder = RowEncoder(ENCODER)
    row = {"x": 99, "city": "Zug", "id": 4, "y": "a", "more": 1}
    assert encoder.notes(encode(row, encoder), row) == [
        "'x': 99 is outside the training range",
        "'city': the text 'Zug' was not seen in training",
        "'more' is not used by the network",
    ]
    assert encode({"x": 1, "city": "Bern"}, encoder) is None
    encode({"x": None, "city": "Bern"}, encoder)
    assert encoder.drift == {"x": [0, 1, 0, 1], "city": [0, 0, 1, 0]}
    many = {"x": 1, "city": "Bern", **{f"m{i}": 0 for i in range(30)}}
    assert encoder.notes(encode(many, encoder), many)[-1] == "and 10 notes more"
