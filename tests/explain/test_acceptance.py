"""A trained 64-32-10 network on the digits: every unit of twenty rows, within 1e-6 absolute."""

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.data.batches import Batch
from retrograd.explain.capture import capture
from retrograd.explain.route import route
from retrograd.explain.seen import Seen
from retrograd.explain.walk import backward, forward
from retrograd.optim import sgd
from retrograd.train.batch import as_tensors
from retrograd.train.step import initial_state, make_step


@pytest.fixture(scope="module")
def captured():
    from sklearn.datasets import load_digits

    digits = load_digits()
    inputs = (digits.data / 16).astype(np.float32)
    net, optimizer = nn.mlp(ops.key(0), (64, 32, 10)), sgd(0.1)
    state, step = (
        initial_state(net, optimizer, ops.key(1)),
        make_step(net, nn.cross_entropy, sgd(0.1)),
    )
    for start in range(0, 32 * 60, 32):
        rows = np.arange(start, start + 32) % 1500
        state, _ = step(state, as_tensors(Batch(inputs[rows], digits.target[rows])))
    rows = np.arange(1500, 1532)
    return capture(
        net, nn.cross_entropy, optimizer, state, Batch(inputs[rows], digits.target[rows])
    )


def test_every_shown_z_is_the_engines(captured):
    for place in range(20):
        seen = Seen(captured, place, place)
        for number in (0, 2):
            visit = captured.visits[number]
            for unit in range(visit.y.shape[1]):
                (formula,) = forward(seen, visit, unit)
                assert np.float32(formula.value) == visit.y[place, unit]  # bit for bit
                assert formula.check.abs <= 1e-6


def test_every_hidden_delta_is_the_engines(captured):
    for place in range(20):
        seen = Seen(captured, place, place)
        for unit in range(32):
            formulas = backward(seen, route(seen, (1, unit)))
            (delta,) = [f for f in formulas if f.symbol == "δ" and f.path == f"layers.1[{unit}]"]
            assert delta.value == 32 * float(captured.visits[0].dy[place, unit])
            assert delta.check.ok
            assert delta.check.abs <= 1e-6
