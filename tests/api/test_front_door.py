"""The front door: what it names, how little it loads, and that functions win over rooms."""

import importlib
import subprocess
import sys

import pytest

import retrograd


def test_every_name_is_there() -> None:
    for name in retrograd.__all__:
        assert getattr(retrograd, name) is not None
    assert {*retrograd.__all__, "__version__"} == set(dir(retrograd))
    assert 20 <= len(retrograd.__all__) <= 30


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'retrograd' has no attribute 'tran'"):
        retrograd.tran  # type: ignore[attr-defined]  # noqa: B018


def test_types_and_names_agree() -> None:
    """What editors see is what there is: the imports for type checkers name every home."""
    import ast
    from pathlib import Path

    tree = ast.parse(Path(str(retrograd.__file__)).read_text())
    seen = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("retrograd")
        for alias in node.names
    }
    homes = {name: home or "retrograd" for name, home in retrograd._HOMES.items()}
    assert seen == homes


def test_functions_stay_functions_when_rooms_are_loaded() -> None:
    for name in ("train", "tensor", "compile"):
        room = importlib.import_module(f"retrograd.{name}")
        assert type(room).__name__ == "module"
        assert callable(getattr(retrograd, name))
    from retrograd.train.fit import fit

    assert retrograd.fit is fit


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, retrograd\n"
        "retrograd.tensor, retrograd.grad, retrograd.ops\n"
        "print([n for n in ('polars', 'sklearn', 'safetensors', 'msgspec') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_engine_is_at_hand() -> None:
    x = retrograd.tensor([1.0, 2.0])
    assert retrograd.grad(lambda x: retrograd.ops.sum(x * x))(x).numpy().tolist() == [2.0, 4.0]


def test_the_estimators_come_with_scikit_learn() -> None:
    assert retrograd.Classifier(hidden=(3,)).get_params()["hidden"] == (3,)
