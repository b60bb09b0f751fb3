"""How a run ended, what was kept of it, and what can be done with it."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrograd.cli.output import Output, number, width
from retrograd.cli.signals import EXIT_CODES

if TYPE_CHECKING:
    from retrograd.recipe.run import Outcome
    from retrograd.train.events import Stopped


def tell_outcome(outcome: Outcome, output: Output, limits: Mapping[str, Any]) -> None:
    """Print how training ended; ``limits`` are those given to a run that went on."""
    stopped = outcome.stopped
    output.wrap(f"stopped after epoch {stopped.epoch}: {stopped.message}{_restored(stopped)}")
    record = {
        "run": str(outcome.directory),
        "reason": stopped.reason,
        "epochs": stopped.epoch,
        "steps": stopped.step,
        "seconds": stopped.seconds,
        "best_epoch": stopped.best.epoch if stopped.best else stopped.epoch,
        "metrics": dict(outcome.model.metrics),
        "parameters": outcome.model.parameters,
        "audit": [finding.to_dict() for finding in outcome.prepared.audit],
    }
    output.result(record, _lines(outcome, limits))


def _restored(stopped: Stopped) -> str:
    best = stopped.best
    if best is None or best.epoch == stopped.epoch:
        return ""
    if stopped.reason in EXIT_CODES:
        return f"; the best so far was epoch {best.epoch}"
    return f"; the weights of epoch {best.epoch}, its best, are restored"


def _lines(outcome: Outcome, limits: Mapping[str, Any]) -> list[str]:
    stopped, where = outcome.stopped, outcome.directory
    measured = {k: v for k, v in outcome.model.metrics.items() if k not in ("epoch", "step")}
    is_validated = any(name != "loss" for name in measured)
    if is_validated:
        del measured["loss"]  # of the training rows
    words = ", ".join(f"{name} {number(value)}" for name, value in measured.items())
    at = stopped.best.epoch if stopped.best else stopped.epoch
    what = "validation" if is_validated else "training"
    schema = outcome.model.schema
    unit = "" if schema.classes else f" ({schema.target} in its standard deviations)"
    said = f"{what} at epoch {at}{unit}: {words}" if measured else "no epoch is done yet"
    lines = [
        *textwrap.wrap(said, width(), subsequent_indent="  "),
        f"saved {where}/model.retro ({outcome.model.parameters:,} numbers, preprocessing inside)",
    ]
    if stopped.reason in EXIT_CODES:
        return [*lines, f"go on with: {resume_command(where, limits)}"]
    row = outcome.prepared.split.train[0]
    return [*lines, f"next: retrograd test {_quoted(where)}",
            f"      retrograd report {_quoted(where)}",
            f"      retrograd explain {_quoted(where)} --row {row}"]  # fmt: skip


def resume_command(directory: Path, limits: Mapping[str, Any]) -> str:
    """Return what goes on with a run, under the same limits.

    >>> resume_command(Path("runs/digits-1"), {"epochs": 500, "until": "loss<0.1"})
    "retrograd train --resume runs/digits-1 --epochs 500 --until 'loss<0.1'"
    """
    flags = "".join(f" --{name} {shlex.quote(str(value))}" for name, value in limits.items())
    return f"retrograd train --resume {_quoted(directory)}{flags}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def tell_failure(
    error: BaseException,
    directory: Path,
    stopped: Stopped | None,
    output: Output,
    limits: Mapping[str, Any],
) -> None:
    """Say what is left of a run that did not end in order."""
    from retrograd.tensor.errors import NonFiniteError

    if isinstance(error, NonFiniteError):
        if stopped is not None and stopped.best is not None:
            output.wrap(f"the weights of epoch {stopped.best.epoch} are in {directory}/model.retro")
        else:
            output.wrap(f"no epoch was done: {directory} holds no network")
    elif any((directory / "checkpoints").glob("*.safetensors")):
        output.wrap(f"go on from the last checkpoint with: {resume_command(directory, limits)}")
    else:
        output.wrap(f"nothing was saved yet: start again, or {resume_command(directory, limits)}")
