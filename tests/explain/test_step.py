"""Every number of an explained step is the engine's own, for every unit and weight."""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd import nn, ops
from retrograd.explain import explain_step
from retrograd.explain.generic import difference
from retrograd.explain.losses import LOSSES, first_delta
from retrograd.explain.step import explain_pass
from retrograd.explain.walk import BACKWARD, FORWARD, forward
from retrograd.explain.weights import Weight, weight_formulas
from retrograd.ops.contraction import Matmul
from retrograd.optim import adam, adamw, clip_by_global_norm, momentum, nesterov, sgd

from .conftest import make_case

ACTIVATIONS = [
    nn.identity, nn.sigmoid, nn.tanh, nn.relu, nn.leaky_relu, nn.elu, nn.selu, nn.gelu,
    nn.gelu_tanh, nn.silu, nn.softplus, nn.softsign, nn.mish, nn.hard_sigmoid, nn.hard_tanh,
    partial(nn.leaky_relu, negative_slope=0.2), ops.tanh, ops.sigmoid,
]  # fmt: skip
LOSS_FUNCTIONS = [
    nn.cross_entropy, nn.binary_cross_entropy, nn.mean_squared_error, nn.mean_absolute_error,
    nn.huber, nn.log_cosh, nn.hinge, nn.poisson, nn.kl_divergence, nn.quantile,
    partial(nn.cross_entropy, label_smoothing=0.1),
    partial(nn.cross_entropy, class_weights=np.float32([1.0, 2.0, 0.5])),
    partial(nn.cross_entropy, class_weights=np.float32([1.0, 2.0, 0.5]), label_smoothing=0.2),
    partial(nn.mean_squared_error, reduction="sum"),
]  # fmt: skip
OPTIMIZERS = [
    sgd(0.01), momentum(0.01), nesterov(0.01), adam(1e-3), adamw(1e-3),
    clip_by_global_norm(adamw(1e-3), 0.1),
]  # fmt: skip


def failures(explanation):
    wrong = [(f.phase, f.path, f.template, f.check) for f in explanation.formulas if not f.check.ok]
    return wrong + [row for row in explanation.audits if not row.ok]


RANDOM_NETWORKS = given(
    activation=st.sampled_from(ACTIVATIONS),
    loss=st.sampled_from(LOSS_FUNCTIONS),
    optimizer=st.sampled_from(OPTIMIZERS),
    sizes=st.lists(st.integers(1, 9), min_size=0, max_size=3),
    normalization=st.sampled_from([None, nn.BatchNorm.init, nn.LayerNorm.init]),
    dropout=st.sampled_from([0.0, 0.3]),
    weighted=st.booleans(),
    seed=st.integers(0, 1000),
)


def check_a_network(activation, loss, optimizer, sizes, normalization, dropout, weighted, seed):
    net = nn.mlp(
        ops.key(seed), (5, *sizes, 3), activation=activation, dropout=dropout,
        normalization=normalization,
    )  # fmt: skip
    case = make_case(net, loss, optimizer, seed=seed, weighted=weighted)
    explanation = case.explain(seed % 7)
    assert failures(explanation) == []
    assert explanation.loss == case.metrics()["loss"].item()  # bit for bit
    json.dumps(explanation.to_dict(), allow_nan=False)


@settings(max_examples=12)
@RANDOM_NETWORKS
def test_every_check_of_a_random_network_holds(**drawn):
    check_a_network(**drawn)


@pytest.mark.slow
@settings(max_examples=80)
@RANDOM_NETWORKS
def test_every_check_of_many_random_networks_holds(**drawn):
    check_a_network(**drawn)


def test_all_units_and_deltas_of_all_rows_hold():
    case = make_case(nn.mlp(ops.key(3), (5, 8, 6, 3), activation=nn.gelu), seed=3)
    for place in range(7):
        seen = case.seen(place)
        for visit in seen.captured.visits:
            for unit in range(visit.y.shape[1]):
                assert all(f.check.ok for f in forward(seen, visit, unit))
        for number, visit in enumerate(seen.captured.visits):
            for unit in range(visit.y.shape[1]):
                shown = explain_pass(seen, unit=f"{visit.path}[{unit}]")
                assert failures(shown) == [], (number, unit)
        for unit in range(3):
            assert all(f.check.ok for f in first_delta(seen, unit))


@pytest.mark.parametrize("normalization", [None, nn.BatchNorm.init, nn.LayerNorm.init])
def test_any_unit_leads_on_through_the_layers_after_it(normalization):
    net = nn.mlp(ops.key(1), (5, 6, 4, 3), dropout=0.4, normalization=normalization)
    seen = make_case(net, seed=1).seen(2)
    for visit in seen.captured.visits:
        for unit in range(visit.y.shape[1]):
            shown = explain_pass(seen, unit=f"{visit.path}[{unit}]")
            assert failures(shown) == [], (visit.path, unit)
    paths = [f.path for f in explain_pass(seen, unit="layers.0[5]").phase("forward")]
    assert paths[1] == "layers.1[5]"


def test_hidden_deltas_are_the_engines_gradients():
    seen = make_case(seed=5).seen(2)
    first, curve, last = seen.captured.visits
    np.testing.assert_array_equal(first.dy, curve.dx)
    hidden = list(explain_pass(seen, unit="layers.1[4]").phase("backward"))
    (delta,) = [f for f in hidden if f.path == "layers.1[4]" and f.symbol == "δ"]
    assert delta.value == 7 * float(first.dy[2, 4])
    weights = np.asarray(last.layer.weight.numpy()[4], np.float64)
    by_hand = curve.slope[2, 4] * (weights @ (7.0 * last.dy[2].astype(np.float64)))
    assert delta.value == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("normalization", [None, nn.BatchNorm.init, nn.LayerNorm.init])
def test_every_weights_gradient_is_the_mean_of_its_bars(normalization):
    net = nn.mlp(ops.key(1), (5, 4, 3), activation=nn.tanh, normalization=normalization)
    seen = make_case(net, weighted=True).seen()
    for leaf, x in seen.captured.params.items():
        for index in np.ndindex(x.shape):
            formulas = weight_formulas(seen, Weight(leaf, index))
            assert len(formulas) == 2
            assert all(f.check.ok for f in formulas), formulas
            bars = formulas[0].examples
            assert len(bars) == 7
            engine = float(seen.captured.grads[leaf].numpy()[index])
            assert np.mean(bars) == pytest.approx(engine, abs=1e-6)


def test_a_penalty_is_a_term_of_its_own():
    def penalty(params):
        return ops.sum(ops.square(params["layers.0.weight"])) * 0.05

    case = make_case(penalty=penalty)
    explanation = case.explain(weight="layers.0.weight[2,3]")
    assert failures(explanation) == []
    assert explanation.total > explanation.loss
    (gradient, _) = [f for f in explanation.phase("backward") if f.symbol == "dL/dw"]
    assert "penalty" in gradient.template
    assert any(f.symbol == "total" for f in explanation.phase("loss"))


def test_residuals_and_images_hold():
    inner = nn.Sequential((nn.Linear.init(ops.key(0), 6, 6), nn.tanh))
    net = nn.Sequential(
        (
            nn.Flatten(),
            nn.Linear.init(ops.key(1), 6, 6),
            nn.relu,
            nn.Residual(inner),
            nn.Residual(nn.Linear.init(ops.key(2), 6, 6)),
            nn.Linear.init(ops.key(3), 6, 3),
        )
    )
    case = make_case(net, inputs=6)
    images = case.batch._replace(inputs=case.batch.inputs.reshape(7, 2, 3))
    for place in range(7):
        explanation = dataclasses.replace(case, batch=images).explain(place)
        assert failures(explanation) == []
        assert any("inner(x)" in f.template for f in explanation.phase("forward"))


def test_what_has_no_template_is_checked_by_differences():
    def strange(x):
        return ops.sin(x) * ops.sum(x, -1, keepdims=True)

    net = nn.Sequential(
        (nn.Linear.init(ops.key(0), 5, 4), strange, nn.Linear.init(ops.key(1), 4, 3))
    )
    explanation = make_case(net).explain(1)
    assert failures(explanation) == []
    assert any("strange" in f.template for f in explanation.phase("backward"))


def test_a_kink_that_the_step_stands_on_is_said_and_not_held_against_it():
    net = nn.Sequential(
        (nn.Linear.init(ops.key(0), 5, 4), nn.relu, nn.Linear.init(ops.key(1), 4, 3))
    )
    case = make_case(net, warm=0)
    case.batch.inputs[2] = 0.0  # with biases of 0 every z of this row is 0, where relu bends
    explanation = case.explain(2, weight="layers.0.bias[1]")
    assert failures(explanation) == []
    by_difference = [f for f in explanation.phase("backward") if "2h" in f.template]
    assert "a kink" in by_difference[-1].words


def test_differences_know_their_error():
    smooth = difference(lambda x: float(np.sin(3 * x + 1)))
    assert abs(smooth.value - 3 * np.cos(1)) <= 3 * smooth.error + 1e-9
    assert smooth.kink == 0.0
    assert difference(lambda x: abs(x) + x).kink == pytest.approx(2.0)
    beside = difference(lambda x: abs(x - 5e-4))
    assert beside.value == pytest.approx(-1.0)
    assert beside.kink == 0.0


def test_a_wrong_backward_rule_shows_as_a_cross():
    def half(op, g, out, a, b):
        return tuple(None if x is None else x * 0.5 for x in op.vjp(g, out, a, b))

    case = make_case()
    explanation = explain_step(
        case.net, case.loss, case.optimizer, case.state, case.batch, 0, rules={Matmul: half}
    )
    assert not explanation.ok
    assert failures(explanation)
    assert "Matmul" in explanation.notes[0]


def test_a_falsified_template_shows_as_a_cross(monkeypatch):
    honest = FORWARD[nn.Linear]

    def lying(seen, visit, unit):
        (formula,) = honest(seen, visit, unit)
        return [dataclasses.replace(formula, bias=(formula.bias or 0.0) + 1e-3)]

    monkeypatch.setitem(FORWARD, nn.Linear, lying)
    explanation = make_case().explain()
    assert not explanation.ok
    assert all(
        f.check.abs == pytest.approx(1e-3, rel=1e-2)
        for f in explanation.phase("forward")
        if f.symbol == "z"
    )


@pytest.mark.parametrize("optimizer", [sgd(1e-3), momentum(1e-3), adam(1e-5)])
def test_the_promised_change_of_the_loss_comes_true_for_small_steps(optimizer):
    explanation = make_case(optimizer=optimizer).explain()
    assert explanation.actual == pytest.approx(explanation.predicted, rel=0.05)
    assert explanation.prediction_agrees


def test_a_step_that_is_too_large_does_not_keep_its_promise():
    assert not make_case(optimizer=sgd(50.0), warm=0).explain().prediction_agrees


def test_tables_cover_the_layers():
    # A layer without words of its own for the way back is told by the general rule.
    assert FORWARD.keys() > BACKWARD.keys() > {nn.Linear, nn.LayerNorm}
    assert nn.cross_entropy in LOSSES
