"""The text of an explanation: 80 columns, the record's digits, words beside every mark."""

import dataclasses

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.explain.terminal import lines
from retrograd.optim import clip_by_global_norm, momentum, sgd

from .conftest import make_case

WIDE = ["a very long name of a column that a spreadsheet gave " * 2] * 5


@pytest.fixture(scope="module")
def explanation():
    net = nn.mlp(
        ops.key(0), (5, 40, 30, 3), activation=nn.relu, dropout=0.2, normalization=nn.LayerNorm.init
    )
    case = make_case(net, optimizer=clip_by_global_norm(momentum(0.01), 0.1))
    return case.explain(
        4, row=489, feature_names=WIDE, class_names=("a class with a long name " * 3, "cat", "dog"),
        source_values=["a cell " * 20] * 5, where="batch 16 of 44, epoch 2",
    )  # fmt: skip


@pytest.mark.parametrize("ascii", [False, True])
def test_nothing_is_wider_than_80_columns(explanation, ascii):
    drawn = lines(explanation, ascii=ascii)
    assert max(map(len, drawn)) <= 80
    assert all(line == line.rstrip() for line in drawn)
    if ascii:
        assert all(line.isascii() for line in drawn)
        assert not any("?" in line for line in drawn)


def test_it_has_the_phases_and_the_row(explanation):
    text = "\n".join(lines(explanation))
    for word in ("BATCH", "FORWARD", "LOSS", "BACKWARD", "UPDATE", "AFTER", "row 489", "step 3"):
        assert word in text
    assert "batch 16 of 44, epoch 2" in text
    assert "in your data: a cell" in text
    assert "✗" not in text.split("AFTER")[0]
    assert "formulas shown add up" in text


def test_digits_are_those_of_the_record(explanation):
    text = "\n".join(lines(explanation))
    for formula in explanation.formulas:
        if formula.phase != "after":
            assert f"engine {formula.value:.9g}" in text


def test_a_cross_says_by_how_much(explanation):
    first, *rest = explanation.formulas
    lie = dataclasses.replace(first, value=first.value + 0.5)
    audit = dataclasses.replace(explanation.audits[0], failed=3)
    wrong = dataclasses.replace(
        explanation, formulas=(lie, *rest), audits=(audit, *explanation.audits[1:])
    )
    text = " ".join(" ".join(lines(wrong)).split())
    assert "✗ engine" in text
    assert "off by 5.0e-01" in text
    assert f"1 of {len(wrong.formulas)} formulas do not add up" in text
    assert "3 of" in text
    assert "WRONG" in "\n".join(lines(wrong, ascii=True))


def test_wide_rows_are_folded():
    text = "\n".join(lines(make_case(inputs=300).explain()))
    assert "… 294 more, each smaller than these" in text
    assert "… 294 more = " in text


def test_regression_and_one_row_read_well():
    net = nn.mlp(ops.key(0), (5, 4, 1))
    text = "\n".join(lines(make_case(net, nn.mean_squared_error, outputs=1, rows=1).explain()))
    assert "the only row of this step" in text
    assert "L = (ŷ - t)²" in text


def test_a_step_that_breaks_its_promise_says_so():
    text = "\n".join(lines(make_case(optimizer=sgd(1e3), warm=0).explain()))
    assert "✗ the loss went the other way" in text or "✗ they differ" in text
    explanation = make_case().explain()
    bent = dataclasses.replace(
        explanation, total_after=explanation.total + explanation.predicted / 2
    )
    assert "✗ they differ" in "\n".join(lines(bent))


def test_numbers_that_are_not_finite_are_drawn_without_a_bar(explanation):
    first, *rest = explanation.formulas
    terms = (dataclasses.replace(first.terms[0], value=np.nan), *first.terms[1:])
    broken = dataclasses.replace(
        explanation, formulas=(dataclasses.replace(first, terms=terms), *rest)
    )
    assert max(map(len, lines(broken))) <= 80


def test_notes_are_said_at_the_end(explanation):
    noted = dataclasses.replace(explanation, notes=("The learning rate has run out.",))
    assert lines(noted)[-1] == "The learning rate has run out."
