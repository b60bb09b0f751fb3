"""Choices: what is open is chosen, what is given stays, and each optimizer and schedule trains."""

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest

from retrograd.recipe.config import Config, OptimizerName, ScheduleName, configure
from retrograd.recipe.footprint import Footprint, footprint, machine_memory, require_memory
from retrograd.recipe.network import Size, build_loss, build_schedule, choose
from retrograd.recipe.training import (
    FOR_EVER,
    Part,
    make_job,
    planned_steps,
    run_job,
    stopping_rules,
    trained_network,
)
from retrograd.tensor.errors import InputError
from retrograd.train.events import EpochDone, Stopped

SIZE = Size(1000, 8, 3)


def toy(rows: int = 40) -> Part:
    x = np.random.default_rng(0).normal(size=(rows, 4)).astype(np.float32)
    return Part(x, (x[:, 0] > 0).astype(np.int64))


def trained(config: Config, part: Part | None = None) -> tuple[list[EpochDone], Stopped, Any]:
    part = toy() if part is None else part
    job = make_job(config, 2, part, part)
    events = list(run_job(job))
    stopped = events[-1]
    assert isinstance(stopped, Stopped)
    epochs = [event for event in events if isinstance(event, EpochDone)]
    return epochs, stopped, trained_network(job, stopped.state)


def test_nothing_stays_open() -> None:
    config = choose(Config(), SIZE, is_validated=True)
    opened = {"clip", "ema", "loss", "steps", "time", "until", "tolerance", "memory"}
    opened |= {"init", "init_digest"}
    for part in (config.network, config.optimization, config.stopping):
        left = {f.name for f in dataclasses.fields(part) if getattr(part, f.name) is None}
        assert left <= opened
    assert choose(config, SIZE, is_validated=True) == config


def test_what_is_given_stays() -> None:
    given = configure(hidden=(), activation="tanh", dropout=0.0, batch_size=7, epochs=3, patience=1)
    config = choose(given, SIZE, is_validated=True)
    assert (config.network.hidden, config.network.activation) == ((), "tanh")
    assert (config.network.dropout, config.stopping.epochs, config.stopping.patience) == (0.0, 3, 1)
    assert config.optimization.batch_size == 7


def test_a_run_that_time_ends_follows_the_plateau() -> None:
    config = choose(configure(time="5m"), SIZE, is_validated=True)
    assert config.stopping.epochs is None
    assert config.optimization.schedule == "reduce_on_plateau"
    assert planned_steps(config, 1000) == 1
    rules = [type(rule).__name__ for rule in stopping_rules(config.stopping, is_validated=True)]
    assert rules == ["TimeBudget", "NoImprovement"]


def test_planned_steps_are_the_fewest_asked_for() -> None:
    config = configure(epochs=10, batch_size=30, steps=25)
    assert planned_steps(config, 100) == 25
    assert planned_steps(configure(epochs=10, batch_size=30), 100) == 40
    assert planned_steps(configure(steps=9, batch_size=30), 100) == 9
    assert FOR_EVER > 10**6


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_every_optimizer_learns(optimizer: str) -> None:
    config = configure(optimizer=optimizer, epochs=12, batch_size=8, hidden=(8,), dropout=0.0)
    epochs, _, _ = trained(config)
    assert epochs[-1].metrics["loss"] < epochs[0].metrics["loss"]


@pytest.mark.parametrize("schedule", get_args(ScheduleName))
def test_every_schedule_learns(schedule: str) -> None:
    config = configure(schedule=schedule, epochs=8, batch_size=8, hidden=(8,), warm_up=0.2)
    epochs, _, _ = trained(config)
    assert epochs[-1].metrics["loss"] < epochs[0].metrics["loss"]


@pytest.mark.parametrize("steps", [1, 5, 8, 9, 30, 1000])
@pytest.mark.parametrize("name", get_args(ScheduleName))
def test_schedules_of_any_length_are_rates(name: ScheduleName, steps: int) -> None:
    made = build_schedule(name, 0.1, steps, 0.1)
    rates = [float(made(i)) if callable(made) else made for i in range(steps)]
    assert all(0 <= rate <= 0.1 + 1e-12 for rate in rates)


def test_all_options_at_once() -> None:
    config = configure(
        ema=0.9, accumulate=2, clip=1.0, l1=1e-4, label_smoothing=0.1, class_weights="balanced",
        normalization="batch", epochs=4, batch_size=8, schedule="reduce_on_plateau",
    )  # fmt: skip
    epochs, stopped, net = trained(config)
    assert len(epochs) == 4
    average = dict(stopped.state.optimizer.inner.average)
    assert np.array_equal(net.layers[0].weight.numpy(), average["layers.0.weight"].numpy())
    assert not np.array_equal(net.layers[0].weight.numpy(), stopped.state.params["layers.0.weight"])


def test_stopping_options_stop() -> None:
    reasons = {
        "steps": {"steps": 3},
        "time": {"time": "0.001s", "epochs": 100},
        "until": {"until": "loss<100"},
        "converged": {"tolerance": 0.99, "epochs": 50},
        "no_improvement": {"patience": 1, "learning_rate": 1e-9, "epochs": 50},
        "epochs": {"epochs": 1},
    }
    for reason, options in reasons.items():
        assert trained(configure(batch_size=16, **options))[1].reason == reason


def test_losses_refuse_options_that_do_not_fit() -> None:
    labels = np.array([0, 1, 1])
    for options, outputs, message in [
        ({"loss": "huber"}, 2, "loss='huber' for classes: it is a loss for amounts"),
        ({"label_smoothing": 0.1}, 1, "label_smoothing for amounts: there are no classes"),
        ({"class_weights": "balanced"}, 1, "class_weights for amounts: there are no classes"),
    ]:
        config = configure(**options)
        with pytest.raises(InputError) as error:
            build_loss(config, Size(3, 1, outputs), labels)
        assert message in str(error.value)


def test_what_cannot_fit_is_refused_before_it_is_made() -> None:
    config = configure(hidden=(999_999, 999_999))
    with pytest.raises(InputError, match=r"it takes 20,000\.\d GB and this machine has"):
        make_job(config, 2, toy(), None)
    with pytest.raises(InputError, match="smaller hidden layers, or a smaller batch_size"):
        require_memory(Footprint(4, 100, 100, 0), limit=150)
    assert (machine_memory() or 1) > 0


def test_the_footprint_counts_the_weights() -> None:
    part = toy()
    config = configure(hidden=(5, 3), optimizer="sgd")
    job = make_job(config, 2, part, None)
    needed = footprint(job.config, job.size)
    assert needed.parameters == 4 * sum(x.size for x in job.state.params.values())
    assert needed.total == needed.training + needed.batch + needed.data
