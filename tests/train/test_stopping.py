"""Stopping rules: each judges what it is shown, and remembers only what it is given back."""

import math

import pytest

from retrograd.tensor.errors import InputError
from retrograd.train.stopping import (
    Converged,
    Epochs,
    Moment,
    NoImprovement,
    Rule,
    Steps,
    TimeBudget,
    Until,
    is_better,
    until,
)


def stops_after(rule: Rule, values: list[float], metric: str = "loss") -> int | None:
    """The epoch after which a rule stops that is shown these values, or None."""
    memory: tuple[float, ...] = ()
    for epoch, value in enumerate(values, 1):
        moment = Moment(epoch, epoch * 10, epoch * 1.0, {metric: value})
        memory = rule.remember(memory, moment)
        if rule.verdict(memory, moment) is not None:
            return epoch
    return None


def test_limits():
    assert stops_after(Epochs(3), [1.0] * 9) == 3
    assert stops_after(Steps(35), [1.0] * 9) == 4
    assert stops_after(TimeBudget(2.5), [1.0] * 9) == 3


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("loss<0.1", Until("loss", "<", 0.1)),
        ("validation_loss<=0.2", Until("validation_loss", "<=", 0.2)),
        (" accuracy > 0.95 ", Until("accuracy", ">", 0.95)),
        ("r2>=-1.5e-3", Until("r2", ">=", -0.0015)),
        ("loss<.5", Until("loss", "<", 0.5)),
    ],
)
def test_until_is_read(text, rule):
    assert until(text) == rule


@pytest.mark.parametrize(
    "text",
    ["", "loss", "loss<", "<0.1", "loss=0.1", "loss==0.1", "loss<nan", "loss<1e999", "a b<1",
     "loss<0.1 or 1", "__import__('os')<1", "loss<0x10", "loss<1_000", "loss<٣", "1<loss",
     "loss<0.1\n; x", "loss<--1"],
)  # fmt: skip
def test_until_refuses(text):
    with pytest.raises(InputError, match=r"it is not a condition on a metric; write a metric, <, "):
        until(text)


def test_until_holds_at_the_right_epoch():
    values = [0.3, 0.2, 0.1]
    assert stops_after(until("loss<0.2"), values) == 3
    assert stops_after(until("loss<=0.2"), values) == 2
    assert stops_after(until("loss>0.25"), values) == 1
    assert stops_after(until("loss>=0.4"), values) is None
    assert stops_after(until("loss<0.5"), [math.nan]) is None
    moment = Moment(1, 1, 1.0, {"loss": 0.05})
    assert until("loss<0.1").verdict((), moment) == ("until", "loss<0.1 holds: loss is 0.05")


def test_until_names_the_metrics_there_are():
    moment = Moment(1, 1, 1.0, {"loss": 0.05, "accuracy": 1.0})
    with pytest.raises(
        InputError, match="stopping by 'f1': there is no such metric; use one of acc"
    ):
        until("f1>0.5").verdict((), moment)


def test_no_rule_on_metrics_judges_between_epochs():
    moment = Moment(0, 5, 1.0, {})
    for rule in (until("loss<9"), Converged(), NoImprovement("loss")):
        assert rule.remember((), moment) == ()
        assert rule.verdict((), moment) is None


def test_converged():
    rule = Converged(tolerance=0.01, epochs=2)
    assert stops_after(rule, [1.0, 0.5, 0.499, 0.498]) == 4
    assert stops_after(rule, [1.0, 0.5, 0.4, 0.3, 0.2]) is None
    assert stops_after(rule, [0.0, 0.0, 0.0]) == 3
    assert stops_after(rule, [1.0, math.nan, 1.0, 1.0, 1.0]) == 5
    assert stops_after(rule, [math.inf] * 9) is None
    verdict = rule.verdict((0.5, 0.5, 0.5), Moment(3, 3, 3.0, {"loss": 0.5}))
    assert verdict == ("converged", "loss changed by 0.01 of it at most in 2 epochs")


def test_no_improvement():
    assert stops_after(NoImprovement("loss", 2), [3.0, 2.0, 2.0, 2.1, 1.0]) == 4
    assert stops_after(NoImprovement("loss", 2), [3.0, 2.0, 2.5, 1.0, 1.5]) is None
    assert stops_after(NoImprovement("loss", 2, "max"), [3.0, 2.0, 3.0]) == 3
    assert stops_after(NoImprovement("loss", 1, minimum_change=0.5), [3.0, 2.6]) == 2
    assert stops_after(NoImprovement("loss", 2), [math.nan, math.nan, 1.0]) == 2
    assert stops_after(NoImprovement("loss", 2), [math.inf, 5.0, 4.0]) is None
    assert stops_after(NoImprovement("loss", 2), [math.nan, 1.0, math.nan, 0.5]) is None


def test_is_better():
    assert is_better(1.0, 2.0, "min")
    assert not is_better(2.0, 2.0, "min")
    assert is_better(3.0, 2.0, "max")
    assert not is_better(2.05, 2.0, "max", 0.1)
    assert not is_better(math.nan, 2.0, "max")
