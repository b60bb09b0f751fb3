"""The models that are served, by name and version; loaded anew when their files change."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrograd.recipe.hub_folder import WEIGHTS
from retrograd.serve.batching import Batcher
from retrograd.serve.served import Served, load
from retrograd.tensor.errors import InputError, RetrogradError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILE = "model.retro"
Mark = tuple[int, int, int]
"""What a file's content is told by: its inode, its size and when it was written (nanoseconds)."""


@dataclass(frozen=True)
class Source:
    """Where the versions of a model come from: a file, a run, or a directory of either."""

    name: str
    path: Path

    def versions(self) -> dict[str, Path]:
        """Return the file of every version there is now, the newest last.

        In a directory, each file `VERSION.retro` and each directory `VERSION/model.retro` is one;
        names are put in order as people do: 9 before 10.
        """
        if not self.path.is_dir():
            return {"1": self.path}
        for name in (_FILE, WEIGHTS):  # a run, or a directory in the layout of model hubs
            if (self.path / name).is_file():
                return {"1": self.path / name}
        found = {p.parent.name: p for p in self.path.glob(f"*/{_FILE}") if p.is_file()}
        found |= {p.stem: p for p in self.path.glob("*.retro") if p.is_file()}
        names = [name for name in found if _NAME.fullmatch(name)]
        return {name: found[name] for name in sorted(names, key=_in_order)}


def _in_order(name: str) -> list[tuple[int, int, str]]:
    """Return what sorts whole numbers in a name by their size.

    >>> sorted(["v10", "v9"], key=_in_order)
    ['v9', 'v10']
    """
    words = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(w), "") if w.isascii() and w.isdigit() else (1, 0, w) for w in words]


def parse_sources(arguments: Sequence[str]) -> tuple[Source, ...]:
    """Return the sources that arguments name: a path, or NAME=path.

    Raises InputError for a name that no address can hold, one given twice, or nothing to serve.
    """
    sources: dict[str, Source] = {}
    for argument in arguments:
        before, equals, after = argument.partition("=")
        named = bool(equals) and not os.path.lexists(argument)
        path = Path(after if named else argument)
        name = before if named else _name_of(path)
        asked = f"serving {argument!r}"
        if not _NAME.fullmatch(name):
            found = f"{name!r} is no name of a model: letters, digits, '.', '_' and '-' make one"
            raise InputError(asked, found, f"name it: shop={path}")
        if name in sources:
            found = f"two models are called {name!r}"
            raise InputError(asked, found, f"name one of them: {name}-2={path}")
        if not path.exists():
            found = "there is no such file or directory"
            raise InputError(asked, found, "give a run directory or a model.retro file")
        source = Source(name, path)
        if not source.versions():
            found = f"it is a directory without {_FILE}, and without versions of one"
            raise InputError(asked, found, "give a run whose training has ended")
        sources[name] = source
    if not sources:
        raise InputError("serving", "no model was named", "give a run directory or a model.retro")
    return tuple(sources.values())


def _name_of(path: Path) -> str:
    """Return what a model is called by its path.

    >>> _name_of(Path("runs/shop-1/model.retro")), _name_of(Path("my models/price 2.retro"))
    ('shop-1', 'price-2')
    """
    stem = path.resolve().parent.name if path.name in (_FILE, WEIGHTS) else path.resolve().stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "model"


def _mark(path: Path) -> Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class Shelf:
    """All models; a change of one is one assignment, so that a request sees the old or the new.

    failures: how often a changed file could not be loaded.  faults: why, by name and version, for
    those that serve an older state than their file.
    """

    def __init__(self, sources: Sequence[Source], window: float, tell: Callable[..., None]) -> None:
        """Load everything; raises what `served.load` does.  ``tell(event, **fields)`` logs."""
        self._sources, self._window, self._tell = tuple(sources), window, tell
        self._marks: dict[tuple[str, str], Mark | None] = {}
        self.failures = self.reloads = 0
        self.faults: dict[tuple[str, str], str] = {}
        self.models: dict[str, dict[str, Batcher]] = {}
        for source in self._sources:
            versions = {}
            for version, path in source.versions().items():
                self._marks[source.name, version] = _mark(path)
                versions[version] = Batcher(load(source.name, version, path), window)
            self.models[source.name] = versions

    @property
    def first(self) -> str:
        """The name of the model that is meant where none is named."""
        return self._sources[0].name

    def find(self, name: str, version: str | None = None) -> Batcher | None:
        """Return a model; without a version the newest."""
        versions = self.models.get(name, {})
        return versions.get(version) if version else next(reversed(versions.values()), None)

    def __iter__(self) -> Iterator[Batcher]:
        """Give every version of every model."""
        return (each for versions in self.models.values() for each in versions.values())

    async def watch(self, seconds: float) -> None:
        """Look at the files from time to time, for ever."""
        while True:
            await asyncio.sleep(seconds)
            await self.look()

    async def look(self) -> None:
        """Load what has changed, beside the loop, and take it in place of the old.

        What cannot be loaded changes nothing but `faults` and the log: the old model stays.
        """
        for source in self._sources:
            paths = await asyncio.to_thread(source.versions)
            now = dict(self.models[source.name])
            for version, path in paths.items():
                key, mark = (source.name, version), _mark(path)
                if mark is None:
                    self._failed(key, "its file is gone")
                elif mark != self._marks.get(key):
                    self._marks[key] = mark
                    fresh = await self._load(key, path)
                    if fresh is not None:
                        now[version] = Batcher(fresh, self._window)
            self._take(source, now, paths)

    async def _load(self, key: tuple[str, str], path: Path) -> Served | None:
        try:
            fresh = await asyncio.to_thread(load, *key, path)
        except (RetrogradError, MemoryError) as error:
            self._failed(key, str(error) or "out of memory")
            return None
        self.faults.pop(key, None)
        self.reloads += 1
        self._tell("model_loaded", model=key[0], version=key[1])
        return fresh

    def _failed(self, key: tuple[str, str], why: str) -> None:
        """Say once that a file cannot be loaded; whoever is served by the old model still is."""
        if self.faults.get(key) == why:
            return
        self.faults[key] = why
        self.failures += 1
        stays = key[1] in self.models[key[0]]
        self._tell("model_refused", model=key[0], version=key[1], error=why, old_one_stays=stays)

    def _take(self, source: Source, now: dict[str, Batcher], paths: Mapping[str, Any]) -> None:
        """Put the versions of a model in their order; those whose files are gone are dropped.

        The last one stays, since somebody may be asking for it.
        """
        gone = [version for version in now if version not in paths]
        if len(gone) < len(now):
            for version in gone:
                del now[version]
                self._marks.pop((source.name, version), None)
                self._tell("model_dropped", model=source.name, version=version)
        ordered = {v: now[v] for v in sorted(now, key=_in_order)}
        if ordered != self.models[source.name]:
            self.models[source.name] = ordered
