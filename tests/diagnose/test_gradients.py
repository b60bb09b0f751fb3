"""Gradient checks: right networks pass, wrong rules are caught, kinks are not called bugs."""

import json
from functools import partial

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.data.batches import Batch
from retrograd.diagnose import GradientReport, check_gradients
from retrograd.diagnose.differences import slope
from retrograd.ops.arithmetic import Add, Multiply, Subtract
from retrograd.ops.contraction import Matmul
from retrograd.ops.curves import Tanh
from retrograd.ops.exponential import Exp, Rsqrt
from retrograd.ops.movement import BroadcastTo
from retrograd.ops.reduction import LogSumExp
from retrograd.tensor.errors import GradientError
from retrograd.tensor.tensor import tensor

SMOOTH = [nn.tanh, nn.sigmoid, nn.gelu, nn.silu, nn.mish, nn.softplus, nn.gelu_tanh]
BENT = [nn.relu, nn.leaky_relu, nn.elu, nn.selu, nn.softsign, nn.hard_tanh, nn.hard_sigmoid]
LOSSES = [
    nn.cross_entropy, nn.mean_squared_error, nn.binary_cross_entropy, nn.huber, nn.log_cosh,
    nn.poisson, nn.hinge, nn.mean_absolute_error, partial(nn.cross_entropy, label_smoothing=0.1),
]  # fmt: skip


def random_batch(loss, generator, rows=6, inputs=4, outputs=3):
    x = generator.normal(size=(rows, inputs)).astype(np.float32)
    loss = getattr(loss, "func", loss)
    if loss in (nn.cross_entropy, nn.hinge):
        return Batch(x, generator.integers(0, outputs, rows).astype(np.int64))
    if loss in (nn.binary_cross_entropy, nn.poisson):
        return Batch(x, generator.integers(0, 2, (rows, outputs)).astype(np.float32))
    return Batch(x, generator.normal(size=(rows, outputs)).astype(np.float32))


def random_case(seed):
    generator = np.random.default_rng(seed)
    loss = LOSSES[seed % len(LOSSES)]
    activation = (SMOOTH + BENT)[seed % (len(SMOOTH) + len(BENT))]
    normalization = [None, nn.BatchNorm.init, nn.LayerNorm.init][seed % 3]
    hidden = [int(n) for n in generator.integers(1, 9, seed % 4)]
    net = nn.mlp(
        ops.key(seed), (4, *hidden, 3), activation=activation, dropout=0.2 * (seed % 2),
        normalization=normalization,
    )  # fmt: skip
    batch = random_batch(loss, generator)
    if seed % 5 == 0:
        batch = batch._replace(weights=generator.uniform(0.5, 2, 6).astype(np.float32))
    return net, loss, batch


MANY = pytest.mark.slow  # every network is a program of its own


@pytest.mark.parametrize("part", [0, 1, *(pytest.param(n, marks=MANY) for n in (2, 3, 4))])
def test_no_false_alarm_on_fifty_random_networks(part):
    for seed in range(10 * part, 10 * part + 10):
        net, loss, batch = random_case(seed)
        report = check_gradients(net, loss, batch, seed=seed, samples=3, directions=2)
        assert report.ok, (seed, [row for row in report.leaves if row.verdict == "wrong"])
        verdicts = [row.verdict for row in report.directions]
        assert "ok" in verdicts, (seed, verdicts)


def scaled(factor):
    def rule(op, g, out, *inputs):
        return tuple(None if x is None else x * factor for x in op.vjp(g, out, *inputs))

    return rule


def first_only(op, g, out, *inputs):
    first, *rest = op.vjp(g, out, *inputs)
    return (first, *(None for _ in rest))


def last_scaled(factor):
    def rule(op, g, out, *inputs):
        *rest, last = op.vjp(g, out, *inputs)
        return (*rest, last * factor)

    return rule


MUTANTS = {
    "matmul has the wrong sign": {Matmul: scaled(-1.0)},
    "matmul is off by 1.0005": {Matmul: scaled(1.0005)},
    "matmul forgets its weights": {Matmul: first_only},
    "matmul's weights are off by 1e-4": {Matmul: last_scaled(1.0001)},
    "tanh forgets the square": {Tanh: lambda op, g, out, x: (g * (1.0 - out),)},
    "tanh forgets its slope": {Tanh: lambda op, g, out, x: (g,)},
    "add forgets its second input": {Add: first_only},
    "add takes half": {Add: scaled(0.5)},
    "broadcasting divides": {BroadcastTo: scaled(0.25)},
    "subtract does not negate": {Subtract: lambda op, g, out, x, y: (g, g)},
    "exp is off by 1e-3": {Exp: scaled(1.001)},
    "rsqrt is halved": {Rsqrt: scaled(0.5)},
    "multiply swaps its inputs": {Multiply: lambda op, g, out, x, y: (g * x, g * y)},
    "logsumexp is off": {LogSumExp: scaled(1.01)},
}


def mutant_case():
    net = nn.mlp(ops.key(0), (4, 8, 6, 3), activation=nn.tanh, normalization=nn.LayerNorm.init)

    def loss(logits, labels):  # uses the ops that mutants change, cross-entropy its own rules
        chosen = ops.one_hot(labels, 3, logits.dtype)
        own = ops.logsumexp(logits, -1) - ops.sum(logits * chosen, -1)
        return ops.mean(own + ops.mean(ops.exp(logits * 0.3), -1))

    batch = random_batch(nn.cross_entropy, np.random.default_rng(0))
    return net, loss, batch


def test_the_network_of_the_mutants_is_right():
    assert check_gradients(*mutant_case()).ok


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_wrong_rules_are_caught(name):
    report = check_gradients(*mutant_case(), rules=MUTANTS[name])
    assert not report.ok, name
    assert any(row.verdict == "wrong" for row in report.leaves)
    assert any(row.verdict == "wrong" for row in report.directions)


def test_a_patched_op_is_caught(monkeypatch):
    honest = Tanh.vjp
    monkeypatch.setattr(Tanh, "vjp", lambda self, g, out, x: (honest(self, g, out, x)[0] * 1.01,))
    report = check_gradients(*mutant_case())
    wrong = {row.leaf for row in report.leaves if row.verdict == "wrong"}
    assert "layers.0.weight" in wrong
    assert "layers.6.weight" not in wrong  # above the last tanh nothing is wrong


def test_halving_the_step_divides_the_error_by_four():
    net = nn.mlp(ops.key(2), (4, 8, 3), activation=nn.tanh)
    batch = random_batch(nn.cross_entropy, np.random.default_rng(2))
    report = check_gradients(net, nn.cross_entropy, batch, directions=4)
    for row in report.directions:
        assert row.order == pytest.approx(2.0, abs=0.05)
        assert row.errors[0] / row.errors[1] == pytest.approx(4.0, rel=0.1)
    wrong = check_gradients(net, nn.cross_entropy, batch, rules={Matmul: scaled(1.01)})
    assert all(abs(row.order) < 0.5 for row in wrong.directions)


def test_kinks_are_recognised_and_not_called_bugs():
    net = nn.Sequential(
        (nn.Linear.init(ops.key(0), 4, 6), nn.relu, nn.Linear.init(ops.key(1), 6, 3))
    )
    batch = random_batch(nn.cross_entropy, np.random.default_rng(1))
    batch.inputs[:2] = 0.0  # with biases of 0, relu's input is exactly 0 for these rows
    report = check_gradients(net, nn.cross_entropy, batch)
    assert report.ok
    bias = next(row for row in report.leaves if row.leaf == "layers.0.bias")
    assert bias.kinks == bias.samples
    assert bias.verdict == "ok"  # a hair beside the kink
    wrong = check_gradients(net, nn.cross_entropy, batch, rules={Matmul: scaled(1.001)})
    assert not wrong.ok


def test_a_slope_is_told_from_the_kink_that_a_step_crosses():
    params = {"w": tensor([5e-4], "float64")}
    found = slope(lambda p: ops.sum(nn.relu(p["w"])), params, {"w": np.ones(1)})
    assert found.value == pytest.approx(1.0, abs=1e-9)
    assert found.kinks == 1


@pytest.mark.parametrize(
    "bent", [ops.absolute, ops.floor, ops.sign, lambda x: ops.max(ops.stack([x, -x], 0), 0)]
)
def test_kinks_of_other_ops_are_seen(bent):
    params = {"w": tensor([0.0], "float64")}
    found = slope(lambda p: ops.sum(bent(p["w"]) + p["w"]), params, {"w": np.ones(1)})
    assert np.isnan(found.value)


def test_float32_and_float64_agree_within_rounding():
    for seed in range(6):
        report = check_gradients(*random_case(seed), samples=1, directions=1)
        for row in report.leaves:
            if not np.isnan(row.float32_error):
                assert row.float32_error <= row.float32_allowed
                assert row.float32_allowed < 1e-3


def test_float32_code_that_loses_its_digits_is_wrong():
    def cancelling(predictions, targets):  # 65536 in float32 swallows the digits of what is added
        return ops.mean(ops.square((predictions + 65536.0) - 65536.0 - targets))

    net = nn.mlp(ops.key(0), (4, 6, 3), activation=nn.tanh)
    batch = random_batch(nn.mean_squared_error, np.random.default_rng(0))
    report = check_gradients(net, cancelling, batch)
    assert {row.verdict for row in report.leaves} == {"wrong"}
    assert all(row.verdict == "ok" for row in report.directions)


def test_penalties_and_statistics_take_part():
    def penalty(params):
        return ops.sum(ops.square(params["layers.0.weight"])) * 0.1

    net = nn.mlp(ops.key(0), (4, 6, 3), normalization=nn.BatchNorm.init, dropout=0.5)
    batch = random_batch(nn.cross_entropy, np.random.default_rng(0))
    first = check_gradients(
        net, nn.cross_entropy, batch, penalty=penalty, state=nn.statistics(net), seed=3
    )
    again = check_gradients(net, nn.cross_entropy, batch, penalty=penalty, seed=3)
    assert first.ok
    assert repr(first) == repr(again)  # the same mask in every pass, the same samples


def test_a_parameter_that_the_loss_cannot_reach_is_right_at_zero():
    net = nn.mlp(ops.key(0), (4, 6, 3))
    batch = random_batch(nn.cross_entropy, np.random.default_rng(0))
    report = check_gradients(net, lambda predictions, targets: ops.sum(predictions * 0.0), batch)
    assert report.ok
    assert all(row.worst_gradient == 0 for row in report.leaves)


def test_the_report_is_data():
    report = check_gradients(*random_case(1), samples=1, directions=1)
    assert isinstance(report, GradientReport)
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["ok"] is True
    assert plain["rows"] == 6
    assert {row["leaf"] for row in plain["leaves"]} == {row.leaf for row in report.leaves}


def test_a_loss_that_is_not_finite_is_refused():
    net = nn.mlp(ops.key(0), (4, 3))
    batch = random_batch(nn.mean_squared_error, np.random.default_rng(0))
    batch.inputs[1, 2] = np.nan
    with pytest.raises(GradientError, match=r"checking gradients: the loss is nan .* look for NaN"):
        check_gradients(net, nn.mean_squared_error, batch)
