"""Features are finite, learnt from training rows only, and the same after a trip through JSON."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.data import (
    Preprocessor,
    fit_preprocessor,
    infer_schema,
    read_table,
    split_table,
)
from retrograd.data.fitting import shift_and_scale
from retrograd.tensor.errors import DataError

N = 40
ROWS = np.arange(N)
COLOURS = ("red", "green", "blue")
SAMPLE = {
    "size": np.where(ROWS % 9 == 4, np.nan, np.sin(ROWS) * 100),
    "colour": [None if i % 11 == 3 else COLOURS[i % 3] for i in ROWS],
    "new": [None if i == 7 else i % 4 == 0 for i in ROWS],
    "when": np.datetime64("2020-01-01T06:00") + ROWS * np.timedelta64(31, "h"),
    "price": np.cos(ROWS) * 7 + 3,
}


def fitted(columns=SAMPLE, rows=ROWS, **options):
    table = read_table(columns)
    schema = infer_schema(table, **options)
    return table, fit_preprocessor(table, schema, rows)


def test_features_have_names_and_sources():
    table, preprocessor = fitted()
    assert preprocessor.feature_names == (
        *("size", "size is missing", "colour=blue", "colour=green", "colour=red"),
        *("colour=(missing)", "new", "new is missing", "when.days", "when.month sin"),
        *("when.month cos", "when.weekday sin", "when.weekday cos", "when.hour sin"),
        "when.hour cos",
    )
    sources = preprocessor.feature_sources
    assert sources[0] == "size"
    assert sources[-1] == "when"
    features = preprocessor.transform(table)
    assert features.shape == (N, len(sources))
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_numbers_are_standardised_and_missing_ones_marked():
    table, preprocessor = fitted()
    features = preprocessor.transform(table)
    known = ~np.isnan(SAMPLE["size"])
    assert features[known, 0].mean() == pytest.approx(0, abs=1e-6)
    assert features[known, 0].std() == pytest.approx(1, rel=1e-6)
    np.testing.assert_array_equal(features[:, 1], ~known)
    median = np.sort(SAMPLE["size"][known])[(known.sum() - 1) // 2]
    row = int(np.flatnonzero(SAMPLE["size"] == median)[0])
    assert (features[~known, 0] == features[row, 0]).all()


def test_categories_booleans_and_dates():
    table, preprocessor = fitted()
    features = dict(zip(preprocessor.feature_names, preprocessor.transform(table).T, strict=True))
    for row, colour in enumerate(SAMPLE["colour"]):
        for name in ("blue", "green", "red", "(missing)"):
            assert features[f"colour={name}"][row] == (name == (colour or "(missing)"))
    assert features["new"][[0, 1, 7]].tolist() == [1, 0, 0]
    assert features["new is missing"][[6, 7]].tolist() == [0, 1]
    assert features["when.hour sin"][0] == pytest.approx(1)  # six o'clock is a quarter turn
    assert features["when.weekday sin"][0] == pytest.approx(np.sin(2 * np.pi * 2 / 7))  # Wednesday
    assert features["when.month cos"][0] == pytest.approx(1)  # January


def test_no_leakage():
    """What stands in validation and test rows has no influence on preprocessing."""
    table = read_table(SAMPLE)
    schema = infer_schema(table)
    split = split_table(table, schema, seed=0)
    before = fit_preprocessor(table, schema, split.train)
    changed = {name: np.array(values, dtype=object) for name, values in SAMPLE.items()}
    others = np.concatenate([split.validation, split.test])
    for name, value in (("size", 1e9), ("colour", "pink"), ("new", None), ("price", -1e9)):
        changed[name][others] = value
    changed["when"] = SAMPLE["when"].copy()
    changed["when"][others] = np.datetime64("1990-01-01")
    after = fit_preprocessor(read_table(changed), schema, split.train)
    assert before == after


finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=300, deadline=None)
@given(values=st.lists(finite, min_size=1, max_size=20), more=st.lists(finite, max_size=5))
def test_every_number_becomes_a_finite_feature(values, more):
    shift, scale = shift_and_scale(np.array(values))
    assert np.isfinite(shift)
    assert np.isfinite(scale)
    assert scale > 0
    table = read_table(
        {"a": [*values, *more, np.inf, -np.inf, np.nan], "y": [0.5] * (len(values + more) + 3)}
    )
    preprocessor = Preprocessor((_number(values),), "y", (), 0.0, 1.0)
    features = preprocessor.transform(table)
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= 1e6


def _number(values):
    from retrograd.data.columns import NumberColumn
    from retrograd.data.fitting import fit_encoding
    from retrograd.data.schema import ColumnKind

    return fit_encoding("a", ColumnKind.number, NumberColumn(np.array([*values, np.nan])))


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9, 1e12])
def test_deviation_keeps_its_digits_far_from_zero(offset):
    """As NIST's SmLs sets: the naive formula has no correct digit at 1e12."""
    values = offset + np.tile([0.1, 0.3], 500) * 1.0
    exact = (values[1] - values[0]) / 2
    assert shift_and_scale(values)[1] == pytest.approx(exact, rel=1e-12)


def test_extremes():
    assert shift_and_scale(np.array([1e300, 3e300])) == (2e300, 1e300)
    assert shift_and_scale(np.array([-1.7e308, 1.7e308])) == (0.0, 1.7e308)
    assert shift_and_scale(np.array([5e-324, 0.0]))[1] > 0
    assert shift_and_scale(np.array([4.0, 4.0])) == (4.0, 1.0)
    assert shift_and_scale(np.array([])) == (0.0, 1.0)


def test_rare_categories_share_a_code():
    colours = ["red"] * 20 + ["blue"] * 18 + ["odd", "rare"]
    _, preprocessor = fitted({"colour": colours, "y": [0, 1] * 20})
    assert preprocessor.feature_names == ("colour=blue", "colour=red", "colour=(other)")
    new = read_table({"colour": ["odd", "never seen", "red", None]})
    assert preprocessor.transform(new).tolist() == [[0, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0]]
    notes = preprocessor.notes(new)
    assert notes[0].startswith("'colour': 2 cells are rare or unseen, such as 'odd'")
    assert notes[1] == "'colour': 1 cell is missing, none was in training: no category"


def test_the_most_frequent_categories_are_kept():
    values = [f"c{i % 70:02d}" for i in range(700)] + ["c69"] * 10
    _, preprocessor = fitted({"a": values, "y": [0, 1] * 355}, rows=np.arange(710))
    names = preprocessor.feature_names
    assert len(names) == 51
    assert "a=c69" in names
    assert names[-1] == "a=(other)"


def test_notes_count_what_training_did_not_know():
    columns = {"a": [1.0, 2, 3, 4] * 5, "b": ["yes", "no"] * 10, "y": [0, 1] * 10}
    columns["d"] = np.datetime64("2020-01-01") + np.arange(20) % 7
    _, preprocessor = fitted(columns, rows=np.arange(20), target="y")
    new = read_table(
        {
            "d": np.array(["2020-01-01", "NaT", "2020-01-02"], "M8"),
            "extra": [1, 2, 3],
            "b": ["no", None, "maybe"],
            "a": [np.inf, 1e300, None],
        }
    )
    features = preprocessor.transform(new)
    assert np.isfinite(features).all()
    assert preprocessor.notes(new) == (
        "'a': 1 cell is infinite, taken as missing",
        "'a': 1 cell is far outside the training range, taken for the nearest it had, 1 or 4",
        "'a': 2 cells are missing, none was in training: the training median 2",
        "'b': 1 cell is neither yes nor no, taken as missing",
        "'b': 2 cells are missing, none was in training: no",
        "'d': 1 cell is missing, none was in training: the training mean",
        "1 columns are not used by the network: 'extra'",
    )


def test_notes_on_very_many_columns_are_cut_short():
    columns = {f"c{i}": [1.5 * j for j in range(8)] for i in range(30)}
    _, preprocessor = fitted(columns | {"y": ["a", "b"] * 4}, np.arange(8), target="y")
    notes = preprocessor.notes(read_table({f"c{i}": [None] for i in range(30)}))
    assert len(notes) == 21
    assert notes[-1] == "10 notes more are like these, on other columns"


def test_a_category_unseen_where_none_was_rare_is_none():
    _, preprocessor = fitted()
    new = read_table({**{name: values[:1] for name, values in SAMPLE.items()}, "colour": ["pink"]})
    start = preprocessor.feature_names.index("colour=blue")
    assert preprocessor.transform(new)[0, start : start + 4].tolist() == [0, 0, 0, 0]
    assert "'pink': no category" in preprocessor.notes(new)[0]


def test_columns_are_found_by_name():
    table, preprocessor = fitted()
    backwards = read_table({name: SAMPLE[name] for name in reversed(SAMPLE)})
    np.testing.assert_array_equal(preprocessor.transform(table), preprocessor.transform(backwards))
    lacking = read_table(
        {name: SAMPLE[name] for name in ("size", "when", "price")} | {"colur": ROWS}
    )
    with pytest.raises(
        DataError, match=r"column 'colour' .and 1 more. is missing, .* mean 'colur'"
    ):
        preprocessor.transform(lacking)
    with pytest.raises(DataError, match=r"column 'colour' \(and 1 more\) is missing"):
        preprocessor.notes(lacking)


def test_cells_of_another_kind_are_refused(tmp_path):
    _, preprocessor = fitted()
    path = tmp_path / "new.csv"
    path.write_text("size,colour,new,when\n1.5,red,true,2020-01-01\nbig,red,true,2020-01-01\n")
    with pytest.raises(
        DataError, match="'big' at line 3 is no number, and the network was trained"
    ):
        preprocessor.transform(read_table(path))
    path.write_text("size,colour,new,when\n1.5,red,true,tomorrow\n")
    with pytest.raises(DataError, match="'tomorrow' at line 2 is no date"):
        preprocessor.transform(read_table(path))
    path.write_text("size,colour,new,when\n1.5,red,true,17\n2020-01-01,red,true,17\n")
    with pytest.raises(DataError, match="is no number"):
        preprocessor.transform(read_table(path))
    wrong = read_table(SAMPLE | {"size": SAMPLE["when"]})
    with pytest.raises(DataError, match=r"'2020-01-01T06:00:00.000000' at row 0 is no number"):
        preprocessor.transform(wrong)
    with pytest.raises(DataError, match="'17' at row 0 is no date"):
        preprocessor.transform(read_table(SAMPLE | {"when": [17] * N}))


def test_a_column_read_as_numbers_on_request_is_lenient():
    columns = {"a": ["1", "2", "oops", "4"] * 10, "y": [0, 1] * 20}
    table, preprocessor = fitted(columns, kinds={"a": "number"})
    assert preprocessor.transform(table)[2, 1] == 1
    assert "'a': 10 cells are no number, taken as missing" in preprocessor.notes(table)


def test_columns_whose_training_part_is_empty():
    values = np.full(N, np.nan)
    values[30:] = 7
    dates = np.full(N, "NaT", "M8[D]")
    dates[30:] = np.datetime64("2020-01-01") + np.arange(10)
    words = [None] * 30 + ["a", "b"] * 5
    flags = [None] * 30 + [True, False] * 5
    columns = {"a": values, "d": dates, "w": words, "f": flags, "y": [0, 1] * 20}
    table, preprocessor = fitted(columns, rows=np.arange(30))
    assert np.isfinite(preprocessor.transform(table)).all()
    assert "d is missing" in preprocessor.feature_names


def test_targets_and_back():
    table, preprocessor = fitted()
    amounts = preprocessor.transform_target(table)
    assert amounts.dtype == np.float32
    assert amounts.mean() == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(preprocessor.inverse_target(amounts), SAMPLE["price"], rtol=1e-5)
    labelled, classes = fitted({"a": np.sin(ROWS), "y": ["no", "yes"] * 20})
    labels = classes.transform_target(labelled)
    assert labels.dtype == np.int64
    assert classes.inverse_target(labels).tolist() == ["no", "yes"] * 20
    for wrong in (np.array([2]), np.array([-1]), np.array([0.5])):
        with pytest.raises(DataError, match="whole numbers from 0 to 1; give the argmax"):
            classes.inverse_target(wrong)
    with pytest.raises(DataError, match="1 rows have no usable label, the first at row 1"):
        classes.transform_target(read_table({"y": ["no", None]}))
    with pytest.raises(DataError, match="'maybe' at row 0 is none of the 2 classes"):
        classes.transform_target(read_table({"y": ["maybe", "no"]}))
    with pytest.raises(DataError, match="no such column; did you mean 'prices'"):
        preprocessor.transform_target(read_table({"prices": [1.0]}))
    with pytest.raises(DataError, match="2 rows have no usable label, the first at row 0"):
        preprocessor.transform_target(read_table({"price": ["dear", "1", "inf"]}))


def test_fitting_needs_rows_and_columns():
    table = read_table(SAMPLE)
    schema = infer_schema(table)
    with pytest.raises(DataError, match="there are no training rows"):
        fit_preprocessor(table, schema, np.arange(0))
    with pytest.raises(DataError, match="column 'size' is missing; choose one of 'price'"):
        fit_preprocessor(read_table({"price": SAMPLE["price"]}), schema, ROWS)
