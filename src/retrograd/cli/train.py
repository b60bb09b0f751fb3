"""``retrograd train``: from a table to a trained, validated, saved network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from retrograd.cli.options import DATA, TrainOptions
from retrograd.cli.outcome import tell_failure, tell_outcome
from retrograd.cli.output import GROUP, Output
from retrograd.cli.signals import EXIT_CODES, StopRequest, graceful_stop
from retrograd.cli.writing import require_writable

if TYPE_CHECKING:
    from retrograd.cli.live import TrainingView
    from retrograd.recipe.config import Config
    from retrograd.recipe.prepare import Prepared
    from retrograd.train.events import Event, Stopped

_OPTIONS, _OUTPUT = TrainOptions(), Output()


def train(
    source: Annotated[str | None, Parameter(group=DATA)] = None,
    target: Annotated[str | None, Parameter(group=DATA)] = None,
    *,
    options: TrainOptions = _OPTIONS,
    seed: Annotated[int | None, Parameter(group=DATA)] = None,
    schema: Annotated[Path | None, Parameter(group=DATA)] = None,
    save_schema: Annotated[Path | None, Parameter(group=DATA)] = None,
    config: Annotated[Path | None, Parameter(group=GROUP)] = None,
    save_config: Annotated[Path | None, Parameter(group=GROUP)] = None,
    runs: Annotated[str | None, Parameter(group=GROUP)] = None,
    name: Annotated[str | None, Parameter(group=GROUP)] = None,
    resume: Annotated[Path | None, Parameter(group=GROUP)] = None,
    output: Output = _OUTPUT,
) -> int:
    """Train a network on a table, and keep the best.

    Args:
        source: A file (.csv, .jsonl, .parquet, .arrow, .xlsx#SHEET ...), a folder of .parquet
            files, a database ("shop.db#orders", "postgresql://me@host/shop#select ..."), or a data
            set's name: digits, iris, diamonds ...
        target: The column to predict; the last one, or one called target, if not given.
        options: Everything that can be chosen.
        seed: Same seed, same data, same options: same network, bit for bit. [0]
        schema: A TOML file that says the target, the task and kinds of columns; flags go over it.
        save_schema: Write what was understood of the table to a file, to correct it for --schema.
        config: A config.toml to start from; flags go over it.
        save_config: Also write the config that repeats this run to a file.
        runs: The folder that holds the run directories. [runs]
        name: Name of the run directory, which gets a number. [the source's name]
        resume: Go on with the run in this directory; flags may set new limits.
        output: How to print it.
    """
    given = options.given() | _given(source=source, target=target, seed=seed, name=name)
    given |= _given(directory=runs)
    saved = {"--save-config": save_config, "--save-schema": save_schema}
    for option, path in saved.items():
        if path is not None:
            require_writable(path, option)
    if schema is not None:
        given = _corrected(schema, given, resume)
    limits = {} if resume is None else given
    with graceful_stop() as stop, _Teller(output, stop, saved, limits) as teller:
        if resume is not None:
            from retrograd.recipe.run import resume as go_on

            _refuse_config(config)
            outcome = go_on(resume, listen=teller.hear, should_stop=stop, **given)
        else:
            from retrograd.recipe.run import run

            settled = _configured(config, given)
            if settled.data.folds is not None and settled.data.fold is None:
                return _all_folds(settled, output, stop, saved)
            outcome = run(settled, listen=teller.hear, should_stop=stop)
    tell_outcome(outcome, output, limits)
    return EXIT_CODES.get(outcome.stopped.reason, 0)


def _all_folds(
    config: Config, output: Output, stop: StopRequest, saved: Mapping[str, Path | None]
) -> int:
    """Train a network for each fold, and judge them together."""
    from retrograd.cli.test import report_lines
    from retrograd.recipe.folds import evaluate_folds, fold_configs
    from retrograd.recipe.run import run
    from retrograd.tensor.errors import InputError

    if any(path is not None for path in saved.values()):
        raise InputError(
            "--folds with --save-config or --save-schema",
            "each fold has its own",
            "name one of them too: --fold 1",
        )
    homes: list[Path] = []
    for each in fold_configs(config):
        with _Teller(output, stop, saved, {}) as teller:
            outcome = run(each, listen=teller.hear, should_stop=stop)
        homes.append(outcome.directory)
        if outcome.stopped.reason in EXIT_CODES:
            tell_outcome(outcome, output, {})
            return EXIT_CODES[outcome.stopped.reason]
        output.talk(f"fold {each.data.fold} of {each.data.folds} done: {outcome.directory}")
    evaluation = evaluate_folds(homes)
    lines = [f"{len(homes)} folds, each judged by a network that had not seen it", ""]
    record = evaluation.to_dict() | {"runs": [str(home) for home in homes]}
    output.result(record, [*lines, *report_lines(evaluation)])
    return 0


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _corrected(schema: Path, given: dict[str, Any], resume: Path | None) -> dict[str, Any]:
    """Return the flags over what a schema file says."""
    from retrograd.data.schema_file import read_corrections
    from retrograd.tensor.errors import InputError

    if resume is not None:
        raise InputError(
            "retrograd train --resume with --schema",
            "a run goes on with its own schema",
            "leave one of the two out",
        )
    said = read_corrections(schema).to_options()
    kinds = said.get("kinds", {}) | given.get("kinds", {})
    return said | given | ({"kinds": kinds} if kinds else {})


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


def _write_saved(prepared: Prepared, saved: Mapping[str, Path | None]) -> None:
    """Write the files that were asked for, now that every choice is made."""
    from retrograd.data.schema_file import to_toml as schema_text
    from retrograd.recipe.toml import to_toml
    from retrograd.train.files import replace_file

    texts = {
        "--save-config": lambda: to_toml(prepared.config),
        "--save-schema": lambda: schema_text(prepared.schema, prepared.table.name),
    }
    for option, path in saved.items():
        if path is not None:
            replace_file(path, texts[option]().encode())


class _Teller:
    """Hears a run: tells the plan when it is prepared, then hands events to the view."""

    def __init__(
        self,
        output: Output,
        stop: StopRequest,
        saved: Mapping[str, Path | None],
        limits: Mapping[str, Any],
    ) -> None:
        self._output, self._stop, self._saved, self._limits = output, stop, saved, limits
        self._view: TrainingView | None = None
        self._directory: Path | None = None
        self._stopped: Stopped | None = None

    def __enter__(self) -> _Teller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._view is not None:
            self._view.__exit__(kind, error, traceback)
        if error is not None and self._directory is not None:
            tell_failure(error, self._directory, self._stopped, self._output, self._limits)

    def hear(self, event: Prepared | Event) -> None:
        from retrograd.recipe.prepare import Prepared
        from retrograd.train.events import Stopped

        if isinstance(event, Prepared):
            self._begin(event)
            return
        assert self._view is not None
        self._stopped = event if isinstance(event, Stopped) else None
        self._view.hear(event)

    def _begin(self, prepared: Prepared) -> None:
        from retrograd.cli.live import TrainingView
        from retrograd.cli.plan import limits_of, tell_plan

        self._directory = prepared.directory
        self._stop.wait_for_step()
        _write_saved(prepared, self._saved)
        tell_plan(prepared, self._output)
        self._view = TrainingView(self._output, limits_of(prepared)).__enter__()
