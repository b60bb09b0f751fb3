"""What is explained is what training computes, bit for bit."""

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.train.events import StepDone
from retrograd.train.fit import fit
from retrograd.train.step import make_step

from .conftest import make_case

NETS = {
    "small": None,
    "odd": nn.mlp(ops.key(0), (5, 37, 11, 3)),
    "everything": nn.Sequential(
        (
            nn.Linear.init(ops.key(1), 5, 32),
            nn.BatchNorm.init(32),
            nn.relu,
            nn.Dropout(0.1),
            nn.Linear.init(ops.key(2), 32, 3),
        )
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_the_update_is_that_of_the_run(name):
    case = make_case(NETS[name], rows=33)
    step = make_step(case.net, case.loss, case.optimizer, norms=True)
    events = fit(step, case.state, lambda epoch: [case.batch], epochs=1)
    done = next(event for event in events if isinstance(event, StepDone))
    captured = case.capture()
    assert captured.loss == done.numbers()["loss"]
    for leaf, x in done.state.params.items():
        assert np.array_equal(captured.params_after[leaf].numpy(), x.numpy()), leaf
