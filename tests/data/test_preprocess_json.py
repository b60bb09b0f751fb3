"""Preprocessing survives JSON bit for bit, and a damaged record is refused with a reason."""

import json

import numpy as np
import pytest

from retrograd.data import Preprocessor, describe, fit_preprocessor, infer_schema, read_table
from retrograd.data.encodings import from_json
from retrograd.tensor.errors import FileFormatError

ROWS = np.arange(40)
COLOURS = ("red", "green", "blue")
SAMPLE = {
    "size": np.where(ROWS % 9 == 4, np.nan, np.sin(ROWS) * 100),
    "colour": [None if i % 11 == 3 else COLOURS[i % 3] for i in ROWS],
    "new": [None if i == 7 else i % 4 == 0 for i in ROWS],
    "when": np.datetime64("2020-01-01T06:00") + ROWS * np.timedelta64(31, "h"),
    "price": np.cos(ROWS) * 7 + 3,
}


def fitted():
    table = read_table(SAMPLE)
    return table, fit_preprocessor(table, infer_schema(table), ROWS)


def test_json_keeps_every_bit():
    table, preprocessor = fitted()
    again = Preprocessor.from_json(json.loads(json.dumps(preprocessor.to_json())))
    assert again == preprocessor
    assert again.transform(table).tobytes() == preprocessor.transform(table).tobytes()


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        (("format",), 2, "its format is 2, and this version of retrograd reads 1"),
        (("encodings",), [], "its columns are none, or one stands there twice"),
        (("encodings", 0, "kind"), "code", "no encoding is called 'code'"),
        (("encodings", 0, "scale"), 0, "column 'size': 'scale' should be above 0"),
        (("encodings", 0, "scale"), float("nan"), "'scale' should be a finite number, found nan"),
        (("encodings", 0, "shift"), "1", "'shift' should be a finite number, found '1'"),
        (("encodings", 0, "fill"), 10**400, "'fill' should be a finite number"),
        (("encodings", 0, "indicator"), 1, "'indicator' should be a bool, found 1"),
        (("encodings", 1, "categories"), ["a", "a"], "holds the same text twice"),
        (("encodings", 1, "column"), "size", "one stands there twice"),
        (("encodings", 3, "origin"), "1e5", "'origin' should be whole microseconds"),
        (("encodings", 3, "origin"), "9" * 30, "'origin' should be whole microseconds"),
        (("encodings", 3, "parts", 0, "name"), "century", "no part of a date is called 'century'"),
        (("encodings", 3, "parts", 0, "scale"), -1, "'scale' should be above 0"),
        (("scale",), 0.0, "'scale' should be above 0"),
        (("unused",), {}, "'unused' should be a list of texts"),
    ],
)
def test_damaged_records_are_refused(path, value, found):
    plain = fitted()[1].to_json()
    record = plain
    for key in path[:-1]:
        record = record[key]
    record[path[-1]] = value
    with pytest.raises(FileFormatError, match=found):
        Preprocessor.from_json(plain)


def test_deep_records_do_not_overflow_the_message():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(FileFormatError, match="'kind' should be a str"):
        from_json({"kind": deep}, "reading")


def test_description_says_what_was_done():
    table = read_table(SAMPLE | {"id": ROWS})
    schema = infer_schema(table, "price")
    rows = {row.column: row for row in describe(schema, fit_preprocessor(table, schema, ROWS))}
    assert rows["size"].encoding.startswith("(value - ")
    assert rows["size"].encoding.endswith(", marked")
    assert (rows["size"].missing, rows["size"].features) == (4, 2)
    assert rows["colour"].encoding == "one of 3 + missing"
    assert rows["new"].encoding == "0 or 1, missing marked"
    assert rows["when"].encoding == "days, month, weekday, hour"
    assert rows["id"].encoding == "dropped"
    assert rows["price"].kind == "regression target"
