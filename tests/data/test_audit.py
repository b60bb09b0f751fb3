"""The audit finds every leak that is planted, and says nothing of clean tables."""

import time
from typing import Any

import numpy as np
import pytest

from retrograd.data import Ways, infer_schema, read_table, split_table
from retrograd.data.audit import audit
from retrograd.data.finding import Finding
from retrograd.data.named_sets import names
from retrograd.data.split import AT_RANDOM

ROWS = 1500


def clean(rows: int = ROWS, seed: int = 0, amount: bool = False) -> dict[str, Any]:
    """A table that can be predicted from its columns, well but not perfectly."""
    draw = np.random.default_rng(seed)
    number = draw.normal(size=(3, rows))
    colour = draw.choice(["red", "green", "blue"], rows)
    signal = number[0] * 2 + number[1] + 1.5 * (colour == "red") + draw.normal(size=rows)
    target = signal * 10 if amount else np.where(signal > 0.5, "yes", "no").tolist()
    return {
        "a": number[0], "b": number[1], "c": number[2],
        "colour": colour.tolist(),
        "shop": [f"s{i}" for i in draw.integers(0, 60, rows)],
        "whole": draw.integers(0, 1000, rows),
        "y": target,
    }  # fmt: skip


def found(
    columns: dict[str, Any], *, seed: int = 0, ways: Ways = AT_RANDOM, **options: Any
) -> tuple[Finding, ...]:
    table = read_table(columns, name="planted")
    dropped = {name: "drop" for name in (ways.group, ways.part) if name}
    schema = infer_schema(table, "y", kinds=dropped | options.pop("kinds", {}))
    split = split_table(table, schema, seed=seed, ways=ways, **options)
    return audit(table, schema, split, ways)


def alarms(columns: dict[str, Any], **options: Any) -> list[Finding]:
    return [finding for finding in found(columns, **options) if finding.is_alarm]


@pytest.mark.parametrize("amount", [False, True])
@pytest.mark.parametrize("rows", [60, 400, ROWS])
def test_clean_tables_stay_silent(rows: int, amount: bool) -> None:
    for seed in range(5):
        assert found(clean(rows, seed, amount), seed=seed) == ()


@pytest.mark.parametrize("name", sorted(set(names()) - {"hotel_rates"}))
def test_tables_that_packages_ship_raise_no_alarm(name: str) -> None:
    table = read_table(name)
    schema = infer_schema(table)
    for seed in (0, 1):
        findings = audit(table, schema, split_table(table, schema, seed=seed))
        assert [str(finding) for finding in findings if finding.is_alarm] == []


def test_hotel_rates_holds_the_same_bookings_many_times() -> None:
    table = read_table("hotel_rates")
    schema = infer_schema(table)
    findings = audit(table, schema, split_table(table, schema, seed=0))
    assert {finding.subject for finding in findings if finding.is_alarm} == {"copies"}
    assert any("test in train: 276 of 2,310" in finding.evidence for finding in findings)
    (mixed,) = (finding for finding in findings if finding.subject == "time")
    assert not mixed.is_alarm
    assert "--time-column arrival_date" in mixed.remedy


def test_copies_across_parts() -> None:
    columns = clean()
    for name, cells in columns.items():
        columns[name] = [*cells[:1350], *cells[:150]]
    (first, second) = alarms(columns | {"id": np.arange(ROWS)})
    assert "rows that repeat others, validation in train" in first.evidence
    assert "rows that repeat others, test in train" in second.evidence
    few = clean()
    for name in few:
        few[name] = [*few[name][:-4], *few[name][:4]]
    assert not alarms(few), "four copies in a part of 225 are told, and are no alarm"


@pytest.mark.parametrize("amount", [False, True])
def test_near_copies_across_parts(amount: bool) -> None:
    columns = clean(amount=amount)
    draw = np.random.default_rng(1)
    for name in ("a", "b", "c"):
        values = columns[name].copy()
        values[1200:] = values[:300] + draw.normal(size=300) * 1e-3
        columns[name] = values
    for name in ("colour", "shop", "y"):
        columns[name] = [*columns[name][:1200], *columns[name][:300]]
    columns["whole"] = np.concatenate([columns["whole"][:1200], columns["whole"][:300]])
    (finding,) = alarms(columns)
    assert "near copies: 2" in finding.evidence or "near copies: 3" in finding.evidence
    assert "% would by chance" in finding.evidence


def leaks(columns: dict[str, Any]) -> dict[str, Any]:
    """Columns that know the target of a clean table, by how."""
    target = np.array(columns["y"])
    draw = np.random.default_rng(3)
    if target.dtype.kind == "f":
        return {
            "copied": target, "taxed": target * 1.19 + draw.normal(size=ROWS) * 0.01,
            "monotone": np.exp(target / 20),
        }  # fmt: skip
    yes = target == "yes"
    return {
        "renamed": np.where(yes, "B", "A").tolist(),
        "coded": yes * 3.0 + draw.normal(size=ROWS) * 0.1,
        "only_then": [f"2024-01-{1 + i % 28:02d}" if sold else None for i, sold in enumerate(yes)],
        "amount_paid": [float(draw.normal(50, 9)) if sold else None for sold in yes],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["renamed", "coded", "only_then", "amount_paid"])
def test_a_column_that_tells_the_class(name: str) -> None:
    columns = clean()
    (finding,) = alarms({name: leaks(columns)[name]} | columns)
    assert finding.columns == (name,)
    assert f"{name!r} alone tells 100 % of the rows right (1,275 rows" in finding.evidence
    assert "the next best, 'a', 7" in finding.evidence
    assert finding.remedy.endswith(f"--kind {name}=drop")


@pytest.mark.parametrize("name", ["copied", "taxed", "monotone"])
def test_a_column_that_tells_the_amount(name: str) -> None:
    columns = clean(amount=True)
    (finding,) = alarms({name: leaks(columns)[name]} | columns)
    assert (finding.subject, finding.columns) == ("column", (name,))
    assert "of the order of the amounts" in finding.evidence


def test_two_columns_that_tell_it_are_both_named() -> None:
    columns = clean()
    both = {name: leaks(columns)[name] for name in ("renamed", "coded")}
    assert [finding.columns for finding in alarms(both | columns)] == [("renamed",), ("coded",)]


def test_a_strong_column_among_strong_ones_is_no_leak() -> None:
    draw = np.random.default_rng(0)
    size = draw.normal(size=ROWS)
    columns = {f"m{i}": size + draw.normal(size=ROWS) * 0.05 for i in range(3)}
    assert not alarms(columns | {"y": np.where(size > 0, "big", "small").tolist()})


def test_a_number_that_counts_rows_sorted_by_the_target() -> None:
    columns = clean()
    order = np.argsort(np.array(columns["y"]), kind="stable")
    columns = {name: np.array(cells)[order].tolist() for name, cells in columns.items()}
    draw = np.random.default_rng(2)
    counter = {"ref": np.cumsum(draw.integers(1, 4, ROWS))}
    (finding,) = alarms(counter | columns)
    assert finding.subject == "counter"
    assert "'ref' only numbers the rows" in finding.evidence
    (told,) = found({"id": np.arange(ROWS)} | columns)
    assert not told.is_alarm
    assert "it is not given to the network" in told.remedy
    assert not alarms(counter | clean()), "a counter that orders nothing"


@pytest.mark.parametrize("amount", [False, True])
@pytest.mark.parametrize("how", ["mean", "scaled", "smoothed", "rounded", "others"])
def test_a_statistic_of_all_labels(how: str, amount: bool) -> None:
    columns = clean(amount=amount)
    target = np.array(columns["y"])
    labels = target if amount else (target == "yes") * 1.0
    _, shop = np.unique(columns["shop"], return_inverse=True)
    sums, counts = np.bincount(shop, weights=labels), np.bincount(shop)
    mean = (sums / counts)[shop]
    values = {
        "mean": mean,
        "scaled": 5 - 2 * mean,
        "smoothed": ((sums + 10 * labels.mean()) / (counts + 10))[shop],
        "rounded": mean.round(4),
        "others": (sums[shop] - labels) / (counts[shop] - 1),
    }[how]
    named = alarms(columns | {"encoded": values})
    assert [finding.columns for finding in named] == [("encoded",)]
    assert named[0].subject == "statistic"
    assert "over all rows, those of the test too" in named[0].evidence


def test_a_statistic_of_training_rows_is_no_leak() -> None:
    columns = clean()
    table = read_table(columns)
    split = split_table(table, infer_schema(table, "y"), seed=0)
    yes = (np.array(columns["y"]) == "yes") * 1.0
    _, shop = np.unique(columns["shop"], return_inverse=True)
    train = split.train
    counts = np.bincount(shop[train], minlength=60)
    mean = np.bincount(shop[train], weights=yes[train], minlength=60) / counts
    assert not alarms(columns | {"encoded": mean[shop]})


def test_time_that_is_mixed_or_runs_backwards() -> None:
    day = np.datetime64("2024-01-01") + np.arange(ROWS)
    columns = {"day": day} | clean()
    (mixed,) = found(columns)
    assert not mixed.is_alarm
    assert "rows to train and to test are mixed in time: by 'day'" in mixed.evidence
    assert found(columns, ways=Ways(time="day")) == ()
    said = np.repeat(["test", "validation", "train"], [300, 200, 1000]).tolist()
    (backwards,) = alarms(columns | {"part": said}, ways=Ways(part="part"))
    assert "time runs backwards: by 'day'" in backwards.evidence
    assert found(columns | {"part": said[::-1]}, ways=Ways(part="part")) == ()
    holes = day.astype("datetime64[us]").copy()
    holes[::10] = np.datetime64("NaT")
    (told,) = found(columns | {"day": holes}, ways=Ways(time="day"))
    assert "150 rows have no 'day', and are in no part" in told.evidence


def test_groups_in_two_parts() -> None:
    draw = np.random.default_rng(5)
    patient = draw.integers(0, 300, ROWS)
    sick = draw.random(300) < 0.4
    target = np.where(sick[patient], "sick", "well")
    columns = clean() | {"patient_id": patient, "y": target.tolist()}
    (alarm,) = (f for f in alarms(columns) if f.subject == "group")
    assert "of the rows to validate and test are of a 'patient_id' that trains" in alarm.evidence
    assert "are alike in 'y' (1.00 of 1)" in alarm.evidence
    assert alarm.remedy.endswith("--group patient_id")
    (hint,) = found(clean() | {"patient_id": patient})
    assert (hint.subject, hint.is_alarm) == ("group", False)
    assert found(columns, ways=Ways(group="patient_id")) == ()
    later = columns | {"when": np.arange(ROWS) * 1.5}
    assert not [f for f in found(later, ways=Ways(time="when")) if f.subject == "group"]
    said = np.repeat(["train", "validation", "test"], 500).tolist()
    (broken,) = alarms(
        clean() | {"patient_id": patient, "part": said},
        ways=Ways(part="part", group="patient_id"),
    )
    assert "part whole groups" in broken.remedy


def test_a_class_that_a_part_lacks() -> None:
    columns = clean()
    columns["y"] = ["rare" if i < 3 else y for i, y in enumerate(columns["y"])]
    said = np.repeat(["test", "validation", "train"], [300, 200, 1000]).tolist()
    findings = found(columns | {"part": said}, ways=Ways(part="part"))
    (never,) = (finding for finding in findings if finding.subject == "class")
    assert never.is_alarm
    assert "no row of class 'rare' trains: it can never be predicted" in never.evidence
    findings = found(columns | {"part": said[::-1]}, ways=Ways(part="part"))
    (unseen,) = (finding for finding in findings if finding.subject == "class")
    assert not unseen.is_alarm
    assert "is in the validation and the test part: nothing is measured" in unseen.evidence


def test_a_finding_is_plain_data() -> None:
    finding = Finding("class", True, "no row", "give more", ("y",))
    assert finding.to_dict() == {
        "subject": "class", "alarm": True, "evidence": "no row", "remedy": "give more",
        "columns": ["y"],
    }  # fmt: skip


def test_a_large_table_is_audited_in_a_second() -> None:
    draw = np.random.default_rng(0)
    columns: dict[str, Any] = {f"n{i}": draw.normal(size=100_000) for i in range(15)}
    for i in range(5):
        columns[f"c{i}"] = np.array(["x", "y", "z", "w"])[draw.integers(0, 4, 100_000)]
    columns["y"] = np.where(columns["n0"] + draw.normal(size=100_000) > 0, "yes", "no")
    table = read_table(columns)
    schema = infer_schema(table, "y")
    split = split_table(table, schema, seed=0)
    began = time.process_time()
    assert audit(table, schema, split) == ()
    assert time.process_time() - began < 3.0, "one second, and room for a busy machine"
