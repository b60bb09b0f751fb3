"""What is searched, and where the search starts."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrograd.recipe.config import configure
from retrograd.recipe.network import Size, choose
from retrograd.tune.material import Material, make_material
from retrograd.tune.space import Space, make_space, options_of, shown_options, values_of
from retrograd.tune.start import largest_curvature, largest_step, rate_range


def space_of(size: Size, **given: Any) -> tuple[Space, Any]:
    chosen = choose(configure(**given), size, is_validated=True)
    return make_space(given, chosen, size, math.inf, math.inf), chosen


@pytest.mark.parametrize("size", [Size(90, 4, 3), Size(4000, 20, 1), Size(100_000, 64, 10)])
def test_the_default_lies_in_the_space(size: Size) -> None:
    space, chosen = space_of(size)
    options = options_of(space, values_of(space, chosen))
    assert configure(chosen, **options) == chosen
    assert shown_options(space, chosen).keys() == options.keys()


def test_what_is_given_is_not_searched() -> None:
    space, _ = space_of(Size(90, 4, 3), hidden=(8,), batch_size=16, learning_rate=0.1, dropout=0.2)
    names = {dial.name for dial in space.dials}
    assert names.isdisjoint({"width", "layers", "shape", "batch", "rate", "optimizer", "dropout"})
    assert {"activation", "weight_decay", "schedule"} <= names


def linear_material(tmp_path: Path) -> Material:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(200, 3)) @ np.diag([1.0, 2.0, 0.5])
    y = x @ [1.0, -1.0, 0.5] + draw.normal(size=200) * 0.1
    rows = "\n".join(",".join(f"{v:.6f}" for v in (*a, b)) for a, b in zip(x, y, strict=True))
    path = tmp_path / "line.csv"
    path.write_text(f"a,b,c,y\n{rows}\n")
    return make_material(
        configure(source=str(path), hidden=[], optimizer="sgd", dropout=0.0, pieces=0, members=1)
    )


def test_the_curvature_is_the_largest_eigenvalue(tmp_path: Path) -> None:
    job = linear_material(tmp_path).prepared.job
    x = job.train.inputs.astype(np.float64)
    ones = np.column_stack([x, np.ones(len(x))])
    expected = np.linalg.eigvalsh(2 * ones.T @ ones / len(x)).max()
    found = largest_curvature(job, most=200, tolerance=1e-6)
    assert found == pytest.approx(expected, rel=1e-3)
    assert largest_step(job) == pytest.approx(2 / expected, rel=0.05)


def test_the_range_test_sees_where_gradient_descent_runs_away(tmp_path: Path) -> None:
    """The rate grows by 14 % a step, so that the loss has blown up soon after 2 / lambda."""
    job = linear_material(tmp_path).prepared.job
    tested, bound = rate_range(job), largest_step(job)
    assert bound / 2 < tested.highest < 6 * bound
    assert 1e-4 < tested.suggested < tested.highest / 2
