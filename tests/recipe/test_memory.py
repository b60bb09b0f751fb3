"""What a run holds is known before it runs, and may be limited."""

from pathlib import Path

import pytest

from retrograd.compile.engines import Memory
from retrograd.data import Table
from retrograd.recipe.config import bytes_of, configure
from retrograd.recipe.footprint import Footprint, planned, require_limit
from retrograd.recipe.prepare import prepare
from retrograd.recipe.run import resume, run
from retrograd.tensor.errors import InputError


def test_the_plan_is_the_program(table: Table, tmp_path: Path) -> None:
    config = configure(target="sold", directory=str(tmp_path), hidden=(4,), batch_size=16)
    prepared = prepare(config, table)
    memory = prepared.job.memory
    assert memory.state >= 4 * 3 * prepared.parameters  # weights and two moments
    assert memory.batch == 16 * (prepared.job.size.features * 4 + 8)
    assert memory.arena > 0
    assert prepared.footprint.training == 3 * memory.state
    assert prepared.footprint.batch == memory.arena + memory.batch + memory.outputs


def test_larger_batches_take_more(table: Table, tmp_path: Path) -> None:
    totals = [
        prepare(configure(target="sold", hidden=(64,), batch_size=size), table).job.memory.total
        for size in (8, 64)
    ]
    assert totals[0] < totals[1]


def test_a_run_that_takes_more_than_it_may_is_refused(table: Table, tmp_path: Path) -> None:
    given = {"target": "sold", "directory": str(tmp_path / "runs"), "epochs": 1}
    with pytest.raises(InputError, match=r"training in 2\.0 kB: it takes .* kB: .* for the states"):
        run(configure(memory="2kB", **given), table)
    assert not (tmp_path / "runs").exists()
    outcome = run(configure(memory="1GB", **given), table)
    with pytest.raises(InputError, match=r"give more memory, a smaller batch_size, or smaller"):
        resume(outcome.directory, table, memory="2kB", epochs=2)


def test_limits_are_words() -> None:
    assert bytes_of("1.5GB") == 1_500_000_000
    with pytest.raises(InputError, match=r"memory='much': it is not an amount of memory; write"):
        configure(memory="much")
    needed = planned(Memory(100, 10, 5, 1), parameters=2, data=7)
    assert needed == Footprint(8, 30, 106, 7)
    require_limit(needed, needed.total)
    with pytest.raises(InputError, match="training in 142 bytes: it takes 143 bytes"):
        require_limit(needed, needed.total - 1)
