"""What later versions may add to model files, and how programs that do not know it behave."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.data import Table
from retrograd.recipe.model import KIND, Model, load_model, pack, unpack
from retrograd.recipe.run import Outcome
from retrograd.tensor.errors import FileFormatError
from retrograd.train.sealed import seal, unseal

FILES = Path(__file__).parent / "files"
STORED = sorted(FILES.glob("*.retro"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_files_predict_what_they_did(path: Path) -> None:
    """A file of every released format, with what was predicted then: read for ever."""
    wanted = json.loads(path.with_suffix(".json").read_text())
    model = load_model(path)
    assert dict(model.metrics) == wanted["metrics"]
    assert dict(model.parts) == wanted["parts"]
    found = model.predict(wanted["rows"])
    if found.probabilities is None:
        assert np.allclose(found.values, wanted["values"], rtol=1e-5)
    else:
        assert found.values.tolist() == wanted["values"]
        assert np.allclose(found.probabilities, wanted["probabilities"], atol=1e-6)


def test_this_version_has_stored_files() -> None:
    assert {path.stem for path in STORED} >= {"classes-0.1.0", "amounts-0.1.0"}
    assert all(path.stat().st_size < 20_000 for path in FILES.iterdir())


def with_record(model: Model, **more: Any) -> bytes:
    """The bytes of a model whose record has more in it."""
    arrays, text = unseal(KIND, pack(model), "reading")
    return seal(KIND, arrays, json.dumps(json.loads(text) | more))


def test_the_rows_of_every_part_are_kept(outcome: Outcome) -> None:
    again = unpack(pack(outcome.model))
    assert again.parts == {"train": 112, "validation": 24, "test": 24}


def test_files_from_before_parts_were_kept_can_be_read(outcome: Outcome) -> None:
    arrays, text = unseal(KIND, pack(outcome.model), "reading")
    record = json.loads(text)
    del record["parts"]
    assert unpack(seal(KIND, arrays, json.dumps(record))).parts == {}


def test_what_only_tells_more_is_passed_over(outcome: Outcome, table: Table) -> None:
    again = unpack(with_record(outcome.model, weather={"sun": 1}, requires=[]))
    wanted = outcome.model.predict(table).probabilities
    assert np.array_equal(again.predict(table).probabilities, wanted)


def test_what_predictions_need_is_not(outcome: Outcome) -> None:
    with pytest.raises(FileFormatError) as error:
        unpack(with_record(outcome.model, tides={}, requires=["tides"]), "reading 'x'")
    assert str(error.value) == (
        "reading 'x': its predictions need 'tides', which this program does not know; "
        "upgrade retrograd"
    )


@pytest.mark.parametrize("senseless", [3, [3], {"a": 1}, [["x"]]])
def test_senseless_requirements_are_refused(outcome: Outcome, senseless: Any) -> None:
    with pytest.raises(FileFormatError, match=r"its record cannot be read|does not know"):
        unpack(with_record(outcome.model, requires=senseless))


@pytest.mark.parametrize("senseless", [3, {"train": "many"}, {"train": [1]}, {"train": 1e400}])
def test_senseless_parts_are_refused(outcome: Outcome, senseless: Any) -> None:
    with pytest.raises(FileFormatError, match="its record cannot be read"):
        unpack(with_record(outcome.model, parts=senseless))
