"""What is refused, and the sentence that says so."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from retrograd import ops, optim
from retrograd.optim import Optimizer
from retrograd.tensor.errors import DTypeError, InputError, NonFiniteError, ShapeError
from retrograd.tensor.tensor import from_array, tensor

SGD = optim.sgd()
PARAMS = {"w": tensor([1.0])}

NEGATIVE = "must be a finite number, at least 0; try"
NOT_POSITIVE = "must be a finite number above 0; try"
NO_FRACTION = "must be at least 0 and below 1; try"
NO_COUNT = "must be a whole number, at least 1; try"
NO_BETAS = r"betas must be two numbers, each at least 0 and below 1; try betas=\(0.9, 0.999\)"
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: optim.sgd(-0.1), rf"sgd\(learning_rate=-0.1\): learning_rate {NEGATIVE}"),
    (lambda: optim.momentum(float("nan")), rf"learning_rate=nan\): learning_rate {NEGATIVE}"),
    (lambda: optim.adam("fast"), rf"adam\(learning_rate='fast'\): learning_rate {NEGATIVE}"),  # type: ignore[arg-type]
    (lambda: optim.adamw(-1), r"adamw\(learning_rate=-1\)"),
    (lambda: optim.lion(True), r"lion\(learning_rate=True\)"),
    (lambda: optim.momentum(momentum=1.0), rf"momentum\(momentum=1.0\): momentum {NO_FRACTION}"),
    (lambda: optim.nesterov(momentum=-0.1), rf"nesterov\(momentum=-0.1\): momentum {NO_FRACTION}"),
    (lambda: optim.adagrad(epsilon=0), rf"adagrad\(epsilon=0\): epsilon {NOT_POSITIVE}"),
    (lambda: optim.adagrad(initial=-1), rf"adagrad\(initial=-1\): initial {NEGATIVE}"),
    (lambda: optim.adadelta(rho=1), rf"adadelta\(rho=1\): rho {NO_FRACTION} rho=0.95"),
    (lambda: optim.rmsprop(decay=2), rf"rmsprop\(decay=2\): decay {NO_FRACTION} decay=0.9"),
    (lambda: optim.adam(betas=(0.9, 1.0)), rf"adam\(betas=\(0.9, 1.0\)\): {NO_BETAS}"),
    (lambda: optim.amsgrad(betas=(0.9,)), NO_BETAS),  # type: ignore[arg-type]
    (lambda: optim.nadam(betas=0.9), NO_BETAS),  # type: ignore[arg-type]
    (lambda: optim.lion(betas=(-1, 0.9)), rf"lion\(betas=\(-1, 0.9\)\): {NO_BETAS}"),
    (lambda: optim.radam(epsilon=-1e-8), rf"radam\(epsilon=-1e-08\): epsilon {NOT_POSITIVE}"),
    (lambda: optim.nadam(momentum_decay=-1), rf"momentum_decay {NEGATIVE} momentum_decay=0.004"),
    (lambda: optim.adamw(weight_decay=-1), rf"adamw\(weight_decay=-1\): weight_decay {NEGATIVE}"),
    (lambda: optim.muon(iterations=0), rf"muon\(iterations=0\): iterations {NO_COUNT}"),
    (lambda: optim.clip_by_value(SGD, 0), rf"clip_by_value\(limit=0\): limit {NOT_POSITIVE}"),
    (lambda: optim.clip_by_global_norm(SGD, -1), rf"max_norm=-1\): max_norm {NOT_POSITIVE}"),
    (lambda: optim.weight_decay(SGD, -1), rf"weight_decay\(rate=-1\): rate {NEGATIVE}"),
    (lambda: optim.l1(SGD, -1), rf"l1\(rate=-1\): rate {NEGATIVE}"),
    (lambda: optim.max_norm(SGD, 0.0), rf"max_norm\(limit=0.0\): limit {NOT_POSITIVE}"),
    (lambda: optim.accumulate(SGD, 0), rf"accumulate\(steps=0\): steps {NO_COUNT} steps=2"),
    (lambda: optim.accumulate(SGD, 1.5), rf"accumulate\(steps=1.5\): steps {NO_COUNT}"),  # type: ignore[arg-type]
    (lambda: optim.ema(SGD, 1.0), rf"ema\(decay=1.0\): decay {NO_FRACTION} decay=0.999"),
    (lambda: optim.reduce_on_plateau(SGD, factor=1.0), rf"factor {NO_FRACTION} factor=0.1"),
    (lambda: optim.reduce_on_plateau(SGD, patience=-1), rf"patience {NEGATIVE}"),
    (lambda: optim.cosine(0.1, steps=0), rf"cosine\(steps=0\): steps {NO_COUNT}"),
    (lambda: optim.warm_restarts(0.1, steps=1, growth=0), rf"growth=0\): growth {NO_COUNT}"),
    (lambda: optim.polynomial(0.1, steps=1, power=0), rf"power {NOT_POSITIVE} power=1.0"),
    (lambda: optim.warm_up(-0.1, 5), rf"rate=-0.1\): rate {NEGATIVE}"),
    (
        lambda: optim.one_cycle(0.1, steps=3),
        r"one_cycle\(steps=3, warm_fraction=0.3\): the rise or the fall has no step; give more",
    ),
    (
        lambda: optim.decoupled_weight_decay(Optimizer(SGD.init, SGD.update), 0.1),
        r"the optimizer does not tell its learning rate; give Optimizer\(init, update, learning",
    ),
    (
        lambda: optim.ema_params(SGD.init(PARAMS)),
        r"ema_params of a SGDState: no average is kept in it; wrap the optimizer: ema\(",
    ),
    (
        lambda: optim.muon(applies_to=lambda name, p: True).init(PARAMS),
        r"muon: parameter 'w': it is a float32\[1\], no matrix; leave it to the others",
    ),
    (lambda: optim.sgd().init({}), r"sgd: the parameters: there are none; give a dict"),
    (lambda: optim.sgd().init([1]), r"sgd: the parameters: params is a list; give a dict"),  # type: ignore[arg-type]
    (
        lambda: optim.minimise(lambda p: tensor(1.0), {}),
        r"minimise: the parameters: there are none; give a tree of tensors",
    ),
    (
        lambda: optim.minimise(ops.sum, tensor([1.0]), history=0),
        rf"minimise\(history=0\): history {NO_COUNT} history=10",
    ),
]


@pytest.mark.parametrize(("asked", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_it_is_refused_with_a_sentence(asked: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        asked()


def test_integers_cannot_be_trained() -> None:
    with pytest.raises(DTypeError, match=r"adam: training 'w': it is a int64\[1\]; train floats"):
        optim.adam().init({"w": tensor([1])})
    with pytest.raises(DTypeError, match=r"minimise: training 'w': it is a int64\[1\]; train"):
        optim.minimise(lambda p: tensor(1.0), {"w": tensor([1])})


def test_a_schedule_that_gives_no_scalar() -> None:
    optimizer = optim.sgd(lambda step: tensor([0.1, 0.2]))
    message = r"the learning-rate schedule of sgd: it gave a float64\[2\]; return one number a step"
    with pytest.raises(ShapeError, match=message):
        optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS)


def test_the_state_of_another_network() -> None:
    state = optim.adam().init({"v": tensor([1.0])})
    message = r"adam: state.m: \['v'\] without a parameter, \['w'\] missing; take params, grads"
    with pytest.raises(InputError, match=message):
        optim.adam().update(PARAMS, state, PARAMS)
    optimizer = optim.ema(optim.sgd())
    with pytest.raises(ShapeError, match=r"ema: state.average\['w'\]: it is float32\[2\], the"):
        optimizer.update(PARAMS, optimizer.init({"w": tensor([1.0, 2.0])}), PARAMS)


def test_a_loss_that_is_nan_on_a_plateau() -> None:
    optimizer = optim.reduce_on_plateau(SGD)
    assert optimizer.observe is not None
    message = "reduce_on_plateau: observing a loss: it is NaN; stop, and lower the learning rate"
    with pytest.raises(NonFiniteError, match=message):
        optimizer.observe(optimizer.init(PARAMS), float("nan"))


@pytest.mark.parametrize("part", ["observe", "learning_rate"])
@pytest.mark.parametrize("wrap", [optim.ema, lambda o: optim.accumulate(o, 2), lambda o: o])
def test_another_state_observed(part: str, wrap: Any) -> None:
    optimizer = wrap(optim.reduce_on_plateau(SGD))
    arguments = (SGD.init(PARAMS), 1.0) if part == "observe" else (SGD.init(PARAMS),)
    with pytest.raises(InputError, match=r"the state is a SGDState, \w+ keeps a \w+State; pass"):
        getattr(optimizer, part)(*arguments)


def test_a_start_without_a_finite_loss() -> None:
    with pytest.raises(NonFiniteError, match=r"minimise: the loss at the start: it is nan, or its"):
        optim.minimise(ops.log, from_array(np.array(-1.0)))
