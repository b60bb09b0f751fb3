"""The table: figures as Markdown, with ratios within one run and the aims beside them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.plan import (
    AIMS,
    LEAST_ACCURACY,
    MANY,
    ONE,
    PEAK,
    PEAK_SHARES,
    TOLERANCE,
    TOLERANCES,
    Aim,
)
from benchmarks.runner import Figure, median
from benchmarks.workloads import GROWTH, WORKLOADS, workload

OURS = (ONE.name, MANY.name)
Groups = dict[tuple[str, int, int], list[Figure]]


def grouped(figures: Iterable[Figure]) -> Groups:
    """Return the figures by workload, batch and threads; what cannot be compared is marked."""
    found: Groups = {}
    for figure in figures:
        key = (figure.workload, figure.batch, figure.threads)
        found.setdefault(key, []).append(figure)
    for (name, _, _), group in found.items():
        if name in WORKLOADS and WORKLOADS[name].kind == "job":
            mark_untrained(group)
        elif name in WORKLOADS:
            mark_wrong(name, group)
    return found


def mark_wrong(name: str, group: Sequence[Figure]) -> None:
    """Mark the contestants whose loss is not the peers': their speed counts for nothing."""
    losses = [
        each.loss for each in group if each.loss is not None and each.name not in (*OURS, PEAK.name)
    ]
    if not losses:
        return
    truth = statistics.median(losses)
    limit = TOLERANCES.get(name, TOLERANCE) * abs(truth)
    for each in group:
        loss = math.nan if each.loss is None else each.loss
        is_right = abs(loss - truth) <= limit  # a NaN is not
        if each.name != PEAK.name and not each.error and not is_right:
            each.error = f"wrong: loss {loss}, the peers' {truth:.6g}"


def mark_untrained(group: Sequence[Figure]) -> None:
    """Mark who ended with a network that had not learned."""
    for each in group:
        if not each.error and (each.loss or 0.0) < LEAST_ACCURACY:
            each.error = f"wrong: an accuracy of {each.loss}"


def valid(group: Iterable[Figure]) -> dict[str, Figure]:
    """Return the contestants that have figures which count, by name."""
    return {each.name: each for each in group if each.seconds and not each.error}


def ratio(peer: Figure, ours: Figure) -> float:
    """Return how many times faster ours is: the median over the rounds, each its own quotient."""
    pairs = zip(peer.seconds, ours.seconds, strict=False)
    return statistics.median(a / b for a, b in pairs)


def best(found: dict[str, Figure], names: Iterable[str]) -> Figure | None:
    """Return the fastest of these."""
    there = [found[name] for name in names if name in found]
    return min(there, key=median, default=None)


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them.

    >>> duration(2.5e-5), duration(0.0123), duration(2.0)
    ('25 us', '12.3 ms', '2.00 s')
    """
    if seconds < 1e-2:
        return f"{seconds * 1e6:,.3g} us" if seconds < 1e-3 else f"{seconds * 1e6:,.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Return a Markdown table and an empty line; nothing for no rows."""
    held = list(rows)
    if held:
        yield "| " + " | ".join(head) + " |"
        yield "|" + "---|" * len(head)
        yield from ("| " + " | ".join(each) + " |" for each in held)
        yield ""


def aim_rows(found: Groups, threads: Sequence[int]) -> Iterator[list[str]]:
    """Return a row for each aim: reached ratios by threads."""
    for aim in AIMS:
        counts = [aim.threads] if aim.threads else threads
        cells = {count: reached(aim, found.get((aim.workload, 0, count), [])) for count in counts}
        if any(cells.values()):
            values = [cells.get(count, "") or "" for count in threads]
            against = aim.peer or "the best peer"
            yield [workload(aim.workload).title, against, f"{aim.least:g}", *values]


def reached(aim: Aim, group: Iterable[Figure]) -> str:
    """Return the ratio that a group reached, or nothing where it cannot tell."""
    found = valid(group)
    ours = best(found, [aim.ours] if aim.ours else OURS)
    peers = [aim.peer] if aim.peer else [name for name in found if name not in (*OURS, PEAK.name)]
    peer = best(found, peers)
    if ours is None or peer is None:
        return ""
    times = ratio(peer, ours)
    return f"{times:.2f}" + ("" if aim.peer else f" ({peer.name})") + (
        "" if times >= aim.least else " (missed)"
    )  # fmt: skip


def workload_rows(name: str, found: Groups, threads: Sequence[int]) -> Iterator[list[str]]:
    """Return a row for each contestant of a workload."""
    groups = {count: found.get((name, 0, count), []) for count in threads}
    names = dict.fromkeys(each.name for group in groups.values() for each in group)
    for contestant in names:
        if contestant != PEAK.name:
            cells = [cell(name, contestant, groups[count]) for count in threads]
            figures = [e for group in groups.values() for e in group if e.name == contestant]
            yield [contestant, *cells, firsts(figures), memories(figures)]


def cell(name: str, contestant: str, group: Sequence[Figure]) -> str:
    """Return time, ratio to ours and share of the peak, or what went wrong."""
    this = next((each for each in group if each.name == contestant), None)
    if this is None:
        return ""
    if this.error or not this.seconds:
        return "wrong" if this.error.startswith("wrong") else "failed"
    found = valid(group)
    ours = best(found, OURS)
    said = duration(median(this))
    if ours is not None and contestant not in OURS:
        said += f", {ratio(this, ours):.2f}"
    peak = found.get(PEAK.name)
    flops = workload(name, this.batch).flops if name in WORKLOADS else 0
    if flops and peak is not None:
        # The peak's figure is the time of 1e9 operations, at its best.
        said += f", {100 * flops / 1e9 * min(peak.seconds) / median(this):.0f} %"
    return said


def firsts(figures: Sequence[Figure]) -> str:
    """Return the time from the imported library to the end of the first step."""
    known = [each.first + (each.prepare or 0.0) for each in figures if each.first is not None]
    return duration(min(known)) if known else ""


def memories(figures: Sequence[Figure]) -> str:
    """Return the peak memory."""
    known = [each.memory for each in figures if each.memory is not None]
    return f"{min(known) / 1e6:.0f} MB" if known else ""


def growth_rows(found: Groups, threads: Sequence[int]) -> Iterator[list[str]]:
    """Return microseconds a row, contestants down, batches across."""
    for count in threads:
        groups = {batch: found.get(("W3", batch, count), []) for batch in GROWTH}
        names = dict.fromkeys(each.name for group in groups.values() for each in group)
        for name in names:
            figures = {batch: valid(group).get(name) for batch, group in groups.items()}
            cells = [
                "" if one is None else f"{1e6 * median(one) / batch:.3g}"
                for batch, one in figures.items()
            ]
            yield [name, str(count), *cells]


def memory_rows(found: Groups, threads: Sequence[int]) -> Iterator[list[str]]:
    """Return, where it counts, the least memory of ours and of the peers."""
    for name in ("W3", "W4"):
        for count in threads:
            held = valid(found.get((name, 0, count), []))
            known = {n: f.memory for n, f in held.items() if f.memory and n != PEAK.name}
            ours = {n: m for n, m in known.items() if n in OURS}
            peers = {n: m for n, m in known.items() if n not in OURS}
            if ours and peers:
                least = min(peers, key=lambda n: peers[n])
                own, other = min(ours.values()), peers[least]
                yield [name, str(count), f"{own / 1e6:.0f} MB", f"{other / 1e6:.0f} MB ({least})",
                       f"{own / other:.2f}"]  # fmt: skip


def document(figures: Sequence[Figure], threads: Sequence[int]) -> str:
    """Return the whole table."""
    found, counts = grouped(figures), [counted(count) for count in threads]
    out = list(lines(["work", "against", "aim, times faster", *counts], aim_rows(found, threads)))
    for name, work in WORKLOADS.items():
        aim = f"; aim {100 * PEAK_SHARES[name]:.0f} % of the peak" if name in PEAK_SHARES else ""
        rows = workload_rows(name, found, threads)
        head = ["who", *counts, "first step done", "peak memory"]
        out += titled(f"**{name}**: {work.title}{aim}", head, rows)
    out += titled(
        "**Growth**: microseconds a row of W3's step, by batch",
        ["who", "threads", *map(str, GROWTH)], growth_rows(found, threads),
    )  # fmt: skip
    out += titled(
        "**Memory** at the peak, above the imported process and its data; aim 0.5",
        ["work", "threads", "retrograd", "the best peer", "ratio"], memory_rows(found, threads),
    )  # fmt: skip
    out += titled(
        "**Start**: a fresh process that imports; W3's first step without and with the cache",
        ["what", "who", "time"], start_rows(found),
    )  # fmt: skip
    peaks = [f"{1 / seconds:.0f} on {counted(n)}" for n in threads for seconds in peak(found, n)]
    out += ["FMA peak, GFLOP/s: " + ", ".join(peaks) + "."] if peaks else []
    return "\n".join(out).rstrip() + "\n"


def counted(threads: int) -> str:
    """Return a number of threads in words."""
    return f"{threads} thread{'s' * (threads > 1)}"


def titled(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table under its title; nothing for no rows."""
    made = list(lines(head, rows))
    return [title, "", *made] if made else []


def start_rows(found: Groups) -> Iterator[list[str]]:
    """Return how long imports and first steps take."""
    for (name, _, _), group in found.items():
        if name in ("import", "first step"):
            yield from ([name, f.name, duration(median(f))] for f in group if f.seconds)


def peak(found: Groups, threads: int) -> list[float]:
    """Return the fewest seconds of 1e9 operations on so many threads, in a list, or none."""
    peaks = [
        second
        for (_, _, count), group in found.items()
        for each in group
        for second in each.seconds
        if count == threads and each.name == PEAK.name
    ]
    return [min(peaks)] if peaks else []
