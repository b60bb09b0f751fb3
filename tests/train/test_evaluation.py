"""Steps and predictions: randomness from the state alone, and rows that do not see each other."""

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.compile import compile
from retrograd.data.batches import Batch
from retrograd.optim import sgd
from retrograd.tensor.errors import DataError
from retrograd.tensor.tensor import tensor
from retrograd.train.batch import as_tensors, count_rows
from retrograd.train.evaluation import make_predict, make_validate
from retrograd.train.state import count_parameters
from retrograd.train.step import initial_state, make_step, network
from retrograd.tree import leaves


def trained(problem):
    """The state after one epoch: its batch statistics are no longer those it began with."""
    state, step = problem.state, compile(problem.step)
    for batch in problem.batches(1):
        state, _ = step(state, as_tensors(batch))
    return state


@pytest.mark.parametrize("batch_size", [1, 7, 96, 1000])
def test_predictions_are_those_of_inference(problem, batch_size):
    state = trained(problem)
    expected = network(problem.net, state)(tensor(problem.inputs)).numpy()
    found = make_predict(problem.net, batch_size=batch_size)(state, problem.inputs)
    assert found.shape == (96, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_predictions_of_no_rows_are_refused(problem):
    with pytest.raises(DataError, match="predicting: there are no rows; give at least one row"):
        make_predict(problem.net)(problem.state, problem.inputs[:0])


def test_one_program_serves_every_state(problem):
    predict = make_predict(problem.net, batch_size=10)
    before = predict(problem.state, problem.inputs)
    after = predict(trained(problem), problem.inputs)
    assert not np.array_equal(before, after)
    assert np.array_equal(before, predict(problem.state, problem.inputs))


def test_validation_is_the_loss_of_all_rows(problem):
    state = trained(problem)
    weights = np.linspace(0, 1, 96).astype(np.float32)
    validate = make_validate(
        problem.net, nn.cross_entropy, problem.inputs, problem.labels, weights=weights, batch_size=9
    )
    logits = network(problem.net, state)(tensor(problem.inputs))
    expected = nn.cross_entropy(logits, tensor(problem.labels), weights=tensor(weights))
    assert validate(state) == {"validation_loss": pytest.approx(float(expected), rel=1e-5)}


def test_the_step_is_its_own_story_by_hand():
    """loss = (w x - y)^2, so dloss/dw = 2 x (w x - y)."""
    net, optimizer = nn.Linear(tensor([[1.0]])), sgd(0.25)
    state = initial_state(net, optimizer, ops.key(0))
    batch = Batch(tensor([[2.0]]), tensor([[6.0]]))
    after, metrics = make_step(net, nn.mean_squared_error, optimizer)(state, batch)
    assert {name: float(value) for name, value in metrics.items()} == {
        "loss": 16.0, "gradient_norm": 16.0, "learning_rate": 0.25,
    }  # fmt: skip
    assert after.params["weight"].item() == 5.0
    assert int(after.step) == 1
    assert state.params["weight"].item() == 1.0
    assert np.array_equal(after.key.numpy(), state.key.numpy())


def test_each_step_drops_others():
    net = nn.Sequential((nn.Dropout(0.5), nn.Linear(tensor(np.eye(64, dtype=np.float32)))))
    state = initial_state(net, sgd(0.0), ops.key(0))
    step = make_step(net, nn.mean_squared_error, sgd(0.0))
    batch = Batch(tensor(np.ones((1, 64), np.float32)), tensor(np.zeros((1, 64), np.float32)))
    first, one = step(state, batch)
    _, two = step(first, batch)
    _, again = step(state, batch)
    assert float(one["loss"]) != float(two["loss"])
    assert float(one["loss"]) == float(again["loss"])


def test_compiled_and_eager_steps_agree(problem):
    batch = as_tensors(next(iter(problem.batches(1))))
    eager, compiled = (
        problem.step(problem.state, batch),
        compile(problem.step)(problem.state, batch),
    )
    for name, x in leaves(eager).items():
        # The gradient of a bias before batch norm is rounding alone, which Adam makes a full step.
        if not name.endswith("layers.0.bias"):
            found = leaves(compiled)[name].numpy()
            np.testing.assert_allclose(x.numpy(), found, rtol=1e-4, atol=1e-6)


def test_batches_of_any_tree():
    batch = as_tensors({"a": [np.zeros((3, 2)), None], "b": ("text", np.float32(1))})
    assert count_rows(batch) == 3
    assert count_rows(as_tensors(("text",))) == 1
    assert batch["b"][0] == "text"
    assert leaves(batch).keys() == {"a.0", "b.1"}


def test_parameters_are_counted(problem):
    assert count_parameters(problem.state) == (4 * 16 + 16) + 2 * 16 + (16 * 3 + 3)
