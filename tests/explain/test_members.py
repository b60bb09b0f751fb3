"""Ensembles and pieces: every unit, delta and gradient is explained with the engine's numbers."""

from functools import partial

import numpy as np
import pytest
from tests.explain.conftest import make_case

from retrograd import nn, ops
from retrograd.explain.step import explain_pass
from retrograd.explain.weights import Weight, weight_formulas


def net_of(outputs: int) -> nn.Sequential:
    rows = np.random.default_rng(3).normal(size=(50, 5)).astype(np.float32)
    pieces = nn.PiecewiseLinear.fit(rows, 4)
    sizes = (5 + pieces.start.size, 6, 4, outputs)
    ensemble = nn.ensemble(ops.key(1), sizes, 3, activation=nn.tanh, dropout=0.3)
    return nn.Sequential((pieces, *ensemble.layers))


LOSSES = {
    3: partial(nn.loss_of_members, loss=partial(nn.cross_entropy, label_smoothing=0.1)),
    1: partial(nn.loss_of_members, loss=nn.mean_squared_error),
}


def case_of(outputs: int):
    alone = {3: nn.cross_entropy, 1: nn.mean_squared_error}[outputs]
    made = make_case(nn.mlp(ops.key(0), (5, outputs)), alone, outputs=outputs, warm=0)
    case = make_case(net_of(outputs), LOSSES[outputs], outputs=outputs, warm=0)
    return type(case)(
        case.net, case.loss, case.optimizer, case.state, made.batch._replace(), case.penalty
    )


@pytest.mark.parametrize("outputs", [3, 1])
def test_every_unit_adds_up(outputs):
    seen = case_of(outputs).seen(2)
    for visit in seen.captured.visits:
        for unit in range(0, int(np.prod(visit.y.shape[1:])), 3):
            shown = explain_pass(seen, unit=f"{visit.path}[{unit}]")
            assert [f for f in shown.formulas if not f.check.ok] == [], (visit.path, unit)
    kinds = {type(visit.layer) for visit in seen.captured.visits}
    assert {nn.PiecewiseLinear, nn.Members, nn.MemberLinear, nn.Average} <= kinds


def test_a_members_own_weights_have_their_gradients_explained():
    seen = case_of(3).seen()
    for leaf, index in (("layers.2.scale", (1, 3)), ("layers.8.shift", (0, 2))):
        if leaf in seen.captured.params:
            assert all(f.check.ok for f in weight_formulas(seen, Weight(leaf, index)))
    assert any(name.endswith(".scale") for name in seen.captured.params)


def test_the_answer_is_what_the_members_say_together():
    case = case_of(1)
    seen = case.seen(2)
    own = seen.captured.predictions[2]
    assert own.shape == (3, 1)
    assert float(explain_pass(seen).prediction) == pytest.approx(float(own.mean()), abs=1e-3)
