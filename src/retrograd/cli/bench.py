"""``retrograd bench``: where a training step's time goes, beside what the machine could do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrograd.cli.output import Output

if TYPE_CHECKING:
    from retrograd.compile.limits import Limits
    from retrograd.compile.profile import KernelProfile, Profile
    from retrograd.recipe.profiling import Standard

_OUTPUT = Output()
_LEAST = 0.01  # of a step: kernels that take less share a line
_LABEL = 32


def bench(
    *,
    profile: Path | None = None,
    steps: int = 20,
    threads: int | None = None,
    output: Output = _OUTPUT,
) -> None:
    """Measure this machine, or profile a run's training step kernel by kernel.

    Args:
        profile: The run directory whose step is profiled on its own data.
        steps: How many times it is measured; the best counts.
        threads: On how many threads; all that it may use and needs, if not given.
        output: How to print it.
    """
    if profile is not None:
        _profile_run(profile, steps, threads, output)
    else:
        _measure_machine(steps, threads, output)


def _profile_run(run: Path, steps: int, threads: int | None, output: Output) -> None:
    from retrograd.cli.runs import require_run
    from retrograd.recipe.profiling import profile_run

    require_run(run)
    found = profile_run(run, steps=steps, threads=threads)
    output.result(profile_record(found), profile_lines(found))


def _measure_machine(steps: int, threads: int | None, output: Output) -> None:
    from retrograd.recipe.profiling import (
        STANDARD,
        machine_limits,
        profile_standard,
        require_measurable,
    )

    require_measurable(steps, threads)
    limits = machine_limits(threads)
    output.talk("measuring three networks; other work on this machine makes them slower")
    found = [(each, profile_standard(each, steps=steps, threads=threads)) for each in STANDARD]
    record = limits_record(limits) | {
        "networks": [
            {
                "sizes": each.sizes,
                "batch": each.batch,
                "threads": one.limits.threads,
                "step_seconds": one.seconds,
                "flops": one.flops,
                "share_of_peak": one.share_of_peak,
            }
            for each, one in found
        ]
    }
    output.result(record, [*limits_lines(limits), "", *standard_lines(found)])


def limits_lines(limits: Limits) -> list[str]:
    """Return what the machine can do, in two lines."""
    return [
        f"arithmetic  {limits.flops / 1e9:8.1f} GFLOP/s in float32 on {_threads(limits.threads)}",
        f"memory      {limits.bytes / 1e9:8.1f} GB/s, read and written",
    ]


def standard_lines(found: list[tuple[Standard, Profile]]) -> list[str]:
    """Return a line for each standard network."""
    lines = [f"{'training step':<22}{'batch':>7}{'threads':>9}{'ms':>10}{'% of peak':>11}"]
    for standard, one in found:
        sizes = "-".join(map(str, standard.sizes))
        lines.append(
            f"{sizes:<22}{standard.batch:>7}{one.limits.threads:>9}{one.seconds * 1e3:>10.4f}"
            f"{one.share_of_peak:>11.1%}"
        )
    lines += ["", "The peak is that of arithmetic: at 100 % the step would do nothing else."]
    return [*lines, *_doubt(max(one.share_of_peak for _, one in found))]


def profile_lines(found: Profile) -> list[str]:
    """Return a line for each kernel that counts, one for the others, and the whole step's."""
    head = f"{'kernel':<{_LABEL}} {'kind':<7}{'ms':>9}{'% step':>7}{'rate':>14}{'% peak':>8}"
    ordered = sorted(found.kernels, key=lambda kernel: -kernel.seconds)
    large = [k for k in ordered if k.seconds >= _LEAST * found.seconds]
    lines = [head, *(_kernel_line(kernel, found.seconds) for kernel in large)]
    small = ordered[len(large) :]
    if small:
        count = f"{len(small)} smaller kernel{'s' if len(small) > 1 else ''}"
        lines.append(_line(count, "", sum(k.seconds for k in small), found.seconds))
    outside = found.seconds_outside
    lines.append(_line("waiting, handing on, the call", "", outside, found.seconds))
    rate = f"{found.flops / max(found.seconds, 1e-12) / 1e9:.1f} GFLOP/s"
    whole = _line("whole step", "", found.seconds, found.seconds)
    lines += [f"{whole}{rate:>14}{found.share_of_peak:>8.0%}", "", *limits_lines(found.limits)]
    if any(kernel.share_of_peak > 1.0 and kernel.limit == "memory" for kernel in large):
        lines.append("Over 100 % of memory's peak: what is read lies in a cache.")
    return [*lines, *_doubt(found.share_of_peak)]


def _doubt(share: float) -> list[str]:
    """Return a sentence if a step is faster than the peak, which cannot be."""
    if share <= 1.0:
        return []
    return ["Over 100 % of arithmetic's: other work slowed its measurement down; try again."]


def _kernel_line(kernel: KernelProfile, whole: float) -> str:
    if kernel.limit == "arithmetic":
        rate = f"{kernel.flops_a_second / 1e9:.1f} GFLOP/s"
    else:
        rate = f"{kernel.bytes_a_second / 1e9:.1f} GB/s"
    start = _line(kernel.label or "(no layer)", kernel.kind, kernel.seconds, whole)
    return f"{start}{rate:>14}{kernel.share_of_peak:>8.0%}"


def _line(label: str, kind: str, seconds: float, whole: float) -> str:
    shown = label if len(label) <= _LABEL else label[: _LABEL - 1] + "…"
    share = seconds / max(whole, 1e-12)
    return f"{shown:<{_LABEL}} {kind:<7}{seconds * 1e3:>9.4f}{share:>7.1%}"


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def limits_record(limits: Limits) -> dict[str, Any]:
    """Return the limits for programs to read."""
    return {
        "threads": limits.threads,
        "peak_flops_per_second": limits.flops,
        "peak_bytes_per_second": limits.bytes,
    }


def profile_record(found: Profile) -> dict[str, Any]:
    """Return a profile for programs to read: seconds, and counts a step."""
    return limits_record(found.limits) | {
        "step_seconds": found.seconds,
        "step_seconds_median": found.median,
        "seconds_outside": found.seconds_outside,
        "flops": found.flops,
        "share_of_peak": found.share_of_peak,
        "kernels": [
            {
                "label": kernel.label,
                "kind": kernel.kind,
                "seconds": kernel.seconds,
                "seconds_median": kernel.median,
                **kernel.work._asdict(),
                "limit": kernel.limit,
                "share_of_peak": kernel.share_of_peak,
            }
            for kernel in found.kernels
        ],
    }
