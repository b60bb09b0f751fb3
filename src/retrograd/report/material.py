"""Everything that a run's directory holds, read once; what is absent leaves a gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrograd.data import Split, Table
from retrograd.data.audit import audit
from retrograd.data.finding import Finding
from retrograd.recipe.config import Config
from retrograd.recipe.cost import read_costs
from retrograd.recipe.ledger import count_openings
from retrograd.recipe.model import Model, load_model
from retrograd.recipe.prepare import read_source, ways_of
from retrograd.recipe.results import read_result
from retrograd.recipe.run import read_history, read_split, require_same_data
from retrograd.recipe.toml import read_config
from retrograd.tensor.errors import InputError
from retrograd.train.directory import RunPaths
from retrograd.train.lines import read_lines
from retrograd.train.norms import Norms, read_norms


@dataclass(frozen=True, eq=False)
class Material:
    """A run as it lies there.

    epochs, steps: metrics, a dict for each.  stopped: how training ended.  costs: one a sitting.
    audit: what leaks between the parts, None without the data.
    test: what the last opening of the sealed part said of this network; openings: how many.
    table: the data, or None; ``why`` then says why there is none.
    """

    directory: Path
    model: Model
    config: Config
    split: Split
    digests: Mapping[str, str]
    epochs: list[dict[str, float]]
    steps: list[dict[str, Any]]
    norms: Norms | None
    stopped: Mapping[str, Any]
    costs: list[dict[str, Any]]
    audit: tuple[Finding, ...] | None
    test: Mapping[str, Any] | None
    openings: int
    table: Table | None
    why: str

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.directory.resolve().name


def read_material(directory: str | Path, table: Table | None = None) -> Material:
    """Read a run. ``table`` is its data, for runs trained from a table in memory.

    Raises FileFormatError for a run without a whole model, config, split or log. Data that is gone
    or has changed is no failure: the report then says so, and tells what it can without rows.
    """
    root = Path(directory)
    paths = RunPaths(root)
    model, config = load_model(paths.model), read_config(paths.config)
    split, digests = read_split(root)
    data, why = _data(config, digests, table)
    return Material(
        directory=root,
        model=model,
        config=config,
        split=split,
        digests=digests,
        epochs=read_history(root),
        steps=[row for row in read_lines(paths.metrics) if not row.get("end_of_epoch")],
        norms=_norms(root),
        stopped=_stopped(paths),
        costs=read_costs(root),
        audit=None if data is None else audit(data, model.schema, split, ways_of(config.data)),
        test=read_result(root),
        openings=count_openings(root.resolve().parent / "ledger.jsonl", digests["test_digest"]),
        table=data,
        why=why,
    )


def _data(
    config: Config, digests: Mapping[str, str], table: Table | None
) -> tuple[Table | None, str]:
    """Return the run's own data, or why it cannot be had."""
    try:
        table = read_source(config.data) if table is None else table
        require_same_data(table, dict(digests), "reading the data again")
    except InputError as error:
        return None, str(error)
    return table, ""


def _norms(root: Path) -> Norms | None:
    if not (root / "recording" / "norms.bin").exists():
        return None
    norms = read_norms(root)
    return norms if len(norms.steps) else None


def _stopped(paths: RunPaths) -> Mapping[str, Any]:
    events = read_lines(paths.events)
    return next((e for e in reversed(events) if e.get("event") == "Stopped"), {})
