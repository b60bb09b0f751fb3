"""Every op, its value and its gradient, in native code on every vector width."""

import pytest
from tests.compile.battery import NAMES, TARGETS, check_gradient, check_value

from retrograd.tensor.op import REGISTRY


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("name", NAMES)
def test_every_op_has_its_value(name: str, on: str) -> None:
    assert check_value(name, on) > 0


@pytest.mark.parametrize("on", TARGETS)
@pytest.mark.parametrize("name", [name for name in NAMES if REGISTRY[name].differentiable])
def test_every_op_has_its_gradient(name: str, on: str) -> None:
    check_gradient(name, on)


def test_all_that_should_run_do() -> None:
    assert "plain" in TARGETS
    assert len(NAMES) >= 62
