"""Kinds, target and task are inferred with a reason, and what cannot be meant is refused."""

import json

import numpy as np
import pytest

from retrograd.data import ColumnKind, Schema, Task, describe, infer_schema, read_table
from retrograd.data.targets import target_values
from retrograd.tensor.errors import DataError, FileFormatError

N = 60
ROWS = np.arange(N)


def table(**columns):
    columns.setdefault("size", np.sin(ROWS))
    columns.setdefault("sold", np.where(ROWS % 2, "yes", "no"))
    return read_table(columns)


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        (np.cos(ROWS), "number", "60 different numbers"),
        (ROWS % 7, "number", "7 different whole numbers"),
        ([f"c{i % 4}" for i in ROWS], "category", "4 different texts"),
        ([f"00{i % 4}" for i in ROWS], "category", "4 different codes"),
        (["Yes" if i % 3 else "No" for i in ROWS], "boolean", "only no and yes"),
        ([i % 3 == 0 for i in ROWS], "boolean", "only false and true"),
        (np.datetime64("2020-01-01") + ROWS, "date", "every cell is a date"),
        (ROWS + 100, "identifier", "it counts the rows"),
        ([f"k{i}" for i in ROWS], "identifier", "60 different texts in 60 cells"),
        ([7] * N, "constant", "every cell is the same"),
        (["x"] * N, "constant", "every cell is the same"),
        ([None] * N, "empty", "no cell has a value"),
        ([np.inf] * N, "empty", "no cell has a finite value"),
        ([f"a good day number {i}" for i in ROWS], "text", "60 different texts of 5 words"),
        ([None, *[7] * (N - 1)], "number", "1 different whole numbers"),
        ([None, *["x"] * (N - 1)], "category", "1 different texts"),
        ([str(i % 5) if i else "none" for i in ROWS], "category", "6 different texts"),
    ],
)
def test_kinds_and_reasons(values, kind, reason):
    found = infer_schema(table(a=values), "sold").columns[0]
    assert found.kind is ColumnKind(kind)
    assert reason in found.reason


def test_names_of_identifiers():
    shuffled = ROWS * 7919 % 100_003
    for name in ("id", "user_id", "customerId", "Unnamed: 0", "rownames"):
        schema = infer_schema(read_table({name: shuffled, "b": np.sin(ROWS), "y": ROWS % 2}))
        assert schema.dropped[0].kind is ColumnKind.identifier
    schema = infer_schema(read_table({"paid": shuffled, "b": np.sin(ROWS), "y": ROWS % 2}))
    assert schema.columns[0].kind is ColumnKind.number


def test_many_categories_are_capped_and_said():
    values = [f"c{i % 70}" for i in range(700)]
    schema = infer_schema(read_table({"a": values, "y": [0, 1] * 350}))
    assert schema.columns[0].reason == "70 different texts; the 50 most frequent are told apart"
    long = [f"one two three four five six seven {i % 70}" for i in range(700)]
    schema = infer_schema(read_table({"a": long, "b": values, "y": [0, 1] * 350}))
    assert schema.columns[0].kind is ColumnKind.text


def test_missing_and_infinite_cells_are_counted():
    values = np.sin(ROWS)
    values[:3], values[3:5] = np.nan, [np.inf, -np.inf]
    found = infer_schema(table(a=values), "sold").columns[0]
    assert (found.missing, found.infinite, found.unique) == (3, 2, 55)


def test_a_column_of_numbers_with_a_bad_cell_is_refused_with_its_line(tmp_path):
    path = tmp_path / "a.csv"
    cells = [str(i * 3 % 101) for i in range(100)]
    cells[40], cells[70] = "oops", "hm"
    path.write_text("age,y\n" + "".join(f"{cell},{i % 2}\n" for i, cell in enumerate(cells)))
    read = read_table(path)
    with pytest.raises(DataError, match=r"98 cells are numbers, but line 42 holds 'oops' \(and 1"):
        infer_schema(read)
    assert infer_schema(read, kinds={"age": "number"}).columns[0].kind is ColumnKind.number
    assert infer_schema(read, kinds={"age": "category"}).columns[0].reason == "you said so"
    with pytest.raises(DataError, match="'oops' at line 42 is no number"):
        infer_schema(read, "age", task="regression")


def test_kinds_can_be_chosen():
    schema = infer_schema(table(a=ROWS % 3), "sold", kinds={"a": "category", "size": "drop"})
    assert [column.kind.value for column in schema.columns] == ["category", "identifier"]
    with pytest.raises(DataError, match="no column to choose a kind for is called 'siz'; did you"):
        infer_schema(table(), "sold", kinds={"siz": "number"})
    with pytest.raises(DataError, match="no kind is called 'numeric'"):
        infer_schema(table(), "sold", kinds={"size": "numeric"})
    with pytest.raises(DataError, match="no cell is a date; choose another kind"):
        infer_schema(table(), "sold", kinds={"size": "date"})
    with pytest.raises(DataError, match="no cell is a number"):
        infer_schema(table(a=["x", "y"] * 30), "sold", kinds={"a": ColumnKind.number})
    with pytest.raises(DataError, match="no cell is a boolean"):
        infer_schema(table(a=ROWS + 2), "sold", kinds={"a": "boolean"})
    with pytest.raises(DataError, match="no cell is a category"):
        infer_schema(table(a=[None] * N), "sold", kinds={"a": "category"})
    with pytest.raises(DataError, match="no column is left to predict from"):
        infer_schema(table(), "sold", kinds={"size": "drop"})


def test_choosing_the_target():
    columns = {"a": np.sin(ROWS), "Label": ROWS % 2, "b": np.cos(ROWS)}
    assert infer_schema(read_table(columns)).target == "Label"
    assert "usually the target" in infer_schema(read_table(columns)).target_reason
    del columns["Label"]
    assert infer_schema(read_table(columns)).target == "b"
    assert "it is the last column" in infer_schema(read_table(columns)).target_reason
    assert infer_schema(read_table(columns), "a").target_reason == "you named it"
    with pytest.raises(DataError, match="no column is called 'sise'; did you mean 'size'"):
        infer_schema(table(), "sise")
    with pytest.raises(DataError, match="the table has 1 column; give one to predict from"):
        infer_schema(read_table({"a": [1, 2]}))


@pytest.mark.parametrize(
    ("labels", "task", "reason"),
    [
        (ROWS % 2, Task.binary, "only 2 different numbers are taken for classes; say task='regr"),
        (ROWS % 2 * 1.5, Task.binary, "only 2 different numbers"),
        (ROWS % 5 * 1.0, Task.multiclass, "only 5 different numbers"),
        (np.sin(ROWS), Task.regression, "60 different numbers, not all of them whole"),
        (ROWS % 25, Task.regression, "25 different whole numbers are taken for amounts"),
        (np.append(ROWS[:58] % 19, [0, 1]), Task.multiclass, "only 19 different"),
        (ROWS % 2 == 0, Task.binary, "2 different texts"),
        ([f"c{i % 3}" for i in ROWS], Task.multiclass, "3 different texts"),
    ],
)
def test_tasks_and_reasons(labels, task, reason):
    schema = infer_schema(table(y=labels), "y")
    assert schema.task is task
    assert reason in schema.task_reason
    assert bool(schema.classes) == task.is_classification


def test_tasks_can_be_chosen():
    assert infer_schema(table(y=ROWS % 5), "y", task="regression").task is Task.regression
    assert infer_schema(table(y=ROWS % 30), "y", task="classification").task is Task.multiclass
    assert infer_schema(table(), "sold", task=Task.binary).task_reason == "you asked for binary"
    with pytest.raises(DataError, match="no task is called 'clasification'; did you mean 'classi"):
        infer_schema(table(), "sold", task="clasification")
    with pytest.raises(DataError, match="5 classes are not two"):
        infer_schema(table(y=ROWS % 5), "y", task="binary")
    with pytest.raises(DataError, match="there are only two classes"):
        infer_schema(table(), "sold", task="multiclass")
    with pytest.raises(DataError, match="'no' at row 0 is no number"):
        infer_schema(table(), "sold", task="regression")


def test_classes_are_in_the_order_of_numbers():
    schema = infer_schema(table(y=ROWS % 12), "y")
    assert schema.classes == tuple(str(i) for i in range(12))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.datetime64("2020-01-01") + ROWS, "the column holds dates"),
        ([None] * N, "0 of 60 rows have a label"),
        ([1.0, *[None] * (N - 1)], "1 of 60 rows has a label"),
        (["no"] * N, "every label is 'no'"),
        ([3.5] * N, "every label is '3.5'"),
        ([np.inf, *ROWS[1:]], "1 labels are infinite, the first at row 0"),
        ([1e301, *ROWS[1:] * 1.5], r"1e\+301 at row 0 is too large an amount; give it in a"),
        (["odd", *["a", "b"] * 29, "a"], "class 'odd' has only one row"),
        (["odd", "rare", *["a", "b"] * 29], "class 'odd' and 1 other classes has only one row"),
        ([f"name {i}" for i in ROWS], "60 different labels in 60 rows are too many"),
    ],
)
def test_targets_that_cannot_be_learnt_are_refused(labels, found):
    with pytest.raises(DataError, match=found):
        infer_schema(table(y=labels), "y")


def test_rows_without_a_label_are_counted():
    labels = [None if i < 4 else "ab"[i % 2] for i in ROWS]
    read = table(y=labels)
    schema = infer_schema(read, "y")
    assert schema.unlabelled == 4
    assert target_values(read, schema)[:6].tolist() == [-1, -1, -1, -1, 0, 1]


def test_labels_of_another_table():
    schema = infer_schema(table(), "sold")
    with pytest.raises(DataError, match=r"'maybe' at row 1 is none of the 2 classes \(no, yes\)"):
        target_values(read_table({"sold": ["no", "maybe"]}), schema)
    with pytest.raises(DataError, match="no such column; did you mean 'solds'"):
        target_values(read_table({"solds": ["no"]}), schema)
    amounts = infer_schema(table(y=np.sin(ROWS)), "y")
    with pytest.raises(DataError, match="'inf' at row 1 is no finite number"):
        target_values(read_table({"y": [1.0, np.inf]}), amounts)


def test_features_that_tell_the_target_are_said():
    copy = np.where(ROWS % 2, "sold", "open")
    schema = infer_schema(table(state=copy), "sold")
    assert "column 'state' tells 'sold' outright" in schema.notes[0]
    schema = infer_schema(table(cents=np.cos(ROWS) * 100 + 3, y=np.cos(ROWS)), "y")
    assert "column 'cents' tells 'y' outright" in schema.notes[0]
    assert not infer_schema(table(y=np.cos(ROWS)), "y").notes
    huge = infer_schema(table(a=np.sin(ROWS) * 1e300, y=np.cos(ROWS) * 1e300), "y")
    assert not huge.notes
    tiny = read_table({"a": [1.0, None, None, 2.0], "b": [1, 2, 1, 2], "y": [1.5, 2.5, 3.5, 4.0]})
    assert not infer_schema(tiny).notes


def test_schema_survives_json():
    schema = infer_schema(table(a=ROWS % 3, when=np.datetime64("2020-01-01") + ROWS), "sold")
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda plain: [], "expected a mapping with 'columns', found list"),
        (lambda plain: plain | {"columns": 3}, "'columns' should be a list, found 3"),
        (lambda plain: plain | {"columns": [3]}, "expected a mapping with 'name', found int"),
        (lambda plain: {k: v for k, v in plain.items() if k != "rows"}, "'rows' is missing"),
        (lambda plain: plain | {"rows": True}, "'rows' should be a int, found True"),
        (lambda plain: plain | {"rows": -1}, "'rows' should be a int, found -1"),
        (lambda plain: plain | {"task": "magic"}, "'task' should be one of .*, found 'magic'"),
        (lambda plain: plain | {"classes": ["a"]}, "the task is binary with 1 classes"),
        (lambda plain: plain | {"classes": ["a", "a"]}, "'classes' holds the same text twice"),
        (lambda plain: plain | {"classes": [1, 2]}, "'classes' should be a list of texts"),
        (lambda plain: plain | {"target": None}, "'target' should be a str, found None"),
    ],
)
def test_damaged_schemas_are_refused(change, found):
    plain = infer_schema(table(), "sold").to_json()
    with pytest.raises(FileFormatError, match=found):
        Schema.from_json(change(plain))


def test_description_without_preprocessing():
    rows = describe(infer_schema(table(a=[1] * N), "sold"))
    assert [(row.column, row.encoding) for row in rows] == [
        ("a", "dropped"),
        ("size", ""),
        ("sold", "2 classes"),
    ]
    assert "you named it" in rows[-1].why
