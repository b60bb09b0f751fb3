"""The record: what is shown adds up, and a falsified number is found out."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.explain.record import Formula, Term, bound_of, exact_sum, largest_terms, plain_data

FINITE = st.floats(-1e6, 1e6)


def formula(**changes):
    plain = Formula(
        path="layers.0[1]",
        step=3,
        phase="forward",
        row=5,
        symbol="z",
        template="z = a·w",
        terms=(Term("a0", 6.0, (("a", 2.0), ("w", 3.0)), 0), Term("a1", 1.0)),
        bias=0.5,
        scale=(("1/B", 0.5),),
        value=3.75,
        bound=1e-6,
    )
    return dataclasses.replace(plain, **changes)


def test_a_formula_is_scale_times_terms_and_rest_and_bias():
    check = formula().check
    assert check.sum64 == 3.75
    assert check.ok
    assert check.abs == 0


@pytest.mark.parametrize(
    "lie",
    [
        {"value": 3.7501},
        {"bias": 0.6},
        {"bias": None},
        {"scale": ()},
        {"terms": (Term("a0", 6.0, (("a", 2.0), ("w", 3.1)), 0), Term("a1", 1.0))},
        {"terms": (Term("a0", 6.0, (("a", 2.0), ("w", 3.0)), 0), Term("a1", -1.0))},
        {"terms": (Term("a1", 1.0),)},
        {"value": math.nan},
        {"value": math.inf},
    ],
)
def test_a_falsified_number_turns_the_tick_into_a_cross(lie):
    assert not formula(**lie).check.ok


@given(st.lists(FINITE, max_size=30), st.integers(0, 6))
def test_largest_terms_lose_nothing(numbers, count):
    values = np.array(numbers, np.float64)
    shown, rest = largest_terms(values, lambda i: Term(str(i), float(values[i]), index=i), count)
    total = exact_sum([t.value for t in shown] + [rest.value if rest else 0.0])
    assert total == pytest.approx(exact_sum(numbers), abs=1e-6)
    assert len(shown) + (rest.n if rest else 0) == len(numbers)
    hidden = [abs(v) for i, v in enumerate(numbers) if i not in {t.index for t in shown}]
    assert all(abs(t.value) >= h for t in shown for h in hidden)


def test_the_bound_follows_the_terms_and_not_their_sum():
    assert bound_of([1e4, -1e4]) == pytest.approx(2e-2)
    assert bound_of([1e-9], floor=1.0) == 1e-6
    assert bound_of([1e-9], floor=1e-9) == pytest.approx(1e-15)


def test_opposed_infinities_have_no_sum():
    assert math.isnan(exact_sum([math.inf, -math.inf]))


def test_json_has_the_fields_of_the_protocol():
    plain = json.loads(json.dumps(formula().to_dict(), allow_nan=False))
    assert plain["terms"][0] == {"label": "a0", "i": 0, "a": 2.0, "w": 3.0, "value": 6.0}
    assert set(plain["check"]) == {"sum64", "abs", "bound", "ok"}
    wanted = "path step phase row template terms rest bias value check exact dtype"
    assert set(wanted.split()) <= set(plain)


def test_numbers_that_json_lacks_become_text():
    assert plain_data({"x": [math.nan, math.inf, 1.0]}) == {"x": ["nan", "inf", 1.0]}
