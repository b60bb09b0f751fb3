"""``retrograd train``: from a table to a trained, validated, saved network."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from retrograd.cli.options import DATA, TrainOptions
from retrograd.cli.output import GROUP, Output, number, width
from retrograd.cli.signals import EXIT_CODES, graceful_stop

if TYPE_CHECKING:
    from retrograd.recipe.config import Config
    from retrograd.recipe.prepare import Prepared
    from retrograd.recipe.run import Outcome
    from retrograd.train.events import Event

_OPTIONS, _OUTPUT = TrainOptions(), Output()


def train(
    source: Annotated[str | None, Parameter(group=DATA)] = None,
    target: Annotated[str | None, Parameter(group=DATA)] = None,
    *,
    options: TrainOptions = _OPTIONS,
    seed: Annotated[int | None, Parameter(group=DATA)] = None,
    config: Annotated[Path | None, Parameter(group=GROUP)] = None,
    save_config: Annotated[Path | None, Parameter(group=GROUP)] = None,
    runs: Annotated[str | None, Parameter(group=GROUP)] = None,
    name: Annotated[str | None, Parameter(group=GROUP)] = None,
    resume: Annotated[Path | None, Parameter(group=GROUP)] = None,
    output: Output = _OUTPUT,
) -> int:
    """Train a network on a table, and keep the best.

    Args:
        source: A .csv, .tsv or .parquet file, or a data set's name: digits, iris, diamonds ...
        target: The column to predict; the last one, or one called target, if not given.
        options: Everything that can be chosen.
        seed: Same seed, same data, same options: same network, bit for bit. [0]
        config: A config.toml to start from; flags go over it.
        save_config: Also write the config that repeats this run to a file.
        runs: The folder that holds the run directories. [runs]
        name: Name of the run directory, which gets a number. [the source's name]
        resume: Go on with the run in this directory; flags may set new limits.
        output: How to print it.
    """
    given = options.given() | _given(source=source, target=target, seed=seed, name=name)
    given |= _given(directory=runs)
    with graceful_stop() as stop, _Teller(output) as teller:
        if resume is not None:
            from retrograd.recipe.run import resume as go_on

            _refuse_config(config)
            outcome = go_on(resume, listen=teller.hear, should_stop=stop, **given)
        else:
            from retrograd.recipe.run import run

            outcome = run(_configured(config, given), listen=teller.hear, should_stop=stop)
    if save_config is not None:
        _save(outcome.prepared.config, save_config)
    _report(outcome, output)
    return EXIT_CODES.get(outcome.stopped.reason, 0)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _configured(path: Path | None, given: dict[str, Any]) -> Config:
    """Return the file's config with the flags over it; raises InputError without a source."""
    from retrograd.recipe.config import configure
    from retrograd.recipe.toml import read_config
    from retrograd.tensor.errors import InputError

    config = configure(None if path is None else read_config(path), **given)
    if config.data.source is None:
        raise InputError(
            "retrograd train",
            "no table is named",
            "give a file or a data set's name: retrograd train digits",
        )
    return config


def _refuse_config(config: Path | None) -> None:
    from retrograd.tensor.errors import InputError

    if config is not None:
        raise InputError(
            "retrograd train --resume with --config",
            "a run goes on with its own config",
            "leave one of the two out",
        )


def _save(config: Config, path: Path) -> None:
    from retrograd.recipe.toml import to_toml
    from retrograd.train.files import replace_file

    replace_file(path, to_toml(config).encode())


class _Teller:
    """Hears a run: tells the plan when it is prepared, then hands events to the view."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._view: Any = None

    def __enter__(self) -> _Teller:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._view is not None:
            self._view.__exit__(*exception)

    def hear(self, event: Prepared | Event) -> None:
        from retrograd.cli.live import TrainingView
        from retrograd.recipe.prepare import Prepared

        if isinstance(event, Prepared):
            from retrograd.cli.plan import tell_plan

            tell_plan(event, self._output)
            self._view = TrainingView(self._output, event.config.stopping.epochs).__enter__()
        else:
            self._view.hear(event)


def _report(outcome: Outcome, output: Output) -> None:
    """Say how training ended, what was kept, and what can be done with it."""
    stopped, where = outcome.stopped, outcome.directory
    output.wrap(f"stopped after epoch {stopped.epoch}: {stopped.message}")
    at = stopped.best.epoch if stopped.best else stopped.epoch
    kept = outcome.model.metrics
    measured = {k: v for k, v in kept.items() if k not in ("epoch", "step", "loss")}
    words = ", ".join(f"{name} {number(value)}" for name, value in measured.items())
    lines = [
        *textwrap.wrap(f"validation at epoch {at}: {words}", width(), subsequent_indent="  "),
        f"saved {where}/model.retro ({outcome.model.parameters:,} numbers, preprocessing inside)",
    ]
    if stopped.reason in EXIT_CODES:
        lines.append(f"go on with: retrograd train --resume {where}")
    else:
        lines += [f"next: retrograd test {where}", f"      retrograd explain {where} --row 0"]
    record = {
        "run": str(where),
        "reason": stopped.reason,
        "epochs": stopped.epoch,
        "steps": stopped.step,
        "seconds": stopped.seconds,
        "best_epoch": at,
        "metrics": dict(kept),
        "parameters": outcome.model.parameters,
    }
    output.result(record, lines)
