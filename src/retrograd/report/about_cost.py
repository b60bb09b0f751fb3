"""The page's last part: what training took, and how to do it again."""

from __future__ import annotations

import shlex
from typing import Any

from retrograd.recipe.cost import environment
from retrograd.recipe.footprint import words_of
from retrograd.recipe.toml import to_toml
from retrograd.report.blocks import Block, Facts, Listing, Section, Words
from retrograd.report.material import Material
from retrograd.report.telling import duration, number
from retrograd.train.directory import RunPaths


def cost_section(material: Material) -> Section:
    """Return time, memory and size."""
    stopped, costs = material.stopped, material.costs
    seconds = float(stopped.get("seconds", 0.0))
    steps = int(stopped.get("step", len(material.steps)))
    pairs = [("time of training", duration(seconds)), ("steps", f"{steps:,}")]
    if seconds > 0:
        rows = steps * (material.config.optimization.batch_size or 1)
        pairs.append(("speed", f"about {number(rows / seconds)} rows a second"))
    if costs:
        cpu = sum(float(cost.get("cpu_seconds", 0)) for cost in costs)
        peak = max(int(cost.get("peak_memory", 0)) for cost in costs)
        pairs += [("CPU time", duration(cpu)), ("most memory of the process", words_of(peak))]
        pairs += [
            ("processor", f"{costs[-1].get('processor', '')}, {costs[-1].get('cores')} cores")
        ]
        if len(costs) > 1:
            pairs.append(("sittings", f"{len(costs)}"))
    size = RunPaths(material.directory).model.stat().st_size
    pairs.append(("model file", f"{words_of(size)}, {material.model.parameters:,} numbers"))
    return Section("cost", "What it cost", (Facts(tuple(pairs)),))


def repeat_section(material: Material) -> Section:
    """Return the command that repeats the run, with all that its bits depend on."""
    config = material.config
    where = shlex.quote(str(material.directory / "config.toml"))
    pairs = [("seed", f"{config.seed}"), ("data digest", material.digests["data_digest"])]
    pairs += [(name, str(value)) for name, value in _environment(material).items()]
    blocks: list[Block] = []
    if config.data.source is None:
        blocks.append(
            Words(
                (
                    "The table was given in memory: give the same to retrograd.train, with this "
                    "configuration.",
                )
            )
        )
    else:
        blocks.append(Listing("The same network, bit for bit", f"retrograd train --config {where}"))
    blocks.append(Facts(tuple(pairs)))
    blocks.append(Listing("config.toml", to_toml(config), folded=True))
    return Section("repeat", "How to repeat it", tuple(blocks))


def _environment(material: Material) -> dict[str, Any]:
    """Return what training ran with; of runs that kept no record, the version only."""
    if material.costs:
        last = material.costs[-1]
        return {name: last.get(name, "unknown") for name in environment()}
    return {"retrograd": material.model.version}
