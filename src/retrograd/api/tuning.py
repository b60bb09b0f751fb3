"""`tune`: many trainings of one table, of which the best is kept and honestly judged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retrograd.data import read_table, spellings_of
from retrograd.recipe.config import Config, configure, seconds
from retrograd.tune.finish import Result
from retrograd.tune.tuning import begin, go_on, require_processes


def tune(
    source: Any,
    target: str | None = None,
    *,
    time: str | None = None,
    trials: int | None = None,
    processes: int = 1,
    repeats: int = 5,
    studies: str = "studies",
    config: Config | None = None,
    listen: Callable[[Any], None] | None = None,
    should_stop: Callable[[], str | None] | None = None,
    **options: Any,
) -> Result:
    """Search for the best way to train on a table, train it as a run, and say what is chance.

    source, target: as `train` takes them.  time: of the whole study, "10m" if neither it nor
    ``trials`` is given.  repeats: seeds on which the winner and the default are trained again.
    studies: the folder of studies; the winner's run is in ``directory`` as every run.
    options: fields of `Config` by their own names; what is given is fixed and not searched.

    One split serves all trials, and the test part stays sealed. Of the validation part, two fifths
    judge the winner and are seen by no trial. Raises DataError and InputError in one sentence
    before anything is written, RunError if no trial came to its end.
    """
    given = options if target is None else {**options, "target": target}
    length = None if time is None else seconds(time)
    if isinstance(source, str | os.PathLike):
        given["source"], table = os.fspath(source), None
    else:
        table = read_table(source, spellings=spellings_of(configure(config, **given).data.kinds))
    require_processes(processes, is_in_memory=table is not None)
    root, material = begin(
        given, table, studies=studies, trials=trials, seconds=length, repeats=repeats, config=config
    )
    return go_on(
        root, table, material=material, processes=processes, listen=listen,
        should_stop=should_stop, directory=configure(config, **given).directory,
    )  # fmt: skip


def resume_tuning(
    study: str | os.PathLike[str],
    source: Any = None,
    *,
    time: str | None = None,
    trials: int | None = None,
    processes: int = 1,
    directory: str = "runs",
    listen: Callable[[Any], None] | None = None,
    should_stop: Callable[[], str | None] | None = None,
) -> Result:
    """Go on with a study, or join one that runs; ``source`` again if it was a table in memory.

    ``time`` and ``trials`` are new limits of the whole study.
    """
    table = None if source is None else read_table(source)
    return go_on(
        Path(study), table, trials=trials, seconds=None if time is None else seconds(time),
        processes=processes, directory=directory, listen=listen, should_stop=should_stop,
    )  # fmt: skip
