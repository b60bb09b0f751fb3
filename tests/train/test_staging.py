"""Steps are taken many in a call, on a state that stays, and nobody can tell."""

import itertools
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from retrograd.data.batches import Batch
from retrograd.optim import sgd
from retrograd.tensor.errors import NonFiniteError
from retrograd.tensor.tensor import tensor
from retrograd.train import staging
from retrograd.train.batch import read_batch
from retrograd.train.events import EpochDone, Event, StepDone
from retrograd.train.fit import fit
from retrograd.train.programs import Programs
from retrograd.train.staging import Runner
from retrograd.train.state import TrainState
from retrograd.train.stopping import Steps
from retrograd.tree import leaves


def bits(state: TrainState) -> dict[str, bytes]:
    return {name: x.numpy().tobytes() for name, x in leaves(state).items()}


def run(problem: SimpleNamespace, **options: object) -> list[Event]:
    return list(fit(problem.step, problem.state, problem.batches, **{"epochs": 2} | options))


@pytest.fixture
def one_by_one(problem, monkeypatch):
    """Every state of two epochs, read at once, one step a call."""
    monkeypatch.setattr(staging, "CALL_SECONDS", 0.0)
    events = fit(problem.step, problem.state, problem.batches, epochs=2)
    found = {e.step: (bits(e.state), e.numbers()) for e in events if isinstance(e, StepDone)}
    monkeypatch.undo()
    return found


@pytest.fixture(params=[3, 256])
def together(request, monkeypatch):
    """So many steps a call, however long they take."""
    monkeypatch.setattr(staging, "SHORT_SECONDS", 1e9)
    monkeypatch.setattr(staging, "CALL_SECONDS", 1e9)
    monkeypatch.setattr(staging, "MOST_STEPS", request.param)
    return request.param


def test_any_number_of_steps_a_call_gives_the_same_bits(problem, one_by_one, together):
    events = run(problem)
    steps = [e for e in events if isinstance(e, StepDone)]
    # Backwards, so that hardly any state is the one that a replay stands at.
    for event in reversed(steps):
        assert (bits(event.state), event.numbers()) == one_by_one[event.step]
        assert event.state is event.state
    assert bits(events[-1].state) == one_by_one[12][0]


def test_states_are_the_same_whenever_they_are_read(problem, one_by_one, together):
    events = fit(problem.step, problem.state, problem.batches, epochs=2)
    for event in events:
        if isinstance(event, StepDone) and event.step % 2:
            assert bits(event.state) == one_by_one[event.step][0]


@pytest.mark.parametrize("count", [1, 4, 6, 11])
def test_limits_hold_exactly(problem, one_by_one, together, count):
    events = run(problem, stop=[Steps(count)])
    assert [e.step for e in events if isinstance(e, StepDone)] == list(range(1, count + 1))
    assert bits(events[-1].state) == one_by_one[count][0]


def test_a_listener_stops_between_steps_of_one_call(problem, one_by_one, together):
    events = fit(problem.step, problem.state, problem.batches, epochs=2)
    event = next(events)
    while not (isinstance(event, StepDone) and event.step == 5):
        event = next(events)
    stopped = events.send("enough")
    assert bits(stopped.state) == one_by_one[5][0]


def test_a_bad_batch_inside_a_call_is_found(problem, together):
    def batches(epoch):
        for i, batch in enumerate(problem.batches(epoch)):
            if (epoch, i) == (2, 3):
                batch.inputs[2, 1] = np.nan
            yield batch

    events: list[Event] = []
    message = r"step 10 \(batch 4 of epoch 2\): inputs\[:, 1\] is nan"
    with pytest.raises(NonFiniteError, match=message):
        events.extend(fit(problem.step, problem.state, batches, epochs=2))
    assert events[-1].step == int(events[-1].state.step) == 9
    assert isinstance(events[-2], StepDone)


def test_a_batch_may_lie_in_memory_that_is_used_again(problem, one_by_one, together):
    inputs, labels = np.empty((16, 4), np.float32), np.empty(16, np.int64)

    def batches(epoch):
        for batch in problem.batches(epoch):
            inputs[...], labels[...] = batch.inputs, batch.targets
            yield Batch(inputs, labels)

    *_, stopped = fit(problem.step, problem.state, batches, epochs=2)
    assert bits(stopped.state) == one_by_one[12][0]


def test_batches_of_many_shapes_go_on_from_one_state(make_problem, together):
    problem = make_problem(optimizer=sgd(0.1))

    def batches(epoch):
        sizes = [3, 3, 7, 3, 11, 11, *range(1, 12)]
        cuts = np.cumsum([0, *sizes])
        for start, stop in itertools.pairwise(cuts):
            yield Batch(problem.inputs[start:stop], problem.labels[start:stop])

    state = problem.state
    for batch in batches(1):
        state, _ = problem.step(state, Batch(tensor(batch.inputs), tensor(batch.targets)))
    *_, done, _ = fit(problem.step, problem.state, batches, epochs=1)
    assert isinstance(done, EpochDone)
    assert int(done.state.step) == int(state.step)
    name = "layers.4.weight"
    np.testing.assert_allclose(
        done.state.params[name].numpy(), state.params[name].numpy(), rtol=1e-3, atol=1e-4
    )


def test_another_thread_may_read_states(problem, one_by_one, together):
    found: dict[int, dict[str, bytes]] = {}
    threads = []
    for event in fit(problem.step, problem.state, problem.batches, epochs=2):
        if isinstance(event, StepDone):
            read = threading.Thread(target=lambda e=event: found.update({e.step: bits(e.state)}))
            read.start()
            threads.append(read)
    for thread in threads:
        thread.join()
    assert found == {step: both[0] for step, both in one_by_one.items()}


def test_copies_are_made_in_long_epochs(problem, one_by_one, monkeypatch):
    monkeypatch.setattr(staging, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(staging, "CALL_SECONDS", 0.0)
    runner = Runner(Programs(problem.step, problem.state), problem.batches)
    runner.begin((1, 0), problem.state)
    taken = list(runner.steps((1, 0)))
    assert runner._kept[0].place == (1, 5)
    assert [bits(t.snapshot.read()) for t in taken] == [one_by_one[i][0] for i in range(1, 7)]


def test_batches_of_one_shape_have_one_key():
    batch = Batch(np.zeros((2, 3), np.float32), np.zeros(2, np.int64))
    assert read_batch(batch)[0] == read_batch(Batch(batch.inputs + 1, batch.targets))[0]
    assert read_batch(batch)[0] != read_batch(batch._replace(weights=np.ones(2)))[0]
    assert read_batch({"a": batch.inputs})[0] != read_batch({"a": batch.inputs[:1]})[0]
