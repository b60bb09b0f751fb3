"""Moments: the step that is looked at is the step that was made."""

from pathlib import Path

import numpy as np
import pytest

from retrograd.compile import compile
from retrograd.data import Table
from retrograd.recipe.config import configure
from retrograd.recipe.moment import last_state, moment_of
from retrograd.recipe.prepare import Prepared
from retrograd.recipe.run import Outcome, reopen, run
from retrograd.tensor.errors import FileFormatError, InputError
from retrograd.train.events import Event, StepDone
from retrograd.tree import leaves


@pytest.fixture(scope="module")
def prepared(outcome: Outcome) -> Prepared:
    return reopen(outcome.directory)


def test_the_last_state_is_the_checkpoints(prepared: Prepared, outcome: Outcome) -> None:
    assert int(last_state(prepared).step.item()) == outcome.stopped.step


def test_a_row_is_found_in_its_batch(prepared: Prepared) -> None:
    row = int(prepared.split.train[17])
    moment = moment_of(prepared, row)
    assert moment.row == row
    assert np.array_equal(moment.batch.inputs[moment.place], prepared.job.train.inputs[17])
    assert moment.batch.targets[moment.place] == prepared.job.train.targets[17]
    assert moment.origin == "exact (after 42 steps)"
    assert len(moment.source_values) == len(prepared.preprocessor.feature_names)
    colour = prepared.preprocessor.feature_sources.index("colour")
    assert moment.source_values[colour] in ("red", "green", "blue")


@pytest.mark.parametrize("schedule", ["one_cycle", "reduce_on_plateau"])
@pytest.mark.parametrize("step", [1, 3, 5, 8])
def test_replaying_meets_the_same_state(
    tmp_path: Path, table: Table, schedule: str, step: int
) -> None:
    states = {}

    def listen(event: Prepared | Event) -> None:
        if isinstance(event, StepDone):
            states[event.step] = event.state

    config = configure(
        target="sold", directory=str(tmp_path), epochs=4, batch_size=56, hidden=(4,), patience=2,
        schedule=schedule,
    )  # fmt: skip
    begun = reopen(run(config, table, listen=listen).directory, table)
    moment = moment_of(begun, step=step)
    after, _ = compile(moment.job.step)(moment.state, moment_batch(moment))
    for name, x in leaves(after.params).items():
        assert np.array_equal(x.numpy(), states[step].params[name].numpy()), name
    assert moment.origin == f"exact (replayed, {step - 1} steps)"


def moment_batch(moment: object) -> object:
    from retrograd.train.batch import as_tensors

    return as_tensors(moment.batch)  # type: ignore[attr-defined]


def test_other_rows_are_refused_with_their_place(prepared: Prepared) -> None:
    for row, message in [
        (int(prepared.split.test[0]), "it is in the test part, which stays sealed"),
        (int(prepared.split.validation[0]), "it is in the validation part"),
        (10**9, "the data has rows 0 to 159"),
        (-1, "the data has rows 0 to 159"),
    ]:
        with pytest.raises(InputError) as error:
            moment_of(prepared, row)
        assert message in str(error.value)


def test_a_row_without_a_label_is_refused(tmp_path: Path, table: Table) -> None:
    from tests.recipe.conftest import columns

    from retrograd.data import read_table

    holed = columns()
    holed["sold"][11] = None
    config = configure(target="sold", directory=str(tmp_path), epochs=1, hidden=(4,))
    begun = reopen(run(config, read_table(holed)).directory, read_table(holed))
    with pytest.raises(InputError, match="explaining row 11: it has no label"):
        moment_of(begun, 11)


def test_a_step_knows_which_rows_it_took(prepared: Prepared) -> None:
    inside = moment_of(prepared, step=2)
    assert moment_of(prepared, inside.row, step=2).place == inside.place
    other = moment_of(prepared, step=3).row
    with pytest.raises(InputError, match="that step's batch does not hold it; give step=3, or row"):
        moment_of(prepared, other, step=2)
    with pytest.raises(InputError, match="steps count from 1"):
        moment_of(prepared, step=0)
    with pytest.raises(InputError, match="made 42 steps; give a step from 1 to 43"):
        moment_of(prepared, step=44)


def test_a_step_says_which_batch_it_is(prepared: Prepared) -> None:
    assert moment_of(prepared, step=9).where == "batch 2 of 7, epoch 2"
    assert moment_of(prepared, step=9).notes == ()
    own = moment_of(prepared)
    assert own.where == "batch 1 of 7, epoch 7"
    assert moment_of(prepared, own.row).where == own.where
    early = [moment_of(prepared, int(row)).where for row in prepared.split.train[:20]]
    assert {"batch 2 of 7, epoch 7, taken first"} < set(early)


def test_a_spent_learning_rate_is_said_with_a_better_step(prepared: Prepared) -> None:
    (note,) = moment_of(prepared).notes
    assert note.startswith("The learning rate has run out (1.2e-08), so this step moves")
    assert "explain --step 21 shows one from the middle" in note
    row = int(prepared.split.train[17])
    (note,) = moment_of(prepared, row).notes
    step = int(note.partition("--step ")[2].split()[0])
    assert f"--row {row} --step" in note
    assert moment_of(prepared, row, step).notes == ()


def test_a_run_that_was_stopped_goes_on_with_its_next_batch(tmp_path: Path, table: Table) -> None:
    asked = iter([None] * 10)
    options = {"epochs": 3, "batch_size": 16, "hidden": (4,)}
    config = configure(target="sold", directory=str(tmp_path), **options)
    found = run(config, table, should_stop=lambda: next(asked, "interrupted"))
    done = found.stopped.step
    assert 7 < done < 14
    moment = moment_of(reopen(found.directory, table))
    assert moment.where == f"batch {done - 7 + 1} of 7, epoch 2"
    assert moment.origin == f"exact (after {done} steps)"


def test_a_run_without_a_checkpoint_says_so(tmp_path: Path, table: Table) -> None:
    config = configure(target="sold", directory=str(tmp_path), epochs=1, hidden=(4,))
    directory = run(config, table).directory
    for path in (directory / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(FileFormatError, match="it has no checkpoint yet"):
        moment_of(reopen(directory, table))
