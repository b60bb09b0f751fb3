"""Every example runs, prints, and does what it says it does."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run_example(name: str) -> Any:
    """Import an example as a module of its own and return what its main returns."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main()


def test_network_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_example("network_by_hand") > 0.95
    printed = capsys.readouterr().out
    assert "of the points are on the right side" in printed
    assert printed.count("X") > 50  # the picture


def test_own_layer_and_loss(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0.70 < run_example("own_layer_and_loss") < 0.80
    assert "stopped: all 30 epochs are done" in capsys.readouterr().out


def test_feedback_alignment(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_example("feedback_alignment")
    assert found["backpropagation"] > 0.95
    assert found["feedback alignment"] > found["last layer only"] + 0.03
    assert "degrees before" in capsys.readouterr().out


def test_no_example_is_forgotten() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested
