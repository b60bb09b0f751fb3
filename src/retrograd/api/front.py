"""`train` and `load`: from a table to a run, and from a path back to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retrograd.api.run import Run, open_run
from retrograd.data import read_table, spellings_of
from retrograd.recipe.config import Config, configure
from retrograd.recipe.hub_folder import is_folder, load_folder
from retrograd.recipe.model import Model, load_model
from retrograd.recipe.prepare import Prepared
from retrograd.recipe.run import run
from retrograd.train.events import Event


def train(
    source: Any,
    target: str | None = None,
    *,
    config: Config | None = None,
    listen: Callable[[Prepared | Event], None] | None = None,
    should_stop: Callable[[], str | None] | None = None,
    **options: Any,
) -> Run:
    """Train a network on a table and return the run, whose directory holds everything.

    source: a path, a data set's name, a DataFrame, a dict of columns, an array or a pair (X, y).
    target: the column to predict; by default what the data says, else the last.
    options: fields of `Config` and its parts by their own names, such as ``hidden=(64, 32)``,
    ``epochs=50``, ``time="5m"``, ``seed=1``, ``directory="runs"``; they go over ``config``.
    listen: told a `Prepared` first, and then every event of training.
    should_stop: asked after every step; a word ends training in order.

    Rows are split first; statistics come from the training part; the test part stays sealed until
    `Run.test`. Raises DataError and InputError in one sentence before anything is written.

    >>> import tempfile
    >>> table = {"size": [1.0, 2.0, 3.0, 4.0] * 10, "sold": ["no", "no", "yes", "yes"] * 10}
    >>> run = train(table, "sold", directory=tempfile.mkdtemp(), epochs=2)
    >>> run.directory.name, sorted(run.history)[:2]
    ('table-1', ['accuracy', 'balanced_accuracy'])
    """
    given = options if target is None else {**options, "target": target}
    if isinstance(source, str | os.PathLike):
        given["source"], table = os.fspath(source), None
    else:
        table = read_table(source, spellings=spellings_of(configure(config, **given).data.kinds))
    outcome = run(configure(config, **given), table, listen=listen, should_stop=should_stop)
    return Run(outcome.directory, outcome.model, table)


def load(path: str | os.PathLike[str]) -> Run | Model:
    """Return the run of a directory, or the model of a file or of a directory in hub layout.

    Raises InputError in one sentence for a path that is neither, or a file that is damaged.
    """
    place = Path(path)
    if is_folder(place):
        return load_folder(place)
    return open_run(place) if place.is_dir() else load_model(place)
