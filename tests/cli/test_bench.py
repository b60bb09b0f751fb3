"""The verb bench: a run's step kernel by kernel, and what this machine can do."""

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from retrograd.cli.bench import profile_lines, standard_lines
from retrograd.cli.main import main
from retrograd.compile import native
from retrograd.compile.limits import Limits
from retrograd.compile.profile import KernelProfile, Profile, Work
from retrograd.recipe import profiling

RUN = "runs/shop-1"
needs_native = pytest.mark.skipif(native.can_compile() is not None, reason="no native code here")


@pytest.fixture(autouse=True)
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder of the run, without measuring the machine, whose figures are not tested."""
    monkeypatch.chdir(trained)
    fixed = lambda threads: Limits(threads, 1e11, 1e10)  # noqa: E731
    monkeypatch.setattr(importlib.import_module("retrograd.compile.profile"), "measure", fixed)
    monkeypatch.setattr(profiling, "measure", fixed)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["bench", *arguments]) == code
    out, err = capsys.readouterr()
    if "--json" not in arguments:
        assert max(map(len, out.splitlines()), default=0) <= 80
    return out, err


def record(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    out, err = said(capsys, *arguments, "--json", "--quiet")
    assert (out.count("\n"), err) == (1, "")
    return json.loads(out)


@needs_native
def test_a_run_is_profiled_by_its_layers(capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in Path(RUN).rglob("*") if path.is_file()}
    out, _ = said(capsys, "--profile", RUN, "--steps", "3", "--threads", "1")
    assert "layers.0 backward, update" in out
    assert "whole step" in out
    assert "GFLOP/s in float32 on 1 thread\n" in out
    assert {path: path.read_bytes() for path in before} == before


@needs_native
def test_a_profile_for_programs_is_plausible(capsys: pytest.CaptureFixture[str]) -> None:
    found = record(capsys, "--profile", RUN, "--steps", "3", "--threads", "1")
    kernels = found["kernels"]
    assert found["flops"] == sum(kernel["flops"] for kernel in kernels) > 0
    assert sum(kernel["seconds"] for kernel in kernels) <= found["step_seconds"] * 1.1
    assert found["step_seconds"] <= found["step_seconds_median"]
    assert {kernel["kind"] for kernel in kernels} <= {"product", "fold", "map", "loops"}
    assert all(kernel["label"] for kernel in kernels)
    assert (found["threads"], found["peak_flops_per_second"]) == (1, 1e11)


@needs_native
def test_an_unfinished_run_can_be_profiled(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = tmp_path / "stopped"
    shutil.copytree(RUN, copy)
    (copy / "model.retro").unlink()
    assert record(capsys, "--profile", str(copy), "--steps", "1")["kernels"]


@needs_native
def test_without_a_run_three_networks_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said(capsys, "--steps", "1", "--threads", "1")
    assert "784-512-256-10" in out
    assert "100.0 GFLOP/s in float32 on 1 thread" in out
    assert "measuring three networks" in err
    networks = record(capsys, "--steps", "1", "--threads", "1")["networks"]
    products = [2 * n["batch"] * a * b for n in networks
                for a, b in zip(n["sizes"][:-1], n["sizes"][1:], strict=True)]  # fmt: skip
    assert sum(n["flops"] for n in networks) > 2 * sum(products)


@needs_native
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--profile", "runs/shop-2"], "no such run or model; did you mean 'runs/shop-1'?"),
        (["--profile", "runs"], "it is a directory, but no run: it has no config.toml; give the"),
        (["--profile", "shop.csv"], "it is a file, but no run"),
        (["--profile", RUN, "--steps", "0"], "profiling 0 steps: there is nothing to measure"),
        (["--profile", RUN, "--threads", "0"], "profiling on 0 threads: this process may use "),
        (["--steps", "-1"], "profiling -1 steps"),
        (["--threads", "4096"], "profiling on 4096 threads: this process may use "),
        (["--threads", "two"], "two"),
        (["runs/shop-1"], "runs/shop-1"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = said(capsys, *arguments, code=2)
    assert out == ""
    assert err.startswith("retrograd: ")
    assert err.count("\n") == 1
    assert words in err


@needs_native
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.toml", "[network]\nwings = 2\n", "wings"),
        ("split.safetensors", "another version", "split.safetensors"),
        ("schema.json", "{", "schema.json"),
    ],
)
def test_a_run_of_another_version_is_refused(
    name: str, content: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = tmp_path / "other"
    shutil.copytree(RUN, copy)
    (copy / name).write_text(content)
    _, err = said(capsys, "--profile", str(copy), code=2)
    assert err.count("\n") == 1
    assert words in err


def test_in_numpy_there_is_nothing_to_profile(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETROGRAD_BACKEND", "numpy")
    _, err = said(capsys, "--profile", RUN, code=2)
    assert "profiling a step: programs run in NumPy here" in err


def made(seconds: float, label: str = "layers.0 forward") -> Profile:
    limits = Limits(2, 1e9, 1e9)
    cached = KernelProfile("x" * 90, "map", seconds / 2, seconds, Work(1, 10**6, 10**6), limits)
    small = KernelProfile(label, "fold", seconds / 1000, seconds, Work(1, 1, 1), limits)
    return Profile((small, cached), seconds, seconds, limits)


def test_long_names_are_cut_and_small_kernels_counted() -> None:
    lines = profile_lines(made(1e-3))
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("x" * 31 + "… map")
    assert lines[1].endswith("400%")
    assert lines[2].startswith("1 smaller kernel ")
    assert lines[-1] == "Over 100 % of memory's peak: what is read lies in a cache."
    assert "on 2 threads" in "\n".join(lines)


def test_a_step_faster_than_the_peak_is_doubted() -> None:
    limits = Limits(1, 1e9, 1e9)
    kernel = KernelProfile("", "product", 1e-3, 1e-3, Work(10**7, 1, 1), limits)
    fast = Profile((kernel,), 1e-3, 1e-3, limits)
    doubt = "Over 100 % of arithmetic's: other work slowed its measurement down; try again."
    assert profile_lines(fast)[-1] == doubt
    assert standard_lines([(profiling.STANDARD[0], fast)])[-1] == doubt
    assert "(no layer)" in profile_lines(fast)[1]
