"""``retrograd tune``: a search for the best way to train on a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from retrograd.cli.options import DATA, TrainOptions
from retrograd.cli.output import GROUP, Output
from retrograd.cli.signals import EXIT_CODES, graceful_stop

_OPTIONS, _OUTPUT = TrainOptions(), Output()
SEARCH = Group.create_ordered("Search")


def tune(
    source: Annotated[str | None, Parameter(group=DATA)] = None,
    target: Annotated[str | None, Parameter(group=DATA)] = None,
    *,
    trials: Annotated[int | None, Parameter(group=SEARCH)] = None,
    processes: Annotated[int, Parameter(group=SEARCH)] = 1,
    repeats: Annotated[int, Parameter(group=SEARCH)] = 5,
    resume: Annotated[Path | None, Parameter(group=SEARCH)] = None,
    options: TrainOptions = _OPTIONS,
    seed: Annotated[int | None, Parameter(group=DATA)] = None,
    studies: Annotated[str, Parameter(group=GROUP)] = "studies",
    runs: Annotated[str, Parameter(group=GROUP)] = "runs",
    name: Annotated[str | None, Parameter(group=GROUP)] = None,
    output: Output = _OUTPUT,
) -> int:
    """Search for the best way to train on a table, and train it.

    Whatever is given is fixed; all else is searched. --time is of the whole study: 10m if neither
    it nor --trials is given.

    Args:
        source: A file, a folder of .parquet files, a database, or a data set's name, as for train.
        target: The column to predict; the last one, or one called target, if not given.
        trials: Most trainings of the search.
        processes: How many trainings run beside each other.
        repeats: Seeds on which the winner and the default are trained again, to see what is chance.
        resume: Go on with the study in this directory, or join the processes that work on it.
        options: Everything that can be chosen, and then is not searched.
        seed: Same seed, same data, one process, no time limit: same trials. [0]
        studies: The folder that holds the study directories.
        runs: The folder that holds the run directories, for the winner.
        name: Name of the study's directory, which gets a number. [the source's name]
        output: How to print it.
    """
    given = options.given() | {k: v for k, v in (("seed", seed), ("name", name)) if v is not None}
    time = given.pop("time", None)
    asked: dict[str, Any] = {"time": time, "trials": trials, "processes": processes}
    with graceful_stop() as stop:
        from retrograd.cli.tune_view import TuningView

        with TuningView(output, stop) as view:
            hears: dict[str, Any] = {"listen": view.hear, "should_stop": stop}
            if resume is not None:
                from retrograd.api.tuning import resume_tuning

                _refuse_options({**given, **({"source": source} if source else {})})
                result = resume_tuning(resume, directory=runs, **asked, **hears)
            else:
                from retrograd.api.tuning import tune as search

                result = search(
                    _named(source), target, studies=studies, directory=runs, repeats=repeats,
                    **asked, **hears, **given,
                )  # fmt: skip
    from retrograd.cli.tune_view import result_lines

    output.result(result.to_dict(), result_lines(result))
    return EXIT_CODES.get(result.stopped or "", 0)


def _named(source: str | None) -> str:
    from retrograd.tensor.errors import InputError

    if source is None:
        raise InputError(
            "retrograd tune",
            "no table is named",
            "give a file or a data set's name: retrograd tune digits",
        )
    return source


def _refuse_options(given: dict[str, Any]) -> None:
    from retrograd.tensor.errors import InputError

    if given:
        raise InputError(
            f"retrograd tune --resume with {next(iter(given))}",
            "a study goes on as it began: only --time and --trials can change",
            "leave it out, or begin a new study",
        )
