"""Model files: the same predictions after reading, and one sentence for every damaged byte."""

import json
import os
import struct
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data import Table
from retrograd.recipe.config import configure
from retrograd.recipe.model import KIND, Model, load_model, pack, save_model, unpack
from retrograd.recipe.run import Outcome
from retrograd.tensor.errors import DataError, FileFormatError, NonFiniteError, RunError
from retrograd.train.sealed import Kind, seal, unseal
from retrograd.tree import leaves, map_leaves


def changed(model: Model, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The bytes of a model whose record was changed by someone who can seal."""
    arrays, text = unseal(KIND, pack(model), "reading")
    record = json.loads(text)
    change(record)
    return seal(KIND, arrays, json.dumps(record))


def test_a_model_survives_its_file(outcome: Outcome, table: Table, tmp_path: Path) -> None:
    path = tmp_path / "copy.retro"
    save_model(path, outcome.model)
    again = load_model(path)
    assert again.schema == outcome.model.schema
    assert again.preprocessor == outcome.model.preprocessor
    assert again.config == outcome.model.config
    assert (again.metrics, again.version) == (outcome.model.metrics, outcome.model.version)
    assert again.data_digest == outcome.model.data_digest
    assert again.parameters == outcome.model.parameters
    ours, theirs = outcome.model.predict(table), again.predict(table)
    assert np.array_equal(ours.probabilities, theirs.probabilities)
    assert ours.values.tolist() == theirs.values.tolist()
    assert path.read_bytes() == (outcome.directory / "model.retro").read_bytes()


def test_predictions_of_classes(outcome: Outcome, table: Table) -> None:
    found = outcome.model.predict(table)
    assert len(found) == table.n_rows
    assert set(found) <= {"no", "yes"}
    assert found.probabilities is not None
    assert np.allclose(found.probabilities.sum(axis=1), 1, atol=1e-12)
    likeliest = np.array(found.classes)[found.probabilities.argmax(axis=1)]
    assert likeliest.tolist() == found.values.tolist()
    assert list(found.to_columns()) == ["sold", "probability of no", "probability of yes"]


def test_one_row_may_be_a_dict(outcome: Outcome) -> None:
    row = {"size": 12.5, "colour": "red", "new": True, "day": "2024-03-01", "price": 40.0}
    assert outcome.model.predict(row).values.tolist() == ["yes"]
    noted = outcome.model.predict(row | {"colour": "pink", "size": None, "extra": 1})
    assert any("'pink'" in note for note in noted.notes)
    assert any("'extra'" in note for note in noted.notes)


def test_a_row_may_hold_any_kind_of_cell(outcome: Outcome) -> None:
    row = {"size": Decimal("9.5"), "colour": b"red", "new": np.True_, "price": np.float32(28)}
    for day in (date(2024, 3, 1), datetime(2024, 3, 1), np.datetime64("2024-03-01"), "2024-03-01"):
        assert outcome.model.predict(row | {"day": day}).values.shape == (1,)
    with pytest.raises(DataError, match="column 'day': row 0 holds a object, which is no table"):
        outcome.model.predict(row | {"day": object()})


def test_a_missing_column_is_named(outcome: Outcome) -> None:
    row = {"size": 12.5, "color": "red", "new": True, "day": "2024-03-01", "price": 40.0}
    with pytest.raises(DataError, match="column 'colour' is missing"):
        outcome.model.predict(row)


def test_a_network_that_gives_nan_predicts_nothing(outcome: Outcome, table: Table) -> None:
    net = map_leaves(lambda x: x * np.nan, outcome.model.net)
    with pytest.raises(NonFiniteError, match="NaN or infinity for 160 rows, the first is row 0"):
        Model(net, outcome.model.schema, outcome.model.preprocessor, configure()).predict(table)


def test_every_flipped_byte_is_noticed(outcome: Outcome) -> None:
    data = pack(outcome.model)
    places = {*range(200), *range(0, len(data), 37), *range(len(data) - 50, len(data))}
    for place in sorted(places):
        for mask in (0x01, 0x80):
            damaged = bytearray(data)
            damaged[place] ^= mask
            with pytest.raises(FileFormatError) as error:
                unpack(bytes(damaged))
            assert "\n" not in str(error.value)


def test_every_truncation_is_noticed(outcome: Outcome) -> None:
    data = pack(outcome.model)
    for length in {*range(120), *range(0, len(data), 101), len(data) - 1}:
        with pytest.raises(FileFormatError):
            unpack(data[:length])
    for longer in (data + b"\0", data + data):
        with pytest.raises(FileFormatError):
            unpack(longer)


@given(st.binary(max_size=300))
def test_junk_is_refused(data: bytes) -> None:
    for bytes_ in (data, struct.pack("<Q", len(data)) + data, b"PK\x03\x04" + data):
        with pytest.raises(FileFormatError):
            unpack(bytes_)


FORMAT = KIND.format.encode()


def header(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        struct.pack("<Q", 2**63),
        struct.pack("<Q", 2**40) + b"{}",
        header(b"[" * 100_000),
        header(b'{"__metadata__":' + b"[" * 200_000),
        header(b'{"__metadata__": {"format": 3}}'),
        header(b'{"__metadata__": null}'),
        header(b"{}"),
        header(
            b'{"__metadata__": {"format": "retrograd-model", "version": "' + b"9" * 5000 + b'"}}'
        ),
    ],
)
def test_hostile_headers_are_refused(data: bytes) -> None:
    with pytest.raises(FileFormatError):
        unpack(data)


def test_a_newer_version_says_so(outcome: Outcome) -> None:
    arrays, record = unseal(KIND, pack(outcome.model), "reading")
    newer = seal(Kind(KIND.format, 2, KIND.noun), arrays, record)
    with pytest.raises(FileFormatError, match="version 2, newer than this program's 1; upgrade"):
        unpack(newer)


def test_another_file_of_ours_says_so(outcome: Outcome) -> None:
    split = (outcome.directory / "split.safetensors").read_bytes()
    with pytest.raises(FileFormatError, match="it is not a model of retrograd"):
        unpack(split)


def drop(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda record: record.pop(name)


def put(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda record: record.update({name: value})


def swap_classes(record: dict[str, Any]) -> None:
    record["schema"]["classes"].reverse()


def widen(record: dict[str, Any]) -> None:
    record["architecture"]["layers"].insert(0, {"kind": "residual", "inner": {"kind": "relu"}})


RECORDS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    *((drop(name), "its record cannot be read") for name in ("schema", "config", "architecture")),
    (put("metrics", [1]), "its record cannot be read"),
    (put("metrics", {"loss": [1]}), "its record cannot be read"),
    (put("metrics", {"loss": 10**400}), "its record cannot be read"),
    (put("version", 3), "its record cannot be read"),
    (put("data_digest", None), "its record cannot be read"),
    (put("schema", []), "reading a schema: expected a mapping"),
    (put("preprocessing", {}), "reading preprocessing: 'format' is missing"),
    (put("config", {"zzz": 1}), "its config, zzz: there is no such key"),
    (swap_classes, "its schema and its preprocessing are of different tables"),
    (put("architecture", {"kind": "relu"}), "no layer has a tensor called"),
    (widen, "the tensor 'layers.1.weight' is missing"),
]


@pytest.mark.parametrize(("change", "message"), RECORDS)
def test_sealed_but_senseless_records_are_refused(
    outcome: Outcome, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(FileFormatError) as error:
        unpack(changed(outcome.model, change), "reading the model 'x'")
    assert message in str(error.value)
    assert str(error.value).startswith("reading the model 'x': ")


def test_a_key_that_stands_twice_is_refused(outcome: Outcome) -> None:
    arrays, record = unseal(KIND, pack(outcome.model), "reading")
    with pytest.raises(FileFormatError, match="its record cannot be read"):
        unpack(seal(KIND, arrays, record[:-1] + ', "version": "2"}'))
    data = pack(outcome.model)
    length = struct.unpack("<Q", data[:8])[0]
    twice = data[8 : 8 + length].rstrip()[:-1] + b',"layers.0.bias":{}}'
    with pytest.raises(FileFormatError, match="its header cannot be read"):
        unpack(struct.pack("<Q", len(twice)) + twice + data[8 + length :])


def test_layers_that_do_not_fit_the_columns_are_refused(outcome: Outcome) -> None:
    model = outcome.model
    for name, message in [
        ("layers.0.weight", "its layers do not fit: layers.0 (Linear)"),
        ("layers.3.weight", "its network gives float32[1, 3] for a row, not 2 numbers"),
    ]:
        weight = leaves(model.net)[name].numpy()
        axis = 0 if name == "layers.0.weight" else 1
        wrong = np.repeat(weight, 2, axis=axis)[: weight.shape[0] + 1, : weight.shape[1] + 1]
        arrays, text = unseal(KIND, pack(model), "reading")
        arrays[name] = wrong
        if axis == 1:
            arrays["layers.3.bias"] = np.zeros(wrong.shape[1], np.float32)
        with pytest.raises(FileFormatError) as error:
            unpack(seal(KIND, arrays, text))
        assert message in str(error.value)


def test_a_record_that_is_nested_too_deeply_is_refused(outcome: Outcome) -> None:
    arrays, _ = unseal(KIND, pack(outcome.model), "reading")
    with pytest.raises(FileFormatError, match="its record cannot be read"):
        unpack(seal(KIND, arrays, "[" * 200_000))


def test_paths_that_are_no_model_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.retro")
    for name, message in [
        ("absent.retro", "No such file"),
        (".", "it is not a regular file|Is a directory"),
        ("pipe.retro", "it is not a regular file"),
    ]:
        with pytest.raises(FileFormatError, match=message):
            load_model(tmp_path / name)


def test_a_directory_that_is_absent_is_named(outcome: Outcome, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"writing '.*absent.model\.retro': No such file"):
        save_model(tmp_path / "absent" / "model.retro", outcome.model)
