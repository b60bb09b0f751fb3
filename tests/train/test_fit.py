"""The loop: what it tells, that it learns, and how it ends."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.data.batches import Batch
from retrograd.optim import adam
from retrograd.tensor.errors import DataError, GradientError, InputError
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.train.events import Checkpointed, EpochDone, Started, StepDone, to_record
from retrograd.train.fit import fit
from retrograd.train.step import _apply, initial_state, make_step, network
from retrograd.train.stopping import Best, NoImprovement, Steps, TimeBudget, until
from retrograd.tree import leaves


def bits(tree: object) -> dict[str, bytes]:
    return {name: x.numpy().tobytes() for name, x in leaves(tree).items()}


def names(events: list) -> list[str]:
    return [type(event).__name__ for event in events]


def run(problem: SimpleNamespace, **options) -> list:
    options = {"epochs": 2, "validate": problem.validate} | options
    return list(fit(problem.step, problem.state, problem.batches, **options))


def test_events_come_in_order(problem):
    events = run(problem)
    epoch = ["StepDone"] * 6 + ["EpochDone"]
    assert names(events) == ["Started", *epoch, *epoch, "Stopped"]
    assert [e.step for e in events if isinstance(e, StepDone)] == list(range(1, 13))
    assert [e.epoch for e in events if isinstance(e, EpochDone)] == [1, 2]
    stopped = events[-1]
    assert (stopped.reason, stopped.message) == ("epochs", "all 2 epochs are done")
    assert (stopped.epoch, stopped.step, stopped.is_resumable) == (2, 12, False)
    assert int(stopped.state.step) == 12


def test_the_epoch_loss_is_the_mean_over_rows(problem):
    events = run(problem, epochs=1)
    steps = [e for e in events if isinstance(e, StepDone)]
    mean = sum(e.numbers()["loss"] * e.rows for e in steps) / sum(e.rows for e in steps)
    assert events[-2].metrics["loss"] == pytest.approx(mean)
    assert set(steps[0].metrics) == {"loss", "gradient_norm", "learning_rate"}


def test_it_learns_clouds(problem):
    metrics = run(problem, epochs=20)[-1].metrics
    assert metrics["loss"] < 0.25
    assert metrics["validation_loss"] < 0.25
    assert metrics["accuracy"] > 0.9


def test_it_learns_xor():
    inputs = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])
    layers = (nn.Linear.init(ops.key(0), 2, 8), nn.tanh, nn.Linear.init(ops.key(1), 8, 2))
    net, optimizer = nn.Sequential(layers), adam(0.05)
    batch = Batch(inputs, np.array([0, 1, 1, 0]))
    step = make_step(net, nn.cross_entropy, optimizer)
    state = initial_state(net, optimizer, ops.key(2))
    *_, stopped = fit(step, state, lambda _: [batch], epochs=500, stop=[until("loss<0.02")])
    assert stopped.reason == "until"
    assert stopped.metrics["loss"] < 0.02
    trained = network(net, stopped.state)
    assert np.argmax(trained(tensor(inputs)).numpy(), 1).tolist() == [0, 1, 1, 0]


def test_one_seed_gives_the_same_bits(problem):
    first, second = run(problem), run(problem)
    assert bits(first[-1].state) == bits(second[-1].state)
    assert first[-1].metrics == second[-1].metrics


def test_events_are_json(problem, tmp_path):
    def save(checkpoint):
        return tmp_path / f"step-{checkpoint.progress.step}"

    events = run(problem, epochs=1, save=save, best=Best("accuracy", "max"))
    records = json.loads(json.dumps([to_record(e) for e in events], allow_nan=False))
    assert [r["event"] for r in records] == names(events)
    assert records[0] == {
        "event": "Started", "epoch": 1, "step": 0, "is_resumed": False, "parameters": 163,
    }  # fmt: skip
    assert set(records[1]) == {"event", "epoch", "step", "loss", "gradient_norm", "learning_rate"}
    assert records[-3]["metrics"].keys() > {"loss", "validation_loss", "accuracy"}
    assert records[-2] == {"event": "Checkpointed", "epoch": 2, "step": 6, "file": "step-6"}
    assert records[-1]["best"]["metric"] == "accuracy"


def test_the_best_state_comes_back(problem):
    # The first number is asked before training, to know the metrics' names.
    losses = iter([9.0, 3.0, 1.0, 2.0, 1.5])
    events = run(
        problem, epochs=4, validate=lambda _: {"validation_loss": next(losses)}, best=Best()
    )
    done = [e for e in events if isinstance(e, EpochDone)]
    assert [e.is_best for e in done] == [True, True, False, False]
    assert events[-1].best == ("validation_loss", 1.0, 2, 12)
    assert bits(events[-1].state) == bits(done[1].state)


def test_the_last_state_stays_if_the_best_is_only_watched(problem):
    losses = iter([9.0, 1.0, 2.0])
    events = run(
        problem,
        validate=lambda _: {"validation_loss": next(losses)},
        best=Best(restore=False),
    )
    assert events[-1].best.epoch == 1
    assert int(events[-1].state.step) == 12


def test_no_improvement_stops_and_restores(problem):
    losses = iter([9.0, 1.0, 2.0, float("nan"), 0.5])
    events = run(
        problem,
        epochs=9,
        validate=lambda _: {"validation_loss": next(losses)},
        stop=[NoImprovement(patience=2)],
        best=Best(),
    )
    assert events[-1].reason == "no_improvement"
    assert events[-1].message == "validation_loss did not improve in 2 epochs"
    assert (events[-1].epoch, int(events[-1].state.step)) == (3, 6)


def test_steps_stop_inside_an_epoch_and_the_rest_is_validated(problem):
    events = run(problem, epochs=9, stop=[Steps(8)])
    assert names(events[-3:]) == ["StepDone", "EpochDone", "Stopped"]
    assert (events[-1].reason, events[-1].message) == ("steps", "all 8 steps are done")
    assert (events[-2].epoch, events[-2].step) == (2, 8)
    assert "validation_loss" in events[-1].metrics


def test_time_stops(problem):
    now = iter(np.arange(0, 1e6, 1.0))
    events = run(problem, epochs=9, stop=[TimeBudget(10)], clock=lambda: float(next(now)))
    assert (events[-1].reason, events[-1].message) == ("time", "the time of 10 s is spent")
    assert events[-1].seconds >= 10


def test_a_listener_may_stop_it(problem):
    events = fit(problem.step, problem.state, problem.batches, epochs=9)
    assert isinstance(next(events), Started)
    assert isinstance(next(events), StepDone)
    stopped = events.send("seen enough")
    assert (stopped.reason, stopped.message) == ("requested", "seen enough")
    assert (stopped.step, stopped.epoch, stopped.is_resumable) == (1, 1, True)
    assert list(events) == []


def test_a_listener_may_close_it(problem):
    events = fit(problem.step, problem.state, problem.batches, epochs=9)
    next(events)
    events.close()
    assert list(events) == []


def test_should_stop_ends_the_step_saves_and_stops(problem, tmp_path):
    answers = iter([None] * 9 + ["interrupted"])
    saved = []

    def save(checkpoint):
        saved.append(checkpoint)
        return tmp_path / "checkpoint"

    events = run(problem, should_stop=lambda: next(answers), save=save)
    assert names(events[-3:]) == ["StepDone", "Checkpointed", "Stopped"]
    assert (events[-1].reason, events[-1].message) == ("interrupted", "training was interrupted")
    assert events[-1].is_resumable
    place = saved[-1].progress
    assert (place.epoch, place.position, place.step) == (2, 2, events[-1].step)
    assert place.step == int(saved[-1].state.step) == 8


def test_saves_are_made_every_so_many_seconds(problem, tmp_path):
    now = iter(np.arange(0, 1e6, 1.0))
    events = run(
        problem,
        save=lambda _: tmp_path / "checkpoint",
        save_seconds=5,
        clock=lambda: float(next(now)),
    )
    steps = [e.step for e in events if isinstance(e, Checkpointed)]
    assert steps[-1] == 12
    assert 2 < len(steps) < 12


def test_the_plateau_is_observed(problem):
    told = []

    def observe(optimizer_state, value):
        told.append(value)
        return optimizer_state

    events = run(problem, observe=observe)
    assert told == [e.metrics["validation_loss"] for e in events if isinstance(e, EpochDone)]
    run(problem, observe=observe, validate=None)
    assert len(told) == 4


def test_a_penalty_is_lowered_but_not_the_loss(problem):
    step = make_step(
        problem.net,
        nn.cross_entropy,
        problem.optimizer,
        penalty=lambda params: ops.sum(ops.square(params["layers.0.weight"])),
    )
    events = list(fit(step, problem.state, problem.batches, epochs=1))
    plain = run(problem, epochs=1)
    assert events[1].numbers()["loss"] == plain[1].numbers()["loss"]
    weight = problem.state.params["layers.0.weight"].numpy()
    assert events[1].numbers()["penalty"] == pytest.approx(float(np.sum(weight**2)), rel=1e-5)


def test_weights_reach_the_loss(problem):
    rows = np.arange(16) < 8
    whole = Batch(problem.inputs[:16], problem.labels[:16], rows.astype(np.float32))
    net = nn.Linear.init(ops.key(0), 4, 3)
    step = make_step(net, nn.cross_entropy, problem.optimizer)
    state = initial_state(net, problem.optimizer, ops.key(3))
    first = list(fit(step, state, lambda _: [whole], epochs=1))[1].numbers()["loss"]
    half = Batch(problem.inputs[:8], problem.labels[:8])
    assert first == pytest.approx(
        list(fit(step, state, lambda _: [half], epochs=1))[1].numbers()["loss"]
    )


def test_no_batches_are_refused(problem):
    with pytest.raises(DataError, match=r"training, epoch 1: there are no batches; give data"):
        list(fit(problem.step, problem.state, lambda _: [], epochs=1))


def test_unknown_metrics_are_refused_before_training(problem):
    with pytest.raises(InputError, match=r"stopping by 'acuracy': there is no such.*accuracy, "):
        run(problem, stop=[until("acuracy>0.9")])
    with pytest.raises(InputError, match="there is no such metric; use one of loss"):
        run(problem, validate=None, best=Best())


def test_validation_may_not_hide_the_loss(problem):
    with pytest.raises(InputError, match=r"named 'loss', which.*name it 'validation_loss'"):
        run(problem, validate=lambda _: {"loss": 1.0})


def test_labels_out_of_range_are_refused_before_training(problem):
    bad = Batch(problem.inputs[:4], np.array([0, 1, 2, 3]))
    with pytest.raises(DataError, match="3"):
        fit(problem.step, problem.state, lambda _: [bad], epochs=1)


@dataclass(frozen=True)
class Forgetful:
    """A layer that does not use one of its weights."""

    used: Tensor
    unused: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.used

    def apply(self, x, state, key):
        return self(x), state


def test_unreachable_parameters_are_refused(problem):
    net = Forgetful(ops.zeros((4, 3)), tensor([1.0]))
    step = make_step(net, nn.cross_entropy, problem.optimizer)
    state = initial_state(net, problem.optimizer, ops.key(0))
    with pytest.raises(GradientError, match=r"gradient of the loss in unused: the loss does not"):
        list(fit(step, state, problem.batches, epochs=1))


def test_a_softmax_too_many_is_refused(problem):
    net = nn.Sequential((*problem.net.layers, nn.softmax))
    with pytest.raises(InputError, match="takes scores"):
        make_step(net, nn.cross_entropy, problem.optimizer)


def test_a_plain_function_can_be_trained_around(problem):
    predictions, after = _apply(nn.relu, tensor([-1.0, 1.0]), {}, ops.key(0))
    assert predictions.numpy().tolist() == [0.0, 1.0]
    assert after == {}
