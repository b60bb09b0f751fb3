"""Killed anywhere and resumed, a run ends with the same bits as one that was never disturbed."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from retrograd.optim import adam, ema, reduce_on_plateau, sgd
from retrograd.train.checkpoint import list_checkpoints, load_checkpoint, restore
from retrograd.train.directory import RunDirectory, create_run, open_run
from retrograd.train.events import Event, StepDone, Stopped
from retrograd.train.fit import fit
from retrograd.train.stopping import Best, Converged, NoImprovement, Steps
from retrograd.tree import leaves

OPTIONS = {
    "epochs": 6,
    "stop": [NoImprovement(patience=4), Converged(tolerance=1e-9, epochs=3)],
    "best": Best(),
}


def go_on(run: RunDirectory, problem: SimpleNamespace, **options: object) -> "list[Event]":
    """Train a run to its end, from wherever it stands, and return its events."""
    events = []
    given = OPTIONS | {"validate": problem.validate, "observe": problem.optimizer.observe} | options
    stop_after = given.pop("stop_after", None)
    for event in fit(
        problem.step,
        problem.state,
        problem.batches,
        resume_from=run.resume(),
        save=run.save,
        **given,
    ):
        run.record(event)
        events.append(event)
        if isinstance(event, StepDone) and event.step == stop_after:
            break  # as a crash does: nothing is saved, nothing said
    return events


def outcome(root: Path, problem: SimpleNamespace) -> "tuple[bytes, dict[str, bytes]]":
    """The log and every leaf of the newest checkpoint, best state included."""
    saved = load_checkpoint(list_checkpoints(root / "checkpoints")[-1])
    restore(saved, problem.state)
    numbers = {name: array.tobytes() for name, array in saved.arrays.items()}
    return (root / "metrics.jsonl").read_bytes(), numbers


@pytest.fixture
def undisturbed(tmp_path, problem):
    with create_run(tmp_path, "whole") as run:
        go_on(run, problem)
    return outcome(run.root, problem)


@pytest.mark.parametrize("stop_after", [1, 5, 6, 7, 17, 18, 35, 36])
@pytest.mark.parametrize("save_seconds", [None, 0.0])
def test_a_crash_at_any_step(tmp_path, problem, undisturbed, stop_after, save_seconds):
    with create_run(tmp_path, "cut") as run:
        go_on(run, problem, stop_after=stop_after, save_seconds=save_seconds)
    with open_run(run.root) as run:
        events = go_on(run, problem)
    if save_seconds == 0.0:
        assert events[0].step == stop_after - 1  # saved after every step but the last
    assert outcome(run.root, problem) == undisturbed


@pytest.mark.parametrize("steps", [3, 6, 11, 12])
def test_an_interruption_at_any_step(tmp_path, problem, undisturbed, steps):
    asked = itertools.count(0)
    with create_run(tmp_path, "cut") as run:
        events = go_on(
            run, problem, should_stop=lambda: "terminated" if next(asked) >= steps else None
        )
    assert events[-1].reason == "terminated"
    with open_run(run.root) as run:
        go_on(run, problem)
    assert outcome(run.root, problem) == undisturbed


def test_going_on_after_the_end_changes_nothing(tmp_path, problem, undisturbed):
    with create_run(tmp_path, "cut") as run:
        first = go_on(run, problem)
    with open_run(run.root) as run:
        again = go_on(run, problem)
    assert len(again) == 2
    assert (again[-1].reason, again[-1].metrics) == (first[-1].reason, first[-1].metrics)
    assert again[-1].best == first[-1].best
    assert leaves(again[-1].state).keys() == leaves(first[-1].state).keys()
    assert outcome(run.root, problem) == undisturbed


def test_more_epochs_continue_as_if_asked_for_at_first(tmp_path, problem, undisturbed):
    with create_run(tmp_path, "cut") as run:
        go_on(run, problem, epochs=2)
    with open_run(run.root) as run:
        go_on(run, problem)
    assert outcome(run.root, problem) == undisturbed


def test_more_steps_continue_inside_the_epoch(tmp_path, problem, undisturbed):
    with create_run(tmp_path, "cut") as run:
        cut = go_on(run, problem, stop=[Steps(10)])
    with open_run(run.root) as run:
        again = go_on(run, problem, stop=[Steps(10)])
    assert again[-1].metrics == cut[-1].metrics  # the same limit ends the same way
    with open_run(run.root) as run:
        go_on(run, problem)
    assert outcome(run.root, problem) == undisturbed


def test_a_damaged_newest_checkpoint_costs_only_time(tmp_path, problem, undisturbed):
    with create_run(tmp_path, "cut") as run:
        go_on(run, problem, stop_after=20)
    newest = list_checkpoints(run.root / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    with open_run(run.root) as run, pytest.warns(RuntimeWarning, match="going on from step-0"):
        events = go_on(run, problem)
    assert events[0].step == 12
    assert outcome(run.root, problem) == undisturbed


def test_wrapped_optimizers_resume(tmp_path, make_problem):
    wrapped = reduce_on_plateau(ema(adam(0.01), 0.9), factor=0.5, patience=0)
    problem = make_problem(optimizer=wrapped)
    assert wrapped.observe is not None
    with create_run(tmp_path, "whole") as whole:
        go_on(whole, problem)
    with create_run(tmp_path, "cut") as run:
        go_on(run, problem, stop_after=15)
    with open_run(run.root) as run:
        go_on(run, problem)
    assert outcome(run.root, problem) == outcome(whole.root, problem)


CHILD = """
import importlib.util, sys
tests, root = sys.argv[1:]
def load(name):
    spec = importlib.util.spec_from_file_location(name, f"{tests}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
problem, resume = load("conftest").build_problem(), load("test_resume")
with resume.open_run(root) as run:
    resume.go_on(run, problem, save_seconds=0.0)
"""


def steps_saved(root: Path) -> int:
    saved = list_checkpoints(root / "checkpoints")
    return int(saved[-1].stem.removeprefix("step-")) if saved else 0


def test_kill_minus_nine_at_random_instants(tmp_path, problem, undisturbed):
    chance = random.Random()
    with create_run(tmp_path, "killed") as run:
        root = run.root
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(root)]
    for target in (chance.randint(1, 8), chance.randint(12, 18), chance.randint(22, 30), None):
        with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}) as child:
            while target is not None and steps_saved(root) < target and child.poll() is None:
                time.sleep(0.001)
            if target is not None:
                time.sleep(chance.random() * 0.01)
                child.send_signal(signal.SIGKILL)
        assert child.returncode == (0 if target is None else -signal.SIGKILL)
    assert outcome(root, problem) == undisturbed


def test_the_last_event_tells_what_the_checkpoint_holds(tmp_path, problem):
    with create_run(tmp_path, "whole") as run:
        *_, stopped = go_on(run, problem)
    assert isinstance(stopped, Stopped)
    saved = load_checkpoint(list_checkpoints(run.root / "checkpoints")[-1])
    best = restore(saved, problem.state).best_state
    assert best is not None
    numbers = {name: x.numpy().tobytes() for name, x in leaves(best).items()}
    assert numbers == {name: x.numpy().tobytes() for name, x in leaves(stopped.state).items()}


@pytest.mark.parametrize(("first", "second"), [("native", "numpy"), ("numpy", "native")])
def test_another_backend_goes_on_nearly_alike(tmp_path, make_problem, monkeypatch, first, second):
    problem = make_problem(optimizer=sgd(0.05))
    with create_run(tmp_path, "whole") as run:
        *_, whole = go_on(run, problem)
    with create_run(tmp_path, "cut") as run:
        monkeypatch.setenv("RETROGRAD_BACKEND", first)
        go_on(run, problem, stop_after=16)
    with open_run(run.root) as run:
        monkeypatch.setenv("RETROGRAD_BACKEND", second)
        *_, stopped = go_on(run, problem)
    assert isinstance(stopped, Stopped)
    assert stopped.metrics["loss"] == pytest.approx(whole.metrics["loss"], rel=1e-4)
    for name, x in stopped.state.params.items():
        there = whole.state.params[name].numpy()
        np.testing.assert_allclose(x.numpy(), there, rtol=1e-3, atol=1e-4)
