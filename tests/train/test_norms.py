"""Norms of layers are recorded at every step, and change nothing."""

import itertools

import numpy as np
import pytest

from retrograd import nn
from retrograd.compile import compile
from retrograd.tensor.errors import FileFormatError, RunError
from retrograd.train.batch import as_tensors
from retrograd.train.directory import create_run, open_run
from retrograd.train.events import StepDone
from retrograd.train.fit import fit
from retrograd.train.norms import NORMS, NormsLog, read_norms
from retrograd.train.step import make_step
from retrograd.tree import leaves


def recorded(problem, run, **options):
    step = make_step(problem.net, nn.cross_entropy, problem.optimizer, norms=True)
    saved = {"resume_from": run.resume(), "save": run.save, "epochs": 2}
    for event in fit(step, problem.state, problem.batches, **saved | options):
        run.record(event)
        yield event


def test_they_are_norms(problem, tmp_path):
    with create_run(tmp_path, "run") as run:
        events = list(recorded(problem, run))
    found = read_norms(run.root)
    assert found.steps.tolist() == list(range(1, 13))
    assert found.leaves == tuple(problem.state.params)
    states = [e.state for e in events if isinstance(e, StepDone)]
    for name in found.leaves:
        weights = [state.params[name].numpy() for state in (problem.state, *states)]
        sizes = [np.linalg.norm(w) for w in weights[:-1]]
        moves = [np.linalg.norm(b - a) for a, b in itertools.pairwise(weights)]
        np.testing.assert_allclose(found.of(name, "weight"), sizes, rtol=1e-5)
        np.testing.assert_allclose(found.of(name, "update"), moves, rtol=1e-4)
    total = np.sqrt(np.sum(found.values[:, :, 0].astype(np.float64) ** 2, axis=1))
    norms = [e.numbers()["gradient_norm"] for e in events if isinstance(e, StepDone)]
    np.testing.assert_allclose(total, norms, rtol=1e-6)
    assert NORMS not in events[1].numbers()
    assert events[1].metrics[NORMS].shape == (len(found.leaves), 3)


def test_they_change_no_bit(problem):
    steps = [
        make_step(problem.net, nn.cross_entropy, problem.optimizer, norms=norms)
        for norms in (False, True)
    ]
    batch = as_tensors(next(iter(problem.batches(1))))
    plain, measured = (leaves(compile(step)(problem.state, batch)[0]) for step in steps)
    assert all(np.array_equal(x.numpy(), measured[name].numpy()) for name, x in plain.items())


def test_a_resumed_run_records_the_same(problem, tmp_path):
    with create_run(tmp_path, "whole") as whole:
        list(recorded(problem, whole))
    with create_run(tmp_path, "cut") as run:
        for event in recorded(problem, run):
            if isinstance(event, StepDone) and event.step == 9:
                break
    with open_run(run.root) as run:
        list(recorded(problem, run))
    files = [root / "recording" / "norms.bin" for root in (whole.root, run.root)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_is_not_there_or_damaged_is_said(tmp_path):
    with pytest.raises(FileFormatError, match=r"norms\.bin"):
        read_norms(tmp_path)
    log = NormsLog(tmp_path / "recording")
    log.append(("w",), [(1, np.ones((1, 3), np.float32))])
    with log.path.open("ab") as file:
        file.write(b"torn")
    assert read_norms(tmp_path).steps.tolist() == [1]
    log.path.with_suffix(".json").write_text("[]")
    with pytest.raises(FileFormatError, match="does not name the leaves; train again"):
        read_norms(tmp_path)
    with pytest.raises(RunError, match="make room, or choose another directory"):
        NormsLog(tmp_path / "no" / "where").append(("w",), [])
