"""The battery is tested, too: each planted fault must be found by the check that is named."""

import pytest
from tests.ops.battery import CHECKS
from tests.ops.faults import FAULTS
from tests.ops.values import check_docs, nodes

from retrograd.ops.curves import Sin
from retrograd.tensor.element import Const, Load, call, constant
from retrograd.tensor.op import REGISTRY, Op, RandomDraw
from retrograd.tensor.types import DType

SEEDS = 15


def failing(kind: type[Op]) -> set[str]:
    """The checks that refuse an op, out of all."""
    found = set()
    for seed in range(SEEDS):
        for name, check in CHECKS.items():
            try:
                check(kind.example(RandomDraw(seed)))
            except Exception:
                found.add(name)
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_battery_finds(fault: type[Op]) -> None:
    assert FAULTS[fault] in failing(fault)


def test_there_are_enough_faults_and_none_is_registered() -> None:
    assert len(FAULTS) >= 30
    assert not {fault.__name__ for fault in FAULTS} & set(REGISTRY)


@pytest.mark.parametrize("kind", sorted({fault.__mro__[1] for fault in FAULTS}, key=str))
def test_the_battery_accepts_what_the_faults_were_planted_in(kind: type[Op]) -> None:
    assert failing(kind) == set()


def test_a_missing_docstring_is_found() -> None:
    class Silent(Sin, family=True):
        pass

    Silent.__doc__ = "Silent()"
    with pytest.raises(AssertionError, match="dataclass's own"):
        check_docs(Silent.example(RandomDraw(0)))


def test_an_op_that_leaves_a_question_open_fails_at_once() -> None:
    with pytest.raises(TypeError, match="op Open leaves open: evaluate, vjp, lower, example"):

        class Open(Op):
            def result_type(self, x):
                return x

    assert "Open" not in REGISTRY


def test_the_checks_see_every_node() -> None:
    element = call("add", Load(0, (constant(0),), DType.float32), 1.0)
    assert {type(node) for node in nodes(element)} == {type(element), Load, Const}
