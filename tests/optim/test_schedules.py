"""Schedules beyond what PyTorch is compared for: ends, borders, types, tracing."""

import numpy as np
import pytest

from retrograd import optim
from retrograd.compile import compile
from retrograd.optim import Schedule
from retrograd.tensor.tensor import from_array, tensor
from retrograd.tensor.types import DType, TensorType

EVERY = {
    "constant": optim.constant(0.5),
    "step_decay": optim.step_decay(0.5, every=3),
    "exponential": optim.exponential(0.5, factor=0.9),
    "cosine": optim.cosine(0.5, steps=8),
    "warm_restarts": optim.warm_restarts(0.5, steps=3),
    "growing": optim.warm_restarts(0.5, steps=3, growth=2),
    "one_cycle": optim.one_cycle(0.5, steps=20),
    "polynomial": optim.polynomial(0.5, steps=8, power=0.5),
    "warm_up": optim.warm_up(optim.cosine(0.5, steps=8), 4),
}


@pytest.mark.parametrize("schedule", EVERY.values(), ids=EVERY)
def test_a_number_an_array_and_a_program_give_the_same(schedule: Schedule) -> None:
    traced = compile(schedule)
    for step in (0, 1, 7, 8, 30):
        given = from_array(np.asarray(step, np.int64))
        assert schedule(given).type == traced(given).type == TensorType((), DType.float64)
        assert float(schedule(step)) == float(schedule(given)) == float(traced(given))


@pytest.mark.parametrize("schedule", EVERY.values(), ids=EVERY)
def test_rates_are_finite_and_never_negative_for_ever(schedule: Schedule) -> None:
    rates = [float(schedule(step)) for step in (*range(40), 10**6, 10**9)]
    assert np.isfinite(rates).all()
    assert min(rates) >= 0
    assert max(rates) <= 0.5


def test_those_with_an_end_stay_there() -> None:
    for schedule, end in (
        (optim.cosine(1.0, steps=5, final=0.25), 0.25),
        (optim.polynomial(1.0, steps=5, final=0.25), 0.25),
        (optim.one_cycle(1.0, steps=6, division=2.0, final_division=4.0), 0.125),
    ):
        assert [float(schedule(step)) for step in (5, 6, 10**9)] == pytest.approx([end] * 3)


@pytest.mark.parametrize(("steps", "growth"), [(1, 2), (3, 2), (7, 3), (10, 10)])
def test_every_growing_cycle_begins_exactly_at_its_border(steps: int, growth: int) -> None:
    """A logarithm rounded at the border would begin the cycle a step early or late."""
    schedule, border, length = optim.warm_restarts(1.0, steps=steps, growth=growth), 0, steps
    while border < 10**8:
        assert float(schedule(border)) == 1.0
        end = (1 + np.cos(np.pi * (length - 1) / length)) / 2
        assert float(schedule(border + length - 1)) == pytest.approx(end, rel=1e-6, abs=1e-14)
        border, length = border + length, length * growth


def test_warm_up_of_a_constant_and_of_a_schedule_of_ones_own() -> None:
    seen = []

    def own(step: object) -> object:
        seen.append(step)
        return tensor(1.0, DType.float32)

    assert float(optim.warm_up(0.3, 2)(0)) == pytest.approx(0.1)
    rate = optim.warm_up(own, 1)(0)  # type: ignore[arg-type]
    assert rate.type == TensorType((), DType.float64)
    assert seen[0].dtype is DType.int64  # type: ignore[attr-defined]
