"""A number that is not finite is traced to where it came from, and the last good state is kept."""

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.data.batches import Batch
from retrograd.optim import Optimizer, sgd
from retrograd.tensor.errors import NonFiniteError
from retrograd.tensor.tensor import tensor
from retrograd.train.checkpoint import Checkpoint, Progress
from retrograd.train.events import EpochDone, StepDone, Stopped, to_record
from retrograd.train.fit import fit
from retrograd.train.nonfinite import Attempt, explain_failure, find_origin
from retrograd.train.state import is_finite, is_trustworthy
from retrograd.train.step import initial_state, make_step

NAMES = ("age", "income", "height")


def small(*functions, rate=0.1, loss=nn.mean_squared_error, optimizer=None):
    """A step and its first state: 3 columns, two layers, functions between them."""
    layers = (nn.Linear.init(ops.key(0), 3, 4), *functions, nn.Linear.init(ops.key(1), 4, 1))
    net, chosen = nn.Sequential(layers), optimizer or sgd(rate)
    return make_step(net, loss, chosen), initial_state(net, chosen, ops.key(2))


def rows(seed: int = 0, scale: float = 1.0) -> Batch:
    generator = np.random.default_rng(seed)
    inputs = (scale * generator.normal(size=(6, 3))).astype(np.float32)
    return Batch(inputs, inputs[:, :1].copy())


def collect(step, state, batches, **options):
    """Train until it raises; return the events before that, and the message."""
    events: list = []
    with pytest.raises(NonFiniteError) as caught:
        events.extend(fit(step, state, lambda epoch: batches, epochs=1, **options))
    return events, str(caught.value)


def planted(row: int, column: int, value: float) -> Batch:
    bad = rows(1)
    bad.inputs[row, column] = value
    return bad


def test_a_cell_is_named_by_row_and_column():
    events, message = collect(
        *small(nn.tanh), [rows(), planted(4, 1, np.nan)],
        feature_names=NAMES, row_numbers=lambda epoch, i: range(100 * i, 100 * i + 6),
    )  # fmt: skip
    assert message == (
        "training, step 2 (batch 2 of epoch 1): column 'income' is nan in row 104; "
        "repair the cell, or impute it"
    )
    assert [type(e) for e in events[-2:]] == [StepDone, Stopped]
    stopped = events[-1]
    assert (stopped.reason, stopped.message) == ("non_finite", message)
    assert stopped.step == int(stopped.state.step) == 1
    assert is_finite(stopped.state)
    assert to_record(stopped)["reason"] == "non_finite"


def test_a_cell_without_names():
    _, message = collect(*small(nn.tanh), [planted(4, 1, np.inf)])
    assert "step 1 (batch 1 of epoch 1): inputs[:, 1] is inf in row 4 of the batch; rep" in message


def test_a_target_and_a_weight_of_a_row():
    bad = rows()
    bad.targets[3, 0] = np.nan
    assert "targets is nan in row 3 of the batch" in collect(*small(), [bad])[1]
    # The first batch is checked by the loss itself, before training.
    good = rows()._replace(weights=np.ones(6, np.float32))
    weights = np.ones(6, np.float32)
    weights[2] = np.inf
    assert (
        "weights is inf in row 2 of" in collect(*small(), [good, good._replace(weights=weights)])[1]
    )


def test_a_weight_is_named():
    step, state = small(nn.tanh)
    weight = state.params["layers.2.weight"].numpy().copy()
    weight[3, 0] = np.nan
    bad = state._replace(params={**state.params, "layers.2.weight": tensor(weight)})
    _, message = collect(step, bad, [rows()])
    assert message.endswith(
        ": layers.2.weight[3, 0] was nan before the step; "
        "start from weights that are numbers, or from an earlier checkpoint"
    )


def test_a_statistic_is_named():
    layers = (nn.BatchNorm.init(3), nn.Linear.init(ops.key(1), 3, 1))
    net = nn.Sequential(layers)
    step = make_step(net, nn.mean_squared_error, sgd(0.1))
    state = initial_state(net, sgd(0.1), ops.key(0))
    name = "layers.0.running_mean"
    bad = state._replace(statistics={**state.statistics, name: tensor([0.0, np.nan, 0.0])})
    _, message = collect(step, bad, [rows()])
    assert f"statistics.{name}[1] was nan before the step" in message


def test_log_of_zero_in_a_hidden_layer():
    def log_of_relu(x):
        return ops.log(nn.relu(x))

    events, message = collect(*small(log_of_relu), [rows()], feature_names=NAMES)
    assert "the forward pass got -inf from log of 0 at [" in message
    assert "in layer 'layers.0', in row " in message
    assert "(its largest input is " in message
    assert message.endswith(
        "; standardise the inputs, lower the learning rate, or clip the gradient"
    )
    assert not [e for e in events if isinstance(e, StepDone)]


def test_overflow_names_the_row_and_its_largest_input():
    bad = rows()
    bad.inputs[2, 1] = 1e4
    _, message = collect(*small(ops.exp), [bad], feature_names=NAMES)
    assert "the forward pass got inf from exp of " in message
    assert "in row 2 of the batch (its largest input is 1e+04, column 'income')" in message


def test_an_operation_in_the_backward_pass():
    def root(x):
        return ops.sqrt(x * 0.0)  # its slope at 0 is infinite, its value is fine

    step, state = small(root)
    origin = find_origin(step, state, rows_as_tensors())
    assert origin.phase == "backward"
    assert origin.layer == "layers.0"
    _, message = collect(step, state, [rows()])
    assert "the backward pass got inf from divide of " in message
    assert " in layer 'layers.0', applied in " in message
    assert "test_nonfinite.py:" in message


def rows_as_tensors() -> Batch:
    batch = rows()
    return Batch(tensor(batch.inputs), tensor(batch.targets))


def overflowing(grads, state, params):
    return {name: p * 3e38 * 10.0 for name, p in params.items()}, state


@pytest.mark.parametrize("later", [0, 2])
def test_an_operation_in_the_update(later):
    """Found at the end of the epoch, or at the next step, and put down to the update."""
    breaks = Optimizer(lambda params: (), overflowing)
    events, message = collect(*small(optimizer=breaks), [rows()] * (1 + later))
    assert "training, step 1 (batch 1 of epoch 1): the update got " in message
    assert "from multiply of " in message
    assert [type(e) for e in events[1:-1]] == [StepDone]
    assert (events[-1].step, events[-1].metrics) == (0, {})
    assert is_trustworthy(events[-1].state)


def test_nothing_broken_is_ever_saved(tmp_path):
    saved = []

    def save(checkpoint):
        saved.append(checkpoint)
        return tmp_path / "checkpoint"

    breaks = Optimizer(lambda params: (), overflowing)
    step, state = small(optimizer=breaks)
    collect(step, state, [rows()], save=save)
    collect(step, state, [rows()] * 3, save=save, save_seconds=0.0)
    collect(step, state, [rows()] * 3, save=save, should_stop=iter([None, "interrupted"]).__next__)
    assert saved == []


def test_a_learning_rate_too_high_ends_in_words():
    step, state = small(rate=1e6)
    _, message = collect(step, state, [rows()] * 60)
    assert "lower the learning rate" in message


def test_an_infinity_that_was_meant_is_not_the_origin():
    mask = tensor([0.0, -np.inf, 0.0, 0.0])

    def masked(x):
        return nn.softmax(x + mask) + ops.log(ops.sum(x * 0.0, axes=1, keepdims=True))

    _, message = collect(*small(masked), [rows()])
    assert "from log of 0 at " in message or "from log of -0 at " in message


def test_what_numpy_cannot_repeat_is_said():
    step, state = small()
    attempt = Attempt(Checkpoint(state, None, Progress()), rows_as_tensors(), 0)
    error = explain_failure(step, attempt)
    assert "the compiled program gave a number that is not finite, NumPy gives none; stand" in str(
        error
    )


def test_an_infinite_optimizer_state_is_fine():
    idle = Optimizer(lambda params: {"best": tensor(np.inf)}, lambda g, s, p: (dict(p), s))
    *_, done, stopped = fit(*small(optimizer=idle), lambda epoch: [rows()], epochs=1)
    assert isinstance(done, EpochDone)
    assert stopped.reason == "epochs"
