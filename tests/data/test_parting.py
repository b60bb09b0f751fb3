"""Groups stay whole, the past trains for the future, a column may say it, folds cover every row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.data import Split, Table, Ways, infer_schema, read_table, split_table
from retrograd.data.columns import TextColumn
from retrograd.data.parting import group_codes, parts_by_group
from retrograd.tensor.errors import DataError


def sales(rows: int = 200, **columns) -> Table:
    draw = np.random.default_rng(0)
    day = np.datetime64("2024-01-01") + np.sort(draw.integers(0, 90, rows))
    plain = {
        "customer": [f"c{i}" for i in draw.integers(0, 40, rows)],
        "day": day,
        "size": draw.normal(size=rows),
        "sold": np.where(draw.random(rows) < 0.3, "yes", "no").tolist(),
    }
    return read_table(plain | columns, name="sales")


def parted(table: Table, **options) -> Split:
    ways = Ways(**options.pop("ways"))
    schema = infer_schema(table, "sold")
    return split_table(table, schema, seed=options.pop("seed", 0), ways=ways, **options)


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(0, 12), min_size=12, max_size=120),
    seed=st.integers(0, 1000),
    amounts=st.booleans(),
)
def test_no_group_is_in_two_parts(groups, seed, amounts):
    codes = np.array([0, 1, 2, *groups])
    labels = codes * 1.5 if amounts else codes % 3
    rows = np.arange(len(codes))
    part = parts_by_group(rows, codes, labels, (0.7, 0.15, 0.15), seed=seed, name="g")
    assert set(part.tolist()) == {0, 1, 2}
    for group in np.unique(codes):
        assert len(set(part[codes == group])) == 1
    again = parts_by_group(rows, codes, labels, (0.7, 0.15, 0.15), seed=seed, name="g")
    assert part.tolist() == again.tolist()


def test_parts_of_groups_have_their_share_of_rows_and_classes():
    draw = np.random.default_rng(1)
    codes = np.repeat(np.arange(100), draw.integers(1, 20, 100))
    labels = (codes % 4 == 0).astype(np.int64)
    part = parts_by_group(np.arange(len(codes)), codes, labels, (0.7, 0.15, 0.15), seed=0, name="g")
    shares = np.bincount(part) / len(part)
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.02)
    for number in range(3):
        assert labels[part == number].mean() == pytest.approx(labels.mean(), abs=0.06)


def test_groups_of_a_table():
    table = sales()
    split = parted(table, ways={"group": "customer"})
    names = table.columns["customer"]
    assert isinstance(names, TextColumn)
    inside = [set(names.codes[part]) for part in (split.train, split.validation, split.test)]
    assert not inside[0] & inside[1]
    assert not (inside[0] | inside[1]) & inside[2]
    other = parted(table, ways={"group": "customer"}, seed=1)
    assert other.test.tolist() != split.test.tolist()


def test_a_missing_group_is_a_group_of_its_own():
    column = read_table({"g": ["a", None, "a", None], "y": [1, 2, 3, 4]}).columns["g"]
    assert group_codes(column).tolist() == [0, 1, 0, 2]


def test_the_past_trains_and_the_future_tests():
    table = sales()
    split = parted(table, ways={"time": "day"})
    day = table.columns["day"].values
    assert day[split.train].max() < day[split.validation].min()
    assert day[split.validation].max() < day[split.test].min()
    assert [len(split.validation), len(split.test)] == pytest.approx([30, 30], abs=4)


def test_rows_of_one_moment_stay_together_across_gaps():
    times = np.repeat([2001.0, 2002.0, 2009.0, 2010.0], [10, 67, 13, 10])
    split = parted(sales(100, year=times), ways={"time": "year"})
    assert set(times[split.train]) == {2001.0, 2002.0}
    assert set(times[split.validation]) == {2009.0}
    assert set(times[split.test]) == {2010.0}
    with pytest.raises(DataError, match="the rows are of 2 different times, for 3 parts"):
        parted(sales(100, year=(times > 2003) * 1.0), ways={"time": "year"})


def test_rows_without_a_time_are_in_no_part():
    day = np.arange(200.0)
    day[[3, 150]] = np.nan
    split = parted(sales(day=day), ways={"time": "day"})
    together = np.concatenate([split.train, split.validation, split.test])
    assert sorted(together.tolist()) == [i for i in range(200) if i not in (3, 150)]
    day[:100] = np.nan
    with pytest.raises(DataError, match="101 of 200 labelled rows have no time"):
        parted(sales(day=day), ways={"time": "day"})


def test_a_column_may_say_the_part():
    said = np.array(["Train"] * 120 + ["val"] * 30 + ["TEST"] * 40 + [""] * 10)
    split = parted(sales(part=said.tolist()), ways={"part": "part"})
    assert split.train.tolist() == list(range(120))
    assert split.validation.tolist() == list(range(120, 150))
    assert split.test.tolist() == list(range(150, 190))
    said[120:150] = "train"
    split = parted(sales(part=said.tolist()), ways={"part": "part"})
    assert split.test.tolist() == list(range(150, 190))
    assert len(split.validation) == round(0.15 * 150)
    assert max(split.validation) < 150


@pytest.mark.parametrize("ways", [{}, {"group": "customer"}])
def test_every_row_is_tested_in_one_fold(ways):
    table = sales()
    splits = [parted(table, ways={"folds": 4, "fold": i, **ways}) for i in (1, 2, 3, 4)]
    assert sorted(np.concatenate([split.test for split in splits]).tolist()) == list(range(200))
    sold = infer_schema(table, "sold")
    for split in splits:
        parts = np.concatenate([split.train, split.validation, split.test])
        assert sorted(parts.tolist()) == list(range(200))
        assert len(split.test) == pytest.approx(50, abs=6)
        assert len(split.validation) == pytest.approx(0.15 * 150, abs=6)
        if ways:
            codes = group_codes(table.columns["customer"])
            assert not set(codes[split.test]) & set(codes[split.train])
            assert not set(codes[split.validation]) & set(codes[split.train])
    assert sold.task.value == "binary"


@pytest.mark.parametrize(
    ("ways", "found"),
    [
        ({"group": "custumer"}, "no column is called 'custumer'; did you mean 'customer'"),
        ({"group": "customer", "time": "day"}, "groups and a column of times part rows diff"),
        ({"folds": 3, "time": "day"}, "a column of times and folds part rows differently"),
        ({"folds": 3, "fold": 4}, "there is no fold 4 of 3; give one from 1 to 3"),
        ({"folds": 101}, "200 labelled rows are too few for 101 folds"),
        ({"group": "sold"}, "the labelled rows are of 2 groups, for 3 parts"),
        ({"time": "customer"}, "splitting by the time 'customer': the column holds texts"),
        ({"part": "customer"}, "row 0 says 'c9'; write train, validation or test"),
        ({"part": "never"}, "no row is said to train"),
        ({"part": "once"}, "1 rows are left to train on"),
    ],
)
def test_ways_that_cannot_be_are_refused(ways, found):
    never = ["test"] * 200
    table = sales(never=never, once=["train", *never[1:]])
    with pytest.raises(DataError, match=found):
        parted(table, ways=ways)
