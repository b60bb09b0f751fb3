"""The benchmarks: the work is sound, ours does it right, and the table says the truth."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="the benchmarks lie beside the tests in a checkout")

from benchmarks import ours, peak, plan, runner, workloads
from benchmarks.__main__ import START, STOP, kept, write
from benchmarks.clock import Run, latency, throughput
from benchmarks.peers import numpy as by_hand
from benchmarks.runner import Figure
from benchmarks.table import document, duration

ROOT = Path(__file__).resolve().parent.parent


def tenth_loss(run: Run) -> float:
    return [run.losses(run.call(i))[0] for i in range(10)][9]


def loss_by_hand(task: workloads.Task) -> float:
    """W1's tenth loss, in float64 and with nothing of retrograd."""
    layers = [[x.astype(np.float64) for x in pair] for pair in task.weights]
    m, v = ([[np.zeros_like(x) for x in pair] for pair in layers] for _ in range(2))
    for t in range(1, 11):
        x, y = task.data[(t - 1) % len(task.data)]
        seen = [x]
        for i, (weight, bias) in enumerate(layers):
            z = seen[-1] @ weight + bias
            seen.append(np.maximum(z, 0) if i < len(layers) - 1 else z)
        loss = np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))
        delta = (1 / (1 + np.exp(-z)) - y) / len(y)
        for i in reversed(range(len(layers))):
            before = delta @ layers[i][0].T * (seen[i] > 0)
            for j, g in enumerate((seen[i].T @ delta, delta.sum(0))):
                m[i][j] = 0.9 * m[i][j] + 0.1 * g
                v[i][j] = 0.999 * v[i][j] + 0.001 * g * g
                root = np.sqrt(v[i][j] / (1 - 0.999**t)) + 1e-8
                layers[i][j] -= 0.001 * m[i][j] / (1 - 0.9**t) / root
            delta = before
    return float(loss)


def test_ours_computes_what_is_computed_by_hand() -> None:
    task = workloads.task(workloads.workload("W1"), "one", 1)
    assert tenth_loss(ours.prepare(task)) == pytest.approx(loss_by_hand(task), rel=1e-5)
    row = workloads.task(workloads.workload("I1"), "one", 1)
    hand, own = by_hand.prepare(row), ours.prepare(row)
    assert own.losses(own.call(0)) == pytest.approx(hand.losses(hand.call(0)), rel=1e-5)


def test_the_form_with_many_steps_takes_the_same_steps() -> None:
    if not ours.has_many_steps():
        pytest.skip("this version takes one step a call")
    work = workloads.workload("W1")
    one, many = (ours.prepare(workloads.task(work, form, 1)) for form in ("one", "many"))
    assert many.losses(many.call(0))[9] == pytest.approx(tenth_loss(one), rel=1e-5)


def test_work_is_counted_and_cut_evenly() -> None:
    tiny = workloads.workload("W1")
    products = [2 * 32 * m * n for m, n in itertools.pairwise((30, 64, 64, 1))]
    assert tiny.flops == 3 * sum(products) - products[0]
    assert workloads.workload("adam").flops == 0
    for batch in workloads.GROWTH:
        grown = workloads.workload("W3", batch)
        assert grown.batch == batch
        assert grown.steps % grown.batches == 0
    inputs, targets = workloads.staged(workloads.task(tiny, "many", 1))
    assert inputs.shape == (512, 32, 30)
    assert targets.shape == (512, 32, 1)


def test_clocks_take_medians() -> None:
    calls: list[int] = []
    run = Run(calls.append, lambda answer: [0.0], steps=4)
    assert 0 < throughput(run, 0.001) < 0.001
    assert 0 < latency(run, 0.001) < 0.001
    assert len(calls) > 30


def test_the_peak_is_that_of_a_machine() -> None:
    run = peak.prepare(workloads.task(workloads.workload("W1"), "", 1))
    assert 0.5 < 1 / throughput(run, 0.02) < 2000  # GFLOP/s


def figure(name: str, *seconds: float, loss: float = 2.0) -> Figure:
    return Figure("W3", 0, 1, name, list(seconds), 0.1, 0.2, loss, 10**6)


def test_ratios_are_of_rounds_and_wrong_losses_do_not_count() -> None:
    figures = [
        figure("FMA peak", 0.01, 0.011, loss=1.0),
        figure("retrograd", 0.002, 0.004, 0.002),
        figure("JAX jit", 0.004, 0.008, 0.004),
        figure("PyTorch eager", 0.006, 0.006, 0.006, loss=2.00001),
        figure("Keras", 0.0001, 0.0001, 0.0001, loss=1.5),
    ]
    text = document(figures, [1])
    assert "the best peer | 1.2 | 2.00 (JAX jit) |" in text
    assert "| Keras | wrong |" in text
    share = workloads.workload("W3").flops / 1e9 * 0.01 / 0.002
    assert f"| retrograd | 2,000 us, {100 * share:.0f} % |" in text
    assert "FMA peak, GFLOP/s: 100 on 1 thread." in text
    assert duration(2.5e-5) == "25 us"
    assert document([], [1]) == "\n"


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="turns are given by signals")
def test_a_contestant_works_in_a_process_of_its_own(tmp_path: Path) -> None:
    settings = runner.Settings("", 0.01, 2, tmp_path)
    missing = plan.Contestant("nobody", "benchmarks.peers.nobody", "", True)
    told: list[str] = []
    group = plan.Group("I1", 0, 1, (plan.BY_HAND, missing))
    good, bad = runner.compare(group, settings, told.append)
    assert len(good.seconds) == 2
    assert not good.error
    assert "No module named 'benchmarks.peers.nobody'" in bad.error
    assert len(told) == 2


def test_the_plan_leaves_out_who_cannot_take_part() -> None:
    (alone,) = plan.groups(["W2"], [1], ["sklearn"], has_many=False)
    assert [one.name for one in alone.contestants] == ["FMA peak", "retrograd"]
    grown = plan.groups(["growth", "start"], [1, 2], ["jax"], has_many=True)
    assert len(grown) == 2 * len(workloads.GROWTH)
    assert {one.library for one in grown[0].contestants} == {"ours", "jax"}
    for aim in plan.AIMS:
        kind = workloads.WORKLOADS[aim.workload].kind
        names = {one.name for one in plan.BY_KIND[kind]}
        assert {aim.peer, aim.ours} - {""} <= names


def test_figures_and_tables_are_kept_where_they_were(tmp_path: Path) -> None:
    results, page = tmp_path / "results.json", tmp_path / "page.md"
    kept(results, [figure("retrograd", 1.0)])
    newer = kept(results, [Figure("W1", 0, 1, "retrograd", [2.0]), figure("retrograd", 3.0)])
    assert sorted(each.seconds for each in newer) == [[2.0], [3.0]]
    page.write_text(f"before\n{START}\nold\n{STOP}\nafter\n")
    write(page, "new\n")
    assert page.read_text() == f"before\n{START}\n\nnew\n\n{STOP}\nafter\n"


def test_help_needs_no_peers() -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"], cwd=ROOT, capture_output=True, check=True
    )
    assert b"--make-peers" in asked.stdout
